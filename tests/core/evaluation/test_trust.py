"""A judge is believed, weak or at chance by what it says of known pairs."""

import pytest

from core.evaluation.judging import QUESTIONS
from core.evaluation.trust import half_of, known_pairs, trust
from tests.core.evaluation.test_judging import Rule

GOOD = {one.good for one in known_pairs()} | {half_of(one.good) for one in known_pairs()}
WHOLE = {one.good for one in known_pairs()}


def perfect(showing):
    if showing.first == showing.second:
        return "tie"
    if (showing.first in WHOLE) != (showing.second in WHOLE):
        return "first" if showing.first in WHOLE else "second"
    return "first" if len(showing.first) > len(showing.second) else "second"


def coin(showing):
    return "first" if int(showing.digest, 16) % 2 else "second"


def some(right):
    """Return a judge that is right on this share of known pairs, in both orders."""
    good = sorted(WHOLE)[: round(len(WHOLE) * right)]

    def say(showing):
        best = perfect(showing)
        known = showing.first in good or showing.second in good
        swapped = {"first": "second", "second": "first", "tie": "tie"}
        return best if known else swapped[best]

    return say


def test_pairs_are_of_each_question_and_no_answer_is_both():
    found = known_pairs()
    assert len(found) == 24
    assert {one.question for one in found} == set(QUESTIONS) - {"paper"}
    assert not {one.good for one in found} & {one.bad for one in found}


def test_a_perfect_judge_is_believed(store):
    found = trust(store, Rule(perfect))
    assert (found.level, found.accuracy.value, found.unread) == ("believed", 1.0, 0)
    assert found.longer.value == 1.0


@pytest.mark.parametrize("rule", [coin, lambda _: "first", lambda _: "tie", lambda _: None])
def test_a_coin_a_place_ties_and_nonsense_are_at_chance(store, rule):
    found = trust(store, Rule(rule))
    assert found.level == "chance"
    assert "say nothing" in found.told


def test_a_judge_of_place_is_found(store):
    found = trust(store, Rule(lambda _: "first"))
    assert (found.first.value, found.accuracy.value) == (1.0, 0.5)


def test_a_judge_that_is_often_wrong_is_weak_and_a_wrong_one_at_chance(store):
    assert trust(store, Rule(some(0.65), "a")).level == "weak"
    assert trust(store, Rule(some(0.1), "b")).level == "chance"


def test_a_preference_for_length_is_told(store):
    def longer(showing):
        return "first" if len(showing.first) > len(showing.second) else "second"

    found = trust(store, Rule(longer))
    assert found.longer.value == 1.0
