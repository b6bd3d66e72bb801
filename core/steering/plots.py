"""Steering as figures: read-out before and after, dose, leakage, landing places."""

from collections.abc import Sequence
from textwrap import shorten
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts import ribbon
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.palette import CONTROL, DIVERGING, FOUNDATION_COLOURS, IN_CELLS, MODEL, OWN
from core.steering.directions import FAMILIES
from core.steering.effects.matched_controls import Beside, Check
from core.steering.effects.off_target import OffTarget
from core.steering.effects.safe_ranges import SAFE_KL
from core.steering.effects.strength_sweep import StrengthSweep
from core.wording import number

#: Characters of an action above its line; the table has all.
_SHOWN: Final = 54
_ROW: Final = 37
#: Shares of the dose's four plots.
_HEIGHTS: Final = [0.34, 0.3, 0.18, 0.18]
_ODDS: Final = "← wrong · log odds of the next word · right →"
_ZERO: Final[dict[str, Any]] = {
    "type": "line",
    "x0": 0,
    "x1": 0,
    "y0": 0,
    "y1": 1,
    "yref": "paper",
    "line": {"width": 1, "color": CONTROL},
    "layer": "below",
}
_RIBBON: Final = "rgba(47,111,222,0.22)"
_GREY: Final = "rgba(128,128,128,0.24)"
_SAFE: Final = "rgba(0,145,106,0.13)"


def answer_figure(table: pd.DataFrame) -> go.Figure:
    """Draw read-outs before and after, a line each, the text above it.

    Args:
        table: As ``view.answer_table`` returns it.
    """
    rows = table.iloc[::-1].reset_index(drop=True)
    place, texts = np.arange(len(rows)), rows["text"]
    own = bool(rows["own"].any())
    colour = OWN if own else MODEL
    traces = [_spans(rows, colour)]
    if rows["random"].notna().any():
        random = rows["before"] + rows["random"]
        traces.append(_dots(random, place, texts, CONTROL, "diamond-open", "random direction"))
    traces.append(_dots(rows["before"], place, texts, CONTROL, "circle-open", "plain"))
    traces.append(_dots(rows["after"], place, texts, colour, "circle", "steered"))
    # All at once: every addition to a figure checks the whole of it again.
    layout = {
        "height": (52 if own else 66) + _ROW * len(rows),
        "margin": {"l": 8, "r": 8, "t": 8, "b": 26 if own else 40},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "annotations": [_label(text, row, own=own) for row, text in enumerate(texts)],
        "shapes": [_ZERO],
        "yaxis": {"visible": False, "range": [-0.6, len(rows) - 0.1], "fixedrange": True},
        "xaxis": {"title": None if own else _ODDS, "fixedrange": True, "zeroline": False},
    }
    return go.Figure(traces, layout)


def _spans(rows: pd.DataFrame, colour: str) -> go.Scatter:
    """Lines from before to after; None parts them."""
    x = [end for row in rows.itertuples() for end in (row.before, row.after, None)]
    y = [end for place in range(len(rows)) for end in (place, place, None)]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": colour, "width": 3},
        opacity=0.45,
        hoverinfo="skip",
    )


def _span(start: float, end: float, place: int, colour: str) -> go.Scatter:
    return go.Scatter(
        x=[start, end],
        y=[place, place],
        mode="lines",
        line={"color": colour, "width": 3},
        opacity=0.45,
        hoverinfo="skip",
    )


def _dots(x: Any, y: Any, text: Any, colour: Any, symbol: str, name: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=name,
        text=[shorten(one, 120, placeholder=" …") for one in text],
        marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2}},
        hovertemplate=f"%{{text}}<br>{name}: %{{x:.2f}}<extra></extra>",
    )


def _label(text: str, place: int, *, own: bool) -> dict[str, Any]:
    short = shorten(text, _SHOWN, placeholder=" …")
    short = short.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {
        "x": 0,
        "xref": "paper",
        "xanchor": "left",
        "y": place + 0.42,
        "yanchor": "middle",
        "text": f"<b>{short}</b>" if own else short,
        "showarrow": False,
        "align": "left",
        "font": {"size": 12},
    }


# --- dose ---


def dose_figure(dose: StrengthSweep) -> go.Figure:
    """Draw effects, divergence and perplexity against strength, the safe range painted.

    Above the push itself, then the part of it that changes sign; grey: random directions, pink: the
    controls that it is judged by.
    """
    figure = make_subplots(
        rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=_HEIGHTS
    )
    at = [point.strength for point in dose.points]
    for row, name, own, random in (
        (1, "push", "effect", "random"),
        (2, "sign", "turn", "random_turn"),
    ):
        bands = {one: [getattr(point, one) for point in dose.points] for one in (own, random)}
        for band, colour, told in ((random, _GREY, "random"), (own, _RIBBON, "95 % interval")):
            lows, highs = [one.low for one in bands[band]], [one.high for one in bands[band]]
            figure.add_trace(ribbon(at, lows, highs, colour, f"{told}, {name}"), row, 1)
        figure.add_trace(_line(at, [one.value for one in bands[own]], name), row, 1)
    for row, (_, strength, check) in enumerate(dose.checks, 1):
        figure.add_trace(_beside(strength, check), row, 1)
    figure.add_trace(_line(at, [point.kl for point in dose.points], "divergence"), 3, 1)
    figure.add_hline(y=SAFE_KL, line={"dash": "dot", "width": 1.5, "color": CONTROL}, row=3, col=1)
    figure.add_trace(_line(at, [point.perplexity for point in dose.points], "perplexity"), 4, 1)
    low, high = dose.safe
    if high > low:  # behind the traces: a plot without one gets no rectangle
        figure.add_vrect(x0=low, x1=high, fillcolor=_SAFE, line_width=0, layer="below")
    figure.update_layout(
        height=640, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False, dragmode=False
    )
    figure.update_yaxes(title="push (log odds)", row=1, col=1)
    figure.update_yaxes(title="sign (log odds)", row=2, col=1)
    figure.update_yaxes(title="KL (nats)", rangemode="tozero", row=3, col=1)
    figure.update_yaxes(title="perplexity", type="log", row=4, col=1)
    figure.update_xaxes(tickformat="+.0%")
    figure.update_xaxes(title="strength, share of the residual norm", row=4, col=1)
    return figure


def _line(x: Sequence[float], y: Sequence[float], name: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="lines+markers",
        name=name,
        line={"color": MODEL, "width": 2},
        hovertemplate=f"{name} at %{{x:+.0%}}: %{{y:.3g}}<extra></extra>",
    )


def _beside(strength: float, check: Check) -> go.Scatter:
    """The controls that an effect is judged by: mean and band, side by side at its strength."""
    sides = check.judged
    spread = 0.012 * (np.arange(len(sides)) - (len(sides) - 1) / 2)
    value, low, high = (np.array([one.band[end] for one in sides]) for end in range(3))
    return go.Scatter(
        x=strength + spread,
        y=value,
        mode="markers",
        name="controls, 95 %",
        marker={"color": OWN, "symbol": "x-thin-open", "size": 7},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": high - value,
            "arrayminus": value - low,
            "color": OWN,
            "thickness": 1.5,
            "width": 3,
        },
        text=[one.named for one in sides],
        hovertemplate="%{text}: %{y:.2f}<extra></extra>",
    )


def checks_figure(dose: StrengthSweep) -> go.Figure:
    """Draw push and sign beside the band of each family of controls, p in its name."""
    checks = [(f"{name} at {at:+.0%}", check) for name, at, check in dose.checks]
    figure = make_subplots(
        rows=len(checks),
        cols=1,
        vertical_spacing=0.14,
        subplot_titles=[name for name, _ in checks],
    )
    for row, (_, check) in enumerate(checks, 1):
        labels = ["this direction"]
        labels += [
            f"{FAMILIES[one.family]}<br>equal {one.equal}: p = {one.p:.3f}{_stopped(one)}"
            for one in check.judged
        ]
        bands = [check.effect, *(one.band for one in check.judged)]
        value, low, high = (np.array([band[end] for band in bands]) for end in range(3))
        figure.add_trace(
            go.Scatter(
                x=value,
                y=labels,
                mode="markers",
                marker={
                    "symbol": ["diamond"] + ["circle-open"] * len(check.judged),
                    "size": 9,
                    "color": [MODEL] + [CONTROL] * len(check.judged),
                    "line": {"width": 2},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": high - value,
                    "arrayminus": value - low,
                    "color": CONTROL,
                    "thickness": 1.5,
                },
                hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            ),
            row,
            1,
        )
        figure.add_vline(x=check.effect.value, line={"width": 1, "dash": "dot"}, row=row, col=1)
    figure.update_layout(
        height=60 + 235 * len(checks),
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        showlegend=False,
        dragmode=False,
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="log odds in its own sense", row=len(checks), col=1)
    return figure


def _stopped(one: Beside) -> str:
    """Say that a family was not asked to its end, with the least that p could be."""
    if one.n == one.planned:
        return ""
    return f"<br>stopped after {one.n} of {one.planned} (p at least {one.least_p:.3f})"


def leakage_figure(leakage: OffTarget) -> go.Figure:
    """Draw how each pole's actions shift when the model is steered towards each pole.

    A family of controls is its mean, with both ends of its band as text.
    """
    limit = float(np.nanmax(np.abs(leakage.shift))) or 1.0
    columns = [f"{name} ({n})" for name, n in zip(leakage.columns, leakage.counts, strict=True)]
    text = [[number(one, 1, signed=True) for one in row] for row in leakage.shift]
    for row, (lows, highs) in enumerate(leakage.bands, len(DIMENSIONS)):
        ends = zip(highs, lows, strict=True)
        text[row] = ["<br>".join(number(end, 1, signed=True) for end in both) for both in ends]
    figure = go.Figure(
        go.Heatmap(
            z=leakage.shift,
            x=columns,
            y=list(leakage.rows),
            zmin=-limit,
            zmax=limit,
            colorscale=[list(stop) for stop in DIVERGING],
            colorbar={"title": "shift", "thickness": 10},
            text=text,
            texttemplate="%{text}",
            textfont={"color": IN_CELLS},
            xgap=1,
            ygap=1,
            hovertemplate="towards %{y}, asked %{x}: %{z:+.2f}<extra></extra>",
        )
    )
    figure.add_hline(y=len(DIMENSIONS) - 0.5, line={"width": 2, "color": CONTROL})
    figure.update_layout(height=510, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(title="asked about (held-out actions)", tickangle=-40)
    return figure


# --- round trip ---


def landing_figure(table: pd.DataFrame) -> go.Figure:
    """Draw how close the texts are to the ten centres, plain and steered, as percentiles.

    Args:
        table: As ``view.landing_table`` returns it.
    """
    rows = table.iloc[::-1].reset_index(drop=True)
    colours = [
        FOUNDATION_COLOURS[FOUNDATIONS[DIMENSIONS.index(one) // 2]] for one in rows["centre"]
    ]
    figure = go.Figure()
    for row, colour in zip(rows.itertuples(), colours, strict=True):
        figure.add_trace(_span(row.plain, row.steered, row.centre, colour))
    for name, symbol in (("plain", "circle-open"), ("steered", "circle")):
        figure.add_trace(
            go.Scatter(
                x=rows[name],
                y=rows["centre"],
                mode="markers",
                name=name,
                marker={"color": colours, "symbol": symbol, "size": 11, "line": {"width": 2}},
                hovertemplate=f"%{{y}}, {name}: closer than %{{x:.0%}}<extra></extra>",
            )
        )
    figure.add_vline(x=0.5, line={"width": 1, "color": CONTROL, "dash": "dot"}, layer="below")
    figure.update_layout(
        height=390, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False, dragmode=False
    )
    figure.update_xaxes(
        title="closer to the centre than … of the actions", tickformat=".0%", range=[-0.03, 1.03]
    )
    figure.update_yaxes(automargin=True)
    return figure
