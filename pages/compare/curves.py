"""Four tests of all sides over depth, on one axis."""

from typing import Any

import streamlit as st

from core.charts import config
from core.comparison import plots as comparison_plots
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.measures.result import TESTS


def show(found: Found) -> list[Any]:
    """Draw the curves; return their figures."""
    st.markdown("**Over depth**: 0 is the embedding, 1 the last layer; bands are 95 % intervals.")
    drawn = []
    shown = [side.depth for side in found.sides]
    for start in range(0, len(TESTS), 2):
        for column, test in zip(st.columns(2), TESTS[start : start + 2], strict=True):
            figure = comparison_plots.depth_figure(
                test, comparison_view.depth_curves(found.diagnoses, test), shown
            )
            drawn.append(figure)
            with column:
                st.plotly_chart(
                    figure,
                    key=f"depth-{test}",
                    config=config(f"moralscope-depth-{test}") | {"scrollZoom": False},
                    alt=f"{figure.layout.title.text} of all sides over depth; table below.",
                )
    with st.expander("As a table"):
        number = st.column_config.NumberColumn
        st.dataframe(
            comparison_view.depth_table(found.diagnoses),
            hide_index=True,
            key="depth-table",
            column_config={
                name: number(format="%.3f") for name in ("depth", "value", "low", "high")
            },
            alt="Four tests of all sides over depth, with 95 % intervals.",
        )
    return drawn
