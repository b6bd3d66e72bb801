"""Membership, contrast and gradient of all latents: as scipy has them one by one."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import mannwhitneyu, spearmanr

from core.features.comparisons import (
    FEWEST_TEXTS,
    MOST_STRATA,
    Effects,
    Split,
    TextLabels,
    comparisons,
    strata,
)
from core.statistics.sparse_ranks import SortedCodes
from tests.core.features.latentsets import (
    labels_of,
    made_set,
    made_vectors,
    random_codes,
    same_length,
)


def effects_of(dense, labels, chosen, tokens=None):
    ordered, found = SortedCodes.of(csr_array(dense)), Effects.nothing(dense.shape[1])
    tokens = same_length(len(dense)) if tokens is None else tokens
    for one in comparisons(labels, tokens, chosen):
        one.fill(found, one.effects(one.ranks(ordered)))
    return found


def auroc(high, low):
    return mannwhitneyu(high, low).statistic / (len(high) * len(low))


@pytest.fixture
def some():
    rng = np.random.default_rng(0)
    chosen = rng.random(300) < 0.7
    vectors = made_vectors(300, rng)[0] * 1
    vectors[np.arange(300), 2 * (np.arange(300) % 5)] *= 0  # some more neutral texts
    alone = vectors * (vectors == vectors.max(axis=1, keepdims=True))
    alone[(alone > 0).sum(axis=1) > 1] = 0
    return np.round(random_codes(300, 6, rng, 0.4, 0.8), 1), labels_of(alone), chosen


def test_effects_are_those_of_scipy(some):
    dense, labels, chosen = some
    found = effects_of(dense, labels, chosen)
    grade = labels.membership[chosen]
    for latent, own in enumerate(dense[chosen].T):
        for column in range(10):
            member, opposed = grade[:, column] > 0, grade[:, column ^ 1] > 0
            beside = labels.about[chosen, column // 2] & ~member
            expected = (
                auroc(own[member], own[~member]),
                auroc(own[member], own[beside]) - 0.5,
                auroc(own[member], own[opposed]) - 0.5,
                spearmanr(own[member], grade[member, column]).statistic,
            )
            figures = [one[latent, column] for one in found]
            np.testing.assert_allclose(figures, expected, atol=1e-6)


def test_effects_by_hand():
    vectors = np.zeros((12, 10), np.float32)
    vectors[:6, 0] = [1, 0.75, 0.5, 0.25, 0.125, 0.125]
    vectors[6:, 1] = 1
    labels = labels_of(vectors)
    dense = np.array([[5, 4, 3, 2, 0, 0, 0, 0, 0, 0, 0, 1]], np.float32).T
    found = effects_of(dense, labels, np.ones(12, bool))
    # Of 36 pairs 4 * 6 are above, 2 * 5 tie at 0, 2 are below.
    assert found.membership[0, 0] == pytest.approx((24 + 5) / 36)
    assert found.membership[0, 1] == pytest.approx(1 - (24 + 5) / 36)
    assert found.within[0, 0] == found.contrast[0, 0]  # no neutral text
    assert found.contrast[0, 0] == pytest.approx((24 + 5) / 36 - 0.5)
    assert found.contrast[0, 1] == -found.contrast[0, 0]
    assert found.gradient[0, 0] == pytest.approx(1)
    assert np.isnan(found.gradient[0, 1])  # all of one grade


def test_row_order_and_monotone_change_do_not_matter(some):
    dense, labels, chosen = some
    expected = effects_of(dense, labels, chosen)
    order = np.random.default_rng(1).permutation(len(dense))
    again = effects_of(dense[order] ** 3, labels.take(order), chosen[order])
    for one, other in zip(expected, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_items_of_one_text_are_merged_to_their_highest_grade():
    vectors = np.zeros((3, 10), np.float32)
    vectors[0, 0], vectors[1, 0], vectors[1, 5] = 0.25, 0.75, 0.5
    labels = TextLabels.of(vectors, np.array([3, 0, 2]), np.array([1, 1, 0]), 2)
    assert labels.membership[1, [0, 5]].tolist() == [0.75, 0.5]
    assert not labels.membership[0].any()
    # The neutral text is about its own foundation, the other about those of grades and of items.
    assert [np.flatnonzero(one).tolist() for one in labels.about] == [[2], [0, 2, 3]]
    assert labels.items.number.tolist() == [1, 2]
    assert labels.items.once[1, 0] == 1
    assert labels.items.squared[1, 0] == pytest.approx(0.25**2 + 0.75**2)


def test_a_text_of_both_poles_stands_on_neither_side_of_the_contrast():
    vectors = np.zeros((15, 10), np.float32)
    vectors[:6, 0], vectors[5:11, 1] = 1, 1
    asked = comparisons(labels_of(vectors), same_length(15), np.ones(15, bool))
    contrast = next(one for one in asked if one.statistic == "contrast")
    assert np.flatnonzero(contrast.texts).tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_dimensions_of_too_few_texts_are_not_compared():
    vectors = np.zeros((30, 10), np.float32)
    vectors[: FEWEST_TEXTS - 1, 3] = 1
    vectors[10:20, 2] = 1
    found = comparisons(labels_of(vectors), same_length(30), np.ones(30, bool))
    assert {one.statistic: one.columns for one in found} == {"membership": [2]}


def test_effects_are_the_mean_of_strata_each_by_how_sure_it_is(some):
    dense, labels, chosen = some
    tokens = np.where(np.random.default_rng(4).random(300) < 0.3, 4, 9)
    found = effects_of(dense, labels, chosen, tokens)
    own, member = dense[:, 2], labels.membership[:, 6] > 0
    parts = []
    for one in (4, 9):
        high, low = (own[chosen & (tokens == one) & side] for side in (member, ~member))
        parts.append((auroc(high, low), len(high) * len(low) / (len(high) + len(low))))
    value, weight = np.array(parts).T
    assert found.membership[2, 6] == pytest.approx((value * weight).sum() / weight.sum())


def test_strata_are_of_one_kind_and_of_one_length_where_there_are_texts_enough():
    tokens = np.r_[np.repeat([5, 6, 7, 8, 30], [12, 4, 9, 15, 3]), [5, 9]]
    kind = np.r_[np.zeros(43, int), 1, 1]
    found = strata(kind, tokens, np.ones(45, bool))
    assert found.tolist() == [0] * 12 + [1] * 13 + [2] * 18 + [3] * 2
    many = strata(np.zeros(4000, int), np.arange(4000) % 1000, np.ones(4000, bool))
    assert MOST_STRATA - 2 <= len(np.unique(many)) <= MOST_STRATA
    assert np.bincount(many).min() >= 4000 // MOST_STRATA


def test_texts_of_a_foundation_are_compared_with_those_of_the_same_foundations():
    rng = np.random.default_rng(5)
    vectors = made_vectors(400, rng)[0]
    labels = labels_of(vectors)
    asked = comparisons(labels, same_length(400), np.ones(400, bool))
    one = next(one for one in asked if one.statistic == "within" and one.columns == [2, 3])
    assert (one.texts == labels.about[:, 1]).all()
    kinds = labels.about[one.texts]
    for number in np.unique(one.stratum):
        assert (kinds[one.stratum == number] == kinds[one.stratum == number][0]).all()


def test_shuffled_labels_stay_in_their_part_and_keep_items_together():
    rng = np.random.default_rng(2)
    labels, split = made_set(200, rng)
    dealt = split.shuffled(labels, 0)
    for chosen in split:
        before, after = (np.sort(one.membership[chosen], axis=0) for one in (labels, dealt))
        np.testing.assert_array_equal(before, after)
    assert (labels.membership != dealt.membership).any()
    np.testing.assert_allclose(dealt.items.once, dealt.membership)
    half = Split(split.train, np.zeros(200, bool)).shuffled(labels, 0)
    np.testing.assert_array_equal(half.membership[split.test], labels.membership[split.test])
