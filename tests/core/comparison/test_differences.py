"""Differences between models: paired, nothing against itself, planted ones found and no others."""

from dataclasses import replace

import numpy as np
import pytest

from core.comparison.differences import (
    TOGETHER,
    item_differences,
    level_of,
    most_different,
    paired_difference,
    resampled_ranks,
)
from core.dataset.labels import Labels, typical_members
from core.foundations import DIMENSIONS
from core.measures import gradients, opposition
from core.measures.cohort import Cohort
from core.measures.geometry import closeness, own_closeness, ranks_within
from core.measures.result import ALL, Measured, Measurement
from core.statistics.bootstrap import Estimate

WIDTH = 24


@pytest.fixture(scope="module")
def cohort():
    """Return 30 items of each pole and 10 neutral ones; some texts have two rows."""
    dimension = np.r_[np.repeat(np.arange(10), 30), np.full(10, -1)]
    grade = np.r_[np.tile(np.repeat([0.25, 0.5, 1.0], 10), 10), np.zeros(10)]
    group = np.arange(310)
    group[1::20] = group[::20]
    labels = Labels(dimension, grade, group)
    foundation = np.maximum(dimension, 0) // 2
    vectors = np.zeros((310, 10), np.float32)
    return Cohort(labels, foundation, vectors, typical_members(labels), np.arange(310), 300, 200, 0)


def planted(cohort, strength=1.0, seed=0):
    """Return noise with a direction per pole, the grade being its dose."""
    rng = np.random.default_rng(seed)
    own = np.vstack([rng.normal(size=(10, WIDTH)), np.zeros((1, WIDTH))])
    dose = cohort.labels.grade[:, None] * own[cohort.labels.dimension]
    states = rng.normal(size=(310, WIDTH)) + strength * dose
    return (states - states.mean(axis=0)).astype(np.float32)


def made(value, draws, null):
    observed = Estimate(value, value - 0.1, value + 0.1)
    figure = Measurement("gradient", "typicality", ALL, 9, observed, observed)
    return Measured((figure,), np.asarray(draws, np.float32), np.asarray(null, np.float32))


# Tests -------------------------------------------------------------------------------------------


def test_a_difference_by_hand():
    draws = np.linspace(0, 1, 101)
    found = paired_difference(
        "gradient", made(0.2, draws, [0.0, 0.1]), made(0.6, draws + 0.4, [0.1, 0.1])
    )
    assert found.difference == pytest.approx((0.4, 0.4, 0.4))  # the luck of a draw cancels out
    assert found.shuffled.value == pytest.approx(0.05)
    assert found.level == "beyond"


def test_the_four_intervals_hold_together():
    draws = np.random.default_rng(0).normal(size=20_000)
    found = paired_difference("gradient", made(0, 0 * draws, [0]), made(0, draws, [0]))
    share = ((draws > found.difference.low) & (draws < found.difference.high)).mean()
    assert share == pytest.approx(TOGETHER, abs=1e-3)
    assert pytest.approx(1 - 0.05 / 4) == TOGETHER


@pytest.mark.parametrize(
    ("difference", "shuffled", "level"),
    [
        ((0.1, -0.1, 0.3), (0, -0.01, 0.01), "noise"),
        ((0.1, 0.05, 0.3), (0, -0.01, 0.01), "beyond"),
        ((-0.1, -0.2, -0.05), (0, -0.01, 0.01), "beyond"),
        ((-0.1, -0.2, -0.05), (-0.1, -0.06, 0.01), "labels"),
        ((0.1, 0.05, 0.3), (np.nan, np.nan, np.nan), "beyond"),
        ((np.nan, np.nan, np.nan), (0, 0, 0), "nothing"),
        ((0.0, 0.0, 0.0), (0, 0, 0), "noise"),
    ],
)
def test_a_difference_must_leave_out_zero_and_what_shuffled_labels_give(
    difference, shuffled, level
):
    assert level_of(Estimate(*difference), Estimate(*shuffled)) == level


def test_a_model_does_not_differ_from_itself(cohort):
    states = planted(cohort)
    for test, measure in (("gradient", gradients.measure), ("categorical", opposition.measure)):
        found = paired_difference(test, measure(states, cohort), measure(states, cohort))
        assert (found.difference, found.level) == ((0, 0, 0), "noise")


def test_a_model_that_grades_is_told_from_one_that_does_not(cohort):
    weak, strong = (gradients.measure(planted(cohort, dose), cohort) for dose in (0.0, 2.0))
    found = paired_difference("gradient", weak, strong)
    assert found.level == "beyond"
    assert found.difference.low > 0.2
    assert paired_difference("gradient", strong, weak).difference.high < -0.2


def test_two_models_that_grade_alike_do_not_differ(cohort):
    levels = [
        paired_difference(
            "gradient",
            gradients.measure(planted(cohort, 1.0, seed), cohort),
            gradients.measure(planted(cohort, 1.0, seed + 50), cohort),
        ).level
        for seed in range(4)
    ]
    assert levels.count("noise") >= 3


def test_other_resamples_are_refused():
    with pytest.raises(ValueError, match="same resamples and shuffles"):
        paired_difference("gradient", made(0, [1, 2], [0]), made(0, [1, 2, 3], [0]))


def test_what_cannot_be_computed_is_no_difference():
    nothing = made(np.nan, [np.nan, np.nan], [0, 0])
    assert paired_difference("gradient", nothing, made(1, [1, 1], [0, 0])).level == "nothing"


# Items -------------------------------------------------------------------------------------------


def test_items_of_one_model_do_not_differ(cohort):
    states = planted(cohort)
    found = item_differences(states, states, cohort)
    scored = cohort.labels.dimension >= 0
    assert (found.value[scored] == 0).all()
    assert np.isnan(found.value[~scored]).all()
    assert not found.sure.any()


def test_an_item_that_one_model_places_elsewhere_is_the_first_of_the_list(cohort):
    first = planted(cohort, 3.0)
    second = first + planted(cohort, 0.0, seed=9) * 0.05
    second[25] = -second[25]  # a typical virtue turned away from its centre
    found = item_differences(first, second, cohort)
    assert most_different(found)[0] == 25
    assert found.value[25] < -0.3
    assert found.high[25] < 0
    assert found.sure[25]
    sure = most_different(found, beyond=True)
    assert sure[0] == 25
    assert np.abs(found.value[sure[1:]]).max(initial=0) < 0.2


def test_resampled_ranks_of_whole_draws_are_the_ranks_themselves(cohort):
    states = planted(cohort)
    once = replace(cohort, draws=1)
    vars(once)["weights"] = np.ones((1, once.n_texts), np.uint8)
    close = closeness(states, cohort.members, cohort.labels.group)
    ranks = ranks_within(own_closeness(close, cohort.labels), cohort.labels)
    for column in range(len(DIMENSIONS)):
        rows = np.flatnonzero(cohort.labels.dimension == column)
        found = resampled_ranks(states, once, column, rows)[0]
        np.testing.assert_allclose(found, ranks[rows], atol=1e-12)


def test_a_text_drawn_twice_counts_twice_in_the_centre_and_never_for_itself(cohort):
    states, column = planted(cohort), 3
    once = replace(cohort, draws=1)
    weights = np.random.default_rng(4).integers(0, 3, once.n_texts).astype(np.uint8)
    vars(once)["weights"] = weights[None]
    rows = np.flatnonzero(cohort.labels.dimension == column)
    close = []
    for row in rows:
        members = np.flatnonzero(cohort.members[:, column] & (cohort.text != cohort.text[row]))
        centre = (weights[cohort.text[members], None] * states[members].astype(float)).sum(axis=0)
        close.append(states[row] @ centre / np.linalg.norm(states[row]) / np.linalg.norm(centre))
    found = resampled_ranks(states, once, column, rows)[0]
    drawn = weights[cohort.text[rows]].astype(float)
    expected = [
        (drawn[np.array(close) < one].sum() + own / 2) / drawn.sum()
        for one, own in zip(close, drawn, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_intervals_of_items_stay_within_what_is_possible(cohort):
    found = item_differences(planted(cohort, 3.0), planted(cohort, 3.0, seed=5), cohort)
    known = np.isfinite(found.low)
    assert (found.low[known] >= -1).all()
    assert (found.high[known] <= 1).all()
    assert (found.low[known] <= found.value[known] + 1e-9).all()
    assert (found.high[known] >= found.value[known] - 1e-9).all()
