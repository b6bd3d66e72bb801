"""Names of latents: a person's own before the words, kept for each dictionary, safe to show."""

import pytest

from core import CoreError
from core.sae.latent_names import (
    FOLDER,
    MOST_NAME,
    clean_name,
    give_name,
    keep_promoted,
    latent_names,
)
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
