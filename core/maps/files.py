"""A map's Plotly figure as it stands in a file: what is drawn on it, and what it says of itself.

The canvas on the page writes files of its own; these figures are for 3-D and for pages of charts.
"""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, Final, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from core.foundations import POLES
from core.maps.scene import Arrows, Line
from core.maps.view import Colouring
from core.palette import CONTROL, POLE_SYMBOLS

#: Characters of a line at the foot, and its height in pixels.
_WIDE: Final = 92
_LINE: Final = 14
#: Pixels above the map for title and subtitle, and below for the legend.
_HEAD: Final = 64
_LEGEND: Final = 66


class Caption(NamedTuple):
    """What stands around a map in a file."""

    title: str
    """What it shows, layer among it."""

    subtitle: str
    """How it is made."""

    source: str
    """At the foot: set, licence, how far to trust it."""


def with_drawn(figure: go.Figure, lines: Sequence[Line], arrows: Sequence[Arrows]) -> go.Figure:
    """Return a flat map with lines, and arrows as lines with a dot at their tips."""
    for line in lines:
        x, y = np.asarray(line.points, np.float64).T
        look = {"color": line.colour, "width": line.width}
        figure.add_trace(_stroke(x, y, look, line.label))
    for one in arrows:
        known = np.isfinite(one.start).all(axis=1) & np.isfinite(one.end).all(axis=1)
        start, end = one.start[known], one.end[known]
        x, y = (_broken(start[:, axis], end[:, axis]) for axis in (0, 1))
        colour = one.colour or CONTROL
        figure.add_trace(_stroke(x, y, {"color": colour, "width": 1}, ""))
        if one.heads:
            tips = {"color": colour, "size": 4}
            figure.add_trace(
                go.Scatter(
                    x=end[:, 0],
                    y=end[:, 1],
                    mode="markers",
                    marker=tips,
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
    return figure


def _broken(start: NDArray[np.floating], end: NDArray[np.floating]) -> list[float | None]:
    """Return what draws each pair as a line of its own."""
    return [one for pair in zip(start, end, strict=True) for one in (*map(float, pair), None)]


def _stroke(x: Any, y: Any, look: dict[str, Any], label: str) -> go.Scatter:
    words = [""] * len(x)
    if label:
        words[len(x) // 2] = label
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+text" if label else "lines",
        line=look,
        text=words if label else None,
        hoverinfo="skip",
        showlegend=False,
    )


def captioned(figure: go.Figure, colours: Colouring, said: Caption) -> go.Figure:
    """Return a map with title, legend and foot, so that it can stand alone."""
    deep = any(isinstance(trace, go.Scatter3d) for trace in figure.data)
    for name, look in _entries(colours):
        nowhere: Any = {"x": [None], "y": [None]} | ({"z": [None]} if deep else {})
        trace = go.Scatter3d if deep else go.Scatter
        figure.add_trace(
            trace(**nowhere, mode="markers", name=name, marker={"size": 9, **look}, showlegend=True)
        )
    foot = wrap(said.source, _WIDE)
    below = _LEGEND + _LINE * len(foot)
    figure.update_layout(
        title={"text": said.title, "subtitle": {"text": said.subtitle}, "x": 0.01, "y": 0.98},
        margin={"t": _HEAD, "b": (figure.layout.margin.b or 0) + below},
        height=(figure.layout.height or 0) + _HEAD + below,
        legend={"orientation": "h", "x": 0, "y": 0, "yanchor": "top", "font": {"size": 11}},
    )
    figure.add_annotation(
        text="<br>".join(foot),
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="top",
        yshift=-_LEGEND,
        align="left",
        showarrow=False,
        font={"size": 10.5},
    )
    return figure


def _entries(colours: Colouring) -> list[tuple[str, dict[str, Any]]]:
    """Return names and looks: of the colours, then of the shapes; a scale explains itself."""
    categories = colours.categories or {}
    if set(categories) == set(POLES):
        return [(pole, {"color": categories[pole], "symbol": POLE_SYMBOLS[pole]}) for pole in POLES]
    return [
        *((name.replace("-", " – "), {"color": colour}) for name, colour in categories.items()),
        *((pole, {"color": CONTROL, "symbol": POLE_SYMBOLS[pole]}) for pole in POLES),
    ]
