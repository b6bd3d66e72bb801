"""Figures of the comparison page, read as data."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from core.comparison.plots import (
    cka_heatmap,
    depth_figure,
    limits_of,
    look_of,
    overlap_figure,
    sides_figure,
    with_range,
)
from core.comparison.profiles import Profile
from core.comparison.sides import LETTERS, Side
from core.comparison.view import depth_curves
from core.measures.result import NOTHING
from core.palette import OWN, SIDE_COLOURS, SIDE_DASHES, SIDE_SYMBOLS
from core.statistics.bootstrap import Estimate


def drawable(figure):
    text = figure.to_json()
    json.loads(text)
    return "NaN" not in text


def test_each_side_has_a_colour_a_dash_and_a_shape_of_its_own():
    for looks in (SIDE_COLOURS, SIDE_DASHES, SIDE_SYMBOLS):
        assert len(set(looks)) == len(looks) == len(LETTERS)
    assert look_of("B") == {"color": SIDE_COLOURS[1], "dash": "dash", "symbol": "diamond"}


def test_sides_stand_under_each_other_a_on_top_and_missing_ones_are_left_out():
    figure = sides_figure([Estimate(0.1, 0.0, 0.2), NOTHING, Estimate(0.3, 0.25, 0.4)])
    assert [trace.name for trace in figure.data] == ["C", "A"]  # bottom to top
    top = figure.data[1]
    assert (top.x[0], top.error_x.array[0]) == (0.1, pytest.approx(0.1))
    assert drawable(figure)


def test_curves_of_all_sides_share_one_axis(study, make_diagnosis):
    curves = depth_curves([make_diagnosis(study), make_diagnosis(study, broken=(1,))], "gradient")
    figure = depth_figure("gradient", curves, [2 / 3, 2 / 3])
    lines = {trace.name: trace for trace in figure.data if trace.name in ("A", "B")}
    assert lines["A"].x[-1] == lines["B"].x[-1] == 1
    assert lines["B"].line.dash == "dash"
    assert len([trace for trace in figure.data if trace.fill == "toself"]) == 2
    (mark,) = figure.layout.shapes
    assert (mark.x0, mark.line.color) == (2 / 3, OWN)
    assert "B, layer 1" in lines["B"].text[2]
    assert "not computable" in lines["B"].text[2]


@pytest.fixture
def profile():
    cells = np.linspace(0, 1, 16).reshape(4, 4)
    cells[0] = np.nan
    overlap = np.tile([0.3, 0.2, 0.4], (4, 1))
    overlap[0] = np.nan
    return Profile(cells, cells, np.arange(4) - 1, overlap, overlap / 10)


def test_the_heat_map_frames_the_layers_that_are_shown(study, profile):
    figure = cka_heatmap(profile, Side(study, 2, "mean"), Side(study, 0, "mean"), "D")
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.y0) == (0.5, 2.5)
    assert "A layer 2, D layer 0" in figure.data[0].customdata[3][1]
    assert "CKA –" in figure.data[0].customdata[0][0]
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1)
    assert figure.layout.xaxis.title.text == "layer of D"


def test_shared_neighbours_are_drawn_where_they_are_known_over_chance(study, profile):
    figure = overlap_figure([profile, profile], Side(study, 1, "mean"), [2 / 3])
    lines = [trace for trace in figure.data if trace.name in ("B", "C")]
    assert [len(one.x) for one in lines] == [3, 3]
    assert lines[0].x[0] == pytest.approx(1 / 3)
    assert "texts paired at random 0.030 [0.020, 0.040]" in lines[0].text[0]
    assert drawable(figure)


def test_maps_get_one_scale_that_holds_all_points():
    points = [np.array([[0.0, 0], [1, 1]]), np.array([[-1.0, 3], [0, 0]])]
    limits = limits_of(points)
    assert limits[0] == (pytest.approx(-1.08), pytest.approx(1.08))
    assert limits[1][1] > 3
    figure = with_range(go.Figure(), limits)
    assert tuple(figure.layout.xaxis.range) == limits[0]
