"""Figures with their intervals: nothing from nothing, and no warning about it."""

import numpy as np
import pytest

from core.measures.result import NOTHING, Measured, Measurement, band, estimate, flat, recentred
from core.statistics.bootstrap import Estimate

NONE = np.full(3, np.nan)


def test_an_interval_is_that_of_the_known_resamples():
    draws = np.r_[np.nan, np.linspace(0, 1, 1001), np.inf]
    assert estimate(0.4, draws) == pytest.approx((0.4, 0.025, 0.975))


@pytest.mark.parametrize("draws", [NONE, NONE[:0]])
def test_without_resamples_a_figure_stands_without_interval(draws):
    found = estimate(0.4, draws)
    assert found.value == 0.4
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_figure_has_no_interval(value):
    assert np.isnan(estimate(value, np.linspace(0, 1, 9))).all()


def test_a_band_is_mean_and_middle_of_the_shuffles():
    assert band(np.r_[np.nan, np.linspace(0, 1, 1001)]) == pytest.approx((0.5, 0.025, 0.975))
    assert np.isnan(band(NONE)).all()
    assert np.isnan(band(NONE[:0])).all()


def test_moved_resamples_have_the_figure_in_their_middle():
    draws = np.tanh(np.random.default_rng(0).normal(0.2, 0.1, 500))
    for value in (0.7, -0.3, 0):
        moved = recentred(value, draws)
        assert np.arctanh(moved).mean() == pytest.approx(np.arctanh(value))
        assert np.arctanh(moved).std() == pytest.approx(np.arctanh(draws).std())
        assert np.arctanh(recentred(value, draws, 2)).std() == pytest.approx(
            2 * np.arctanh(draws).std()
        )


def test_moved_resamples_stay_cosines_and_keep_what_is_unknown():
    moved = recentred(0.99, np.array([-1, 1, np.nan, 0.5, 1 + 1e-7]))
    assert np.isnan(moved).tolist() == [False, False, True, False, False]
    assert np.nanmax(np.abs(moved)) <= 1


@pytest.mark.parametrize("draws", [NONE, NONE[:0]])
def test_nothing_moved_is_nothing(draws):
    moved = recentred(np.nan, draws)
    assert len(moved) == len(draws)
    assert np.isnan(moved).all()


def test_a_flat_record_holds_every_number():
    figure = Measurement("gradient", "a", "care", 7, Estimate(1, 2, 3), Estimate(4, 5, 6))
    record = flat(figure)
    assert list(record.values()) == ["gradient", "a", "care", 7, 1, 2, 3, 4, 5, 6]
    assert Measured((figure, figure._replace(observed=NOTHING)), NONE, NONE).headline == figure
