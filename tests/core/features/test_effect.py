"""What a latent causes: seen where it was planted, absent where the direction does nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.activations.prompts import collate, encode
from core.activations.traces import step_logits
from core.features.effect import (
    Effect,
    EffectSpec,
    Tried,
    _Experiment,
    alike,
    all_tried,
    corrected,
    kept_effect,
    measure_effect,
)
from core.features.feature_activations import read_activations
from core.sae.dictionary import DictionaryError
from core.statistics.bootstrap import Estimate
from core.steering.edits import LayerEdit, _Clamped
from core.steering.effects.readout import WordSets, next_logits
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import made_direction, opened, read_by

SPEC = EffectSpec(0, "care-harm", controls=24)


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
    assert (effect.steering.above, effect.steering.p) == (0, 1 / 25)
    assert "towards approval, beyond its controls (0 of 24" in effect.steering.verdict
    assert len(effect.steering.controls) == len(effect.ablation.controls) == 24
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


def test_a_control_takes_away_as_much_on_the_same_texts_at_the_same_tokens(
    read, model, dictionary, codes, monkeypatch
):
    """Not what another latent writes on texts of its own: that would be another length."""
    store, study = read
    bench = _Experiment(store, study, model, dictionary, codes, SPEC)
    asked = []
    monkeypatch.setattr(bench, "_shift", lambda held, edit: asked.append((held, edit)))
    others = (0, 3, 9)
    for latent in others:
        bench.switched_off(latent)
    hidden = torch.randn(2, 30, 32, generator=torch.Generator().manual_seed(0))
    own, *rest = (_Clamped(edit).change(hidden, torch.tensor([0.0])) for _, edit in asked)
    expected = -dictionary.encode(hidden)[..., :1] * dictionary.w_dec[0]
    torch.testing.assert_close(own, expected)
    assert own.norm() > 0
    for latent, change in zip(others[1:], rest, strict=True):
        torch.testing.assert_close(change.norm(dim=-1), own.norm(dim=-1))
        along = change @ torch.from_numpy(dictionary.direction(latent))
        torch.testing.assert_close(along.abs(), own.norm(dim=-1))
    assert len({id(held) for held, _ in asked}) == 1
    peaks = np.zeros(codes.n_prompts)
    np.maximum.at(peaks, codes.prompt, codes.of(0))
    peaks[study.items.split[study.first_rows] != "test"] = 0
    assert bench._on is not None
    assert len(bench._on.logits) == min(12, int((peaks > 0).sum()))


def test_verdicts_follow_interval_and_p():
    sure, unsure = Estimate(0.5, 0.2, 0.8), Estimate(0.5, -0.1, 1.1)
    assert "no effect" in Tried(unsure, 9, (0.1,) * 99).verdict
    four, five = ((0.1,) * (99 - n) + (-0.9,) * n for n in (4, 5))
    assert "approval, beyond its controls (4 of 99" in Tried(sure, 9, four).verdict
    assert "but 5 of 99 other latents' directions do as much (p = 0.06)" in (
        Tried(sure, 9, five).verdict
    )
    away = Tried(Estimate(-0.5, -0.8, -0.2), 9, (0.1, *[-0.4] * 98))
    assert "condemnation, beyond" in away.verdict
    assert (Tried(sure, 9, four).p, Tried(sure, 9, five).p) == (0.05, 0.06)
    assert Tried(sure, 9, (0.5,)).above == 1  # as far counts against it
    assert "could not be tried" in Tried(sure, 0, ()).verdict
    assert np.isnan(Tried(sure, 0, ()).p)
    assert "do as much" in Tried(sure, 9, ()).verdict


def test_two_of_twenty_one_is_not_enough():
    """Once one of 20 controls could be above: two of 21 by chance alone, not 5 %."""
    sure = Estimate(0.5, 0.2, 0.8)
    assert "beyond" not in Tried(sure, 9, (0.1,) * 19 + (0.9,)).verdict


def made_effect(latent, p, q=None):
    sure, n = Estimate(0.5, 0.2, 0.8), 99
    above = round(p * (n + 1)) - 1
    steering = Tried(sure, 9, (0.9,) * above + (0.1,) * (n - above))
    return Effect(EffectSpec(latent, "care"), steering, Tried(sure, 0, ()) if q is None else q)


def test_many_latents_are_corrected_for_and_one_is_not():
    one = made_effect(1, 0.02)
    alone = corrected(one, [one])
    assert alone[0] == pytest.approx(0.02)
    assert np.isnan(alone[1])
    among = [one, *(made_effect(latent, 0.8) for latent in range(2, 5))]
    assert corrected(one, among)[0] == pytest.approx(0.08)
    both = made_effect(9, 0.01, made_effect(9, 0.5).steering)
    assert corrected(both, [both]) == pytest.approx((0.02, 0.5))


def test_all_that_was_tried_with_a_dictionary_on_a_set_is_found(store, read, dictionary):
    study = read[1]
    kept = [made_effect(latent, 0.1) for latent in (4, 2)]
    for one in kept:
        kept_effect(store, study, dictionary, one.spec, lambda _, one=one: one).get()
    other = replace(dictionary, b_enc=dictionary.b_enc + 1)
    kept_effect(store, study, other, kept[0].spec, lambda _: kept[0]).get()
    assert {one.spec.latent for one in all_tried(store, study, dictionary)} == {2, 4}
    assert len(all_tried(store, study, other)) == 1


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
