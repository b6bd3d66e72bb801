"""A dictionary's moral latents on a set: which prompts select; what is kept comes back equal."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csc_array

from core.features.feature_activations import FeatureActivations
from core.features.ranking import (
    FeatureSpec,
    kept_latents,
    latents_key,
    rank_latents,
    split_of_prompts,
)
from core.features.scores import counts
from core.sae.dictionary import Dictionary, DictionaryInfo
from tests.core.features.latentsets import random_codes

QUICK = FeatureSpec(permutations=400, draws=40)


def made_dictionary(seed=0):
    torch.manual_seed(seed)
    info = DictionaryInfo("made", 1, "topk", 3)
    shapes = {"w_enc": (32, 12), "b_enc": (12,), "w_dec": (12, 32), "b_dec": (32,)}
    return Dictionary(info, **{name: torch.randn(*shape) for name, shape in shapes.items()})


@pytest.fixture
def codes(study):
    """Return codes of two tokens per prompt; latent 5 follows loyalty on one of them."""
    n = len(study.plan.prompts)
    dense = random_codes(2 * n, 12, np.random.default_rng(0), 0.05)
    dense[:, 5] = 0
    np.maximum.at(dense[:, 5], 2 * study.plan.rows, study.items.vectors()[:, 4])
    prompt = np.repeat(np.arange(n), 2)
    return FeatureActivations(csc_array(dense), prompt, np.zeros(2 * n, np.int64), {0: "a"}, n)


def latents(store, study, dictionary, codes):
    """Return a dictionary's latents, ranked from codes."""

    def rank(_):
        return rank_latents(
            codes.pooled(QUICK.pooling), codes.lengths(), study.items, study.plan.rows, QUICK
        )

    return kept_latents(store, study, dictionary, QUICK, rank)


def test_a_latent_that_follows_a_dimension_of_the_builtin_set_is_found(store, study, codes):
    scores = latents(store, study, made_dictionary(), codes).get()
    assert scores.decided.kind[5] == "monosemantic"
    assert scores.best[5] == 4
    assert scores.test.membership[5, 4] == pytest.approx(1)
    assert counts(scores)["monosemantic"] == 1


def test_what_was_kept_comes_back_equal(store, study, codes):
    dictionary = made_dictionary()
    found = latents(store, study, dictionary, codes)
    assert found.open() is None
    made, kept = found.get(), found.open()
    for name in ("density", "fires", "pearson", "best"):
        np.testing.assert_array_equal(getattr(made, name), getattr(kept, name))
    np.testing.assert_array_equal(made.decided.kind, kept.decided.kind)
    for name in ("train", "q", "test", "low", "high"):
        for one, other in zip(getattr(made, name), getattr(kept, name), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    for name in ("notes", "shuffled", "monte_carlo"):
        assert getattr(made, name) == getattr(kept, name)
    assert made.spec == kept.spec


def test_ranking_is_not_repeated(store, study, codes, monkeypatch):
    latents(store, study, made_dictionary(), codes).get()
    monkeypatch.setattr(f"{__name__}.rank_latents", None)
    latents(store, study, made_dictionary(), codes).get()


def test_the_key_follows_dictionary_items_and_spec(study):
    keys = [
        latents_key(study, made_dictionary(), QUICK),
        latents_key(study, made_dictionary(1), QUICK),
        latents_key(study, made_dictionary(), replace(QUICK, pooling="mean")),
        latents_key(study, made_dictionary(), replace(QUICK, seed=1)),
        latents_key(
            replace(study, items=study.items.take(np.arange(900))), made_dictionary(), QUICK
        ),
    ]
    assert all(one != other for at, one in enumerate(keys) for other in keys[:at])


def test_pooling_decides_what_is_ranked(store, study, codes):
    highest, mean = (
        rank_latents(
            codes.pooled(pooling),
            codes.lengths(),
            study.items,
            study.plan.rows,
            replace(QUICK, pooling=pooling),
        )
        for pooling in ("max", "mean")
    )
    np.testing.assert_array_equal(highest.fires, mean.fires)
    assert (highest.train.membership != mean.train.membership).any()


def test_a_prompt_of_two_splits_selects_and_never_reports():
    split = np.array(["train", "test", "test", "validation", "test", "validation"])
    rows = np.array([0, 0, 1, 1, 2, 3])
    only = split_of_prompts(split, rows, 4, "test")
    assert only.train.tolist() == [True, False, False, False]
    assert only.test.tolist() == [False, False, True, False]
    both = split_of_prompts(split, rows, 4, "held out")
    assert both.test.tolist() == [False, True, True, True]


@pytest.mark.parametrize("wrong", [{"pooling": "last"}, {"reporting": "train"}, {"fdr": 2}])
def test_a_spec_that_does_not_exist_is_a_mistake(wrong):
    with pytest.raises(ValueError, match="must"):
        FeatureSpec(**wrong)
