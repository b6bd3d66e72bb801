"""Directions that people bring: kept under their content, found again, refused clearly."""

import numpy as np
import pytest
import torch
from safetensors.torch import save

from core import CoreError
from core.activations.decoding import Decoding
from core.models.open_models import ModelSpec, describe
from core.runtime.store import Store
from core.steering import direction_files
from core.steering.direction_files import axis_of, keep_direction, kept_directions, open_direction
from core.steering.directions import DirectionError, direction_bytes, moral_direction
from core.steering.edits import resolve
from core.steering.generation import write
from core.steering.recipes import Recipe, Term
from tests.core.steering.steeringsets import made_direction, read_by


def vector(seed=0, width=32):
    return torch.tensor(np.random.default_rng(seed).normal(size=width))


def test_a_kept_direction_is_found_by_its_digest_alone(store, llama):
    found = keep_direction(store, "mine.safetensors", save({"v": vector()}), llama.card)
    assert found.name == "mine"
    for digest in (found.digest, found.digest[:16]):
        again = open_direction(store, digest)
        np.testing.assert_array_equal(again.vector, found.vector)
        assert (again.digest, again.name) == (found.digest, "mine")
    assert open_direction(store, found.digest[:15]) is None
    assert open_direction(store, "0" * 64) is None
    assert axis_of(found) == f"file:{found.digest[:16]}"


def test_the_same_file_is_kept_once_and_another_claim_is_another_direction(store, llama):
    content = save({"v": vector()})
    first = keep_direction(store, "a.safetensors", content, llama.card)
    assert keep_direction(store, "b.safetensors", content, llama.card).digest == first.digest
    claimed = save({"v": vector()}, metadata={"layer": "2"})
    assert keep_direction(store, "c.safetensors", claimed, llama.card).digest != first.digest
    assert sorted(one.layer for one in kept_directions(store, llama.card)) == [-2, 2]


def test_only_directions_that_fit_a_model_are_offered(store, llama, tiny_gpt2_folder):
    other = describe(ModelSpec("folder", str(tiny_gpt2_folder), device="cpu"), store)
    mine = made_direction(1, model=llama.card.identity)
    keep_direction(store, "mine", direction_bytes(mine), llama.card)
    keep_direction(store, "any", save({"v": vector(2)}), llama.card)
    assert [one.name for one in kept_directions(store, llama.card)] == ["any", "made"]
    assert [one.name for one in kept_directions(store, other)] == ["any"]


@pytest.mark.parametrize(
    ("name", "shown"), [("../../etc/x", "x"), ("a<b>.safetensors", "a_b_"), ("", "direction")]
)
def test_a_files_name_is_only_a_name(store, llama, name, shown):
    assert keep_direction(store, name, save({"v": vector()}), llama.card).name == shown
    assert {path.name for path in store.root.iterdir()} == {"direction"}


def test_what_is_no_direction_is_refused_and_nothing_is_kept(store, llama, monkeypatch):
    for content, message in (
        (b"not safetensors", "cannot be read as safetensors"),
        (save({"v": vector(width=33)}), "needs one vector of 32"),
        (save({"v": torch.full((32,), float("nan"))}), "not finite"),
    ):
        with pytest.raises(DirectionError, match=message):
            keep_direction(store, "x.safetensors", content, llama.card)
    monkeypatch.setattr(direction_files, "MOST_BYTES", 100)
    with pytest.raises(CoreError, match=r"x\.safetensors has 0 MB; a direction has at most"):
        keep_direction(store, "x.safetensors", save({"v": vector()}), llama.card)
    assert kept_directions(store, llama.card) == []


def test_an_exported_direction_loaded_again_writes_the_same_text(llama, tmp_path_factory):
    """To the last bit: else a link through a file would be another run."""
    store, made = read_by(llama, tmp_path_factory)
    own = moral_direction(store, made, "care-harm", 1)
    loaded = keep_direction(store, "own", direction_bytes(own), llama.card)
    np.testing.assert_array_equal(loaded.vector, own.vector)
    texts = []
    for axis in ("care-harm", axis_of(loaded)):
        recipe = Recipe("m", "", made.items.digest, "{action} is morally", (1,), (Term(axis, 2.0),))
        edits = resolve(store, made, recipe)
        *_, last = write(llama, "helping a friend", edits, "all", Decoding(tokens=8))
        texts.append(last.steered)
    assert texts[0] == texts[1]
    empty = Store(tmp_path_factory.mktemp("other"))
    with pytest.raises(DirectionError, match="not loaded here"):
        resolve(empty, made, Recipe("m", "", "", "t", (1,), (Term(axis_of(loaded), 2.0),)))
