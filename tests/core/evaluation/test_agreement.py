"""Judges agree as published: Cohen's kappa by scikit-learn, Krippendorff's own worked examples."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.evaluation.agreement import alpha, each_two, kappa, nominal_alpha

#: Krippendorff 2011, example C: four observers, twelve units, some not judged.
EXAMPLE = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def drawn(n=300, seed=9):
    return np.random.default_rng(seed).choice(["win", "loss", "tie"], n).tolist()


def test_kappa_is_scikit_learns_and_covers_chance():
    one, other = drawn(), drawn(seed=10)
    other[:150] = one[:150]
    found = kappa(one, other)
    assert found.value == pytest.approx(cohen_kappa_score(one, other))
    assert found.low < found.value < found.high
    assert kappa(one, one).value == 1
    shuffled = kappa(one, np.random.default_rng(0).permutation(one).tolist())
    assert shuffled.low < 0 < shuffled.high
    assert kappa(["tie"] * 5, ["tie"] * 5).value == 1  # nothing to disagree about
    assert np.isnan(kappa(["missing"] * 3, ["win"] * 3).value)


def test_intervals_draw_prompts():
    one, other = drawn(60), drawn(60, seed=10)
    thrice, again = one * 3, other * 3
    alone = kappa(one, other, list(range(60)))
    grouped = kappa(thrice, again, [*range(60)] * 3)
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert kappa(thrice, again).high < alone.high  # as if they were 180 answers


def test_alpha_is_krippendorffs():
    rows = [line.split() for line in EXAMPLE.strip().splitlines()]
    counts = np.array(
        [[column.count(value) for value in "12345"] for column in zip(*rows, strict=True)]
    )
    assert nominal_alpha(counts).value == pytest.approx(0.743, abs=5e-4)
    # His example A, two observers, 0 and 1: alpha is .095.
    a, b = "0100000010", "1110010000"
    two = np.array([[(x + y).count(value) for value in "01"] for x, y in zip(a, b, strict=True)])
    assert nominal_alpha(two).value == pytest.approx(0.095, abs=5e-4)


def test_alpha_of_verdicts_leaves_out_what_one_alone_decided():
    one, other = drawn(50), drawn(50, seed=10)
    third = ["missing"] * 50
    assert alpha([one, other, third]).value == alpha([one, other]).value
    assert alpha([one, one, one]).value == 1
    assert np.isnan(alpha([one, third]).value)


def test_each_two_stand_beside_each_other():
    one, other = drawn(30), drawn(30, seed=10)
    other[0] = "missing"
    found = each_two({"Anne": one, "Ben": other, "a model": one}, list(range(30)))
    assert [(two.first, two.second) for two in found] == [
        ("Anne", "Ben"),
        ("Anne", "a model"),
        ("Ben", "a model"),
    ]
    assert [two.pairs for two in found] == [29, 30, 29]
    assert (found[1].same, found[1].kappa.value) == (1, 1)
