"""The four tests on another concept: as many texts, as like in grade; topics do not count."""

import numpy as np
import pytest

from core.dataset import sets
from core.dataset.pleasantness import pleasantness
from core.diagnosis.concept import SAMPLES, Averaged, averaged, compared, matched
from core.diagnosis.diagnosis import DiagnosisSpec
from core.measures.cohort import cohort_of
from core.measures.result import TESTS
from core.runtime.store import Store

SPEC = DiagnosisSpec(draws=200, shuffles=200)


@pytest.fixture(scope="module")
def moral(tmp_path_factory):
    """Return half of the built-in set as a cohort."""
    store = Store(tmp_path_factory.mktemp("moral") / "store")
    return cohort_of(sets.builtin(store), draws=20, shuffles=20).second_half


@pytest.fixture(scope="module")
def pleasant():
    return cohort_of(pleasantness(), draws=20, shuffles=20)


def states_of(cohort, *, poles=0.0, topics=0.0, width=16, seed=0):
    """Return noise, by row of the whole set, with poles (by grade) and topics planted."""
    rng = np.random.default_rng([seed, 9])
    directions = rng.normal(size=(10, width)), 2 * rng.normal(size=(5, width))
    states = rng.normal(size=(int(cohort.rows.max()) + 1, width))
    dose = poles * cohort.labels.grade[:, None]
    states[cohort.rows] += dose * directions[0][cohort.labels.dimension]
    states[cohort.rows] += topics * directions[1][cohort.foundation]
    return lambda rows: states[rows].astype(np.float32)


def both(test, moral, pleasant, first, second):
    """Compare two sets; word counts play no part here."""
    one = averaged(test, states_of(moral, **first), moral, SPEC, like=pleasant)
    two = averaged(test, states_of(pleasant, **second), pleasant, SPEC)
    return compared(test, 3, (one, one), (two, two), 0)


def test_draws_have_as_many_rows_of_each_pole_with_the_same_grades(moral, pleasant):
    rows = matched(moral, pleasant, np.random.default_rng(0))
    drawn = moral.take(rows)
    assert 230 <= len(drawn) <= len(pleasant) == 240  # a few neutral ones are not there
    for foundation in range(5):
        for sign in range(2):
            grades = [
                np.sort(one.labels.grade[(one.foundation == foundation) & (one.sign == sign)])
                for one in (drawn, pleasant)
            ]
            np.testing.assert_allclose(*grades, atol=0.26)
            assert abs(grades[0].mean() - grades[1].mean()) < 0.02
    again = matched(moral, pleasant, np.random.default_rng(1))
    assert 0 < (rows & again).sum() < 240


def test_a_set_that_has_not_as_many_gives_what_it_has(moral, pleasant):
    few = moral.take((moral.foundation > 0) & (np.arange(len(moral)) % 10 == 0))
    rows = matched(few, pleasant, np.random.default_rng(0))
    assert 0 < rows.sum() <= len(few)
    assert matched(pleasant, pleasant, np.random.default_rng(0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS)
def test_what_is_planted_is_found_on_its_side(test, moral, pleasant):
    found = both(test, moral, pleasant, {"poles": 6.0}, {})
    assert found.level == "above"
    assert found.moral.low > found.moral_chance.high
    assert both(test, moral, pleasant, {}, {"poles": 6.0}).level == "below"


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS)
def test_noise_is_not_more_moral_than_noise(test, moral, pleasant):
    assert both(test, moral, pleasant, {}, {"seed": 1}).level == "same"


@pytest.mark.slow
@pytest.mark.parametrize("test", ["structural", "dimensional"])
def test_topics_that_lie_apart_do_not_count(test, moral, pleasant):
    found = both(test, moral, pleasant, {"topics": 3.0}, {})
    assert found.moral.value - found.pleasant.value > 0.03
    assert found.level == "same"


@pytest.mark.slow
def test_a_concept_does_not_exceed_itself(pleasant):
    states = states_of(pleasant, poles=2.0)
    for test in TESTS:
        one, two = (averaged(test, states, pleasant, SPEC, like=like) for like in (pleasant, None))
        assert one.n == two.n == 240
        assert compared(test, 0, (one, one), (two, two), 0).level == "same"


def made(value, spread=0.02, n=240):
    draws = value + spread * np.linspace(-2, 2, 200)
    return Averaged(value, draws, np.linspace(-0.01, 0.01, 50), n)


def test_the_difference_is_of_what_lies_beyond_shuffled_labels():
    high = made(0.5)._replace(null=np.linspace(0.19, 0.21, 50))
    found = compared("gradient", 2, (made(0.3), made(0.1)), (high, made(0.2)), 0)
    assert found.difference.value == pytest.approx(0.0)
    assert found.pleasant_beyond.value == pytest.approx(0.3)
    assert found.moral_words.value == pytest.approx(0.1)
    assert found.level == "same"
    assert compared("gradient", 2, (made(0.6),) * 2, (high, high), 0).level == "above"


def test_what_cannot_be_computed_is_nothing():
    none = Averaged(np.nan, np.full(4, np.nan), np.full(4, np.nan), 0)
    other = Averaged(0.1, np.full(4, 0.1), np.zeros(4), 9)
    found = compared("gradient", 2, (none, none), (other, other), 0)
    assert found.level == "nothing"
    assert np.isnan(found.difference).all()


def test_resamples_of_a_draw_lie_around_the_mean(pleasant):
    found = averaged("gradient", states_of(pleasant, poles=2.0), pleasant, SPEC)
    assert len(found.draws) == len(found.null) == SAMPLES * 10
    assert found.figure.low < found.value < found.figure.high
