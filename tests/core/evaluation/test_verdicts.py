"""Verdicts add up: simulated judges with known bias, planted strengths, coverage of a coin flip."""

import numpy as np
import pytest
from scipy.stats import binomtest

from core.evaluation.verdicts import Battle, Showing, papers_rate, standing, strengths

EVEN = np.zeros(100)


def judged(better, n=100, *, first=0.0, longer=None, by_length=0.0, seed=0):
    """Return what a judge says who finds the arm better with a chance, and has biases.

    Args:
        better: Chance that the arm's answer is the better one.
        first: Chance that the judge takes the first whatever it says.
        longer: How much longer the arm's answers are.
        by_length: Chance that it takes the longer one.
    """
    rng = np.random.default_rng(seed)
    longer = np.zeros(n) if longer is None else longer
    found = []
    for row in range(n):
        arm = rng.random() < better

        def label(arm_is_first, arm=arm, row=row):
            if rng.random() < first:
                return "first"
            chosen = arm
            if rng.random() < by_length and longer[row]:
                chosen = longer[row] > 0
            return "first" if chosen == arm_is_first else "second"

        found.append(Showing(label(True), label(False)))
    return found


def test_a_verdict_needs_both_orders():
    assert Showing("first", "second").verdict == "win"
    assert Showing("second", "first").verdict == "loss"
    assert Showing("first", "first").verdict == "tie"
    assert Showing("tie", "second").verdict == "tie"
    assert Showing("first", None).verdict == "missing"


def test_a_perfect_judge_gives_the_share_of_better_answers():
    found = standing(judged(0.7), EVEN)
    assert (found.wins + found.losses, found.ties, found.missing) == (100, 0, 0)
    assert found.net.value == found.wins / 100
    assert found.net.low < 0.7 < found.net.high
    assert found.sign == binomtest(found.wins, 100).pvalue
    assert found.first_rate == pytest.approx(0.5)
    assert found.consistent == 1


def test_a_judge_that_takes_the_first_is_found_and_moves_nothing():
    found = standing(judged(0.5, first=1.0), EVEN)
    assert (found.first_rate, found.ties, found.net.value) == (1.0, 100, 0.5)
    assert found.consistent == 0
    half = standing(judged(0.5, 400, first=0.6, seed=3), np.zeros(400))
    assert half.first_rate > 0.7
    assert half.net.low < 0.5 < half.net.high


def test_missing_is_missing_and_no_verdict():
    found = standing(
        [Showing("first", "second"), Showing(None, "second"), Showing(None, None)], np.zeros(3)
    )
    assert (found.wins, found.missing, found.net.value) == (1, 2, 1.0)
    nothing = standing([Showing(None, None)], np.zeros(1))
    assert np.isnan(nothing.net.value)
    assert nothing.sign == 1


def test_a_coin_flip_covers_one_half_in_95_percent():
    inside = []
    for seed in range(200):
        found = standing(judged(0.5, 60, seed=seed), np.zeros(60))
        inside.append(found.net.low <= 0.5 <= found.net.high)
    assert 0.91 <= np.mean(inside) <= 0.99


def test_a_judge_of_length_is_levelled():
    rng = np.random.default_rng(5)
    longer = rng.normal(1.0, 1.0, 400)  # the arm writes longer most of the time
    found = standing(judged(0.5, 400, longer=longer, by_length=0.9, seed=6), longer)
    assert found.net.low > 0.55
    assert abs(found.level.value - 0.5) < abs(found.net.value - 0.5) / 2
    assert found.level.low < 0.5 < found.level.high
    fair = standing(judged(0.7, 400, longer=longer, seed=7), longer)
    assert fair.level.low < 0.7 < fair.level.high


def test_bradley_terry_recovers_planted_strengths():
    rng, truth = np.random.default_rng(8), {"plain": 0.0, "a": 1.0, "b": -0.5}
    battles = []
    for prompt in range(800):
        for one, other in (("a", "plain"), ("b", "plain"), ("a", "b")):
            chance = 1 / (1 + np.exp(truth[other] - truth[one]))
            battles.append(Battle(prompt, one, other, "win" if rng.random() < chance else "loss"))
    found = strengths(battles, "plain", draws=100)
    assert found["plain"].value == 0
    for name in ("a", "b"):
        assert found[name].value == pytest.approx(truth[name], abs=0.2)
        assert found[name].low < truth[name] < found[name].high
    assert strengths([], "plain") == {}


def test_the_papers_rate_counts_its_one_order_and_failures_as_not_won():
    assert papers_rate(["second", "second", "tie", None]) == 0.5
