"""Plotly figures from finished results. Nothing is computed here and nothing is shown."""

from textwrap import shorten, wrap
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.foundations import DIMENSIONS, FOUNDATIONS, POLES
from core.maps.view import Colouring, Picture
from core.palette import (
    CONTROL,
    COUNTS,
    DIVERGING,
    FADED,
    FOUNDATION_COLOURS,
    IN_CELLS,
    OWN,
    POLE_SYMBOLS,
    SEQUENTIAL,
)
from core.statistics.bootstrap import Estimate

MAP_HEIGHT: Final = 520
#: Characters of an action that a hover shows; the table has all.
HOVERED: Final = 240


def hover_texts(table: pd.DataFrame) -> list[str]:
    """Return what is read on a point: the action, wrapped, and its labels."""
    rows = zip(table["text"], table["foundation"], table["pole"], table["grade"], strict=True)
    return [
        f"<b>{'<br>'.join(map(_safe, wrap(shorten(text, HOVERED, placeholder=' …'), 46)))}</b>"
        f"<br>{foundation} · {pole}" + (f" · grade {grade:g}" if pole != "neutral" else "")
        for text, foundation, pole, grade in rows
    ]


def _safe(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def map_figure(
    picture: Picture,
    colours: Colouring,
    poles: NDArray[np.str_],
    hover: list[str],
    *,
    chosen: NDArray[np.bool_] | None = None,
    marked: NDArray[np.bool_] | None = None,
    own: NDArray[np.floating] | None = None,
    scale: bool = True,
    name: str = "map",
) -> go.Figure:
    """Draw one map.

    Args:
        picture: Where the items lie.
        colours: What colours them.
        poles: Pole of each item: its marker shape.
        hover: What is read on each item.
        chosen: Items of the selection; the rest turns grey. None or all False: no selection.
        marked: Items to ring, such as the matches of a search.
        own: Place of a sentence of one's own, shape ``(dims,)``.
        scale: Show the colour scale of a numeric colouring.
        name: Identity of the view: zoom and camera stay while it does.
    """
    figure = go.Figure()
    everything = np.ones(len(poles), bool)
    lit = chosen if chosen is not None and chosen.any() else everything
    if not lit.all():
        _scatter(figure, picture, ~lit, poles, hover, color=FADED, size=6)
    if colours.categories is not None:
        for category, colour in colours.categories.items():
            of_it = lit & (colours.data == category)
            _scatter(figure, picture, of_it, poles, hover, color=colour, name=category)
    else:
        _numbers(figure, picture, colours, lit, poles, hover, scale=scale)
    if marked is not None and marked.any():
        _ring(figure, picture, marked)
    if own is not None:
        _star(figure, own)
    _frame(figure, picture, name)
    return figure


def _numbers(
    figure: go.Figure,
    picture: Picture,
    colours: Colouring,
    lit: NDArray[np.bool_],
    poles: NDArray[np.str_],
    hover: list[str],
    *,
    scale: bool,
) -> None:
    """Draw points coloured by a number; points without one are grey."""
    known = lit & ~np.isnan(colours.data)
    _scatter(figure, picture, lit & ~known, poles, hover, color=colours.rest, size=6)
    bar = {"title": {"text": colours.title, "side": "right"}, "thickness": 10, "len": 0.8}
    stops: Any = [list(stop) for stop in DIVERGING] if colours.diverging else SEQUENTIAL
    _scatter(
        figure,
        picture,
        known,
        poles,
        hover,
        color=colours.data[known],
        colorscale=stops,
        cmin=colours.span[0],
        cmax=colours.span[1],
        colorbar=bar,
        showscale=scale,
    )


def _scatter(
    figure: go.Figure,
    picture: Picture,
    rows: NDArray[np.bool_],
    poles: NDArray[np.str_],
    hover: list[str],
    *,
    name: str = "",
    size: int = 8,
    **marker: Any,
) -> None:
    """Add the chosen rows; their row numbers travel as customdata, so a selection finds them."""
    numbers = np.flatnonzero(rows)
    if not len(numbers):
        return
    flat = picture.points.shape[1] == 2
    places = {
        axis: picture.points[numbers, column] for column, axis in enumerate("xyz"[: 2 + (not flat)])
    }
    symbols = [POLE_SYMBOLS[pole] for pole in poles[numbers]]
    trace = go.Scattergl if flat else go.Scatter3d
    figure.add_trace(
        trace(
            **places,
            mode="markers",
            name=name,
            customdata=numbers,
            text=[hover[row] for row in numbers],
            hovertemplate="%{text}<extra></extra>",
            marker={
                "symbol": symbols,
                "size": size if flat else size * 0.35,
                "opacity": 0.8,
                **marker,
            },
            showlegend=False,
        )
    )


def _ring(figure: go.Figure, picture: Picture, rows: NDArray[np.bool_]) -> None:
    flat = picture.points.shape[1] == 2
    places = {axis: picture.points[rows, column] for column, axis in enumerate("xyz"[: 3 - flat])}
    figure.add_trace(
        (go.Scattergl if flat else go.Scatter3d)(
            **places,
            mode="markers",
            hoverinfo="skip",
            showlegend=False,
            marker={
                "symbol": "circle-open",
                "size": 15 if flat else 8,
                "line": {"width": 2},
                "color": OWN,
            },
        )
    )


def _star(figure: go.Figure, own: NDArray[np.floating]) -> None:
    look = {
        "symbol": "star",
        "size": 18,
        "color": OWN,
        "line": {"width": 1, "color": "white"},
    }
    if len(own) == 2:
        halo = {"shadow": "auto"}  # it is written among the points
        mark: Any = go.Scatter(x=[own[0]], y=[own[1]], marker=look, textfont=halo)
    else:
        look = {**look, "symbol": "cross", "size": 8}
        mark = go.Scatter3d(x=[own[0]], y=[own[1]], z=[own[2]], marker=look)
    mark.update(mode="markers+text", text=["you"], textposition="top center", showlegend=False)
    mark.update(hovertemplate="your sentence<extra></extra>")
    figure.add_trace(mark)


def _frame(figure: go.Figure, picture: Picture, name: str) -> None:
    """Axes, drag mode and margins of a map."""
    figure.update_layout(
        height=MAP_HEIGHT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        dragmode="select" if picture.points.shape[1] == 2 else "orbit",
        uirevision=name,
        hoverlabel={"align": "left"},
    )
    if picture.points.shape[1] == 3:
        bare = {"showticklabels": False, "title": "", "showbackground": False, "zeroline": False}
        figure.update_layout(scene={"xaxis": bare, "yaxis": bare, "zaxis": bare})
    elif picture.axes is None:
        bare = {"visible": False}
        figure.update_xaxes(**bare)
        figure.update_yaxes(**bare, scaleanchor="x", scaleratio=1)
    else:
        figure.update_xaxes(title=picture.axes[0], zeroline=True, zerolinewidth=1)
        figure.update_yaxes(title=picture.axes[1], zeroline=True, zerolinewidth=1)
        figure.update_layout(margin={"l": 56, "b": 48})


def distribution_figure(colours: Colouring, chosen: NDArray[np.bool_]) -> go.Figure:
    """Draw how the colour's values are spread: the selection against all items, as shares."""
    figure = go.Figure()
    groups = [("all items", np.ones(len(chosen), bool), CONTROL)]
    if chosen.any() and not chosen.all():
        groups.append(("selection", chosen, OWN))
    for name, rows, colour in groups:
        if colours.categories is not None:
            names = list(colours.categories)[::-1]
            share = [float((colours.data[rows] == one).mean()) for one in names]
            trace: Any = go.Bar(y=names, x=share, orientation="h", name=name, marker_color=colour)
        else:
            trace = _shares(colours, rows, name, colour)
        figure.add_trace(trace)
    categorical = colours.categories is not None
    figure.update_layout(
        height=330,
        barmode="group" if categorical else "overlay",
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.12},
    )
    share_axis = {"title": "share of items", "tickformat": ".0%"}
    figure.update_xaxes(**share_axis) if categorical else figure.update_yaxes(**share_axis)
    if not categorical:
        figure.update_xaxes(title=colours.title)
    return figure


def _shares(colours: Colouring, rows: NDArray[np.bool_], name: str, colour: str) -> go.Histogram:
    low, high = colours.span
    return go.Histogram(
        x=colours.data[rows & ~np.isnan(colours.data)],
        histnorm="probability",
        xbins={"start": low, "end": high + 1e-9, "size": (high - low) / 20 or 1},
        name=name,
        marker_color=colour,
        opacity=0.75,
    )


def sentence_figure(bands: list[tuple[Estimate, Estimate]]) -> go.Figure:
    """Draw a sentence's cosine to the ten centres with interval, beside its chance band.

    Args:
        bands: For each dimension: cosine with interval, and mean and band of random centres.
    """
    cosine = np.array([value.value for value, _ in bands])
    interval = np.array([[value.low, value.high] for value, _ in bands])
    chance = np.array([[null.low, null.high] for _, null in bands])
    names = list(DIMENSIONS)[::-1]
    order = np.arange(len(names))[::-1]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            y=names,
            x=(chance[:, 1] - chance[:, 0])[order],
            base=chance[order, 0],
            orientation="h",
            marker_color="rgba(140,140,140,0.35)",
            name="centres of random items, 95 %",
            hovertemplate="%{y}: chance %{base:.2f} to %{x:.2f}<extra></extra>",
        )
    )
    colours = [FOUNDATION_COLOURS[FOUNDATIONS[number // 2]] for number in order]
    symbols = [POLE_SYMBOLS[POLES[number % 2]] for number in order]
    figure.add_trace(
        go.Scatter(
            y=names,
            x=cosine[order],
            mode="markers",
            name="your sentence, 95 % interval",
            marker={"color": colours, "symbol": symbols, "size": 11},
            error_x={
                "array": (interval[:, 1] - cosine)[order],
                "arrayminus": (cosine - interval[:, 0])[order],
                "thickness": 1.5,
                "color": CONTROL,
            },
            hovertemplate="%{y}: cosine %{x:.3f}<extra></extra>",
        )
    )
    figure.update_layout(
        height=390,
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": "cosine to the centre", "zeroline": True},
    )
    return figure


def layers_heatmap(cosine: NDArray[np.floating], layers: list[str]) -> go.Figure:
    """Draw a sentence's cosine to the ten centres at every layer.

    Args:
        cosine: Shape ``(n_layers + 1, 10)``.
        layers: Names of the layers, the embedding output first.
    """
    limit = float(np.nanmax(np.abs(cosine))) if np.isfinite(cosine).any() else 1.0
    figure = go.Figure(
        go.Heatmap(
            z=cosine.T,
            x=layers,
            y=list(DIMENSIONS),
            zmin=-limit,
            zmax=limit,
            colorscale=[list(stop) for stop in DIVERGING],
            colorbar={"title": "cosine", "thickness": 10},
            hovertemplate="%{y}, layer %{x}: %{z:.3f}<extra></extra>",
        )
    )
    figure.update_layout(height=360, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="layer", type="category")
    return figure


def strata_figure(counts: pd.DataFrame) -> go.Figure:
    """Draw how many items each foundation has at each grade, vice to the left.

    Args:
        counts: As ``view.strata_counts`` returns it.
    """
    steps = [name.replace("vice ", "−").replace("virtue ", "") for name in counts.columns]
    figure = go.Figure(
        go.Heatmap(
            z=counts.to_numpy(),
            x=["0" if step == "neutral" else step for step in steps],
            y=[name.replace("-", " – ") for name in counts.index],
            customdata=np.tile(np.array(counts.columns, object), (len(counts), 1)),
            colorscale=[list(stop) for stop in COUNTS],
            text=counts.to_numpy(),
            texttemplate="%{text}",
            textfont={"color": IN_CELLS},
            showscale=False,
            hovertemplate="%{y}, %{customdata}: %{z} items<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_layout(height=320, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(title="← vice · grade · virtue →", type="category")
    return figure
