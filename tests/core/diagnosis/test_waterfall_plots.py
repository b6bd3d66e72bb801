"""The waterfall as a figure, a table and a sentence, from made steps."""

import numpy as np
import pytest

from core.diagnosis.repairs import REPAIRS
from core.diagnosis.waterfall import Step
from core.diagnosis.waterfall_plots import (
    centring_text,
    ends_text,
    waterfall_figure,
    waterfall_table,
)
from core.measures.result import NOTHING
from core.palette import CONTROL, POLE_COLOURS
from core.statistics.bootstrap import Estimate


def made(values, test="gradient"):
    """Return a step per value, each with an interval of 0.1 around it."""
    steps, before = [], None
    for number, value in enumerate(values):
        change = NOTHING
        if before is not None:
            change = Estimate(value - before, value - before - 0.2, value - before + 0.2)
        figure = Estimate(value, value - 0.1, value + 0.1)
        layer = None if number == 0 else number
        steps.append(Step(test, f"step {number}", f"why {number}", layer, figure, change))
        before = value
    return steps


def test_bars_go_from_figure_to_figure_and_diamonds_hold_the_intervals():
    figure = waterfall_figure(made([0.4, 0.7, 0.6]))
    bars, points = figure.data
    assert list(bars.y) == list(points.y) == ["step 0", "step 1", "step 2"]
    base, change, value = (np.asarray(one, float) for one in (bars.base, bars.x, points.x))
    assert base == pytest.approx([0, 0.4, 0.7])
    assert base + change == pytest.approx([0.4, 0.7, 0.6])
    assert value == pytest.approx([0.4, 0.7, 0.6])
    for side in (points.error_x.array, points.error_x.arrayminus):
        assert np.asarray(side, float) == pytest.approx(0.1)
    up, down = POLE_COLOURS["virtue"], POLE_COLOURS["vice"]
    assert list(bars.marker.color) == [CONTROL, up, down]
    assert figure.layout.yaxis.autorange == "reversed"  # the paper's stands on top


def test_every_diamond_says_why_and_how_sure():
    points = waterfall_figure(made([0.4, -0.7])).data[1]
    assert [list(row) for row in points.customdata] == [
        ["why 0", "0.400 [0.300, 0.500]"],
        ["why 1", "−0.700 [−0.800, −0.600]"],
    ]


def test_more_steps_make_a_taller_figure():
    heights = [waterfall_figure(made([0.1] * n)).layout.height for n in (2, 3, 6)]
    assert heights == sorted(set(heights))


@pytest.mark.parametrize("values", [[np.nan, 0.2, 0.3], [0.1, np.nan, 0.3], [np.nan] * 3])
def test_a_figure_that_is_nothing_leaves_its_row_empty(values):
    figure = waterfall_figure(made(values))
    assert len(figure.data[0].y) == 3
    shown = np.asarray(figure.data[1].x, float)
    np.testing.assert_array_equal(np.isnan(shown), np.isnan(values))
    assert "NaN" not in figure.to_json()


def test_the_table_has_a_row_per_step_and_all_that_the_figure_shows():
    waterfall = {"gradient": made([0.4, 0.7]), "structural": made([np.nan, 0.1], "structural")}
    table = waterfall_table(waterfall)
    assert list(table.columns) == [
        "test",
        "step",
        "why",
        "layer",
        "figure",
        "low",
        "high",
        "change",
        "change_low",
        "change_high",
    ]
    assert table["test"].tolist() == ["gradient"] * 2 + ["structural"] * 2
    assert table["layer"].tolist() == ["each pole's highest", "1", "–", "1"]
    np.testing.assert_allclose(table["figure"], [0.4, 0.7, np.nan, 0.1])
    np.testing.assert_allclose(table["low"], [0.3, 0.6, np.nan, 0.0], atol=1e-12)
    np.testing.assert_allclose(table["change_high"], [np.nan, 0.5, np.nan, np.nan])


def test_the_ends_are_a_sentence():
    assert ends_text(made([0.4, 0.2, 0.7])) == (
        "0.400 [0.300, 0.500] by the paper's procedure; 0.700 [0.600, 0.800] after every repair."
    )
    assert ends_text(made([np.nan, 0.7])) == (
        "Not computable by the paper's procedure; 0.700 [0.600, 0.800] after every repair."
    )
    assert ends_text(made([0.4, np.nan])).endswith("; not computable after every repair.")


def test_a_figure_without_resamples_has_no_interval():
    step = made([0.4])[0]._replace(figure=Estimate(0.4, np.nan, np.nan))
    assert ends_text([step]).startswith("0.400 by")
    assert waterfall_figure([step]).data[1].customdata[0][1] == "0.400"


@pytest.mark.parametrize(("value", "told"), [(0.45, False), (0.2, True), (0.65, True)])
def test_a_figure_that_hangs_on_the_centring_is_told(value, told):
    steps = made([0.4, value, 0.3])  # the paper's figure is 0.4, half its interval 0.1
    steps[1] = steps[1]._replace(name=REPAIRS["texts"][0])
    text = centring_text(steps)
    assert bool(text) == told
    assert not told or ("0.100" in text and "massive coordinates" in text)
    assert centring_text(steps[:1]) == centring_text(made([0.4, 0.8])) == ""
    assert centring_text(made([np.nan, value])) == ""
