"""Figures of the steering page: read from their data, not from pixels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.foundations import DIMENSIONS
from core.statistics.bootstrap import Estimate
from core.steering.effects.matched_controls import Beside, Check
from core.steering.effects.off_target import OffTarget
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.readout import ReadOut
from core.steering.effects.shipped_doses import KnownDose
from core.steering.effects.strength_sweep import (
    Point,
    StrengthSweep,
)
from core.steering.history import Run
from core.steering.plots import (
    answer_figure,
    checks_figure,
    dose_figure,
    landing_figure,
    leakage_figure,
)
from core.steering.recipes import Recipe, Term
from core.steering.view import (
    answer_sentence,
    answer_table,
    check_table,
    control_told,
    degenerates,
    leakage_table,
)

NOTHING = Estimate(np.nan, np.nan, np.nan)


def read(plain: list[float], steered: list[float]) -> ReadOut:
    n = len(plain)
    return ReadOut(np.array(plain), np.array(steered), np.full(n, 0.1), np.full(n, 0.5))


@pytest.fixture
def table() -> pd.DataFrame:
    found = read([0.0, 1.0, -2.0], [0.5, 3.0, -2.1])
    control = read([0.0, 1.0, -2.0], [0.1, 1.1, -1.9])
    return answer_table(["one <b>", "two", "three"], found, control)


def test_the_largest_change_stands_first(table):
    assert table["text"].tolist() == ["two", "one <b>", "three"]
    assert table["change"].round(2).tolist() == [2.0, 0.5, -0.1]
    assert table["random"].round(2).tolist() == [0.1, 0.1, 0.1]
    assert not table["own"].any()


def test_without_a_control_none_is_drawn():
    early = answer_table(["one", "two"], read([0.0, 1.0], [0.5, 0.5]))
    assert early["random"].isna().all()
    assert "random direction" not in {trace.name for trace in answer_figure(early).data}


def test_the_sentence_names_direction_size_and_control(table):
    assert answer_sentence(table) == (
        "Log odds of right against wrong **+0.8**, on average over 3 actions and so for 2 of them; "
        "along a random direction +0.1."
    )
    mine = answer_table(["mine"], read([0.0], [-9.52]), read([0.0], [1.0]), own=True)
    assert answer_sentence(mine) == (
        "Log odds of right against wrong **−9.5**; along a random direction +1.0."
    )
    alone = answer_table(["mine"], read([0.0], [9.52]))
    assert answer_sentence(alone) == "Log odds of right against wrong **+9.5**."
    same = answer_table(["mine"], read([0.0], [0.0]))
    assert answer_sentence(same) == "Before and after are the same."


def test_read_outs_are_drawn_from_before_to_after(table):
    figure = answer_figure(table)
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert set(named) == {"plain", "steered", "random direction"}
    assert list(named["plain"].x) == table["before"].tolist()[::-1]
    assert list(named["steered"].x) == table["after"].tolist()[::-1]
    (line,) = [trace for trace in figure.data if trace.mode == "lines"]
    assert list(line.x)[:3] == [table["before"].iloc[-1], table["after"].iloc[-1], None]
    assert list(line.y) == [0, 0, None, 1, 1, None, 2, 2, None]
    labels = [note.text for note in figure.layout.annotations]
    assert labels == ["three", "one &lt;b&gt;", "two"]
    own = answer_figure(answer_table(["mine"], read([0.0], [1.0]), own=True))
    assert own.layout.annotations[0].text == "<b>mine</b>"


def near(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1)


def beside(middle: float, *above: int) -> tuple[Beside, ...]:
    """Return four judged kinds of controls, and isotropic ones that all do more."""
    kinds = [("covariance", "length"), ("covariance", "KL"), ("shuffled", "length")]
    kinds += [("shuffled", "KL"), ("isotropic", "length")]
    counts = (*above, 8)
    return tuple(
        Beside(family, equal, near(middle), count, size, near(0.3), size, 0)
        for (family, equal), count, size in zip(kinds, counts, [40] * 4 + [8], strict=True)
    )


def dose(safe: tuple[float, float]) -> StrengthSweep:
    points = tuple(
        Point(at, near(at + 1), near(at), abs(at), 30 + abs(at), near(1.0), near(0.0))
        for at in (-0.2, 0.0, 0.2)
    )
    push = Check(near(1.2), 0.2, beside(1.0, 0, 12, 1, 1))
    turn = Check(near(0.2), 0.2, beside(0.0, 1, 0, 1, 1))
    none = Check(NOTHING, float("nan"))
    return StrengthSweep(
        SweepSpec("care-harm", 1),
        1,
        5,
        points,
        safe,
        push if safe[1] else none,
        turn if safe[0] and safe[1] else none,
    )


def known(sweep: StrengthSweep) -> KnownDose:
    return KnownDose(sweep.safe, sweep.said, spec=sweep.spec, sweep=sweep)


def test_a_dose_paints_its_safe_range_and_random_directions_at_every_strength():
    figure = dose_figure(dose((-0.2, 0.2)))
    painted = {(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"}
    assert painted == {(-0.2, 0.2)}
    named = {trace.name: trace for trace in figure.data}
    assert list(named["push"].y) == [0.8, 1.0, 1.2]
    assert list(named["sign"].y) == [-0.2, 0.0, 0.2]
    for name, low, high in (("random, push", 0.9, 1.1), ("random, sign", -0.1, 0.1)):
        assert list(named[name].x) == [-0.2, 0.0, 0.2, 0.2, 0.0, -0.2]
        assert list(named[name].y) == [low] * 3 + [high] * 3
    controls = [trace for trace in figure.data if trace.name == "controls, 95 %"]
    assert [len(trace.x) for trace in controls] == [4, 4]  # isotropic ones are not judged
    assert list(controls[0].y) == [1.0] * 4
    np.testing.assert_allclose(controls[0].error_y.array, 0.1)


def test_without_a_safe_strength_nothing_is_painted():
    figure = dose_figure(dose((0.0, 0.0)))
    assert not [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert "controls, 95 %" not in [trace.name for trace in figure.data]


def test_what_may_be_said_names_push_and_sign_apart():
    said = dose((-0.2, 0.2)).said
    assert (
        "Pushed (+20%): moves held-out actions in its own sense, but not beyond 1 of 4 kinds of "
        "control directions (p up to 0.32)." in said
    )
    assert "By its sign alone (+20%): moves held-out actions in its own sense, beyond all" in said
    assert "By its sign" not in dose((0.0, 0.2)).said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "a control push does as much (p up to 0.32)"),
        ({"terms": (Term("care-harm", -0.1),)}, "a control push does as much (p up to 0.32)"),
        ({"terms": ()}, ""),
        ({"layers": (0,)}, "not held against controls"),
        ({"layers": (1, 2)}, "not held against controls"),
        ({"positions": "all"}, "not held against controls"),
        ({"operation": "project out"}, "not held against controls"),
        ({"terms": (Term("care-harm", 0.1), Term("harm", 0.1))}, "not held against controls"),
        ({"terms": (Term("harm", 0.1),)}, "not held against controls"),
    ],
)
def test_a_written_text_says_whether_a_control_push_does_as_much(change, said):
    made = Recipe("", "m", "i", "{action}", (1,), (Term("care-harm", 0.2),))
    run = Run(replace(made, **change), "", (), (), 0, 0)
    assert control_told(run, {"care-harm": known(dose((-0.2, 0.2)))}) == said


def along(sweep: StrengthSweep) -> KnownDose:
    """Return what of a sweep comes with the project: its sentences alone."""
    return KnownDose(sweep.safe, sweep.said, shipped=True, spec=sweep.spec)


def test_what_comes_along_says_as_few_words():
    run = Run(Recipe("", "m", "i", "{action}", (1,), (Term("care-harm", 0.2),)), "", (), (), 0, 0)
    found = {"care-harm": along(dose((-0.2, 0.2)))}
    assert control_told(run, found) == "a control push does as much (p up to 0.32)"
    nothing = {"care-harm": replace(found["care-harm"], said="")}
    assert control_told(run, nothing) == "not held against controls"


def test_beyond_all_controls_nothing_is_said():
    found = dose((-0.2, 0.2))
    beyond = Check(near(1.2), 0.2, beside(0.0, 1, 1, 1, 1))
    run = Run(Recipe("", "m", "i", "{action}", (1,), (Term("care-harm", 0.2),)), "", (), (), 0, 0)
    sweep = replace(found, push=beyond, turn=beyond)
    assert control_told(run, {"care-harm": known(sweep)}) == ""
    assert control_told(run, {"care-harm": along(sweep)}) == ""
    worse = beyond._replace(effect=near(0.05))
    told = control_told(run, {"care-harm": known(replace(found, push=worse, turn=beyond))})
    assert told == "no effect in its own sense on held-out actions"


def test_a_text_degenerates_from_three_times_the_perplexity_on():
    assert degenerates(10, 30.1)
    assert not degenerates(10, 30)
    assert not degenerates(10, float("nan"))


def test_each_family_stands_in_the_table_with_share_p_and_divergence():
    rows = check_table(dose((-0.2, 0.2)))
    assert len(rows) == 12
    assert rows[""][0] == "push at +20%"
    assert rows["log odds"].tolist()[:2] == ["+1.20 [1.10, 1.30]", "+1.00 [0.90, 1.10]"]
    assert rows["p"].tolist()[:6] == ["", "0.024", "0.317", "0.049", "0.049", ""]
    assert rows["beaten"][2] == "28 of 40 (55% to 82%)"
    assert rows["KL"].tolist()[:2] == ["0.20", "0.30 [0.20, 0.40]"]
    assert rows[""][5] == "· random, isotropic, equal length (not judged)"
    assert len(check_table(dose((0.0, 0.2)))) == 6


def test_each_family_is_a_band_with_its_p_beside_the_direction():
    figure = checks_figure(dose((-0.2, 0.2)))
    push, sign = figure.data
    assert push.y[0] == "this direction"
    assert push.y[1] == "random, as the states vary<br>equal length: p = 0.024"
    assert (list(push.x), list(sign.x)) == ([1.2, 1.0, 1.0, 1.0, 1.0], [0.2, 0, 0, 0, 0])
    shown = [label.rsplit(" ", 1)[1] for label in (*push.y[1:], *sign.y[1:])]
    assert shown == ["0.024", "0.317", "0.049", "0.049", "0.049", "0.024", "0.049", "0.049"]
    assert len(checks_figure(dose((0.0, 0.2))).data) == 1


def test_what_was_not_asked_is_said_in_words():
    """A family that was stopped early tells after how many, and the least that p could be."""
    few = Beside("covariance", "length", near(1.0), 3, 10, near(0.3), 40, 4)
    check = Check(near(1.2), 0.2, (few, *beside(1.0, 0, 0, 1, 1)[2:3]))
    stopped = replace(dose((-0.2, 0.2)), push=check)
    told = "0.500, stopped after 10 of 40: of all, at least 0.073"
    rows = check_table(stopped)
    assert rows["p"][1] == told
    assert rows[""].tolist()[3:5] == [
        "· shuffled labels, equal KL",
        "· random, as the states vary, equal KL",
    ]
    assert rows["p"].tolist()[3:5] == ["not asked: decided without it"] * 2
    label = checks_figure(stopped).data[0].y[1]
    assert label.endswith("p = 0.500<br>stopped after 10 of 40 (p at least 0.073)")
    assert (
        "not beyond 1 of 2 kinds of control directions that were asked (p up to 0.5)"
        in stopped.said
    )


def test_leakage_shows_counts_and_what_is_missing():
    shift = np.arange(24, dtype=float).reshape(12, 2)
    shift[3] = np.nan
    names = (*DIMENSIONS, "random", "shuffled labels")
    bands = np.array([[[19.0, 20.0], [21.0, 22.0]], [[-1.0, -2.0], [1.0, 2.5]]])
    leakage = OffTarget(names, ("care", "harm"), shift, bands, (8, 5))
    figure = leakage_figure(leakage)
    (heat,) = figure.data
    assert list(heat.x) == ["care (8)", "harm (5)"]
    assert list(heat.text[3]) == ["–", "–"]
    assert heat.zmax == -heat.zmin == 23
    assert list(heat.text[10]) == ["+21.0<br>+19.0", "+22.0<br>+20.0"]
    table = leakage_table(leakage)
    assert table["steered towards"].tolist()[10:] == [
        *names[10:],
        "random, low",
        "random, high",
        "shuffled labels, low",
        "shuffled labels, high",
    ]
    assert table["harm"].tolist()[12:] == [20.0, 22.0, -2.0, 2.5]


def test_landings_go_from_plain_to_steered():
    rows = pd.DataFrame({"centre": list(DIMENSIONS), "plain": 0.25, "steered": 0.5, "change": 0.25})
    figure = landing_figure(rows)
    named = {trace.name: trace for trace in figure.data if trace.name}
    assert list(named["plain"].x) == [0.25] * 10
    assert list(named["steered"].y) == list(DIMENSIONS)[::-1]
