"""Chance: standardised exactly, counted against permutations, corrected for many tests."""

from itertools import permutations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import false_discovery_control, hypergeom

from core.statistics import false_discovery as statistics_false_discovery
from core.statistics import sparse_ranks
from core.statistics.false_discovery import (
    Permutations,
    counted_p,
    false_discovery,
    passing,
    permutation_counts,
    pools_for,
    standardised,
)
from core.statistics.sparse_ranks import SortedCodes
from tests.core.features.latentsets import random_codes


def ranks_of(dense):
    return SortedCodes.of(csr_array(np.asarray(dense, np.float32))).among(np.ones(len(dense), bool))


def permutation_p(*args):
    return permutation_counts(*args).p()


def centred(target):
    target = np.asarray(target, float).reshape(len(target), -1)
    return target - target.mean(axis=0)


def test_statistics_have_mean_0_and_variance_1_over_all_permutations():
    ranks = ranks_of([[0, 1], [0, 1], [2, 3], [2, 0], [5, 0], [0, 7]])
    drawn = [standardised(ranks, centred(one)) for one in permutations([0, 0, 1, 2, 2, 5])]
    np.testing.assert_allclose(np.mean(drawn, axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.var(drawn, axis=0), 1)


def test_p_of_an_all_or_nothing_latent_is_the_hypergeometric_one():
    rng = np.random.default_rng(0)
    n, fires, members = 60, 15, 20
    dense = np.zeros((n, 8))
    target = np.arange(n) < members
    for latent in range(8):  # 8 texts in common down to 1
        common = 8 - latent
        dense[rng.choice(members, common, replace=False), latent] = 1
        dense[members + rng.choice(n - members, fires - common, replace=False), latent] = 1
    how = Permutations(20_000, 1, (3,), "cpu")
    found = permutation_p(ranks_of(dense), centred(target), np.ones(8, bool), how)[:, 0]
    expected = hypergeom.sf(8 - np.arange(8) - 1, n, members, fires)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_p_of_noise_is_uniform():
    rng = np.random.default_rng(1)
    ranks = ranks_of(random_codes(200, 600, rng, 0.1, 0.5))
    how = Permutations(100, 2, (0,), "cpu")
    p = permutation_p(ranks, centred(rng.random(200) < 0.2), np.ones(600, bool), how)[:, 0]
    np.testing.assert_allclose(np.quantile(p, [0.05, 0.25, 0.5, 0.9]), [0.05, 0.25, 0.5, 0.9], 0.25)


def test_the_smallest_p_is_below_one_over_the_permutations():
    rng = np.random.default_rng(2)
    dense = random_codes(200, 300, rng, 0.1)
    target = rng.random(200) < 0.2
    dense[:, 0] = target
    how = Permutations(100, 4, (0,), "cpu")
    p = permutation_p(ranks_of(dense), centred(target), np.ones(300, bool), how)
    assert p[0, 0] == pytest.approx(1 / (1 + 100 * 300))


def test_p_within_strata_does_not_see_what_parts_the_strata():
    rng = np.random.default_rng(6)
    stratum = np.repeat([0, 1], [150, 50])
    dense = random_codes(200, 60, rng, 0.2, 0.5) * (1 + 5 * stratum[:, None])
    dense *= rng.random((200, 60)) < np.where(stratum, 1.0, 0.4)[:, None]
    target = (rng.random(200) < np.where(stratum, 0.7, 0.1))[:, None].astype(float)
    codes, how = (
        SortedCodes.of(csr_array(dense.astype(np.float32))),
        Permutations(200, 1, (0,), "cpu"),
    )
    judged, every = np.ones(60, bool), np.ones(200, bool)
    blind = permutation_p(codes.among(every), centred(target), judged, how)
    alike = sparse_ranks.centred(stratum, target)
    fair = permutation_p(codes.among(every, stratum), alike, judged, how)
    assert np.median(blind) < 0.01
    np.testing.assert_allclose(np.quantile(fair, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.1)


def test_opposite_targets_have_the_p_of_either_end():
    rng = np.random.default_rng(7)
    ranks = ranks_of(random_codes(80, 40, rng))
    one = centred(rng.random(80) < 0.4)
    how, judged = Permutations(100, 1, (5,), "cpu"), np.ones(40, bool)
    both = permutation_p(ranks, np.hstack([one, -one]), judged, how)
    np.testing.assert_array_equal(both[:, :1], permutation_p(ranks, one, judged, how))
    np.testing.assert_array_equal(both[:, 1:], permutation_p(ranks, -one, judged, how))


def test_batches_that_count_otherwise_give_the_p_of_their_permutations():
    rng = np.random.default_rng(8)
    ranks, target = ranks_of(random_codes(80, 40, rng)), centred(rng.random(80) < 0.4)
    found = permutation_counts(ranks, target, np.ones(40, bool), Permutations(100, 1, (5,), "cpu"))
    assert found.drawn.sum(axis=0)[0] == 100 * 40
    times = np.array([2, 0, 1, 1, 3, 0, 0, 1, 1, 1])
    reached = (found.reached * times[:, None, None]).sum(axis=0)
    np.testing.assert_allclose(found.p(times), (1 + reached) / (1 + 4000))


def test_what_passes_is_what_has_a_small_q():
    rng = np.random.default_rng(9)
    p = np.where(rng.random((300, 4)) < 0.1, rng.random((300, 4)) / 500, rng.random((300, 4)))
    p[rng.random((300, 4)) < 0.1] = np.nan
    for fdr in (0.01, 0.05, 0.3):
        expected = np.where(np.isnan(p), False, false_discovery(p) <= fdr)
        np.testing.assert_array_equal(passing(p, fdr), expected)
        assert expected.any()
    assert not passing(np.full((2, 2), np.nan), 0.05).any()


def test_blocks_do_not_change_p(monkeypatch):
    rng = np.random.default_rng(3)
    ranks = ranks_of(random_codes(80, 40, rng))
    target = centred(np.stack([rng.random(80) < 0.2, rng.random(80)], axis=1))
    how = Permutations(50, 1, (5,), "cpu")
    judged = np.ones(40, bool)
    whole = permutation_p(ranks, target, judged, how)
    monkeypatch.setattr(statistics_false_discovery, "_BLOCK_CELLS", 1000)
    np.testing.assert_array_equal(permutation_p(ranks, target, judged, how), whole)


def test_what_is_not_judged_or_constant_has_no_p():
    dense = random_codes(50, 4, np.random.default_rng(4), 0.3, 0.5)
    dense[:, 1] = 1
    judged = np.array([True, True, False, True])
    how = Permutations(20, 1, (0,), "cpu")
    p = permutation_p(ranks_of(dense), centred(np.arange(50)), judged, how)[:, 0]
    assert np.isnan(p).tolist() == [False, True, True, False]


def test_one_extraordinary_latent_among_thousands_can_pass():
    n, tests, fdr, draws = 5120, 10, 0.05, 1000
    pools = pools_for(draws, fdr, tests)
    p = np.ones((n, tests))
    p[0, 0] = 1 / (1 + draws * (n // pools))
    assert false_discovery(p)[0, 0] <= fdr
    assert pools_for(100, fdr, tests) == 1


def test_q_agrees_with_hand_and_scipy_and_leaves_out_what_was_not_tested():
    p = np.array([[0.01, np.nan], [0.04, 0.03], [0.5, np.nan]])
    q = false_discovery(p)
    np.testing.assert_allclose(q[:, 0], [0.04, 4 / 3 * 0.04, 0.5])
    np.testing.assert_allclose(q[np.isfinite(p)], false_discovery_control(p[np.isfinite(p)]))
    assert np.isnan(q[np.isnan(p)]).all()
    assert np.isnan(false_discovery(np.full((2, 2), np.nan))).all()


def test_a_figure_counts_as_one_of_its_controls():
    assert [counted_p(above, 40) for above in (0, 1, 2, 40)] == [1 / 41, 2 / 41, 3 / 41, 1]
    assert counted_p(4, 99) == 0.05
    assert np.isnan(counted_p(0, 0))


def test_among_exchangeable_figures_p_is_at_most_alpha_as_often_as_that():
    figures = np.random.default_rng(0).normal(size=(20_000, 41))
    above = (figures[:, 1:] >= figures[:, :1]).sum(axis=1)
    p = np.array([counted_p(int(one), 40) for one in above])
    assert (p <= 0.05).mean() == pytest.approx(2 / 41, abs=0.005)
