"""An alignment as figures: arms beside each other, gains over the layers, how training goes."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from core.alignment.off_target import OffTarget
from core.alignment.train import AlignStep
from core.alignment.view import ArmRow
from core.charts import lay_out_rows, ribbon
from core.foundations import FOUNDATIONS
from core.palette import (
    CONTROL,
    CONTROL_COLOURS,
    CONTROL_DASHES,
    DIVERGING,
    IN_CELLS,
    MODEL,
    SIDE_COLOURS,
)
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

#: Colours of the controls, in their order; dashes and shapes tell those apart that share one.
_COLOURS: Final = (*CONTROL_COLOURS.values(), SIDE_COLOURS[3])
_DASHES: Final = tuple(CONTROL_DASHES.values())
_SYMBOLS: Final = ("diamond", "square", "triangle-up", "x", "cross", "triangle-down", "star")
#: What a check on validation texts tells, and what it is called.
STEPS: Final = {
    "loss": "loss",
    "geometry": "CKA with people",
    "similarity": "RSA with people",
    "order": "order of grades, loss",
    "size": "size of the change",
    "divergence": "divergence, nats",
}


def _look(place: int) -> tuple[str, str, str]:
    """Return colour, dash and shape of an arm by its place; the first is what is asked about."""
    if place == 0:
        return MODEL, "solid", "circle"
    at = place - 1
    return _COLOURS[at % len(_COLOURS)], _DASHES[at % len(_DASHES)], _SYMBOLS[at % len(_SYMBOLS)]


def arms_figure(rows: Sequence[ArmRow]) -> go.Figure:
    """Draw each arm's difference to the untouched with its interval, seeds as small points.

    Args:
        rows: The arms, the first on top.
    """
    figure = go.Figure()
    for place, row in reversed(list(enumerate(rows))):
        colour, _, symbol = _look(place)
        own = place == 0
        name = f"<b>{row.arm}</b>" if own else row.arm
        if not row.seeds:
            figure.add_trace(go.Scatter(x=[None], y=[name], name=row.arm, hoverinfo="skip"))
            figure.add_annotation(x=0, y=name, text=row.why, showarrow=False, xanchor="left")
            continue
        figure.add_trace(
            go.Scatter(
                x=list(row.seeds),
                y=[name] * len(row.seeds),
                mode="markers",
                name=f"{row.arm}, seeds",
                marker={"color": colour, "size": 6, "symbol": "line-ns-open"},
                hovertemplate=f"{row.arm}, one seed: %{{x:+.3f}}<extra></extra>",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[row.over.value],
                y=[name],
                mode="markers",
                name=row.arm,
                marker={"color": colour, "size": 12 if own else 9, "symbol": symbol},
                error_x={
                    "array": [row.over.high - row.over.value],
                    "arrayminus": [row.over.value - row.over.low],
                    "color": colour,
                    "thickness": 3 if own else 1.5,
                    "width": 0 if own else 3,
                },
                hovertemplate=f"{row.arm}: {interval(row.over, signed=True)}<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": CONTROL, "width": 1.5, "dash": "dot"}, layer="below")
    return lay_out_rows(figure, 60 + 34 * len(rows), {"l": 4, "r": 10, "t": 4, "b": 22})


def layers_figure(gains: Mapping[str, Sequence[Estimate]], layers: Sequence[int]) -> go.Figure:
    """Draw each arm's gain over the untouched from the edited layer on, with its 95 % band.

    Args:
        gains: Of each arm, one per layer or none, what is asked about first.
        layers: Which layers.
    """
    figure = go.Figure()
    drawn = list(enumerate(gains.items()))
    for place, (arm, several) in reversed(drawn):  # the first lies on top
        if not several:
            continue
        colour, dash, symbol = _look(place)
        band = ribbon(
            layers,
            [one.low for one in several],
            [one.high for one in several],
            _faint(colour, 0.2 if place == 0 else 0.07),
        )
        figure.add_trace(band.update(legendgroup=arm))
        figure.add_trace(
            go.Scatter(
                x=list(layers),
                y=[one.value for one in several],
                mode="lines+markers",
                name=arm,
                legendgroup=arm,
                legendrank=place,
                line={"color": colour, "dash": dash, "width": 1.5 if place else 3},
                marker={"color": colour, "symbol": symbol, "size": 7},
                customdata=[interval(one, signed=True) for one in several],
                hovertemplate=f"{arm}, layer %{{x}}: %{{customdata}}<extra></extra>",
            )
        )
    figure.add_hline(y=0, line={"color": CONTROL, "width": 1.5, "dash": "dot"}, layer="below")
    figure.update_layout(
        height=310,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        dragmode=False,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    figure.update_xaxes(title="layer", dtick=1, fixedrange=True, zeroline=False)
    figure.update_yaxes(fixedrange=True, zeroline=False, nticks=6)
    return figure


def off_target_figure(shown: OffTarget, limit: float) -> go.Figure:
    """Draw what an arm moves along each moral direction.

    A cell says its change with its interval; where that leaves 0 out it is in bold.

    Args:
        shown: The arm.
        limit: Change at the ends of the colour scale.
    """
    side = len(FOUNDATIONS)
    short = [one.partition("-")[0] for one in FOUNDATIONS]
    text = [_cell(cell) for cell in shown.cells]
    figure = go.Figure(
        go.Heatmap(
            z=np.reshape([cell.value for cell in shown.cells], (side, side)),
            x=short,
            y=short,
            zmin=-limit,
            zmax=limit,
            colorscale=[list(stop) for stop in DIVERGING],
            showscale=False,
            text=np.reshape(text, (side, side)),
            texttemplate="%{text}",
            textfont={"color": IN_CELLS, "size": 11},
            xgap=1,
            ygap=1,
            hovertemplate="texts of %{y}, along %{x}: %{z:+.3f}<extra></extra>",
        )
    )
    figure.update_layout(height=340, margin={"l": 4, "r": 4, "t": 4, "b": 4}, dragmode=False)
    figure.update_yaxes(title="texts of", autorange="reversed", automargin=True, fixedrange=True)
    figure.update_xaxes(title="along the direction of", fixedrange=True)
    return figure


def _cell(one: Estimate) -> str:
    if not np.isfinite(one.value):
        return "–"
    value = number(one.value, 2, signed=True)
    clear = one.low > 0 or one.high < 0
    ends = f"[{number(one.low, 2)},<br>{number(one.high, 2)}]"  # in two lines for narrow screens
    return f"{f'<b>{value}</b>' if clear else value}<br>{ends}"


def _faint(colour: str, share: float) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def step_figure(curve: Sequence[AlignStep], name: str, best: int | None = None) -> go.Figure:
    """Draw one thing that checks on validation texts tell, over the steps so far.

    Args:
        curve: The checks.
        name: One of ``STEPS``.
        best: The check that was kept; None while it trains.
    """
    values = [getattr(one, name) for one in curve]
    figure = go.Figure(
        go.Scatter(
            x=[one.step for one in curve],
            y=values,
            mode="lines+markers",
            line={"color": MODEL, "width": 2},
            marker={"size": 4},
            name=STEPS[name],
            hovertemplate="step %{x:,}: %{y:.4f}<extra></extra>",
        )
    )
    if best is not None and np.isfinite(values[best]):
        figure.add_trace(
            go.Scatter(
                x=[curve[best].step],
                y=[values[best]],
                mode="markers",
                marker={"color": MODEL, "size": 12, "symbol": "star"},
                name="kept",
                hovertemplate=f"kept: {number(values[best], 4)}<extra></extra>",
            )
        )
    figure.update_layout(
        height=150, margin={"l": 4, "r": 4, "t": 6, "b": 4}, showlegend=False, dragmode=False
    )
    figure.update_xaxes(nticks=4, fixedrange=True, rangemode="tozero")
    figure.update_yaxes(nticks=4, fixedrange=True, automargin=True)
    return figure
