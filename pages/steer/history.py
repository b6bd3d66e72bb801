"""Runs that were made: list, marks, branch, compare, files, link."""

from html import escape
from typing import Any

import streamlit as st

from core.activations.study import Study
from core.steering.history import Run, runs
from core.steering.view import run_title, runs_table
from pages.shared import frame
from pages.shared.bench import workbench
from pages.steer import files, marks

_COLUMNS: Any = {
    "made": st.column_config.DatetimeColumn("made (UTC)", format="D MMM, HH:mm"),
    "prompt": st.column_config.TextColumn(width="large"),
    "changed": st.column_config.NumberColumn("tokens changed"),
}


def show(study: Study) -> None:
    """Draw the history."""
    st.subheader("Runs so far", anchor="history")
    kept = runs(workbench().store)
    if not kept:
        st.caption("None yet. Every finished run is kept here, with its recipe and its texts.")
        return
    st.dataframe(
        runs_table(kept),
        hide_index=True,
        height=min(38 + 35 * len(kept), 250),
        key="runs",
        column_config=_COLUMNS,
        alt="Runs, pinned ones first, then the newest.",
    )
    names = {run.name: run for run in kept}
    row = st.columns(2)
    chosen = row[0].selectbox(
        "Run", list(names), format_func=lambda one: run_title(names[one]), key="history-run"
    )
    other = row[1].selectbox(
        "Compare with",
        [None, *names],
        format_func=lambda one: "nothing" if one is None else run_title(names[one]),
        key="history-other",
    )
    run = names[chosen]
    marks.show(run)
    if other is not None and other != chosen:
        _against(run, names[other])
    with frame.told():
        files.show(study, run)


def _against(run: Run, other: Run) -> None:
    for column, one in zip(st.columns(2), (run, other), strict=True):
        with column.container(border=True, height="stretch"):
            st.caption(run_title(one))
            for text in one.steered:
                st.html(f"<p class='ms-text'>{escape(one.prompt)}<b>{escape(text)}</b></p>")
