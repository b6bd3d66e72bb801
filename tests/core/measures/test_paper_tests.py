"""The paper's own procedures: against plain loops, planted clusters, and too few rows."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from core.measures import paper_tests
from core.measures.geometry import closeness
from core.measures.paper_tests import (
    NOT_ASKED,
    SMALLEST_CLUSTER,
    closeness_in_sample,
    density_clusters,
    off_diagonal,
)


def made(n=30, width=7, seed=0):
    rng = np.random.default_rng(seed)
    members = np.zeros((n, 10), bool)
    members[np.arange(n), rng.integers(0, 9, n)] = True  # the last centre has no member
    return rng.normal(size=(n, width)).astype(np.float32), members


def blobs(count=3, size=SMALLEST_CLUSTER + 20, width=40, seed=0):
    """Return well-parted clouds and the number of each row's cloud."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(count), size)
    middles = 30 * rng.normal(size=(count, width))
    states = middles[number] + rng.normal(size=(len(number), width))
    return (states - states.mean(axis=0)).astype(np.float32), number


# Closeness --------------------------------------------------------------------------------------


def test_closeness_is_a_plain_loop_with_the_own_text_in_its_centre():
    states, members = made()
    found = closeness_in_sample(states, members)
    for column in range(9):
        middle = np.mean([states[i] for i in np.flatnonzero(members[:, column])], axis=0)
        for row, state in enumerate(states):
            plain = state @ middle / np.sqrt((state @ state) * (middle @ middle))
            assert found[row, column] == pytest.approx(plain, abs=1e-6)


def test_a_centre_without_members_is_near_nothing():
    states, members = made()
    found = closeness_in_sample(states, members)
    assert np.isnan(found[:, 9]).all()
    assert np.isfinite(found[:, :9]).all()


def test_a_member_is_nearer_to_its_centre_than_with_its_own_text_left_out():
    states, members = made()
    apart = closeness(states, members, np.arange(len(states)))
    own, left = closeness_in_sample(states, members)[members], apart[members]
    known = np.isfinite(left)  # a centre of one member has no other
    assert known.sum() > 20
    assert (own[known] > left[known]).all()


def test_without_any_member_nothing_is_near():
    states, members = made()
    assert np.isnan(closeness_in_sample(states, np.zeros_like(members))).all()


# Which layer looks best -------------------------------------------------------------------------


def test_the_mean_cosine_of_different_centres_leaves_out_the_diagonal_and_what_is_unknown():
    cosine = np.random.default_rng(0).uniform(-1, 1, (10, 10))
    cosine[3] = cosine[:, 3] = np.nan
    others = [cosine[i, j] for i in range(10) for j in range(10) if i != j and 3 not in (i, j)]
    assert off_diagonal(cosine) == pytest.approx(np.mean(others))
    assert off_diagonal(np.ones((10, 10))) == 1


def test_the_mean_of_unknown_cosines_is_unknown():
    cosine = np.full((10, 10), np.nan)
    cosine[0, 0] = 1.0
    assert np.isnan(off_diagonal(cosine))


# Clusters by density ----------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 400])
def test_planted_clouds_are_found(width):
    states, number = blobs(width=width)
    found = density_clusters(states)
    clear = found >= 0
    assert set(found) <= {-1, 0, 1, 2}
    assert clear.mean() > 0.9
    assert adjusted_rand_score(number[clear], found[clear]) == 1


def test_a_cloud_smaller_than_the_papers_smallest_is_noise():
    states, number = blobs(count=4)
    few = np.flatnonzero(number == 3)[:20]
    rows = np.r_[np.flatnonzero(number < 3), few]
    found = density_clusters(states[rows])
    assert (found[-20:] == -1).all()
    assert set(found[:-20]) >= {0, 1, 2}


@pytest.mark.parametrize("n", [0, 1, SMALLEST_CLUSTER - 1])
def test_fewer_rows_than_a_cluster_needs_are_all_noise(n):
    found = density_clusters(blobs()[0][:n])
    assert found.tolist() == [-1] * n


def test_states_that_do_not_differ_are_all_noise():
    assert set(density_clusters(np.ones((150, 6), np.float32))) == {-1}


def test_of_too_many_rows_a_seeded_sample_is_clustered(monkeypatch):
    monkeypatch.setattr(paper_tests, "MOST_CLUSTERED", 330)
    states, number = blobs()
    found, again, other = (density_clusters(states, seed=seed) for seed in (1, 1, 2))
    asked = found != NOT_ASKED
    assert asked.sum() == 330
    assert (found == again).all()
    assert ((other == NOT_ASKED) != ~asked).any()
    clear = found >= 0
    assert adjusted_rand_score(number[clear], found[clear]) == 1
