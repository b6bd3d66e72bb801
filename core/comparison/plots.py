"""Sides beside each other as figures: their four tests, curves on one depth axis, CKA, neighbours.

Sides are told apart by letter, colour, dash and shape; page and table name them.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.charts import lay_out_rows, ribbon
from core.comparison.profiles import Profile
from core.comparison.sides import LETTERS, Side
from core.comparison.view import DepthCurve
from core.diagnosis.plots import TITLES
from core.layers import EMBEDDING, layer_name
from core.measures.result import Test
from core.palette import CHANCE, OWN, SEQUENTIAL, SIDE_COLOURS, SIDE_DASHES, SIDE_SYMBOLS
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

_SMALL: Final[dict[str, Any]] = {"l": 4, "r": 10, "t": 4, "b": 22}
_CHART: Final[dict[str, Any]] = {"l": 8, "r": 8, "t": 34, "b": 8}


def look_of(letter: str) -> dict[str, str]:
    """Return a side's colour, dash and shape."""
    place = LETTERS.index(letter)
    return {
        "color": SIDE_COLOURS[place],
        "dash": SIDE_DASHES[place],
        "symbol": SIDE_SYMBOLS[place],
    }


def sides_figure(figures: Sequence[Estimate]) -> go.Figure:
    """Draw one test of all sides, a row each, A on top.

    Args:
        figures: The headline of each side with its 95 % interval; NaN ones are left out.
    """
    figure = go.Figure()
    for letter, side in reversed(list(zip(LETTERS, figures, strict=False))):
        if np.isnan(side.value):
            continue
        look = look_of(letter)
        figure.add_trace(
            go.Scatter(
                x=[side.value],
                y=[f"<b>{letter}</b>"],
                mode="markers",
                name=letter,
                marker={"color": look["color"], "size": 10, "symbol": look["symbol"]},
                error_x={
                    "array": [side.high - side.value],
                    "arrayminus": [side.value - side.low],
                    "color": look["color"],
                    "thickness": 2.5,
                    "width": 0,
                },
                hovertemplate=f"{letter}: {interval(side)}<extra></extra>",
            )
        )
    return lay_out_rows(figure, 40 + 24 * len(figures), _SMALL)


# --- over depth ---


def depth_figure(test: Test, curves: Sequence[DepthCurve], shown: Sequence[float]) -> go.Figure:
    """Draw one test of all sides on one depth axis with 95 % intervals.

    Args:
        test: Which test.
        curves: One per side.
        shown: Depth of the layer of each side that maps and items show.
    """
    figure = go.Figure()
    for curve in curves:
        known = [row for row, one in enumerate(curve.figures) if not np.isnan(one.low)]
        _ribbon(
            figure,
            [curve.depth[row] for row in known],
            np.array([curve.figures[row] for row in known]).reshape(-1, 3),
            look_of(curve.letter)["color"],
        )
    for curve in curves:
        look = look_of(curve.letter)
        figure.add_trace(
            go.Scatter(
                x=curve.depth,
                y=[one.value for one in curve.figures],
                mode="lines+markers",
                name=curve.letter,
                line={"color": look["color"], "dash": look["dash"], "width": 2.2},
                marker={"color": look["color"], "symbol": look["symbol"], "size": 6},
                text=[
                    f"<b>{curve.letter}, {layer_name(layer, long=True)}</b>: {interval(one)}"
                    for layer, one in zip(curve.layers, curve.figures, strict=True)
                ],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    for depth in sorted(set(shown)):
        figure.add_vline(x=depth, line={"color": OWN, "width": 1.2}, layer="below")
    _depth_frame(figure, TITLES[test])
    return figure


def overlap_figure(
    profiles: Sequence[Profile], first: Side, shown: Sequence[float] = ()
) -> go.Figure:
    """Draw which share of neighbours each side has in common with A at equal depth.

    Args:
        profiles: Of each side but the first.
        first: The first side.
        shown: Depth of the first side's layer.
    """
    figure = go.Figure()
    layers = list(first.study.plan.layers)
    depth = [(layer - EMBEDDING) / first.study.plan.n_layers for layer in layers]
    for letter, profile in zip(LETTERS[1:], profiles, strict=False):
        look = look_of(letter)
        known = np.isfinite(profile.overlap[:, 0])
        at = [depth[row] for row in np.flatnonzero(known)]
        _ribbon(figure, at, profile.chance[known], None)
        _ribbon(figure, at, profile.overlap[known], look["color"])
        figure.add_trace(
            go.Scatter(
                x=at,
                y=profile.overlap[known, 0],
                mode="lines+markers",
                name=letter,
                line={"color": look["color"], "dash": look["dash"], "width": 2.2},
                marker={"color": look["color"], "symbol": look["symbol"], "size": 6},
                text=[
                    f"<b>A {layer_name(layers[row], long=True)}, {letter} "
                    f"{layer_name(int(profile.partner[row]), long=True)}"
                    f"</b>: {interval(Estimate(*profile.overlap[row]))}<br>texts paired at random "
                    f"{interval(Estimate(*profile.chance[row]))}"
                    for row in np.flatnonzero(known)
                ],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    for place in shown:
        figure.add_vline(x=place, line={"color": OWN, "width": 1.2}, layer="below")
    _depth_frame(figure, "Shared nearest neighbours (0 to 1)")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(height=390)
    return figure


def _ribbon(
    figure: go.Figure, at: Sequence[float], band: NDArray[np.floating], colour: str | None
) -> None:
    if len(at):
        filling = CHANCE if colour is None else _faint(colour)
        figure.add_trace(ribbon(at, band[:, 1].tolist(), band[:, 2].tolist(), filling))


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"


def _depth_frame(figure: go.Figure, title: str) -> None:
    figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "y": 0.97},
        height=270,
        margin=_CHART,
        showlegend=False,
        hovermode="x",
        dragmode=False,
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(
        tickvals=[0, 0.25, 0.5, 0.75, 1],
        ticktext=["embedding", "¼", "½", "¾", "last"],
        range=[-0.03, 1.03],
        tickangle=0,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        automargin=True,
    )
    figure.update_yaxes(zeroline=True, zerolinewidth=1, fixedrange=True, automargin=True, nticks=6)


# --- all pairs of layers ---


def cka_heatmap(profile: Profile, first: Side, second: Side, letter: str = "B") -> go.Figure:
    """Draw debiased CKA of all pairs of layers; the pair that is shown is framed.

    Args:
        profile: Of the second side.
        first: The first side: rows.
        second: The second side: columns.
        letter: Letter of the second side.
    """
    rows = [layer_name(layer) for layer in first.study.plan.layers]
    columns = [layer_name(layer) for layer in second.study.plan.layers]
    hover = [
        [
            f"A {layer_name(i + EMBEDDING, long=True)}, "
            f"{letter} {layer_name(j + EMBEDDING, long=True)}: "
            f"CKA {number(profile.debiased[i, j])} (not debiased {number(profile.plain[i, j])})"
            for j in range(len(columns))
        ]
        for i in range(len(rows))
    ]
    figure = go.Figure(
        go.Heatmap(
            z=profile.debiased,
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            colorbar={"title": {"text": "CKA", "side": "right"}, "thickness": 10, "len": 0.9},
            customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
        )
    )
    x, y = second.layer - EMBEDDING, first.layer - EMBEDDING
    figure.add_shape(
        type="rect",
        x0=x - 0.5,
        x1=x + 0.5,
        y0=y - 0.5,
        y1=y + 0.5,
        line={"color": OWN, "width": 2.5},
    )
    figure.update_layout(height=390, margin=_CHART | {"t": 12}, dragmode=False)
    figure.update_xaxes(title=f"layer of {letter}", **_ticks(columns))
    figure.update_yaxes(title="layer of A", **_ticks(rows))
    return figure


def _ticks(names: Sequence[str]) -> dict[str, Any]:
    step = max(1, (len(names) - 1) // 6)
    places = [0, *[place for place in range(1, len(names)) if (place - 1) % step == 0]]
    if step > 1 and 1 in places:
        places.remove(1)  # no room beside "emb"
    return {
        "tickvals": places,
        "ticktext": [names[place] for place in places],
        "fixedrange": True,
        "ticks": "",
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
    }


# --- maps ---


def with_range(figure: go.Figure, limits: Sequence[tuple[float, float]]) -> go.Figure:
    """Return a flat map on given axes, so that maps beside each other have one scale.

    Args:
        figure: A map.
        limits: Ends of the horizontal and the vertical axis.
    """
    figure.update_xaxes(range=list(limits[0]))
    figure.update_yaxes(range=list(limits[1]))
    return figure


def limits_of(points: Sequence[NDArray[np.floating]]) -> list[tuple[float, float]]:
    """Return axes that hold all maps, with a margin."""
    everything = np.vstack(points)
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.04 * (high - low)
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]
