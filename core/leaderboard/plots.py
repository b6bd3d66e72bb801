"""The leaderboard as figures: every model beside its controls, and figures against parameters."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.diagnosis.plots import TITLES
from core.diagnosis.verdicts import CONTROLS, short_name
from core.leaderboard.view import estimate, of_test
from core.measures.result import Test
from core.palette import CHANCE, CONTROL_COLOURS, FOUNDATION_COLOURS
from core.statistics.bootstrap import Estimate
from core.wording import interval

#: Colours and shapes of groups: no meaning rests on colour alone.
_COLOURS: Final = ("#2F6FDE", *FOUNDATION_COLOURS.values(), "#6B6B6B")
_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross")
_CONTROL_SYMBOLS: Final = dict(
    zip(CONTROLS, ("line-ns", "y-up", "hash", "asterisk", "triangle-down"), strict=True)
)
_ROW: Final = 34
_SIGNS: Final = dict(zip(_SYMBOLS, "●■◆▲✕★✚", strict=True))
_CONTROL_SIGNS: Final = dict(zip(CONTROLS, "┃Y#✳▼", strict=True))


def standings_figure(rows: pd.DataFrame, test: Test) -> go.Figure:
    """Draw one test: a row per model with interval, its chance band and its controls.

    Args:
        rows: As ``view.measured_so`` returns them.
        test: Which test.
    """
    known = of_test(rows, test).dropna(subset=["value"]).iloc[::-1]
    figure = go.Figure()
    for _, row in known.iterrows():
        _band(figure, row)
    for name, label in CONTROLS.items():
        _controls(figure, known, name, label)
    for group, colour, symbol in _looks(rows):
        _models(figure, known[known["group"] == group], group, colour, symbol)
    figure.update_layout(
        height=84 + _ROW * max(len(known), 1),
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        title=_title(test),
        showlegend=False,
        uirevision=test,
    )
    figure.update_xaxes(zeroline=True)
    figure.update_yaxes(categoryorder="array", categoryarray=list(known["shown"]), automargin=True)
    return figure


class Sign(NamedTuple):
    """An entry of the legend."""

    sign: str
    """Shape, as a letter."""

    colour: str
    """Its colour."""

    name: str
    """What it stands for."""


def legend(rows: pd.DataFrame) -> list[Sign]:
    """Return what the marks of both figures stand for: groups of models, then controls."""
    groups = [Sign(_SIGNS[symbol], colour, name) for name, colour, symbol in _looks(rows)]
    return groups + [
        Sign(_CONTROL_SIGNS[name], CONTROL_COLOURS[name], short_name(name)) for name in CONTROLS
    ]


def _title(test: Test) -> dict[str, Any]:
    """Return the title, above the picture: long names leave an axis no room for one."""
    return {
        "text": TITLES[test],
        "x": 0,
        "xref": "container",
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "pad": {"b": 8, "l": 4},
        "font": {"size": 13},
    }


def _looks(rows: pd.DataFrame) -> Sequence[tuple[str, str, str]]:
    """Return each group with its colour and shape, the same on every figure."""
    names = sorted(rows["group"].unique())
    return list(zip(names, cycle(_COLOURS), cycle(_SYMBOLS)))


def _band(figure: go.Figure, row: pd.Series) -> None:
    """Add the band of shuffled labels behind a model's row."""
    band = estimate(row, "shuffled")
    if np.isnan(band.high):
        return
    figure.add_trace(
        go.Scatter(
            x=[band.low, band.high],
            y=[row["shown"]] * 2,
            mode="lines",
            line={"color": CHANCE, "width": 14},
            hovertemplate=f"labels shuffled {interval(band)}<extra></extra>",
            showlegend=False,
        )
    )


def _controls(figure: go.Figure, known: pd.DataFrame, name: str, label: str) -> None:
    sides = [estimate(row, name) for _, row in known.iterrows()]
    figure.add_trace(
        go.Scatter(
            x=[side.value for side in sides],
            y=known["shown"],
            mode="markers",
            name=short_name(name),
            text=[interval(side) for side in sides],
            hovertemplate=f"{label}: %{{text}}<extra></extra>",
            marker={
                "symbol": _CONTROL_SYMBOLS[name],
                "size": 9,
                "color": CONTROL_COLOURS[name],
                "line": {"width": 2, "color": CONTROL_COLOURS[name]},
            },
        )
    )


def _models(figure: go.Figure, some: pd.DataFrame, group: str, colour: str, symbol: str) -> None:
    if some.empty:
        return
    found = [estimate(row) for _, row in some.iterrows()]
    figure.add_trace(
        go.Scatter(
            x=[one.value for one in found],
            y=some["shown"],
            mode="markers",
            name=group,
            error_x=_arms(found),
            text=_hovers(some, found),
            hovertemplate="%{text}<extra></extra>",
            marker={"color": colour, "symbol": _shapes(some, symbol), "size": 11},
        )
    )


def _shapes(some: pd.DataFrame, symbol: str) -> list[str]:
    """Return each row's shape: hollow where the model was trained on the labels."""
    return [f"{symbol}-open" if level == "taught" else symbol for level in some["level"]]


def _arms(found: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [one.high - one.value for one in found],
        "arrayminus": [one.value - one.low for one in found],
        "thickness": 1.5,
    }


def _hovers(some: pd.DataFrame, found: Sequence[Estimate]) -> list[str]:
    rows = zip(some["shown"], found, some["layer"], some["verdict"], strict=True)
    return [
        f"<b>{str(name).replace('<', '&lt;')}</b><br>{interval(one)} · layer {layer:.0f}"
        f"<br>{verdict}"
        for name, one, layer, verdict in rows
    ]


def size_figure(rows: pd.DataFrame, test: Test) -> go.Figure:
    """Draw one test against the number of parameters (log axis), with intervals."""
    known = of_test(rows, test).dropna(subset=["value", "parameters"])
    figure = go.Figure()
    for group, colour, symbol in _looks(rows):
        some = known[known["group"] == group]
        if some.empty:
            continue
        found = [estimate(row) for _, row in some.iterrows()]
        figure.add_trace(
            go.Scatter(
                x=some["parameters"].astype(float),
                y=[one.value for one in found],
                mode="markers",
                name=group,
                error_y=_arms(found),
                text=_hovers(some, found),
                hovertemplate="%{text}<br>%{x:.3s} parameters<extra></extra>",
                marker={"color": colour, "symbol": _shapes(some, symbol), "size": 11},
            )
        )
    figure.update_layout(
        height=300,
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        title=_title(test),
        showlegend=False,
        uirevision=test,
    )
    figure.update_xaxes(type="log", title="parameters", **_ticks(known))
    figure.update_yaxes(zeroline=True)
    return figure


def _ticks(known: pd.DataFrame) -> dict[str, Any]:
    """Return ticks at 1, 2 and 5 of each decade that the models lie in, spelled 270M, 8B."""
    if known.empty:
        return {}
    low, high = np.log10(known["parameters"].astype(float)).agg(["min", "max"])
    decades = range(int(np.floor(low)) - 1, int(np.ceil(high)) + 1)
    ticks = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    return {
        "tickvals": ticks,
        "ticktext": [_short(tick) for tick in ticks],
        "range": [low - 0.4, high + 0.4],
    }


def _short(count: float) -> str:
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:g}{name}"
    return f"{count:g}"
