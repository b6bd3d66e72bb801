"""A dictionary as figures: how training goes, what it is worth, how often latents are on."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.palette import CONTROL, MODEL, OWN
from core.sae.training.reconstruction_report import DENSITY_EDGES, ReconstructionReport
from core.sae.training.spec import TrainStep

_CURVES: Final = (
    ("fvu", "variance missed"),
    ("l0", "latents on per token"),
    ("dead", "share of dead latents"),
)
_FITS: Final = {
    "dictionary": "this dictionary",
    "items": "… on actions",
    "sampled": "… on text the model wrote",
    "file": "… on the file's end",
    "training": "… on tokens it was trained on",
    "components": "as many principal components",
    "random": "as many random directions",
}
_COSTS: Final = {
    "dictionary": "this dictionary",
    "random": "random directions",
    "mean": "the mean state",
    "zero": "nothing (zero)",
}
_EQUAL: Final = "variance missed, every coordinate equal"
_CONTROLS: Final = ("components", "random", "mean", "zero")


def training_figure(curve: Sequence[TrainStep]) -> go.Figure:
    """Draw variance missed, latents on and dead share over the steps so far."""
    figure = make_subplots(rows=1, cols=3, subplot_titles=[title for _, title in _CURVES])
    for column, (name, title) in enumerate(_CURVES, 1):
        figure.add_trace(
            go.Scatter(
                x=[one.step for one in curve],
                y=[getattr(one, name) for one in curve],
                mode="lines",
                line={"color": MODEL, "width": 2},
                name=title,
                hovertemplate="step %{x:,}: %{y:.3f}<extra></extra>",
            ),
            1,
            column,
        )
    figure.update_layout(
        height=220, margin={"l": 8, "r": 8, "t": 30, "b": 8}, showlegend=False, dragmode=False
    )
    figure.update_xaxes(title="step", fixedrange=True)
    figure.update_yaxes(rangemode="tozero", fixedrange=True)
    figure.update_annotations(font_size=13)
    return figure


def density_figure(report: ReconstructionReport) -> go.Figure:
    """Draw how many latents are on how often, on held-out tokens."""
    edges = np.array(DENSITY_EDGES)
    figure = go.Figure(
        go.Bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=list(report.density),
            width=np.diff(edges),
            marker={"color": MODEL},
            customdata=100 * 10.0 ** edges[:-1],
            hovertemplate="%{y:,} latents on for %{customdata:.2g} % of tokens or more"
            "<extra></extra>",
        )
    )
    ticks = list(range(-5, 1))
    figure.update_layout(
        height=230, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False, bargap=0.04
    )
    figure.update_xaxes(
        title="share of held-out tokens on which a latent is on",
        tickvals=ticks,
        ticktext=[f"{100 * 10.0**one:g} %" for one in ticks],
        fixedrange=True,
    )
    figure.update_yaxes(title="latents", fixedrange=True)
    return figure


def worth_figure(report: ReconstructionReport) -> go.Figure:
    """Draw the variance missed and the added cross-entropy beside their controls.

    A tick stands where the variance missed would be if every coordinate counted alike.
    """
    table = report_table(report)
    costs = table[table["figure"] == "cross-entropy added"]
    log = bool((costs["value"] > 0).all())  # what costs nothing has no place on a log scale
    added = "nats added per token, log scale" if log else "nats added per token"
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=["variance missed, | coordinates equal", added],
        horizontal_spacing=0.24,
    )
    for column, measure in enumerate(("variance missed", "cross-entropy added"), 1):
        rows = table[table["figure"] == measure].iloc[::-1]
        figure.add_trace(
            go.Scatter(
                x=rows["value"],
                y=rows["what"],
                mode="markers",
                marker={
                    "size": 11,
                    "color": np.where(rows["control"], CONTROL, MODEL),
                    "symbol": np.where(rows["control"], "diamond-open", "circle"),
                    "line": {"width": 2},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": rows["high"] - rows["value"],
                    "arrayminus": rows["value"] - rows["low"],
                    "width": 0,
                    "color": CONTROL,
                },
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
                name=measure,
            ),
            1,
            column,
        )
    equal = table[table["figure"] == _EQUAL].iloc[::-1]
    figure.add_trace(
        go.Scatter(
            x=equal["value"],
            y=equal["what"],
            mode="markers",
            marker={"symbol": "line-ns-open", "size": 13, "color": OWN, "line": {"width": 2}},
            hovertemplate="%{y}, every coordinate equal: %{x:.3f}<extra></extra>",
            name=_EQUAL,
        ),
        1,
        1,
    )
    figure.update_layout(
        height=250, margin={"l": 8, "r": 8, "t": 30, "b": 8}, showlegend=False, dragmode=False
    )
    figure.update_xaxes(fixedrange=True, rangemode="tozero")
    if log:
        ticks = [digit * 10.0**power for power in range(-3, 3) for digit in (1, 2, 5)]
        figure.update_xaxes(
            type="log", tickvals=ticks, ticktext=[f"{one:g}" for one in ticks], row=1, col=2
        )
    figure.update_yaxes(fixedrange=True, automargin=True)
    figure.update_annotations(font_size=13)
    return figure


def report_table(report: ReconstructionReport) -> pd.DataFrame:
    """Return a report as a table: the twin of its charts.

    Columns: figure, what, value, low, high, control (whether it is one).
    """
    rows = [
        ("variance missed", _FITS.get(name, name), *fit.fvu, name in _CONTROLS)
        for name, fit in report.fits.items()
    ]
    rows += [
        (_EQUAL, _FITS.get(name, name), *fit.equal, name in _CONTROLS)
        for name, fit in report.fits.items()
        if np.isfinite(fit.equal.value)
    ]
    rows += [
        ("latents on", _FITS.get(name, name), *fit.l0, name in _CONTROLS)
        for name, fit in report.fits.items()
    ]
    rows += [
        ("cross-entropy added", _COSTS.get(name, name), *cost, name in _CONTROLS)
        for name, cost in report.costs.added.items()
    ]
    return pd.DataFrame(rows, columns=["figure", "what", "value", "low", "high", "control"])


def density_table(report: ReconstructionReport) -> pd.DataFrame:
    """Return the density histogram as a table: the twin of its chart, latents never on left out.

    Columns: from and to, shares of held-out tokens in percent; latents.
    """
    ends = 100 * 10.0 ** np.array(DENSITY_EDGES)
    columns = {"from %": ends[:-1], "to %": ends[1:], "latents": list(report.density)}
    return pd.DataFrame(columns)


def training_table(curve: Sequence[TrainStep]) -> pd.DataFrame:
    """Return how a training went as a table: the twin of its chart."""
    rows = [(one.step, one.loss, one.fvu, one.l0, one.dead) for one in curve]
    return pd.DataFrame(rows, columns=["step", "loss", *(title for _, title in _CURVES)])
