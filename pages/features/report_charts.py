"""A dictionary's report as charts, each with its table."""

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
import streamlit as st

from core.charts import config
from core.sae.training.plots import (
    density_figure,
    density_table,
    report_table,
    training_figure,
    training_table,
    worth_figure,
)
from core.sae.training.reconstruction_report import ReconstructionReport
from core.sae.training.spec import TrainStep

_NUMBER: Final = st.column_config.NumberColumn
_COLUMNS: Final[dict[str, Any]] = {
    name: _NUMBER(format="%.3f") for name in ("value", "low", "high")
} | {name: _NUMBER(format="%.3g") for name in ("from %", "to %")}


def show(report: ReconstructionReport, told: str, curve: Sequence[TrainStep] = ()) -> None:
    """Draw everything behind a fold.

    Args:
        report: The figures.
        told: What they rest on.
        curve: How training went; empty where nothing is known of it.
    """
    with st.expander("How good is this dictionary?"):
        st.caption(told)
        _chart(worth_figure(report), "worth", "Variance missed and cross-entropy added, controls.")
        _table(report_table(report), "report-table", "Every figure with interval; controls marked.")
        left, right = st.columns([1.5, 1], gap="large")
        with left:
            _chart(density_figure(report), "density", "Histogram of how often latents are on.")
        with right:
            _table(density_table(report), "density-table", "Latents by how often they are on.")
        if curve:
            st.markdown("**How training went**")
            _chart(training_figure(curve), "trained-curve", "Fit, latents on, dead over steps.")
            _table(training_table(curve), "training-table", "The same, step by step.")


def _chart(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(
        figure,
        key=key,
        config=config(f"moralscope-{key}") | {"displayModeBar": False, "scrollZoom": False},
        alt=f"{alt} The table beside it holds the same.",
    )


def _table(table: Any, key: str, alt: str) -> None:
    st.dataframe(table, hide_index=True, key=key, height=230, column_config=_COLUMNS, alt=alt)
