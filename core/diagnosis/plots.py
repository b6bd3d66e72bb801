"""The four tests as figures: strips for the scorecard, curves over layers, grids of one layer."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts import lay_out_rows, ribbon
from core.diagnosis.verdicts import CONTROLS, Score, short_name
from core.diagnosis.view import Curve
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import layer_name
from core.measures.result import ALL, Measurement, Test
from core.palette import (
    CHANCE,
    CONTROL,
    CONTROL_COLOURS,
    CONTROL_DASHES,
    DIVERGING,
    EMPTY,
    IN_CELLS,
    MODEL,
    OWN,
)
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

#: Titles of the curves, with the figure's range.
TITLES: Final[dict[Test, str]] = {
    "categorical": "Excess opposition of virtue and vice (0 to 2)",
    "gradient": "Typicality: rank correlation (−1 to 1)",
    "structural": "Clusters against 15 classes: ARI (at most 1)",
    "dimensional": "Linear probe: R² on unseen texts (at most 1)",
}
#: Columns of the grid of poles whose chance level is not 0.
_MIDDLE: Final = {"AUROC": 0.5}
#: Where the axis of a waterfall ends: a figure far below would squeeze all others.
_FLOOR: Final = -1.0
#: A label on a bar, readable on either ground.
_LABEL: Final[dict[str, Any]] = {"font": {"color": "#fff"}, "bgcolor": "#555", "borderpad": 2}
_RIBBON: Final = "rgba(47,111,222,0.22)"
_SCALE: Final = [list(stop) for stop in DIVERGING]


# --- scorecard ---


def forest_figure(score: Score) -> go.Figure:
    """Draw a test's figure above everything that it must exceed, one row each.

    Rows without a figure are left out; the band of shuffled labels runs through all rows.
    """
    rows = [("model", score.figure.observed, MODEL)]
    rows += [
        (short_name(name), side, CONTROL_COLOURS[name])
        for name, side in score.controls.items()
        if not np.isnan(side.value)
    ]
    figure = go.Figure()
    shuffled = score.figure.shuffled
    if not np.isnan(shuffled.high):
        figure.add_vrect(
            x0=shuffled.low, x1=shuffled.high, fillcolor=CHANCE, line_width=0, layer="below"
        )
        rows.insert(1, ("shuffled labels", shuffled, CONTROL))
    for name, side, colour in reversed(rows):
        figure.add_trace(_forest_row(name, side, colour))
    return lay_out_rows(figure, 54 + 23 * len(rows), {"l": 4, "r": 10, "t": 4, "b": 22})


def _forest_row(name: str, side: Estimate, colour: str) -> go.Scatter:
    model = name == "model"
    return go.Scatter(
        x=[side.value],
        y=[f"<b>{name}</b>" if model else name],
        mode="markers",
        name=name,
        marker={
            "color": colour,
            "size": 11 if model else 8,
            "symbol": "circle" if model else "diamond",
        },
        error_x={
            "array": [side.high - side.value],
            "arrayminus": [side.value - side.low],
            "color": colour,
            "thickness": 3 if model else 1.5,
            "width": 0 if model else 3,
        },
        hovertemplate=f"{name}: {interval(side)}<extra></extra>",
    )


# --- curves ---


def curve_figure(curve: Curve, layer: int, *, named: bool = False) -> go.Figure:
    """Draw one test over the layers; each point of the model carries its layer as customdata.

    Args:
        curve: The test.
        layer: The present layer; a vertical line marks it.
        named: Name what is drawn even if it is everything together, as the charts beside it do.
    """
    figure = go.Figure()
    at = [point.layer for point in curve.points]
    for trace in _ribbon(at, [point.shuffled for point in curve.points], CHANCE, "shuffled labels"):
        figure.add_trace(trace)
    for trace in _ribbon(at, [point.observed for point in curve.points], _RIBBON, "interval"):
        figure.add_trace(trace)
    for name in ("words", "length", "sentence", "untrained"):
        values = [
            point.controls[name].value if name in point.controls else np.nan
            for point in curve.points
        ]
        if np.isfinite(values).any():
            figure.add_trace(_control(at, values, name))
    if not np.isnan(curve.highest):
        figure.add_trace(_highest(at, curve.highest))
    figure.add_trace(_model(curve))
    if curve.chosen is not None:
        figure.add_trace(_chosen(curve))
    figure.add_vline(x=layer, line={"color": OWN, "width": 1.5}, layer="below")
    _curve_frame(figure, curve, named=named or curve.part != ALL)
    return figure


def _ribbon(
    at: Sequence[int], band: Sequence[Estimate], colour: str, name: str
) -> Iterator[go.Scatter]:
    """Yield a filled outline for each run of layers that has a band."""
    known = [not np.isnan([one.low, one.high]).any() for one in band]
    for there, run in groupby(range(len(at)), key=known.__getitem__):
        rows = list(run)
        if there:
            low, high = ([getattr(band[row], end) for row in rows] for end in ("low", "high"))
            yield ribbon([at[row] for row in rows], low, high, colour, name)


def _control(at: Sequence[int], values: Sequence[float], name: str) -> go.Scatter:
    return go.Scatter(
        x=at,
        y=values,
        mode="lines",
        name=CONTROLS[name],
        line={"color": CONTROL_COLOURS[name], "dash": CONTROL_DASHES[name], "width": 1.8},
        hoverinfo="skip",
    )


def _highest(at: Sequence[int], value: float) -> go.Scatter:
    return go.Scatter(
        x=[at[0], at[-1]],
        y=[value, value],
        mode="lines",
        name="highest of all layers by chance",
        line={"color": CONTROL, "width": 1},
        hoverinfo="skip",
    )


def _model(curve: Curve) -> go.Scatter:
    return go.Scatter(
        x=[point.layer for point in curve.points],
        y=[point.observed.value for point in curve.points],
        mode="lines+markers",
        name="model",
        line={"color": MODEL, "width": 2.5},
        marker={"color": MODEL, "size": 7},
        customdata=[layer_name(point.layer) for point in curve.points],
        text=[_hover(curve, row) for row in range(len(curve.points))],
        hovertemplate="%{text}<extra></extra>",
        # A click chooses a layer; it must not pale the other points.
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def _hover(curve: Curve, row: int) -> str:
    point = curve.points[row]
    lines = [
        f"<b>{layer_name(point.layer, long=True)}: {interval(point.observed)}</b>",
        f"shuffled labels {interval(point.shuffled)}",
        *(f"{CONTROLS[name]} {interval(side)}" for name, side in point.controls.items()),
        f"<i>{point.verdict}</i>",
    ]
    return "<br>".join(lines)


def _chosen(curve: Curve) -> go.Scatter:
    (point,) = [one for one in curve.points if one.layer == curve.chosen]
    return go.Scatter(
        x=[point.layer],
        y=[point.observed.value],
        mode="markers",
        name="chosen on the other half of the texts",
        marker={"symbol": "star", "size": 17, "color": MODEL, "line": {"width": 1}},
        hoverinfo="skip",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def _curve_frame(figure: go.Figure, curve: Curve, *, named: bool) -> None:
    part = "everything together" if curve.part == ALL else curve.part.replace("-", " – ")
    of = f"<br>{part}" if named else ""  # a line of its own: a phone is narrow
    layers = [point.layer for point in curve.points]
    step = max(1, (len(layers) - 1) // 9)
    # Beside "emb" there is no room for 0 where not every layer has a tick.
    ticks = [layers[0], *[one for one in layers[1 if step == 1 else 2 :] if one % step == 0]]
    figure.update_layout(
        title={"text": TITLES[curve.test] + of, "font": {"size": 14}, "x": 0, "y": 0.97},
        height=290 if named else 270,
        margin={"l": 8, "r": 8, "t": 54 if named else 34, "b": 8},
        showlegend=False,
        hovermode="x",
        clickmode="event+select",
        dragmode=False,
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(
        tickvals=ticks,
        ticktext=[layer_name(one) for one in ticks],
        tickangle=0,
        range=[layers[0] - 0.4, layers[-1] + 0.4],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
    )
    figure.update_yaxes(zeroline=True, zerolinewidth=1, fixedrange=True, automargin=True, nticks=6)


# --- one layer ---


def pole_heatmap(grid: Mapping[str, Sequence[Measurement]]) -> go.Figure:
    """Draw the figures of the ten poles: 0 or chance is the middle of the scale, 1 its end.

    Args:
        grid: As ``view.pole_grid`` returns it. Where nothing can be computed, the cell is
            empty and says so.
    """
    columns = list(grid)
    values = np.array([[one.observed.value for one in grid[name]] for name in columns]).T
    middle = np.array([_MIDDLE.get(name, 0.0) for name in columns])
    text = [[_cell(value) for value in row] for row in values]
    hover = [
        [
            f"{columns[j]} of {DIMENSIONS[i]}: {_beside(grid[columns[j]][i])}"
            for j in range(len(columns))
        ]
        for i in range(len(DIMENSIONS))
    ]
    return _heatmap((values - middle) / (1 - middle), columns, text, hover, height=390)


def _beside(figure: Measurement) -> str:
    shuffled = figure.shuffled
    chance = "" if np.isnan(shuffled.high) else f"<br>shuffled labels {interval(shuffled)}"
    return f"{interval(figure.observed)}{chance}<br>{figure.n:,} rows or texts"


def cosine_heatmap(cosine: NDArray[np.floating]) -> go.Figure:
    """Draw the cosines of the ten centres; the opposed pairs are framed.

    Args:
        cosine: As ``view.cosine_grid`` returns it, shape ``(10, 10, 3)``.
    """
    values = cosine[:, :, 0]
    text = [[_cell(value) for value in row] for row in values]
    hover = [
        [
            f"{DIMENSIONS[i]} and {DIMENSIONS[j]}: {interval(Estimate(*cosine[i, j]))}"
            for j in range(len(DIMENSIONS))
        ]
        for i in range(len(DIMENSIONS))
    ]
    figure = _heatmap(values, list(DIMENSIONS), text, hover, height=430)
    for pair in range(len(FOUNDATIONS)):
        start = 2 * pair - 0.5
        figure.add_shape(
            type="rect",
            x0=start,
            x1=start + 2,
            y0=start,
            y1=start + 2,
            line={"color": OWN, "width": 2},
        )
    return figure


def _cell(value: float) -> str:
    """Return a figure as short as a narrow cell needs it."""
    return number(value).replace("0.", ".")


def _heatmap(
    colour: NDArray[np.floating],
    columns: list[str],
    text: list[list[str]],
    hover: list[list[str]],
    *,
    height: int,
) -> go.Figure:
    figure = go.Figure()
    common: dict[str, Any] = {
        "x": columns,
        "y": list(DIMENSIONS),
        "customdata": hover,
        "hovertemplate": "%{customdata}<extra></extra>",
        "texttemplate": "%{text}",
        "textfont": {"color": IN_CELLS},
        "xgap": 2,
        "ygap": 2,
        "showscale": False,
    }
    missing = np.where(np.isnan(colour), 0.0, np.nan)
    if np.isnan(colour).any():
        figure.add_trace(
            go.Heatmap(
                z=missing,
                colorscale=[[0, EMPTY], [1, EMPTY]],
                text=[["–"] * len(columns)] * len(DIMENSIONS),
                **common,
            )
        )
    figure.add_trace(
        go.Heatmap(
            z=colour,
            zmin=-1,
            zmax=1,
            colorscale=_SCALE,
            text=text,
            **common,
        )
    )
    figure.update_layout(height=height, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    figure.update_yaxes(autorange="reversed", fixedrange=True, ticks="", automargin=True)
    figure.update_xaxes(side="top", fixedrange=True, ticks="", type="category", automargin=True)
    return figure


# --- waterfall ---


def within_reach(figure: go.Figure, rows: Sequence[tuple[str, Estimate]]) -> go.Figure:
    """Return a copy of a waterfall whose axis goes no further down than −1.

    A step that lies further down, or is not there, is told in words in its row.

    Args:
        figure: Steps as rows.
        rows: Each step's name and figure.
    """
    figure = go.Figure(figure)
    far = [side.value for _, side in rows if side.value < _FLOOR]
    for name, side in rows:
        if np.isnan(side.value) or side.value < _FLOOR:
            known = not np.isnan(side.value)
            figure.add_annotation(
                text=f"◀ {interval(side)}" if known else "not computable",
                x=0 if known else 0.5,
                xref="x domain",
                y=name,
                xanchor="left" if known else "center",  # the line of 0 is at one of the edges
                showarrow=False,
                **(_LABEL if known else {}),
            )
    if far:
        ends = [max(side.value, side.high) for _, side in rows if not np.isnan(side.high)]
        figure.update_xaxes(range=[_FLOOR, max(0.0, *ends) + 0.06])
    return figure


def with_legends(figures: Sequence[go.Figure]) -> list[go.Figure]:
    """Return copies that explain their lines, for a file where the page's legend is missing."""
    return [
        go.Figure(figure).update_layout(
            showlegend=True, height=420, legend={"orientation": "h", "y": -0.15}
        )
        for figure in figures
    ]
