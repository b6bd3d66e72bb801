"""Figures of the diagnosis, read as data: what is drawn, how it differs, what is missing."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.plots import (
    cosine_heatmap,
    curve_figure,
    forest_figure,
    pole_heatmap,
    with_legends,
    within_reach,
)
from core.diagnosis.verdicts import CONTROLS, scorecard
from core.diagnosis.view import cosine_grid, curve, pole_grid
from core.foundations import DIMENSIONS
from core.layers import EMBEDDING
from core.measures.result import ALL, NOTHING, TESTS, Measurement
from core.palette import CONTROL_COLOURS, CONTROL_DASHES, MODEL, OWN
from core.statistics.bootstrap import Estimate

CURVE_CONTROLS = ("words", "length", "sentence", "untrained")


@pytest.fixture
def both(study, make_diagnosis):
    return make_diagnosis(study), make_diagnosis(study, flat=True)


def named(figure, name):
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def drawable(figure):
    """Tell whether the figure goes through JSON without a NaN that browsers choke on."""
    text = figure.to_json()
    json.loads(text)
    return "NaN" not in text


def test_every_control_has_a_colour_and_a_dash_of_its_own():
    for look in (CONTROL_COLOURS, CONTROL_DASHES):
        assert set(look) == set(CONTROLS)
        assert len(set(look.values())) == len(look)
    assert MODEL not in CONTROL_COLOURS.values()


@pytest.mark.parametrize("test", TESTS)
def test_a_curve_shows_the_model_all_controls_and_the_chosen_layer(both, test):
    figure = curve_figure(curve(both[0], test, ALL, both[1]), 2)
    model = named(figure, "model")
    assert list(model.x) == [EMBEDDING, 0, 1, 2]
    assert list(model.customdata) == ["emb", "0", "1", "2"]
    assert model.line.color == MODEL
    for name in CURVE_CONTROLS:
        line = named(figure, CONTROLS[name]).line
        assert (line.color, line.dash) == (CONTROL_COLOURS[name], CONTROL_DASHES[name])
    assert list(named(figure, "chosen on the other half of the texts").x) == [1]
    assert named(figure, "highest of all layers by chance").y[0] < 0.1
    assert len([trace for trace in figure.data if trace.fill == "toself"]) == 2
    (line,) = figure.layout.shapes
    assert (line.x0, line.x1, line.line.color) == (2, 2, OWN)
    assert drawable(figure)


def test_a_point_tells_value_interval_controls_and_verdict(both):
    figure = curve_figure(curve(both[0], "gradient", ALL, both[1]), 0)
    told = named(figure, "model").text[2]
    for words in ("layer 1: 0.60 [0.55, 0.65]", "shuffled labels", "word counts", "untrained"):
        assert words in told
    assert "structure beyond all controls" in told
    assert "embedding: 0.04" in named(figure, "model").text[0]


def test_only_the_model_answers_the_mouse(both):
    figure = curve_figure(curve(both[0], "gradient", ALL, both[1]), 0)
    answering = [trace.name for trace in figure.data if trace.hoverinfo != "skip"]
    assert answering == ["model"]
    assert named(figure, "model").unselected.marker.opacity == 1


def test_a_layer_without_a_figure_interrupts_the_ribbons_and_nothing_else(study, make_diagnosis):
    broken = make_diagnosis(study, broken=(0,))
    figure = curve_figure(curve(broken, "categorical", ALL), 0)
    ribbons = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(ribbons) == 4  # before and behind the gap
    assert all(0 not in trace.x for trace in ribbons)
    assert "untrained" not in {trace.name for trace in figure.data}
    assert "not computable" in named(figure, "model").text[1]
    assert drawable(figure)


def test_a_test_that_no_layer_can_compute_is_an_empty_chart(study, make_diagnosis):
    nothing = make_diagnosis(study, broken=(-1, 0, 1, 2))
    figure = curve_figure(curve(nothing, "categorical", ALL), EMBEDDING)
    assert not [trace for trace in figure.data if trace.fill == "toself"]
    assert drawable(figure)


def test_a_part_is_named_in_the_title(both):
    figure = curve_figure(curve(both[0], "categorical", "care-harm"), 0)
    assert "care – harm" in figure.layout.title.text
    assert (
        "care" not in curve_figure(curve(both[0], "structural", "care-harm"), 0).layout.title.text
    )


def test_charts_side_by_side_are_named_alike(both):
    some = curve_figure(curve(both[0], "categorical", "care-harm"), 0, named=True)
    whole = curve_figure(curve(both[0], "structural", "care-harm"), 0, named=True)
    assert whole.layout.title.text.endswith("everything together")
    assert (some.layout.height, some.layout.margin) == (whole.layout.height, whole.layout.margin)


def test_a_step_far_below_is_told_at_the_edge_and_squeezes_nothing():
    rows = [
        ("paper", Estimate(-3.2, -4.3, -2.7)),
        ("lost", NOTHING),
        ("repaired", Estimate(0.1, 0.05, 0.2)),
    ]
    plain = go.Figure(go.Scatter(x=[-3.2, None, 0.1], y=[name for name, _ in rows]))
    figure = within_reach(plain, rows)
    told = {one.y: one.text for one in figure.layout.annotations}
    assert set(told) == {"paper", "lost"}
    assert "−3.20 [−4.30, −2.70]" in told["paper"]
    assert told["lost"] == "not computable"
    assert figure.layout.xaxis.range[0] == -1
    assert figure.layout.xaxis.range[1] > 0.2
    assert not plain.layout.annotations
    assert within_reach(plain, rows[2:]).layout.xaxis.range is None
    assert drawable(figure)


def test_many_layers_get_few_ticks(both):
    found = curve(both[0], "gradient", ALL)
    many = found._replace(
        points=[found.points[0]._replace(layer=layer) for layer in range(-1, 36)], chosen=None
    )
    ticks = curve_figure(many, 0).layout.xaxis
    assert ticks.ticktext[0] == "emb"
    assert 8 <= len(ticks.tickvals) <= 14


def test_a_strip_has_a_row_for_all_that_must_be_exceeded(both):
    score = next(one for one in scorecard(*both) if one.test == "gradient")
    figure = forest_figure(score)
    rows = [trace.y[0] for trace in figure.data][::-1]
    assert rows == [
        "<b>model</b>",
        "shuffled labels",
        "word counts",
        "sentence length",
        "sentence embedding",
        "embedding layer",
        "untrained copy",
    ]
    assert figure.data[-1].error_x.array[0] == pytest.approx(0.05)
    (band,) = figure.layout.shapes
    assert (band.x0, band.x1) == (-0.03, 0.03)
    assert drawable(figure)


def test_a_strip_leaves_out_what_has_no_figure(both):
    score = scorecard(*both)[0]
    bare = type(score)(
        score.test,
        score.layer,
        score.figure._replace(shuffled=NOTHING),
        {"words": NOTHING},
        NOTHING,
        score.verdict,
    )
    figure = forest_figure(bare)
    assert len(figure.data) == 1
    assert not figure.layout.shapes
    assert drawable(figure)


def made_poles(**values):
    """Return a grid with some figures of care; everything else cannot be computed."""
    empty = pole_grid(LayerDiagnosis({}, {}, {}))
    for title, value in values.items():
        empty[title][0] = Measurement(
            "dimensional", title, "care", 9, Estimate(value, value - 0.1, value + 0.1), NOTHING
        )
    return empty


def test_the_grid_of_poles_is_coloured_from_chance_to_the_best_possible():
    figure = pole_heatmap(made_poles(AUROC=0.75, typicality=0.5))
    cells = figure.data[-1]
    columns = list(cells.x)
    assert list(cells.y) == list(DIMENSIONS)
    assert cells.z[0][columns.index("AUROC")] == pytest.approx(0.5)  # half way from .5 to 1
    assert cells.z[0][columns.index("typicality")] == pytest.approx(0.5)
    assert cells.text[0][columns.index("AUROC")] == ".75"
    assert (cells.zmin, cells.zmax) == (-1, 1)


def test_cells_that_cannot_be_computed_are_seen_as_such():
    figure = pole_heatmap(made_poles(AUROC=0.75))
    missing = figure.data[0]
    assert np.isfinite(np.array(missing.z, float)).sum() == 59
    assert missing.text[0][0] == "–"
    assert "not computable" in missing.customdata[0][0]
    assert drawable(figure)


def test_opposed_pairs_are_framed_and_every_cosine_is_written():
    grid = np.zeros((10, 10, 3))
    grid[:] = np.array([0.25, 0.15, 0.35])
    figure = cosine_heatmap(grid)
    assert len(figure.layout.shapes) == 5
    assert figure.layout.shapes[1].x0 == figure.layout.shapes[1].y0 == 1.5
    assert len(figure.data) == 1
    assert {cell for row in figure.data[0].text for cell in row} == {".25"}
    assert "care and harm: 0.25 [0.15, 0.35]" in figure.data[0].customdata[0][1]


def test_no_centres_at_all_are_an_empty_grid():
    figure = cosine_heatmap(cosine_grid(LayerDiagnosis({}, {}, {})))
    assert {cell for row in figure.data[0].text for cell in row} == {"–"}
    assert drawable(figure)


def test_a_file_explains_its_lines_and_the_page_keeps_its_own(both):
    figure = curve_figure(curve(both[0], "gradient", ALL), 0)
    (copy,) = with_legends([figure])
    assert copy.layout.showlegend
    assert not figure.layout.showlegend
