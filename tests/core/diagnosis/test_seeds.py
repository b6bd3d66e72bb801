"""Several untrained copies: their range, their mean, and the highest that a verdict must clear."""

import math

import pytest

from core.diagnosis.seeds import highest_of, seed_band, seeds_line
from core.diagnosis.verdicts import scorecard
from core.measures.result import NOTHING
from core.statistics.bootstrap import Estimate
from tests.core.conftest import made_layer

FIVE = [Estimate(value, value - 0.5, value + 0.5) for value in (3.0, 1.0, 5.0, 2.0, 4.0)]


def test_the_band_over_seeds_is_range_and_students_interval_with_four_degrees_of_freedom():
    band = seed_band(FIVE)
    assert (band.n, band.low, band.high) == (5, 1.0, 5.0)
    arm = 2.7764451 * math.sqrt(2.5) / math.sqrt(5)
    assert band.mean == pytest.approx((3.0, 3.0 - arm, 3.0 + arm))
    assert highest_of(FIVE) == (3.0, 0.5, 5.5)


def test_a_seed_without_a_figure_is_passed_over_and_one_alone_has_no_band():
    assert highest_of([NOTHING, FIVE[0]]) == FIVE[0]
    assert seed_band([NOTHING, *FIVE]).n == 5
    no_ends = Estimate(1.0, math.nan, math.nan)
    assert highest_of([no_ends, FIVE[0]]).high == 3.5
    assert math.isnan(highest_of([NOTHING, NOTHING]).value)
    assert math.isnan(seed_band([FIVE[0]]).mean.low)
    assert seeds_line([FIVE[0], NOTHING]) == "Untrained copies: 1 of 2 seeds computable."


def copies(*heights):
    return [dict.fromkeys((0, 1, 2), made_layer(height)) for height in heights]


def test_a_verdict_must_clear_the_highest_seed(study, make_diagnosis):
    own, copy = make_diagnosis(study), make_diagnosis(study, flat=True)
    quick = scorecard(own, copy)
    assert {score.verdict.level for score in quick} == {"beyond"}
    assert {score.seeds for score in quick} == {()}
    low = scorecard(own, copy, copies(0.05, 0.1, 0.0, 0.15, 0.2))
    assert {score.verdict.level for score in low} == {"beyond"}
    assert low[0].controls["untrained"] == pytest.approx((0.1, -0.05, 0.25))
    one_high = scorecard(own, copy, copies(0.05, 0.1, 0.0, 0.52, 0.2))
    assert {score.verdict.words for score in one_high} == {"no better than an untrained copy"}
    assert seeds_line(one_high[0].seeds) == (
        "Untrained copies, 5 seeds: 0.000 to 0.520, mean 0.174 [−0.083, 0.431]; highest end over "
        "texts 0.570."
    )
