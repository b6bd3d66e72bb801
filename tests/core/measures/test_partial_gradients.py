"""Typicality with length held fixed: planted length goes, planted grades stay."""

import numpy as np
import pytest
from scipy.stats import rankdata

from core.dataset.labels import Labels, typical_members
from core.measures import gradients
from core.measures.cohort import Cohort
from core.measures.partial_gradients import measure

NONE = np.zeros((300, 1))


def a_cohort(n=300, seed=0, draws=200, texts=None):
    """Return rows of all poles with four grades; ``texts``: that many different ones."""
    rng = np.random.default_rng(seed)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, 2, n)
    grade = rng.choice([0.25, 0.5, 0.75, 1.0], n)
    group = np.arange(n) if texts is None else rng.integers(0, texts, n)
    labels = Labels(2 * foundation + pole, grade, group)
    vectors, members = np.zeros((n, 10), np.float32), typical_members(labels)
    return Cohort(labels, foundation, vectors, members, np.arange(n), draws, 0, seed)


def states_of(cohort, dose, width=24, seed=0):
    """Return noise with one direction per pole, in the given dose."""
    rng = np.random.default_rng([seed, 5])
    own = rng.normal(size=(10, width))
    noise = rng.normal(size=(cohort.n_texts, width))[cohort.text]
    states = noise + np.asarray(dose)[:, None] * own[cohort.labels.dimension]
    return (states - states.mean(axis=0)).astype(np.float32)


def lengths(cohort, follow=1.0, seed=0):
    """Return lengths that follow the grade and have noise of their own."""
    noise = np.random.default_rng([seed, 6]).normal(size=len(cohort))
    return 3 * follow * cohort.labels.grade + noise


@pytest.mark.parametrize("texts", [None, 150])
def test_the_plain_figure_is_that_of_the_gradient_test(texts):
    cohort = a_cohort(texts=texts)
    states = states_of(cohort, cohort.labels.grade)
    found = measure(states, cohort, NONE)
    known = gradients.measure(states, cohort, variants=gradients.VARIANTS[:1]).headline.observed
    assert found.plain.value == pytest.approx(known.value, abs=1e-6)
    # Both intervals are honest in their own way: neither is much wider than the other.
    widths = (found.plain.high - found.plain.low) / (known.high - known.low)
    assert 0.7 < widths < 1.5


def test_with_nothing_held_fixed_nothing_changes():
    cohort = a_cohort()
    found = measure(states_of(cohort, cohort.labels.grade), cohort, NONE)
    assert found.partial == pytest.approx(found.plain, abs=1e-9)
    assert found.difference == pytest.approx((0, 0, 0), abs=1e-9)


def test_typicality_that_is_all_length_disappears():
    cohort = a_cohort(n=600)
    length = lengths(cohort)
    found = measure(states_of(cohort, length), cohort, length[:, None])
    assert found.plain.low > 0.3
    assert found.partial.low < 0 < found.partial.high
    assert found.difference.high < -0.2


def test_typicality_that_is_no_length_stays():
    cohort = a_cohort(n=600)
    length = lengths(cohort, follow=0.0)
    found = measure(states_of(cohort, 3 * cohort.labels.grade), cohort, length[:, None])
    assert found.partial.low > 0.3
    assert abs(found.difference.value) < 0.03


def test_a_pole_by_hand():
    cohort = a_cohort(n=400, draws=3)
    one = cohort.take(cohort.labels.dimension == 4)
    length, states = lengths(one)[:, None], states_of(one, one.labels.grade)
    found = measure(states, one, length)
    closeness = []
    for row in range(len(one)):
        others = [i for i in np.flatnonzero(one.members[:, 4]) if i != row]
        centre = states[others].astype(float).sum(axis=0)
        closeness.append(
            states[row] @ centre / np.linalg.norm(states[row]) / np.linalg.norm(centre)
        )
    held = np.column_stack([np.ones(len(one)), rankdata(length[:, 0])])
    sides = np.column_stack([rankdata(one.labels.grade), rankdata(closeness)])
    left = sides - held @ np.linalg.lstsq(held, sides, rcond=None)[0]
    assert found.partial.value == pytest.approx(np.corrcoef(left.T)[0, 1], abs=1e-6)
    assert found.plain.value == pytest.approx(np.corrcoef(sides.T)[0, 1], abs=1e-6)


def test_columns_that_say_the_same_twice_or_nothing_do_no_harm():
    cohort = a_cohort()
    length, states = lengths(cohort)[:, None], states_of(cohort, cohort.labels.grade)
    once = measure(states, cohort, length)
    more = measure(states, cohort, np.hstack([length, length, np.ones_like(length)]))
    assert more.partial.value == pytest.approx(once.partial.value, abs=1e-6)


def test_the_interval_holds_what_is_true():
    hits, truth = 0, []
    for seed in range(40):
        cohort = a_cohort(n=200, seed=seed, draws=200)
        length = lengths(cohort, follow=0.5, seed=seed)
        found = measure(states_of(cohort, cohort.labels.grade, seed=1), cohort, length[:, None])
        truth.append(found.partial)
    middle = np.mean([one.value for one in truth])
    hits = sum(one.low <= middle <= one.high for one in truth)
    assert hits >= 34


def test_where_nothing_can_be_computed_there_is_nothing():
    cohort = a_cohort(n=30)
    assert np.isnan(measure(states_of(cohort, np.ones(30)), cohort, np.zeros((30, 7)))).all()
    same = a_cohort()
    found = measure(np.zeros((300, 4), np.float32), same, NONE)
    assert np.isnan(found).all()
    grade = same.labels.grade[:, None]
    held = measure(states_of(same, same.labels.grade), same, grade)
    assert np.isnan(held.partial).all()  # nothing is left of the grade
