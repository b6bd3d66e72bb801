"""Directions of two concepts: the same, unrelated, or none at all."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.dataset.labels import Labels
from core.measures.cohort import Cohort
from core.measures.transfer import _auroc, measure

WIDTH = 16


def a_cohort(n=300, seed=0, poles=3):
    rng = np.random.default_rng(seed)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, poles, n)
    dimension = np.where(pole == 2, -1, 2 * foundation + pole)
    labels = Labels(dimension, np.ones(n), np.arange(n))
    empty = np.zeros((n, 10), np.float32)
    return Cohort(labels, foundation, empty, empty > 0, np.arange(n), 200, 0, seed)


def states_of(cohort, way, dose=1.0, seed=0):
    """Return noise and topics, with virtue on one end of a direction and vice on the other."""
    rng = np.random.default_rng([seed, 1])
    topics = 3 * rng.normal(size=(5, WIDTH))
    direction = np.eye(WIDTH)[way]
    pole = np.choose(cohort.sign, [1, -1, 0])[:, None]
    states = rng.normal(size=(len(cohort), WIDTH)) + topics[cohort.foundation]
    return (states + dose * pole * direction).astype(np.float32)


@pytest.fixture
def sets():
    return a_cohort(), a_cohort(n=200, seed=5)


def test_one_direction_for_both_is_seen_from_either_side(sets):
    one, two = sets
    states, other = states_of(one, 0), states_of(two, 0, seed=3)
    for found in (measure(states, one, other, two), measure(other, two, states, one)):
        assert found.crossed.low > 0.75
        assert abs(found.difference.value) < 0.08


def test_directions_that_have_nothing_in_common_tell_nothing(sets):
    one, two = sets
    found = measure(states_of(one, 0), one, states_of(two, 1, seed=3), two)
    assert found.own.low > 0.75
    assert found.crossed.low < 0.5 < found.crossed.high
    assert found.difference.low > 0.1
    assert found.difference.value == pytest.approx(found.own.value - found.crossed.value)


def test_noise_has_no_direction_of_its_own(sets):
    one, two = sets
    found = measure(states_of(one, 0, dose=0), one, states_of(two, 1), two)
    assert found.own.low < 0.5 < found.own.high


def test_a_pole_without_texts_gives_nothing(sets):
    one, two = sets
    alone = a_cohort(poles=1)
    assert np.isnan(measure(states_of(alone, 0), alone, states_of(two, 0), two).own).all()
    assert np.isnan(measure(states_of(one, 0), one, states_of(alone, 0), alone).crossed).all()


def test_auroc_is_the_usual_one_with_weights_and_ties():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 9, 80).astype(float), rng.random(80) < 0.4
    weight = rng.integers(0, 3, 80).astype(float)
    wanted = roc_auc_score(positive, score, sample_weight=weight)
    assert _auroc(score, positive, weight) == pytest.approx(wanted)
    assert _auroc(np.ones(80), positive, weight) == pytest.approx(0.5)
