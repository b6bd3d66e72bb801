"""Exact neighbours as scikit-learn finds them, and label agreement that can fail."""

import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from core.statistics import neighbours
from core.statistics.neighbours import BLOCK, label_agreement, nearest, normalised, overlap, ranks

METRICS = ["cosine", "euclidean"]


def brute(states, k, metric):
    """Return scikit-learn's neighbours of each row, the row itself left out."""
    found = NearestNeighbors(n_neighbors=k, algorithm="brute", metric=metric).fit(states)
    distance, rows = found.kneighbors()
    return rows, distance


# The neighbours ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [50, BLOCK + 300], ids=["one block", "over the block's border"])
def test_neighbours_are_scikit_learns(n, metric):
    states = np.random.default_rng(0).normal(size=(n, 12))
    rows, distance = brute(states, 10, metric)
    ours = nearest(states, 10, metric=metric)
    assert (ours.rows == rows).mean() > 0.999  # float32 against float64: near ties may swap
    np.testing.assert_allclose(ours.distance, distance, atol=2e-5)


@pytest.mark.parametrize("offset", [1e3, 1e5])
def test_euclidean_neighbours_do_not_drown_in_a_common_offset(offset):
    states = np.random.default_rng(0).normal(size=(200, 8))
    ours = nearest(states + offset, 5, metric="euclidean")
    np.testing.assert_array_equal(ours.rows, brute(states, 5, "euclidean")[0])
    np.testing.assert_allclose(ours.distance, brute(states, 5, "euclidean")[1], atol=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_the_size_of_the_blocks_does_not_matter(monkeypatch, metric):
    states = np.random.default_rng(0).normal(size=(100, 6))
    whole = nearest(states, 7, metric=metric)
    monkeypatch.setattr(neighbours, "BLOCK", 13)
    np.testing.assert_array_equal(nearest(states, 7, metric=metric).rows, whole.rows)


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_never_its_own_neighbour_even_beside_its_double(metric):
    states = np.repeat(np.eye(4), 3, axis=0)
    found = nearest(states, 11, metric=metric).rows
    assert all(sorted(row) == [x for x in range(12) if x != i] for i, row in enumerate(found))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [12, 60, BLOCK + 10])
def test_ties_are_broken_by_row_number(metric, n):
    states = np.eye(n, dtype=np.float32)  # all rows are equally far from each other
    found = nearest(states, 3, metric=metric).rows
    expected = [[row for row in range(4) if row != i][:3] for i in range(n)]
    np.testing.assert_array_equal(found, expected)


def test_ties_behind_nearer_rows_are_broken_by_row_number():
    states = np.array([[0.0], [5], [5], [1], [5], [5], [2]])
    np.testing.assert_array_equal(nearest(states, 4, metric="euclidean").rows[0], [3, 6, 1, 2])


@pytest.mark.parametrize("metric", METRICS)
def test_some_rows_have_the_neighbours_that_they_have_among_all(metric):
    states = np.random.default_rng(0).integers(0, 3, (90, 4)) + 0.5
    every, of = nearest(states, 5, metric=metric), np.array([3, 70, 4])
    some = nearest(states, 5, metric=metric, of=of)
    np.testing.assert_array_equal(some.rows, every.rows[of])
    np.testing.assert_allclose(some.distance, every.distance[of], atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_ranks_count_from_the_nearest_with_ties_by_row_number(metric):
    states = np.random.default_rng(0).integers(0, 3, (90, 4)).astype(np.float32) + 0.5
    of, order = np.array([3, 70, 4]), np.array([0, 4, 88, 30])
    others = nearest(states, 89, metric=metric, of=of).rows[:, order]
    np.testing.assert_array_equal(ranks(states, others, of, metric=metric), [order + 1] * 3)


def test_ranks_do_not_hang_on_blocks(monkeypatch):
    states, of = np.random.default_rng(0).normal(size=(50, 3)), np.arange(0, 50, 2)
    others = (of[:, None] + np.array([1, 7])) % 50
    whole = ranks(states, others, of)
    monkeypatch.setattr(neighbours, "_CELLS", 150)
    np.testing.assert_array_equal(ranks(states, others, of), whole)


def test_cosine_neighbours_do_not_depend_on_length():
    states = np.random.default_rng(0).normal(size=(60, 5))
    longer = states * np.random.default_rng(1).uniform(0.1, 9e4, (60, 1))
    np.testing.assert_array_equal(nearest(states, 5).rows, nearest(longer, 5).rows)


def test_a_zero_row_is_equally_far_from_all_in_cosine():
    states = np.vstack([np.zeros(3), np.eye(3)])
    np.testing.assert_allclose(nearest(states, 3).distance[0], 1)


def test_fewer_other_rows_than_asked_for_give_all_of_them():
    assert nearest(np.eye(3), 10).rows.shape == (3, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite_is_refused(bad):
    states = np.ones((5, 2))
    states[3, 1] = bad
    with pytest.raises(ValueError, match="finite"):
        nearest(states, 2)


def test_a_single_row_has_no_neighbours():
    with pytest.raises(ValueError, match="at least two rows"):
        nearest(np.ones((1, 2)), 1)


def test_states_are_not_changed():
    states = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    before = states.copy()
    nearest(states, 3, groups=np.zeros(20), metric="euclidean")
    np.testing.assert_array_equal(states, before)


# Groups -----------------------------------------------------------------------------------------


def by_hand(states, k, groups, metric):
    """Sort all other rows: other groups first, then by distance, then by number."""
    rows = normalised(states) if metric == "cosine" else states
    found = []
    for i, row in enumerate(rows):
        distance = 1 - rows @ row if metric == "cosine" else np.linalg.norm(rows - row, axis=1)
        order = np.lexsort((distance, groups == groups[i]))
        found.append(order[order != i][:k])
    return np.array(found)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["numbers", "names"])
def test_rows_of_the_same_group_are_no_neighbours(metric, kind):
    states = np.random.default_rng(0).normal(size=(90, 6))
    groups = np.random.default_rng(1).integers(0, 12, 90)
    groups = groups.astype(str) if kind == "names" else groups
    found = nearest(states, 8, metric=metric, groups=groups).rows
    assert not (groups[found] == groups[:, None]).any()
    np.testing.assert_array_equal(found, by_hand(states, 8, groups, metric))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("outside", [0, 2, 7])
@pytest.mark.parametrize("scale", [1, 1e7])
def test_a_group_too_large_is_filled_with_its_own_nearest(metric, outside, scale):
    states = np.random.default_rng(0).normal(size=(40, 6)) * scale
    groups = np.where(np.arange(40) < outside, 1, 0)
    found = nearest(states, 6, metric=metric, groups=groups)
    np.testing.assert_array_equal(found.rows, by_hand(states, 6, groups, metric))
    assert found.distance.max() <= (2 if metric == "cosine" else 10 * scale)


# Overlap and agreement --------------------------------------------------------------------------


def test_overlap_is_the_share_of_common_neighbours_whatever_their_order():
    first = np.array([[1, 2, 3], [0, 2, 4]])
    second = np.array([[3, 2, 1], [0, 5, 6]])
    np.testing.assert_allclose(overlap(first, second), [1, 1 / 3])


def clusters(rng, n=120, apart=6.0):
    labels = rng.integers(0, 3, n)
    return rng.normal(size=(n, 8)) + apart * np.eye(8)[labels], labels


def test_planted_clusters_are_found_far_above_shuffled_labels():
    states, labels = clusters(np.random.default_rng(0))
    index = nearest(states, 10, metric="euclidean").rows
    agreement = label_agreement(index, labels, np.arange(120))
    assert agreement.observed.low > 0.95
    assert agreement.shuffled.high < 0.5


def test_agreement_by_hand():
    index = np.array([[1, 2], [0, 2], [0, 1]])
    agreement = label_agreement(index, np.array(["a", "a", "b"]), np.arange(3))
    assert agreement.observed.value == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert agreement.shuffled.value == pytest.approx(1 / 3)  # whichever row has the odd label


def test_labels_without_meaning_lie_in_the_band_about_95_times_in_100():
    rng = np.random.default_rng(5)
    index = nearest(clusters(rng)[0], 10, metric="euclidean").rows
    inside = 0
    for seed in range(200):
        labels = rng.permutation(np.repeat(np.arange(3), 40))
        found = label_agreement(index, labels, np.arange(120), seed=seed)
        inside += found.shuffled.low <= found.observed.value <= found.shuffled.high
    assert 0.91 <= inside / 200 <= 0.98


def test_so_do_labels_without_meaning_that_all_rows_of_a_text_share():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    states = rng.normal(size=(60, 8))[groups]
    index = nearest(states, 10, metric="euclidean", groups=groups).rows
    inside = 0
    for seed in range(200):
        labels = rng.integers(0, 3, 60)[groups]
        found = label_agreement(index, labels, groups, seed=seed)
        inside += found.shuffled.low <= found.observed.value <= found.shuffled.high
    assert 0.91 <= inside / 200 <= 0.98


def test_agreement_depends_on_the_seed_alone():
    states, labels = clusters(np.random.default_rng(0), apart=1.0)
    index = nearest(states, 5).rows
    first = label_agreement(index, labels, np.arange(120), seed=3)
    assert first == label_agreement(index, labels, np.arange(120), seed=3)
    assert first != label_agreement(index, labels, np.arange(120), seed=4)


def test_unit_rows_have_length_one_and_zero_rows_stay_zero():
    unit = normalised(np.array([[3.0, 4.0], [0.0, 0.0], [88_064.0, 0.0]]))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0]])
    assert unit.dtype == np.float32


def test_rows_are_brought_to_unit_length_without_copies_of_all_of_them():
    states = np.random.default_rng(0).normal(size=(40_000, 32)).astype(np.float32)
    states[7] = 0
    expected = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-30)
    tracemalloc.start()
    try:
        unit = normalised(states)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(unit, expected)
    assert peak < 1.3 * states.nbytes


def test_neighbours_of_many_rows_are_found_in_little_memory():
    states = np.random.default_rng(0).normal(size=(6_000, 3)).astype(np.float32)
    tracemalloc.start()
    try:
        found = nearest(states, 10, metric="euclidean")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6  # all distances are 288 MB
    np.testing.assert_array_equal(found.rows, brute(states, 10, "euclidean")[0])
