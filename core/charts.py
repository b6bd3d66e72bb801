"""What charts share: the tool bar, a band along an axis, the look of figures in rows."""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go

#: Buttons of every chart; the camera saves a PNG at three times the screen's resolution.
CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "scrollZoom": True,
    "modeBarButtonsToRemove": ["autoScale2d", "zoomIn2d", "zoomOut2d"],
    "toImageButtonOptions": {"format": "png", "scale": 3, "filename": "moralscope"},
}


def config(name: str) -> dict[str, Any]:
    """Return ``CONFIG`` with a name for the PNG that the camera saves."""
    image = {**CONFIG["toImageButtonOptions"], "filename": name}
    return {**CONFIG, "toImageButtonOptions": image}


def ribbon(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str, name: str = ""
) -> go.Scatter:
    """Return a filled band along the x axis; it answers no hover and stands in no legend.

    Args:
        x: Places, rising.
        low: Lower ends.
        high: Upper ends.
        colour: Of the filling.
        name: Of the trace.
    """
    return go.Scatter(
        x=[*x, *x[::-1]],
        y=[*low, *high[::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=colour,
        hoverinfo="skip",
        name=name or None,
        showlegend=False,
    )


def lay_out_rows(figure: go.Figure, height: int, margin: dict[str, int]) -> go.Figure:
    """Give figures with intervals, one in each row, their frame: few ticks, nothing to drag."""
    figure.update_layout(
        height=height, margin=margin, showlegend=False, hovermode="closest", dragmode=False
    )
    figure.update_xaxes(nticks=4, zeroline=True, zerolinewidth=1, fixedrange=True)
    figure.update_yaxes(automargin=True, fixedrange=True, ticks="", showgrid=False)
    return figure
