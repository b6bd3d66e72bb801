"""How much of the indifference is the instrument's own: each test from the paper's to ours."""

from collections.abc import Mapping
from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.charts import config
from core.diagnosis.jobs import repaired
from core.diagnosis.plots import within_reach
from core.diagnosis.waterfall import Step, step_count
from core.diagnosis.waterfall_plots import (
    centring_text,
    ends_text,
    waterfall_figure,
    waterfall_table,
)
from core.measures.result import TESTS, Test
from core.runtime.made import Made
from pages.shared import progress
from pages.shared.bench import opened, workbench

_TITLES: Final[dict[Test, str]] = {
    "categorical": "Opposition of virtue and vice, then in excess of the topic (categorical)",
    "gradient": "Typicality: rank correlation with people's grade (gradient)",
    "structural": "Clusters: agreement with 15 classes (structural)",
    "dimensional": "Probe: R² of a linear one (dimensional)",
}


def show(study: Study) -> list[Any]:
    """Show the steps, their progress, or an offer to measure them; return the figures."""
    st.subheader("How much of the indifference is the instrument's own?", anchor="waterfall")
    st.caption(
        "Each test begins with what the paper's procedure gives on this model and these texts, and "
        "repairs one thing at a time. Bars: what a step changed (blue up, orange down; grey is the "
        "paper's figure itself). Diamonds: the figure after it, 95 % interval over texts."
    )
    made = repaired(workbench(), study)
    found = opened(made)
    if found is None:
        if not progress.making(made):
            _offer(study, made)
        return []
    charts = []
    for start in range(0, len(TESTS), 2):
        for column, test in zip(st.columns(2), TESTS[start : start + 2], strict=True):
            with column:
                charts.append(_chart(test, found))
    with st.expander("All steps as a table"):
        st.dataframe(
            waterfall_table(found),
            hide_index=True,
            key="waterfall-table",
            alt="Every step of the four waterfalls with figure, change and intervals.",
        )
    return charts


def _chart(test: Test, found: Mapping[Test, list[Step]]) -> Any:
    st.markdown(f"**{_TITLES[test]}**")
    rows = [(step.name, step.figure) for step in found[test]]
    figure = within_reach(waterfall_figure(found[test]), rows)
    st.plotly_chart(
        figure,
        key=f"waterfall-{test}",
        config=config(f"moralscope-waterfall-{test}") | {"displayModeBar": False},
        alt=f"{_TITLES[test]}: {ends_text(found[test])}; the table below holds every step.",
    )
    st.caption(ends_text(found[test]))
    if hangs := centring_text(found[test]):
        st.caption(hangs)
    return figure


def _offer(study: Study, made: Made[Any]) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption(
        f"The model reads the {len(study.items):,} items once more, as the paper does; then "
        f"{step_count()} steps are measured. A few minutes for thousands of texts on two cores."
    )
    progress.offer(row, made, "Measure it", key="waterfall-start")
