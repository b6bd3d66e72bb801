"""The waterfall of a test as a figure and as a table, from finished steps."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.diagnosis.repairs import REPAIRS
from core.diagnosis.waterfall import Step
from core.measures.result import Test
from core.palette import CONTROL, POLE_COLOURS
from core.wording import interval, number

#: Steps that raise and lower a figure; the sign stands beside the bar as well.
_UP = POLE_COLOURS["virtue"]
_DOWN = POLE_COLOURS["vice"]


def waterfall_figure(steps: Sequence[Step]) -> go.Figure:
    """Draw a test's steps from the paper's figure (top) to the repaired one (bottom).

    Args:
        steps: In order; a figure that is NaN leaves its row empty.
    """
    values = np.array([step.figure.value for step in steps])
    before = np.concatenate([[0.0], values[:-1]])
    change = values - before
    ends = [0, len(steps) - 1]
    colours = [
        CONTROL if row in ends[:1] else (_UP if change[row] >= 0 else _DOWN)
        for row in range(len(steps))
    ]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            y=_names(steps),
            x=change,
            base=before,
            orientation="h",
            marker={"color": colours, "opacity": 0.55},
            width=0.6,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.add_trace(
        go.Scatter(
            y=_names(steps),
            x=values,
            mode="markers",
            marker={"color": CONTROL, "symbol": "diamond", "size": 9},
            error_x={
                "array": [step.figure.high - step.figure.value for step in steps],
                "arrayminus": [step.figure.value - step.figure.low for step in steps],
                "thickness": 1.5,
                "color": CONTROL,
            },
            customdata=[[step.why, interval(step.figure, 3)] for step in steps],
            hovertemplate="%{y}<br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(x=0, line_width=1, line_color=CONTROL)
    figure.update_layout(height=90 + 34 * len(steps), margin={"l": 8, "r": 8, "t": 8, "b": 32})
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(zeroline=False)
    return figure


def _names(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps]


def ends_text(steps: Sequence[Step]) -> str:
    """Return what the paper's procedure gives and what is left after all repairs, in words."""
    first, last = steps[0], steps[-1]
    told = f"{_told(first)} by the paper's procedure; {_told(last)} after every repair."
    return told[0].upper() + told[1:]


def centring_text(steps: Sequence[Step]) -> str:
    """Say that a figure hangs on what is centred over; nothing where it is less than its noise.

    Told where that step alone moves the paper's figure by more than half the figure's interval.
    """
    for before, step in pairwise(steps):
        reach = (before.figure.high - before.figure.low) / 2
        if step.name == REPAIRS["texts"][0] and abs(step.change.value) > reach:
            return (
                "The paper's figure hangs on the centring: over different texts instead of rows it "
                f"moves by {interval(step.change, 3, signed=True)}, while half its own interval is "
                f"{number(reach, 3)}. So it is where a few massive coordinates own every cosine."
            )
    return ""


def _told(step: Step) -> str:
    return "not computable" if np.isnan(step.figure.value) else interval(step.figure, 3)


def waterfall_table(waterfall: Mapping[Test, Sequence[Step]]) -> pd.DataFrame:
    """Return all steps as a flat table: the twin of the figures."""
    return pd.DataFrame(
        [
            {
                "test": test,
                "step": step.name,
                "why": step.why,
                "layer": step.where,
                "figure": step.figure.value,
                "low": step.figure.low,
                "high": step.figure.high,
                "change": step.change.value,
                "change_low": step.change.low,
                "change_high": step.change.high,
            }
            for test, steps in waterfall.items()
            for step in steps
        ]
    )
