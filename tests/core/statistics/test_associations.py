"""Associations over units: exact where few, within families, and silent where only they differ."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from core.statistics.associations import holm, kind_association, rank_association

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
    assert math.isnan(found.low)  # ρ of 1 has no variance to tell an interval from
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
