"""Dictionaries at hand: kept, found by their weights, latents as directions of a recipe."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.models.open_models import describe
from core.sae.dictionary import DictionaryError
from core.sae.shelf import KIND, keep_dictionary, open_dictionary, shelved
from core.steering.directions import DirectionError
from core.steering.latents import latent_axis, latent_direction
from tests.core.sae.saesets import made_dictionary


@pytest.fixture
def card(store, llama_spec):
    return describe(llama_spec, store)


def test_a_kept_dictionary_is_listed_and_found_by_its_weights(store, card):
    made = made_dictionary()
    name = keep_dictionary(store, made, card)
    assert keep_dictionary(store, made, card) == name
    [one] = shelved(store, card)
    assert (one.digest, one.layer, one.n_latents, one.name) == (name, 1, 64, "made 0")
    found = open_dictionary(store, card, made.digest[:16])
    assert found.digest == made.digest
    assert open_dictionary(store, card, made.digest) is found  # loaded once


def test_another_models_dictionaries_are_not_listed(store, card):
    keep_dictionary(store, made_dictionary(), card)
    assert shelved(store, replace(card, identity="folder:other")) == []
    with pytest.raises(DictionaryError, match="32 coordinates apart"):
        keep_dictionary(store, made_dictionary(), replace(card, d_model=8))


def test_a_damaged_one_does_not_hide_the_others(store, card):
    broken = keep_dictionary(store, made_dictionary(seed=1), card)
    made = made_dictionary()
    keep_dictionary(store, made, card)
    (store.root / KIND / broken / "sae_weights.safetensors").write_bytes(b"\0" * 64)
    assert open_dictionary(store, card, made.digest[:16]).digest == made.digest
    (store.root / KIND / broken / "cfg.json").write_text("{")
    assert len(shelved(store, card)) == 1


def test_a_latent_is_a_direction_of_its_layer(store, card):
    made = made_dictionary()
    keep_dictionary(store, made, card)
    axis = latent_axis(made, 5)
    direction = latent_direction(store, card, axis)
    np.testing.assert_allclose(direction.vector, made.direction(5))
    assert (direction.layer, direction.model, direction.name) == (1, card.identity, "latent 5")


def test_what_names_no_latent_at_hand_is_refused(store, card):
    made = made_dictionary()
    rows = made.w_dec.clone()
    rows[3] = 0
    dead = replace(made, w_dec=rows)
    keep_dictionary(store, dead, card)
    with pytest.raises(DirectionError, match="names no latent"):
        latent_direction(store, card, "latent:zz:1")
    with pytest.raises(DictionaryError, match="not at hand"):
        latent_direction(store, card, f"latent:{'0' * 16}:1")
    with pytest.raises(DictionaryError, match="no latent 64"):
        latent_direction(store, card, latent_axis(dead, 64))
    with pytest.raises(DictionaryError, match="dead"):
        latent_direction(store, card, latent_axis(dead, 3))
    assert torch.equal(made.w_dec[4], dead.w_dec[4])
