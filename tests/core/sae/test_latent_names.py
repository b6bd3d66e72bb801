"""Names of latents: a person's own before the words, kept for each dictionary, safe to show."""

import json

import pytest

from core import CoreError
from core.features.logit_lens import read_lens, short_names
from core.sae.latent_names import (
    FOLDER,
    MOST_NAME,
    clean_name,
    give_name,
    keep_promoted,
    latent_names,
    write_names,
)
from core.sae.shelf import BUILTIN, BUILTIN_FOLDER, Shelved
from tests.core.sae.saesets import made_dictionary

MADE = made_dictionary(n_latents=48)


def test_without_names_there_are_none(store):
    assert latent_names(store, MADE).of(3) == ""


def test_a_persons_name_stands_before_the_words_and_can_be_taken_back(store):
    keep_promoted(store, MADE, {3: "steal, theft", 4: "kind", 5: ""})
    assert give_name(store, MADE, 3, "  taking what is\nnot yours ") == "taking what is not yours"
    names = latent_names(store, MADE)
    assert [names.of(one) for one in (3, 4, 5)] == ["taking what is not yours", "kind", ""]
    give_name(store, MADE, 3, " ")
    assert latent_names(store, MADE).of(3) == "steal, theft"


def test_words_that_are_looked_up_later_leave_a_persons_name(store):
    give_name(store, MADE, 3, "mine")
    keep_promoted(store, MADE, {3: "steal"})
    assert latent_names(store, MADE).of(3) == "mine"


def test_each_dictionary_has_its_own(store):
    give_name(store, MADE, 3, "mine")
    assert latent_names(store, made_dictionary(n_latents=48, seed=1)).of(3) == ""


def test_a_name_is_one_short_line_of_what_can_be_printed():
    assert clean_name("a\x00b\u202e\tc") == "a b c"
    assert clean_name("x" * MOST_NAME) == "x" * MOST_NAME
    with pytest.raises(CoreError, match="at most 40 characters; this one has 41"):
        clean_name("x" * (MOST_NAME + 1))


def test_a_latent_that_is_not_there_has_no_name(store):
    with pytest.raises(CoreError, match="no latent 48"):
        give_name(store, MADE, 48, "mine")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"given": {"a": "b"}}', '{"given": {"1": "b"}, "promoted": []}']
)
def test_a_damaged_file_is_no_name_and_is_written_anew(store, content):
    give_name(store, MADE, 3, "mine")
    [path] = (store.root / FOLDER).iterdir()
    path.write_text(content)
    assert latent_names(store, MADE).of(3) == ""
    give_name(store, MADE, 3, "again")
    assert latent_names(store, MADE).of(3) == "again"
    assert len(list((store.root / FOLDER).iterdir())) == 1


def builtin():
    return Shelved.at(BUILTIN, BUILTIN_FOLDER).load()


def test_the_projects_own_dictionary_comes_with_the_names_of_its_latents(store):
    own = builtin()
    names = latent_names(store, own)
    assert len(names.promoted) == own.n_latents
    assert all(clean_name(one) == one for one in names.promoted.values())
    give_name(store, own, 3, "mine")
    [path] = (store.root / FOLDER).iterdir()
    assert json.loads(path.read_text()) == {"given": {"3": "mine"}, "promoted": {}}
    assert latent_names(store, own).of(4) == names.of(4)


@pytest.mark.slow
@pytest.mark.gemma
def test_they_are_the_words_that_the_latents_promote(store, gemma):
    some = [0, 712, 2929, 5108]
    found = short_names(read_lens(gemma, builtin(), some), ["Lying to a friend"])
    assert found == {one: latent_names(store, builtin()).of(one) for one in some}


def test_names_are_written_for_every_latent(tmp_path):
    path = tmp_path / "names.json"
    write_names(path, MADE, {1: "kind"}, "a command")
    told = json.loads(path.read_text())
    assert (told["dictionary"], told["command"]) == (MADE.digest, "a command")
    assert told["names"] == ["", "kind", *[""] * 46]
    with pytest.raises(CoreError, match="cannot be written"):
        write_names(tmp_path, MADE, {}, "")
