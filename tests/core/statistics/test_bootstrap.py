"""Intervals that hold what they promise, with rows that share a text counted once."""

import numpy as np
import pytest
import scipy.stats

from core.statistics.bootstrap import (
    bootstrap_correlation,
    bootstrap_mean,
    chance,
    group_numbers,
    percentile_rank,
)


@pytest.fixture
def values():
    return np.random.default_rng(1).gamma(2.0, size=80)


def test_the_value_is_the_mean_of_all_rows():
    groups = np.array([7, 7, 7, 2])
    assert bootstrap_mean(np.array([1.0, 1.0, 1.0, 5.0]), groups).value == 2.0


def test_the_interval_agrees_with_scipy_on_independent_rows(values):
    ours = bootstrap_mean(values, np.arange(80), draws=20_000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_another_level_gives_scipys_interval_of_that_level(values):
    ours = bootstrap_mean(values, np.arange(80), draws=20_000, level=0.5)
    theirs = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=20_000,
        method="percentile",
        confidence_level=0.5,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ours[1:] == pytest.approx(tuple(theirs), abs=0.03 * (theirs.high - theirs.low))


def test_repeating_every_row_within_its_group_changes_nothing(values):
    once = bootstrap_mean(values, np.arange(80))
    twice = bootstrap_mean(np.repeat(values, 2), np.repeat(np.arange(80), 2))
    assert twice == pytest.approx(once)


def test_repeating_every_row_as_if_it_were_new_would_narrow_the_interval(values):
    once = bootstrap_mean(values, np.arange(80))
    naive = bootstrap_mean(np.repeat(values, 2), np.arange(160))
    assert naive.high - naive.low < 0.8 * (once.high - once.low)


def test_names_and_order_of_groups_do_not_matter_to_the_figure():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    numbers = bootstrap_mean(values, np.array([0, 0, 1, 2]))
    names = bootstrap_mean(values, np.array(["a", "a", "b", "c"]))
    assert numbers == names


@pytest.mark.parametrize("largest", [1, 6], ids=["single rows", "groups of 1 to 6 rows"])
def test_the_interval_covers_the_truth_about_95_times_in_100(largest):
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        group = np.repeat(np.arange(60), rng.integers(1, largest + 1, 60))
        values = rng.normal(size=60)[group] + 0.3 * rng.normal(size=len(group))
        estimate = bootstrap_mean(values, group, draws=400)
        covered += estimate.low <= 0 <= estimate.high
    assert 0.91 <= covered / 300 <= 0.98


def test_rows_that_are_no_number_are_left_out(values):
    holes = np.concatenate([values, [np.nan, np.nan]])
    assert bootstrap_mean(holes, np.arange(82)) == bootstrap_mean(values, np.arange(80))


@pytest.mark.parametrize("nothing", [[], [np.nan, np.nan]])
def test_without_rows_there_is_no_figure(nothing):
    estimate = bootstrap_mean(np.array(nothing), np.arange(len(nothing)))
    assert np.isnan(estimate).all()


def test_groups_of_different_size_add_no_spread_where_all_values_agree():
    groups = np.array([0, 1, 1, 1, 2, 2])
    assert bootstrap_mean(np.full(6, 5.0), groups) == pytest.approx((5, 5, 5))


def test_one_group_alone_has_no_spread():
    assert bootstrap_mean(np.array([1.0, 3.0]), np.array([4, 4])) == (2.0, 2.0, 2.0)


def test_the_seed_alone_decides_the_draws(values):
    groups = np.arange(80)
    assert bootstrap_mean(values, groups, seed=1) == bootstrap_mean(values, groups, seed=1)
    assert bootstrap_mean(values, groups, seed=1) != bootstrap_mean(values, groups, seed=2)


def test_the_interval_scales_with_the_values(values):
    plain = bootstrap_mean(values, np.arange(80))
    scaled = bootstrap_mean(-10 * values, np.arange(80))
    assert scaled == pytest.approx((-10 * plain.value, -10 * plain.high, -10 * plain.low))


def test_float32_values_lose_nothing_in_the_sum():
    values = np.full(100_000, 16_777.2, np.float32)
    estimate = bootstrap_mean(values, np.zeros(100_000))
    assert estimate.value == pytest.approx(float(values[0]), rel=1e-9)


def correlated(rng, n=60, share=0.5):
    first = rng.normal(size=n)
    return first, share * first + np.sqrt(1 - share**2) * rng.normal(size=n)


def test_the_correlation_and_its_interval_agree_with_scipy_on_independent_rows():
    first, second = correlated(np.random.default_rng(1), 80)
    ours = bootstrap_correlation(first, second, np.arange(80), draws=20_000)
    theirs = scipy.stats.bootstrap(
        (first, second),
        lambda x, y: scipy.stats.pearsonr(x, y, axis=-1).statistic,
        paired=True,
        vectorized=False,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert ours.value == pytest.approx(scipy.stats.pearsonr(first, second).statistic)
    assert ours[1:] == pytest.approx(tuple(theirs), abs=0.06 * (theirs.high - theirs.low))


def test_a_correlation_of_repeated_rows_has_the_interval_of_the_texts():
    first, second = correlated(np.random.default_rng(1))
    once = bootstrap_correlation(first, second, np.arange(60))
    rows = np.repeat(np.arange(60), 3)
    assert bootstrap_correlation(first[rows], second[rows], rows) == pytest.approx(once)


def test_the_correlations_interval_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        estimate = bootstrap_correlation(*correlated(rng), np.arange(60), draws=400)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e9])
def test_a_constant_side_has_no_correlation(constant):
    estimate = bootstrap_correlation(np.full(7, constant), np.arange(7.0), np.arange(7))
    assert np.isnan(estimate).all()


def test_a_correlation_survives_a_large_common_offset():
    first, second = correlated(np.random.default_rng(1))
    plain = bootstrap_correlation(first, second, np.arange(60))
    assert bootstrap_correlation(first + 1e7, second, np.arange(60)) == pytest.approx(
        plain, abs=1e-6
    )


def test_resamples_without_spread_are_left_out():
    estimate = bootstrap_correlation(np.array([0.0, 1]), np.array([0.0, 1]), np.arange(2))
    assert estimate == pytest.approx((1, 1, 1))


def test_chance_gives_the_mean_and_the_middle_of_the_samples():
    samples = np.arange(1001.0)
    assert chance(samples) == pytest.approx((500, 25, 975))
    assert chance(samples, level=0.5) == pytest.approx((500, 250, 750))


def test_groups_are_numbered_in_sorted_order():
    np.testing.assert_array_equal(group_numbers(np.array(["b", "a", "b"])), [1, 0, 1])


def test_percentile_ranks_by_hand():
    ranks = percentile_rank(np.array([10.0, 20.0, 20.0, 30.0]))
    np.testing.assert_allclose(ranks, [0.125, 0.5, 0.5, 0.875])


def test_percentile_ranks_are_scipys_mid_ranks():
    values = np.random.default_rng(0).integers(0, 5, 50).astype(float)
    expected = (scipy.stats.rankdata(values) - 0.5) / 50
    np.testing.assert_allclose(percentile_rank(values), expected)


def test_equal_values_all_stand_in_the_middle_and_no_values_have_no_ranks():
    np.testing.assert_array_equal(percentile_rank(np.ones(7)), np.full(7, 0.5))
    assert percentile_rank(np.array([])).shape == (0,)
