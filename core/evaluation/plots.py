"""An evaluation as a figure: net win rates beside one half and beside A/A."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.charts import lay_out_rows
from core.evaluation.report import AGAIN
from core.evaluation.view import ArmRow
from core.palette import CONTROL, MODEL
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
