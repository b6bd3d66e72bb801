"""Opposite actions that a layer holds for the same: the most alike, each action once."""

import numpy as np
import pytest

from core.dataset.labels import Labels, typical_members
from core.measures.cohort import Cohort
from core.measures.confusions import confusions


def made_cohort(sign, grade=None, foundation=None, group=None):
    """Return rows: 0 virtue, 1 vice, 2 neutral; by default typical and of care-harm."""
    sign, n = np.array(sign), len(sign)
    foundation = np.zeros(n, int) if foundation is None else np.array(foundation)
    grade = np.ones(n) if grade is None else np.array(grade, float)
    dimension = np.where(sign == 2, -1, 2 * foundation + sign)
    labels = Labels(dimension, grade, np.arange(n) if group is None else np.array(group))
    vectors = np.zeros((n, 10), np.float32)
    return Cohort(labels, foundation, vectors, typical_members(labels), np.arange(n), 0, 0)


def plain(states, cohort, k):
    """Search all pairs, one after the other."""
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    found = []
    for foundation in range(5):
        sure = (cohort.foundation == foundation) & (cohort.labels.grade >= 0.5)
        virtues, vices = (np.flatnonzero(sure & (cohort.sign == sign)) for sign in (0, 1))
        pairs = [
            (float(unit[a] @ unit[b]), a, b)
            for a in virtues
            for b in vices
            if cohort.text[a] != cohort.text[b]
        ]
        same = [
            unit[a] @ unit[b]
            for side in (virtues, vices)
            for a in side
            for b in side
            if a < b and cohort.text[a] != cohort.text[b]
        ]
        taken = set()
        for cosine, a, b in sorted(pairs, reverse=True):
            if len(taken) < 2 * k and not {a, b} & taken:
                taken |= {a, b}
                found.append((foundation, a, b, cosine, np.mean(np.array(same) < cosine)))
    return sorted(found, key=lambda one: -one[3])


def test_they_are_what_a_search_over_all_pairs_finds():
    rng = np.random.default_rng(0)
    n = 160
    cohort = made_cohort(
        rng.integers(0, 3, n),
        rng.choice([0.25, 0.5, 1], n),
        rng.integers(0, 5, n),
        rng.integers(0, 130, n),
    )
    states = rng.normal(size=(n, 6)).astype(np.float32)
    found, expected = confusions(states, cohort, k=3), plain(states.astype(float), cohort, 3)
    assert [one[:3] for one in found] == [one[:3] for one in expected]
    np.testing.assert_allclose([one[3:] for one in found], [one[3:] for one in expected], atol=1e-3)
    assert len(found) == 15


def test_an_action_that_resembles_every_vice_does_not_hide_the_other_pairs():
    rng = np.random.default_rng(0)
    n = 500  # more vices than any short list of pairs is long
    states = rng.normal(size=(n + 4, 8)).astype(np.float32)
    states[4:, 0] += 30
    states[0] = 0
    states[0, 0] = 1
    found = confusions(states, made_cohort([0] * 4 + [1] * n), k=4)
    assert len(found) == 4
    assert {one.virtue for one in found} == {0, 1, 2, 3}
    assert len({one.vice for one in found}) == 4


def test_a_text_is_not_confused_with_itself():
    states = np.array([[1, 0], [1, 0], [1, 0.5], [1, 0.4]], np.float32)
    found = confusions(states, made_cohort([0, 1, 0, 1], group=[0, 0, 1, 2]))
    assert [(one.virtue, one.vice) for one in found] == [(2, 3)]  # what is left is one text


def test_repeated_rows_of_a_text_are_no_pair_of_the_same_side():
    states = np.array([[1, 0], [1, 0], [0.8, 0.6], [1, 0.1]], np.float32)
    found = confusions(states, made_cohort([0, 0, 0, 1], group=[0, 0, 1, 2]), k=1)[0]
    assert found.closer_than == 1  # the text's own two rows would be closer


@pytest.mark.parametrize("sign", [[0] * 6, [1] * 6, [2] * 6])
def test_without_both_poles_nothing_is_confused(sign):
    assert confusions(np.eye(6, dtype=np.float32), made_cohort(sign)) == []


def test_one_item_per_pole_has_no_pair_on_the_same_side():
    found = confusions(np.array([[1, 0], [1, 1]], np.float32), made_cohort([0, 1]))
    assert len(found) == 1
    assert found[0].cosine == pytest.approx(np.sqrt(0.5))
    assert np.isnan(found[0].closer_than)


def test_disputed_actions_are_left_out():
    states = np.eye(4, dtype=np.float32) + 1
    cohort = made_cohort([0, 0, 1, 1], grade=[0.5, 0.375, 1, 0.25])
    assert [(one.virtue, one.vice) for one in confusions(states, cohort)] == [(0, 2)]


def test_a_state_of_zeros_is_like_nothing():
    states = np.array([[0, 0], [1, 0], [1, 0.1]], np.float32)
    found = confusions(states, made_cohort([0, 0, 1]))
    assert [(one.virtue, one.vice) for one in found] == [(1, 2)]
