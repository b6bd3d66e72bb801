"""An evaluation as figures: net win rates beside one half and A/A; answers on the moral map."""

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import plotly.graph_objects as go

from core.charts import lay_out_rows
from core.evaluation.landing import Landing
from core.evaluation.report import AGAIN, CONTROLS, PLAIN
from core.evaluation.view import ArmRow
from core.foundations import Pole
from core.palette import CONTROL, FADED, FOUNDATION_COLOURS, MODEL, OWN, POLE_SYMBOLS
from core.statistics.bootstrap import Estimate
from core.wording import interval


def arms_figure(rows: Sequence[ArmRow], again: Estimate | None, *, faint: bool) -> go.Figure:
    """Draw each arm's net win rate with its 95 % interval over prompts.

    Args:
        rows: The arms, the first on top.
        again: A/A's, drawn as a band.
        faint: Whether the judge is at chance: everything is grey then.
    """
    figure = go.Figure()
    for height, row in enumerate(reversed(rows)):
        net = row.standing.net
        colour = CONTROL if faint or row.arm == AGAIN or not row.beyond else MODEL
        figure.add_trace(
            go.Scatter(
                x=[net.value],
                y=[height],
                mode="markers",
                name=row.arm,
                marker={
                    "color": colour,
                    "size": 11,
                    "symbol": "x" if row.broken else "diamond" if row.arm == AGAIN else "circle",
                },
                error_x={
                    "array": [net.high - net.value],
                    "arrayminus": [net.value - net.low],
                    "color": colour,
                    "thickness": 2,
                    "width": 3,
                },
                hovertemplate=f"{row.arm}: {interval(net)}<extra></extra>",
            )
        )
    _without_broken(figure, rows)
    if again is not None:
        figure.add_vrect(
            x0=again.low,
            x1=again.high,
            fillcolor=CONTROL,
            opacity=0.12,
            line_width=0,
            layer="below",
        )
    figure.add_vline(x=0.5, line={"color": CONTROL, "width": 1.5, "dash": "dot"}, layer="below")
    names = [f"<b>{row.arm}</b>" if row.beyond and not faint else row.arm for row in rows]
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=names[::-1], range=[-0.6, len(rows) - 0.5]
    )
    figure.update_xaxes(range=[-0.03, 1.03], tickvals=[0, 0.25, 0.5, 0.75, 1])
    return lay_out_rows(figure, 60 + 38 * len(rows), {"l": 4, "r": 10, "t": 4, "b": 22})


def _without_broken(figure: go.Figure, rows: Sequence[ArmRow]) -> None:
    """Draw, hollow and a little lower, what is left of each arm without its broken answers."""
    moved = [row for row in rows if row.broken_pairs]
    if not moved:
        return
    height = {row.arm: number - 0.28 for number, row in enumerate(reversed(rows))}
    figure.add_trace(
        go.Scatter(
            x=[row.sound.value for row in moved],
            y=[height[row.arm] for row in moved],
            mode="markers",
            name="without broken answers",
            marker={"color": CONTROL, "size": 8, "symbol": "circle-open", "line": {"width": 2}},
            error_x={
                "array": [row.sound.high - row.sound.value for row in moved],
                "arrayminus": [row.sound.value - row.sound.low for row in moved],
                "color": CONTROL,
                "thickness": 1,
                "width": 2,
            },
            text=[f"{row.arm}: {interval(row.sound)} without {row.broken_pairs}" for row in moved],
            hovertemplate="%{text} broken<extra></extra>",
        )
    )


#: Shapes of arms on a map, one after the other: no meaning rests on colour alone.
_SHAPES: Final = ("star", "square", "triangle-up", "cross", "pentagon", "hexagram", "hourglass")


def _looks(found: Landing) -> dict[str, dict[str, Any]]:
    """Return colour and shape of each arm's marks."""
    looks = {PLAIN: {"color": CONTROL, "symbol": "circle"}}
    others = [arm for arm in found.places if arm != PLAIN]
    hues = list(FOUNDATION_COLOURS.values())
    for number, arm in enumerate(others):
        control = arm in CONTROLS
        looks[arm] = {
            "color": CONTROL if control else hues[number % len(hues)],
            "symbol": "diamond" if arm == AGAIN else _SHAPES[number % len(_SHAPES)],
        }
    return looks


def landing_map(found: Landing, pair: int | None, arm: str) -> go.Figure:
    """Draw the actions, the mean place of each arm's answers, and the two answers of one pair.

    Args:
        found: Where they lie.
        pair: Row of a prompt; None: means alone.
        arm: Whose answer is drawn beside the plain one.
    """
    figure = go.Figure()
    figure.add_trace(
        go.Scattergl(
            x=found.items[:, 0],
            y=found.items[:, 1],
            mode="markers",
            marker={
                "color": FADED,
                "size": 5,
                "symbol": [POLE_SYMBOLS[cast("Pole", pole)] for pole in found.poles],
            },
            hoverinfo="skip",
            showlegend=False,
        )
    )
    looks = _looks(found)
    for name, places in found.places.items():
        x, y = np.nanmean(places, axis=0) if np.isfinite(places).any() else (np.nan, np.nan)
        figure.add_trace(_mark(f"{name}, mean", [x], [y], {**looks[name], "size": 12}))
    if pair is not None:
        ends = np.stack([found.places[name][pair] for name in (PLAIN, arm)])
        line = {"color": OWN, "width": 2}
        figure.add_trace(
            go.Scatter(x=ends[:, 0], y=ends[:, 1], mode="lines", line=line, showlegend=False)
        )
        for name, (x, y), symbol in zip((PLAIN, arm), ends, ("circle-open", "star"), strict=True):
            look = {"color": OWN, "symbol": symbol, "size": 14}
            figure.add_trace(_mark(f"{name}, this answer", [x], [y], look))
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x", scaleratio=1)
    return _framed(figure)


def ways_figure(found: Landing) -> go.Figure:
    """Draw how far each arm's answers lie from the plain ones, in map widths, with intervals."""
    figure, looks = go.Figure(), _looks(found)
    for arm in found.places:
        if arm == PLAIN:
            continue
        way = found.way(arm)
        mark = _mark(arm, [way.x.value], [way.y.value], {**looks[arm], "size": 12})
        for name, one in (("error_x", way.x), ("error_y", way.y)):
            mark[name] = {
                "array": [one.high - one.value],
                "arrayminus": [one.value - one.low],
                "color": looks[arm]["color"],
                "thickness": 1.5,
                "width": 3,
            }
        figure.add_trace(mark)
    figure.add_trace(_mark(PLAIN, [0.0], [0.0], {**looks[PLAIN], "size": 12}))
    figure.update_xaxes(title="to the right, in map widths", zeroline=True, nticks=5)
    figure.update_yaxes(title="upwards", zeroline=True, nticks=5, scaleanchor="x", scaleratio=1)
    return _framed(figure)


def _mark(name: str, x: Sequence[float], y: Sequence[float], look: dict[str, Any]) -> go.Scatter:
    hollow = look["symbol"].endswith("-open")
    marker = {**look, "line": {"width": 3} if hollow else {"width": 1, "color": "white"}}
    return go.Scatter(
        x=list(x),
        y=list(y),
        mode="markers",
        name=name,
        marker=marker,
        hovertemplate=f"{name}<extra></extra>",
    )


def _framed(figure: go.Figure) -> go.Figure:
    figure.update_layout(
        height=420,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        dragmode=False,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure
