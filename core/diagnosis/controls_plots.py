"""The further controls as figures: rows with intervals."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.charts import lay_out_rows
from core.diagnosis.concept import Beside
from core.diagnosis.controls import Directions
from core.measures.partial_gradients import Partial
from core.measures.selectivity import Selectivity
from core.palette import CONTROL, CONTROL_COLOURS, MODEL
from core.statistics.bootstrap import Estimate
from core.wording import interval

#: What is no model's figure: pleasantness, control tasks, what is left at equal length.
_OTHER = CONTROL_COLOURS["words"]


def concept_figure(row: Beside) -> go.Figure:
    """Draw a test on both sets and their word counts beyond shuffled labels, and the difference."""
    return _rows(
        [
            ("moral", row.moral_beyond, MODEL),
            ("its words", row.moral_words, CONTROL),
            ("pleasantness", row.pleasant_beyond, _OTHER),
            ("its words ", row.pleasant_words, CONTROL),  # the blank makes it another row
            ("difference", row.difference, CONTROL),
        ]
    )


def transfer_figure(found: Directions) -> go.Figure:
    """Draw how well both sets' poles are told apart along either direction; .5 is chance."""
    figure = _rows(
        [
            ("moral, own", found.moral, MODEL),
            ("moral, crossed", found.moral_crossed, CONTROL),
            ("pleasant, own", found.pleasant, _OTHER),
            ("pleasant, crossed", found.pleasant_crossed, CONTROL),
        ]
    )
    figure.add_vline(x=0.5, line={"color": CONTROL, "width": 1, "dash": "dot"}, layer="below")
    return figure.update_xaxes(range=[0.4, 1.02])


def selectivity_figure(found: Selectivity) -> go.Figure:
    """Draw the probe's R², that of control tasks, and the difference."""
    return _rows(
        [
            ("moral labels", found.real, MODEL),
            ("control tasks", found.control, _OTHER),
            ("selectivity", found.difference, CONTROL),
        ]
    )


def partial_figure(found: Partial) -> go.Figure:
    """Draw typicality as it is, at equal length, negation and form, and the difference."""
    return _rows(
        [
            ("as it is", found.plain, MODEL),
            ("held fixed", found.partial, _OTHER),
            ("difference", found.difference, CONTROL),
        ]
    )


def _rows(rows: Sequence[tuple[str, Estimate, str]]) -> go.Figure:
    """Draw figures with their intervals, the first on top; NaN ones leave their row out."""
    figure = go.Figure()
    for name, side, colour in reversed(rows):
        if np.isnan(side.value):
            continue
        figure.add_trace(
            go.Scatter(
                x=[side.value],
                y=[name],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 9, "symbol": "diamond"},
                error_x={
                    "array": [side.high - side.value],
                    "arrayminus": [side.value - side.low],
                    "color": colour,
                    "thickness": 2,
                    "width": 3,
                },
                hovertemplate=f"{name}: {interval(side)}<extra></extra>",
            )
        )
    return lay_out_rows(figure, 54 + 26 * len(rows), {"l": 4, "r": 10, "t": 4, "b": 22})
