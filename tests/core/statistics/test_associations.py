"""Associations over units: exact where few, within families, and silent where only they differ."""

import math

import numpy as np
import pytest
from scipy.stats import kruskal, ncf, rankdata, spearmanr

from core.statistics.associations import (
    NONE,
    holm,
    kind_association,
    nothing_of,
    rank_association,
    share_interval,
)

ALONE = np.arange(40)


def family_table(rng, slope=0.0, families=5, size=4):
    """Return sizes, figures that differ by family and rise by ``slope`` within it, and families."""
    strata = np.repeat(np.arange(families), size)
    x = np.tile(np.arange(size, dtype=float), families) + 10 * strata
    y = 5 * strata + slope * (x - 10 * strata) + rng.standard_normal(len(x))
    return x, y, strata


def test_few_units_are_arranged_in_every_way():
    x = np.arange(5.0)
    found = rank_association(x, x**3, ALONE[:5])
    assert found.value == pytest.approx(1)
    assert found.p == pytest.approx(2 / 120)
    # ρ of 1 has no variance to tell an interval from: it is that of two neighbours swapped.
    swapped = rank_association(x, np.array([0.0, 1, 2, 4, 3]), ALONE[:5])
    assert (found.low, found.high) == (pytest.approx(swapped.low), 1)
    assert math.isnan(rank_association(x[:3], x[:3], ALONE[:3]).low)
    assert not found.within


def test_correlation_and_interval_are_spearmans():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(20)
    y = x + rng.standard_normal(20)
    found, known = rank_association(x, y, ALONE[:20]), spearmanr(x, y)
    assert found.value == pytest.approx(known.statistic)
    assert found.p == pytest.approx(known.pvalue, abs=0.01)
    arm = 1.959964 * math.sqrt((1 + known.statistic**2 / 2) / 17)
    assert math.atanh(found.high) - math.atanh(found.value) == pytest.approx(arm)
    assert found.low < found.value < found.high
    assert abs(found.chance) < 0.02


def test_the_interval_covers_what_it_says():
    rng = np.random.default_rng(1)
    r = 0.6
    truth, inside = 6 / math.pi * math.asin(r / 2), 0
    for _ in range(200):
        x, noise = rng.standard_normal((2, 15))
        found = rank_association(x, r * x + math.sqrt(1 - r**2) * noise, np.zeros(15))
        inside += found.low <= truth <= found.high
    assert 0.9 <= inside / 200 <= 0.99


def test_what_differs_only_between_families_is_no_effect_of_size():
    """The control that must fail: over all units it looks like one."""
    rng = np.random.default_rng(2)
    found, plain = [], []
    for _ in range(100):
        x, y, strata = family_table(rng)
        found.append(rank_association(x, y, strata).p <= 0.05)
        plain.append(rank_association(x, y, np.arange(len(x))).p <= 0.05)
    assert np.mean(found) <= 0.12
    assert np.mean(plain) == 1


def test_an_effect_within_families_is_found_against_the_trend_between_them():
    x, y, strata = family_table(np.random.default_rng(3), slope=-2)
    found = rank_association(x, y, strata)
    assert found.within
    assert found.value < -0.7
    assert found.high < 0
    assert found.p < 0.001
    assert rank_association(x, y, np.arange(len(x))).value > 0.5


def test_families_in_which_nothing_varies_count_for_nothing():
    x, y, strata = family_table(np.random.default_rng(4), slope=2)
    more = rank_association(
        np.r_[x, 7.0, 7.0, 9.0], np.r_[y, 0.0, 1.0, 2.0], np.r_[strata, 8, 8, 9]
    )
    assert (more.n, more.within) == (20, True)


def test_kinds_are_told_apart_beyond_what_chance_gives():
    rng = np.random.default_rng(5)
    kinds = np.tile(["base", "instruct"], 6)
    noise = rng.standard_normal(12)
    planted = kind_association(kinds, noise + 5 * (kinds == "base"), ALONE[:12])
    assert planted.value == pytest.approx(108 / 143)  # all of one kind above all of the other
    assert planted.p < 0.005
    assert planted.chance == pytest.approx(1 / 11, abs=0.01)
    nothing = kind_association(kinds, noise, ALONE[:12])
    assert nothing.p > 0.05
    families = np.repeat(np.arange(6), 2)
    within = kind_association(kinds, noise + 3 * families + 4 * (kinds == "base"), families)
    assert within.within
    assert within.p == pytest.approx(2 / 64)


def test_a_share_is_that_of_least_squares_with_a_mean_for_each_stratum():
    rng = np.random.default_rng(8)
    strata = np.repeat(np.arange(4), 5)
    kinds = np.array(list("aaaabaabbbabbbbaaaab"))
    y = rng.standard_normal(20) + 3 * strata + 2 * (kinds == "b")
    means, ranks = np.eye(4)[strata], rankdata(y)
    missed = [
        np.linalg.lstsq(design, ranks)[1].item()
        for design in (means, np.column_stack([means, kinds == "b"]))
    ]
    found = kind_association(kinds, y, strata)
    assert found.within
    assert (found.kinds, found.strata) == (2, 4)
    assert found.value == pytest.approx(1 - missed[1] / missed[0])
    assert found.low < found.value < found.high


def test_the_interval_of_a_share_ends_where_the_noncentral_f_does():
    low, high = share_interval(0.4, 2, 29)
    ratio = 0.4 / 2 / (0.6 / 27)
    for end, tail in ((low, 0.9875), (high, 0.0125)):
        assert ncf.cdf(ratio, 2, 27, 29 * end / (1 - end)) == pytest.approx(tail, abs=1e-6)
    assert share_interval(0.0, 2, 29) == (0, share_interval(2 / 29, 2, 29)[1])
    assert np.isnan(share_interval(0.4, 2, 2)).all()


def test_the_interval_of_a_share_covers_what_it_says():
    rng, truth, inside = np.random.default_rng(9), 0.203, 0
    for _ in range(400):  # two normal kinds one apart: .75 (2 Φ(1/√2) − 1)²
        y = rng.standard_normal((2, 12)) + np.array([[0], [1]])
        low, high = share_interval(kruskal(*y).statistic / 23, 1, 23)
        inside += low <= truth <= high
    assert 0.94 <= inside / 400 <= 0.995


def test_pairs_that_all_lean_the_same_way_have_an_interval():
    families = np.repeat(np.arange(10), 2)
    found = kind_association(np.tile([0, 1], 10), 5.0 * families + np.tile([0, 1], 10), families)
    assert found.value == pytest.approx(1)
    assert 0.5 < found.low < found.high == 1


@pytest.mark.parametrize("kinds", [2, 4])
@pytest.mark.parametrize("bound", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("strata", [1, 6])
def test_the_fewest_units_for_an_absence_are_those_whose_interval_clears_the_bound(
    kinds, bound, strata
):
    fewest = NONE._replace(kinds=kinds, strata=strata).fewest(bound)
    few, enough = (
        share_interval((kinds - 1) / free, kinds - 1, free)[1]
        for free in (fewest - 1 - strata, fewest - strata)
    )
    assert few >= bound > enough


def test_the_fewest_units_for_no_correlation_have_an_interval_within_the_bound():
    fewest = NONE._replace(strata=3).fewest(0.3)
    few, enough = (math.tanh(1.959964 / math.sqrt(n - 5)) for n in (fewest - 1, fewest))
    assert few >= 0.3 > enough


@pytest.mark.parametrize("counts", [(3, 3), (4, 4), (2, 5), (1, 9), (2, 2, 2), (3, 2, 2)])
def test_units_are_missing_where_even_the_most_telling_arrangement_is_chance(counts):
    kinds = np.repeat(np.arange(len(counts)), counts)
    best = min(
        kind_association(kinds[order], np.arange(float(len(kinds))), ALONE[: len(kinds)]).p
        for order in (np.arange(len(kinds)), np.argsort(kinds == 1), np.argsort(kinds == 0))
    )
    assert (nothing_of(kinds, ranked=False).missing == 0) == (best <= 0.05)


def test_missing_units_are_counted():
    assert [nothing_of(np.repeat([0, 1], n), ranked=False).missing for n in (0, 1, 3, 4)] == [
        8,
        6,
        2,
        0,
    ]
    assert nothing_of(np.array(["a"] * 4), ranked=False).missing == 4
    assert [nothing_of(np.arange(n), ranked=True).missing for n in (0, 2, 4, 5)] == [5, 3, 1, 0]


def test_nothing_is_said_of_what_does_not_vary():
    x = np.arange(6.0)
    assert math.isnan(rank_association(np.ones(6), x, ALONE[:6]).p)
    assert math.isnan(rank_association(x, np.ones(6), ALONE[:6]).p)
    assert math.isnan(kind_association(np.array(["a"] * 6), x, ALONE[:6]).p)


def test_many_units_are_drawn_the_same_way_each_time():
    x, y = np.random.default_rng(6).standard_normal((2, 30))
    first, second = (rank_association(x, y, ALONE[:30]) for _ in range(2))
    assert first == second
    assert first.p >= 1 / 10_000


def test_p_values_hold_together_by_holm():
    found = holm(np.array([0.04, 0.01, np.nan, 0.03]))
    np.testing.assert_allclose(found, [0.06, 0.03, np.nan, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]
    assert np.isnan(holm(np.array([np.nan]))).all()
