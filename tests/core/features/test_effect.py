"""What a latent causes: seen where it was planted, absent where the direction does nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.activations.prompts import collate, encode
from core.activations.traces import step_logits
from core.features.effect import EffectSpec, Tried, alike, kept_effect, measure_effect
from core.features.feature_activations import read_activations
from core.sae.dictionary import DictionaryError
from core.statistics.bootstrap import Estimate
from core.steering.edits import LayerEdit
from core.steering.effects.readout import WordSets, next_logits
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import made_direction, opened, read_by

SPEC = EffectSpec(0, "care-harm", controls=6)


@pytest.fixture(scope="module")
def model(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def read(model, tmp_path_factory):
    return read_by(model, tmp_path_factory)


@pytest.fixture(scope="module")
def dictionary(model):
    """Latent 0 of the last layer writes what the unembedding reads as right rather than wrong."""
    made = made_dictionary(layer=2, model=model.card.identity)
    good, wrong = WordSets().tokens(model)
    head = model.module.lm_head.weight.detach()
    rows = made.w_dec.clone()
    rows[0] = head[good].mean(dim=0) - head[wrong].mean(dim=0)
    rows[0] /= rows[0].norm()
    return replace(made, w_dec=rows, w_enc=rows.T.contiguous())


@pytest.fixture(scope="module")
def codes(read, model, dictionary):
    return read_activations(read[1].plan, model, dictionary)


def test_a_planted_cause_is_found_beyond_all_random_latents(read, model, dictionary, codes):
    store, study = read
    made = kept_effect(
        store,
        study,
        dictionary,
        SPEC,
        lambda _: measure_effect(store, study, model, dictionary, codes, SPEC),
    )
    effect = made.get()
    assert effect.steering.effect.low > 0
    assert effect.steering.beaten == 1
    assert "towards approval, beyond 100%" in effect.steering.verdict
    assert len(effect.steering.controls) == 6
    assert made.open() == effect
    assert effect.ablation.n_texts > 0


def test_switching_a_latent_off_leaves_what_the_dictionary_misses(model, dictionary):
    """The spliced state is x + decode(edited) - decode(original), computed here in full."""
    prompt = encode(model, ["Robbing the judge is morally"], 64)
    batch = collate(prompt, 0)
    layer = dictionary.info.layer

    def spliced(hidden):
        codes = dictionary.encode(hidden)
        edited = codes.clone()
        edited[..., 0] = 0
        moved = hidden + dictionary.decode(edited) - dictionary.decode(codes)
        moved[:, 0] = hidden[:, 0]
        return moved

    expected = step_logits(model, batch, None, {layer: spliced})[:, -1]
    unit = replace(made_direction(), vector=dictionary.direction(0), layer=layer)
    edit = LayerEdit(layer, (unit,), (0.0,), 7.0, "clamp", dictionary, (0,))
    found = next_logits(model, ["Robbing the judge is morally"], [edit], "not first")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_clamped_latent_writes_the_length_that_was_asked_for(dictionary):
    from core.steering.edits import _Clamped

    unit = replace(made_direction(), vector=dictionary.direction(3))
    edit = LayerEdit(2, (unit,), (0.5,), 8.0, "clamp", dictionary, (3,))
    hidden = torch.randn(1, 5, 32)
    moved = hidden + _Clamped(edit).change(hidden, torch.tensor([4.0]))
    before = dictionary.encode(hidden)
    written = moved - hidden + before[..., 3:4] * dictionary.w_dec[3]
    expected = (4.0 * dictionary.w_dec[3] / dictionary.w_dec[3].norm()).expand_as(written)
    torch.testing.assert_close(written, expected, atol=1e-5, rtol=1e-5)


def test_controls_are_other_latents_that_are_on_about_as_often(codes, dictionary):
    density = codes.density()
    latent = int(np.argmax(density))
    others = alike(codes, dictionary, latent, 4)
    assert latent not in others
    assert len(set(others)) == 4
    order = np.argsort(-density)
    assert set(others) <= set(order[1:18])
    np.testing.assert_array_equal(others, alike(codes, dictionary, latent, 4))
    assert not np.array_equal(others, alike(codes, dictionary, latent, 4, seed=5))


def test_verdicts_follow_interval_and_controls():
    sure, unsure = Estimate(0.5, 0.2, 0.8), Estimate(0.5, -0.1, 1.1)
    assert "no effect" in Tried(unsure, 9, (0.1,) * 40).verdict
    assert "beats only 50%" in Tried(sure, 9, (0.1, -0.9)).verdict
    assert "condemnation, beyond 100%" in Tried(Estimate(-0.5, -0.8, -0.2), 9, (0.1, -0.4)).verdict
    assert "could not be tried" in Tried(sure, 0, ()).verdict
    assert "beats only" in Tried(sure, 9, ()).verdict


def test_what_cannot_be_tried_is_said(read, model, dictionary, codes):
    store, study = read
    with pytest.raises(DictionaryError, match="no latent 64"):
        measure_effect(store, study, model, dictionary, codes, EffectSpec(64, "care"))
    other = replace(dictionary, info=replace(dictionary.info, model="folder:other"))
    with pytest.raises(DictionaryError, match="another model"):
        measure_effect(store, study, model, other, codes, SPEC)
    names = {
        kept_effect(store, study, dictionary, one, None).name
        for one in (SPEC, replace(SPEC, strength=0.2))
    }
    assert len(names) == 2
