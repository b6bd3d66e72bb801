"""Maps as they stand in files: lines and arrows on them, title, legend and source around them."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from core.foundations import FOUNDATIONS
from core.maps.files import Caption, captioned, with_drawn
from core.maps.scene import Arrows, Line
from core.maps.view import Colouring
from core.palette import FOUNDATION_COLOURS, POLE_COLOURS

SAID = Caption(
    "Layer 9", "UMAP of states", "1,640 actions · Everyday, licence: as the project. " * 4
)


def test_arrows_lead_from_start_to_end_and_those_without_an_end_are_left_out():
    start, end = np.array([[0.0, 1], [2, 3], [9, 9]]), np.array([[4.0, 5], [6, 7], [9, np.nan]])
    figure = with_drawn(go.Figure(), [], [Arrows(start, end, "#123456")])
    ways, tips = figure.data
    assert (list(ways.x), list(ways.y)) == ([0, 4, None, 2, 6, None], [1, 5, None, 3, 7, None])
    assert (list(tips.x), list(tips.y)) == ([4, 6], [5, 7])
    trails = with_drawn(go.Figure(), [], [Arrows(start, end, "#123456", heads=False)])
    assert len(trails.data) == 1


def test_a_line_says_at_its_middle_which_it_is():
    line = Line(np.array([[0.0, 0], [1, 1], [2, 4]]), "#123456", label=".5")
    (drawn,) = with_drawn(go.Figure(), [line], []).data
    assert list(drawn.text) == ["", ".5", ""]
    assert drawn.line.color == "#123456"


@pytest.mark.parametrize("trace", [go.Scatter3d(x=[0], y=[0], z=[0]), go.Scatter(x=[0], y=[0])])
def test_title_legend_and_source_stand_around_a_map(trace):
    figure = go.Figure(trace, layout={"height": 500, "margin": {"t": 8, "b": 8}})
    colours = Colouring("Foundation", np.array(FOUNDATIONS), dict(FOUNDATION_COLOURS))
    made = captioned(figure, colours, SAID)
    assert made.layout.title.text == "Layer 9"
    assert made.layout.title.subtitle.text == "UMAP of states"
    assert made.layout.annotations[0].text.replace("<br>", " ") == SAID.source.strip()
    shown = [one for one in made.data if one.showlegend]
    assert [one.name for one in shown[-3:]] == ["virtue", "vice", "neutral"]
    assert shown[0].marker.color == FOUNDATION_COLOURS[FOUNDATIONS[0]]
    assert {type(one) for one in shown} == {type(trace)}  # no second pair of axes
    assert made.layout.height - made.layout.margin.t - made.layout.margin.b >= 500 - 16
    json.loads(made.to_json())


def test_where_poles_are_what_is_coloured_the_legend_names_them_once():
    colours = Colouring("Pole", np.array(["virtue"]), dict(POLE_COLOURS))
    made = captioned(go.Figure(layout={"height": 500}), colours, SAID)
    assert [one.name for one in made.data] == ["virtue", "vice", "neutral"]
    assert made.data[1].marker.color == POLE_COLOURS["vice"]
