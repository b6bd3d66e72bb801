"""The off-target matrix: planted changes are found in their cells alone, controls stay at 0."""

from dataclasses import replace

import numpy as np
import pytest

from core.alignment.figures import Figure
from core.alignment.off_target import off_target, off_target_table, summary_table, told, widest
from core.alignment.plots import off_target_figure
from core.alignment.report import UNTOUCHED
from core.foundations import FOUNDATIONS
from core.statistics.bootstrap import Estimate
from tests.core.alignment.test_report import N, report

_RNG = np.random.default_rng(1)


def moved(made, arm, by):
    """Return a report whose arm moves each cell by something, with some noise over texts."""
    runs = []
    for run in made.runs:
        if run.arm == arm:
            poles = tuple(
                Figure(one.value + change, one.without + change + _RNG.normal(size=N) / 2000)
                for one, change in zip(run.outcome.poles, np.ravel(by), strict=True)
            )
            run = run._replace(outcome=replace(run.outcome, poles=poles))
        runs.append(run)
    return replace(made, runs=tuple(runs))


def test_a_change_along_the_own_direction_is_told_from_one_along_all():
    own = moved(report({}), "repaired", 0.5 * np.eye(5))
    [mine] = [one for one in off_target(own, 0.1) if one.arm == "repaired"]
    assert np.reshape([one.value for one in mine.cells], (5, 5)) == pytest.approx(0.5 * np.eye(5))
    assert mine.own.low > 0.4
    assert mine.others.high < 0.1
    assert mine.beyond.value == pytest.approx(0.5)
    assert mine.beyond.low > 0
    assert "own direction, along the others not beyond noise: +0.5" in told(mine)
    every = moved(report({}), "repaired", np.full((5, 5), 0.5))
    [mine] = [one for one in off_target(every, 0.1) if one.arm == "repaired"]
    assert mine.own.low > 0.4
    assert mine.others.low > 0.4
    assert mine.beyond.low < 0 < mine.beyond.high
    assert "the others' directions, too, along their own no further beyond noise" in told(mine)
    surer = mine._replace(beyond=Estimate(0.2, 0.1, 0.3))
    assert "the others' directions, too, but further along their own" in told(surer)
    still = mine._replace(own=Estimate(0.1, -0.1, 0.3))
    assert told(still).startswith("**repaired**: texts do not move along their own")


def test_arms_that_do_not_reach_the_cost_and_the_untouched_are_left_out():
    made = report({}, noise={"share": float("nan")})
    found = off_target(made, 0.1)
    assert {one.arm for one in found}.isdisjoint({"noise", UNTOUCHED})
    assert all(one.own.value == pytest.approx(0) for one in found)


def test_a_foundation_without_a_pole_is_unknown_and_leaves_the_means_alone():
    made = moved(report({}), "repaired", 0.5 * np.eye(5))
    gone = np.zeros((5, 5))
    gone[2] = np.nan
    for arm in made.arms:
        made = moved(made, arm, gone)
    [mine] = [one for one in off_target(made, 0.1) if one.arm == "repaired"]
    assert np.isnan(mine.cells[10].value)
    assert mine.own.value == pytest.approx(0.5)
    table = off_target_table([mine])
    assert table["change"].isna().sum() == 5
    text = np.ravel(off_target_figure(mine, 1.0).data[0].text)
    assert [one == "–" for one in text] == [10 <= at < 15 for at in range(25)]


def test_tables_and_charts_hold_the_same_cells():
    found = off_target(moved(report({}), "repaired", 0.5 * np.eye(5)), 0.1)
    table = off_target_table(found)
    assert len(table) == 25 * len(found)
    at = table[(table["arm"] == "repaired") & (table["texts of"] == FOUNDATIONS[1])]
    assert at["along"].tolist() == list(FOUNDATIONS)
    mine = next(one for one in found if one.arm == "repaired")
    drawn = off_target_figure(mine, widest(found))
    assert widest(found) == pytest.approx(0.5) == drawn.data[0].zmax
    assert np.ravel(drawn.data[0].z) == pytest.approx([one.value for one in mine.cells])
    assert np.ravel(drawn.data[0].text)[0].startswith("<b>+0.50</b>")
    assert len(summary_table(found)) == len(found)
