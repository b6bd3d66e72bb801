"""Moral latents: planted ones are found, shuffled labels find none, nothing is invented."""

from functools import cache

import numpy as np
import pytest
from scipy.sparse import csr_array

from core import CoreError
from core.features.comparisons import Split, TextLabels
from core.features.kinds import MORAL, RELATED
from core.features.scores import FeatureError, RankSpec, counts, score_latents
from tests.core.features.latentsets import (
    PURE,
    TOPICS,
    labels_of,
    made_set,
    made_vectors,
    planted,
    random_codes,
    same_length,
)

QUICK = RankSpec(permutations=400, draws=100)


@cache
def found(seed=0):
    return score_latents(*planted(seed), QUICK)


def scored(dense, labels, split, spec=QUICK, tokens=None):
    tokens = same_length(len(dense)) if tokens is None else tokens
    return score_latents(csr_array(dense), labels, tokens, split, spec)


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    labels, split = made_set(400, rng)
    return random_codes(400, 60, rng, 0.08), labels, split


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_latents_are_found_and_hardly_any_other(seed):
    scores = found(seed)
    called = scores.decided.kind == "monosemantic"
    right = called[:PURE] & (scores.best[:PURE] == np.arange(PURE) % 10)
    assert right.mean() >= 0.9
    assert right.sum() / called.sum() >= 0.9
    assert scores.shuffled["monosemantic"] == 0


def test_latents_of_both_poles_are_topics_whose_polarity_has_collapsed():
    topics = slice(PURE, PURE + TOPICS)
    assert (found().decided.kind[topics] == "topic").all()
    assert found().decided.collapsed[topics].all()
    assert not found().decided.collapsed[:PURE].any()


def test_what_is_on_for_a_foundation_alone_is_topic_and_not_moral():
    scores, topics = found(), slice(PURE, PURE + TOPICS)
    assert scores.decided.related[topics].any(axis=1).all()
    assert not scores.decided.moral[topics].any()
    assert scores.decided.moral[:PURE].any(axis=1).mean() >= 0.9
    own = counts(scores)
    assert own[RELATED] >= own[MORAL] + TOPICS
    assert scores.shuffled[RELATED] == scores.shuffled[MORAL] == 0


def test_a_foundation_of_mostly_one_pole_makes_no_moral_latents_of_its_topic():
    rng = np.random.default_rng(8)
    n = 2400
    foundation = rng.integers(0, 5, n)
    pole = (rng.random(n) < np.where(foundation == 2, 0.85, 0.5)).astype(int)
    vectors = np.zeros((n, 10), np.float32)
    vectors[np.arange(n), 2 * foundation + pole] = 1
    dense = random_codes(n, 80, rng, 0.05, 0.2)
    dense[:, :40] *= (foundation[:, None] == 2) | (rng.random((n, 40)) < 0.1)
    chosen = rng.random(n) < 0.3
    shown = scored(dense, labels_of(vectors), Split(~chosen, chosen)).decided
    assert (shown.kind[:40] == "topic").mean() > 0.8
    assert not shown.moral.any()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_latent_that_is_on_by_length_alone_is_neither_topic_nor_moral(seed):
    rng = np.random.default_rng(seed)
    n = 2000
    vectors, _ = made_vectors(n, rng)
    longer = 2 * vectors[:, ::2].max(axis=1) + 2 * (vectors[:, 4:6].max(axis=1) > 0)
    tokens = 4 + rng.poisson(6 + longer)
    rate = np.exp(rng.uniform(-5.5, -3.5, 60))
    # Pooled by maximum: each token is another chance to be on, and to be on strongly.
    strength = rng.gamma(2, 1, (n, 60, 30)) * (rng.random((n, 60, 30)) < rate[:, None])
    within = np.arange(30) < tokens[:, None]
    dense = np.where(within[:, None], strength, 0).max(axis=2).astype(np.float32)
    dense[:, :10] = tokens[:, None] > rng.integers(8, 16, 10)
    chosen = rng.random(n) < 0.3
    labels, split = labels_of(vectors), Split(~chosen, chosen)
    blind = scored(dense, labels, split)
    assert counts(blind)[RELATED] >= 10
    fair = scored(dense, labels, split, tokens=tokens)
    assert not fair.decided.related.any()
    assert not fair.decided.moral.any()


def test_fewer_held_out_texts_make_no_more_monosemantic_latents():
    rng = np.random.default_rng(5)
    n, kept = 3000, []
    for _ in range(3):
        labels, split = made_set(n, rng, test=0.25)
        own = labels.membership > 0
        # On for care and, less often, for fairness: the second shows on many texts only.
        rate = np.where(own[:, [0]], 0.5, np.where(own[:, [2]], 0.17, 0.06))
        dense = random_codes(n, 40, rng, 0.9, 1) * (rng.random((n, 40)) < rate)
        dense[:, 30:] *= own[:, [0]] | (rng.random((n, 10)) < 0.03)
        half = Split(split.train, split.test & (rng.random(n) < 0.5))
        kept += [[counts(scored(dense, labels, one))["monosemantic"] for one in (split, half)]]
    whole, halved = np.sum(kept, axis=0)
    assert halved <= whole
    assert whole >= 15


def test_a_second_dimension_on_training_texts_is_enough_against_monosemantic(noise):
    dense, labels, split = noise
    second = np.where(split.train, labels.membership[:, 9], 0)
    dense[:, 7] = np.maximum(labels.membership[:, 4], second)
    shown = scored(dense, labels, split).decided
    assert shown.related[7].sum() == 1
    assert shown.opposed[7, 4]
    assert shown.kind[7] == "moral"


def test_a_contrast_that_held_out_texts_do_not_show_makes_nothing_monosemantic(noise):
    dense, labels, split = noise
    both = labels.membership[:, 4:6].max(axis=1)
    dense[:, 7] = np.where(split.train, labels.membership[:, 4], both)
    scores = scored(dense, labels, split)
    assert scores.q.contrast[7, 4] <= 0.05
    assert scores.decided.kind[7] == "topic"


def test_the_monte_carlo_error_is_how_far_other_seeds_move_the_count():
    rng = np.random.default_rng(4)
    n = 900
    labels, split = made_set(n, rng)
    dense = random_codes(n, 400, rng, 0.05, 0.2)
    lift = np.linspace(1, 4, 200)  # some of these stand at the threshold
    own = labels.membership[:, np.arange(200) % 10] > 0
    dense[:, :200] *= own | (rng.random((n, 200)) < 1 / lift)
    some = [
        scored(dense, labels, split, RankSpec(permutations=400, draws=100, seed=seed))
        for seed in range(8)
    ]
    for name in ("selected", RELATED):
        spread = 1.96 * np.std([counts(one)[name] for one in some], ddof=1)
        claimed = np.mean([one.monte_carlo[name] for one in some])
        assert spread / 2.5 <= claimed <= 2.5 * max(spread, 1)
    assert scored(np.zeros((n, 5), np.float32), labels, split).monte_carlo[RELATED] == 0


def test_planted_gradients_are_found_and_reported():
    scores, own = found(), (np.arange(PURE), np.arange(PURE) % 10)
    assert (scores.q.gradient[own] <= 0.05).mean() > 0.85
    assert (scores.test.gradient[own] > 0).mean() > 0.9
    assert (scores.low.gradient[own] > 0).mean() > 0.6


def test_selectivity_counts_the_opposite_pole_only_if_asked():
    scores = found()
    both, topic = scores.selectivity(), scores.selectivity(opposite=False)
    for latent in range(PURE, PURE + TOPICS):
        own = scores.best[latent]
        assert both[latent, own] < 0.5 < topic[latent, own]
    assert both[np.arange(PURE), np.arange(PURE) % 10].min() > 0.5
    assert both.min() >= 0
    assert topic.max() <= 1


def test_selectivity_by_hand():
    scores = found()
    effect = scores.train.membership[3] - 0.5
    rival = max(np.delete(effect, 3).max(), 0)
    assert scores.selectivity()[3, 3] == pytest.approx((effect[3] - rival) / effect[3])


@pytest.mark.slow
def test_shuffled_labels_pass_in_no_more_than_one_of_twenty_runs():
    rng = np.random.default_rng(7)
    passed = []
    for seed in range(30):
        labels, split = made_set(300, rng)
        dense = random_codes(300, 200, rng, 0.03, 0.3)
        scores = scored(dense, labels, split, RankSpec(permutations=400, draws=20, seed=seed))
        passes = (
            scores.decided.selected.any() | (np.nan_to_num(scores.q.within, nan=1) <= 0.05).any()
        )
        passed += [passes, scores.shuffled["selected"] > 0]
    assert len(passed) == 60
    assert np.mean(passed) <= 0.05


def test_a_single_latent_that_follows_a_dimension_passes_at_this_size(noise):
    dense, labels, split = noise
    dense[:, 7] = labels.membership[:, 4]
    scores = scored(dense, labels, split)
    assert np.argwhere(scores.decided.related).tolist() == [[7, 4]]
    assert scores.decided.kind[7] == "monosemantic"
    assert scores.test.gradient[7, 4] == pytest.approx(1)


def test_a_latent_of_two_foundations_is_polysemantic(noise):
    dense, labels, split = noise
    dense[:, 7] = np.maximum(labels.membership[:, 4], labels.membership[:, 9])
    shown = scored(dense, labels, split).decided
    assert shown.kind[7] == "moral"
    assert shown.several[7]


def test_what_holds_on_training_texts_only_is_not_confirmed(noise):
    dense, labels, split = noise
    dense[:, 7] = np.where(split.train, labels.membership[:, 4], dense[:, 7])
    scores = scored(dense, labels, split)
    assert scores.decided.selected[7, 4]
    assert not scores.decided.related[7].any()
    assert scores.decided.kind[7] == "unconfirmed"
    assert scores.best[7] == 4


def test_noise_gives_no_ranking(noise):
    scores = scored(*noise)
    assert set(scores.decided.kind) == {"unrelated"}
    assert (scores.best == -1).all()
    assert np.isnan(scores.low.membership).all()


def test_all_zero_codes_are_too_rare_and_said_so(noise):
    _, labels, split = noise
    scores = scored(np.zeros((400, 5), np.float32), labels, split)
    assert set(scores.decided.kind) == {"too rare"}
    assert np.isnan(scores.q.membership).all()
    assert any("No latent is on in 8 or more training texts" in note for note in scores.notes)


def test_rare_latents_are_not_tested(noise):
    dense, labels, split = noise
    dense[:, 3] = 0
    dense[np.flatnonzero(split.train & (labels.membership[:, 0] > 0))[:7], 3] = 1
    scores = scored(dense, labels, split)
    assert scores.decided.kind[3] == "too rare"
    assert np.isnan(scores.q.membership[3]).all()
    assert counts(scores)["too rare"] == 1


def test_a_split_without_vices_has_no_contrast_and_no_monosemantic_latent(noise):
    dense, labels, split = noise
    made = labels.membership.astype(np.float32)
    vectors = made * (np.arange(10) % 2 == 0)
    virtues = TextLabels.of(vectors, (made > 0).argmax(axis=1) // 2, np.arange(400), 400)
    dense[:, 7] = vectors[:, 4]
    scores = scored(dense, virtues, split)
    assert scores.decided.moral[7, 4]  # neutral texts of the foundation are told apart
    assert scores.decided.kind[7] == "moral"
    assert np.isnan(scores.train.contrast).all()
    assert any("harm, cheating, betrayal, subversion, degradation" in one for one in scores.notes)


def test_labels_without_morals_are_refused(noise):
    dense, _, split = noise
    neutral = labels_of(np.zeros((400, 10), np.float32))
    with pytest.raises(FeatureError, match=r"No moral dimension has 5 texts.*Choose a larger set"):
        scored(dense, neutral, split)


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_split_is_refused(noise, part):
    dense, labels, split = noise
    with pytest.raises(FeatureError, match=f"The {part}.* split of this set is empty"):
        scored(dense, labels, split._replace(**{part: np.zeros(400, bool)}))


def test_activations_that_are_not_finite_are_refused(noise):
    dense, labels, split = noise
    dense[5, 5] = np.inf
    with pytest.raises(CoreError, match="not finite"):
        scored(dense, labels, split)


def test_a_text_in_both_parts_is_a_mistake(noise):
    dense, labels, split = noise
    with pytest.raises(ValueError, match="both parts"):
        scored(dense, labels, Split(split.train, split.train))


def test_same_seed_same_figures_and_monotone_change_changes_no_verdict(noise):
    dense, labels, split = noise
    dense[:, 7] = labels.membership[:, 4]
    first, again = scored(dense, labels, split), scored(dense**2, labels, split)
    for name in ("train", "q", "test", "low", "high"):
        for one, other in zip(getattr(first, name), getattr(again, name), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.decided.kind, again.decided.kind)
    assert (first.pearson != again.pearson).any()


def test_row_order_changes_no_effect_and_no_kind(noise):
    dense, labels, split = noise
    dense[:, 7] = labels.membership[:, 4]
    order = np.random.default_rng(1).permutation(400)
    first = scored(dense, labels, split)
    again = scored(dense[order], labels.take(order), Split(*(one[order] for one in split)))
    for name in ("train", "test"):
        for one, other in zip(getattr(first, name), getattr(again, name), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_array_equal(first.decided.kind, again.decided.kind)


def test_counts_stand_beside_those_of_shuffled_labels():
    scores = found()
    real, chance = counts(scores), scores.shuffled
    assert real.keys() == chance.keys()
    assert real["monosemantic"] > 15 > chance["monosemantic"]
    assert real["paper strict"] > chance["paper strict"]
    assert sum(real[kind] for kind in ("weak", "mono", "poly") for kind in [f"paper {kind}"]) == 300


@pytest.mark.parametrize("wrong", [{"fdr": 0}, {"fdr": 1}, {"permutations": 0}, {"rare": 0}])
def test_a_spec_that_judges_nothing_is_a_mistake(wrong):
    with pytest.raises(ValueError, match="must"):
        RankSpec(**wrong)


def test_permutations_too_few_for_anything_to_pass_are_refused():
    with pytest.raises(FeatureError, match=r"399 permutations are too few.*Choose 400 or more"):
        RankSpec(permutations=399)


def test_two_labels_of_one_text_are_one_text():
    rng = np.random.default_rng(3)
    rows = np.r_[np.arange(400), rng.integers(0, 400, 100)]
    labels = TextLabels.of(*made_vectors(500, rng), rows, 400)
    chosen = rng.random(400) < 0.3
    scores = scored(random_codes(400, 20, rng), labels, Split(~chosen, chosen))
    assert scores.train.membership.shape == (20, 10)
    assert scores.fires.max() <= (~chosen).sum()
