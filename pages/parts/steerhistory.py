"""Runs that were made: list, marks, branch, compare, files, link."""

from html import escape
from typing import Any

import streamlit as st

from core import CoreError
from core.history import Run, delete_run, mark_run, runs
from core.steerview import run_title, runs_table
from core.study import Study
from pages.parts import frame, steerfiles, steerlink
from pages.parts.bench import bench

_COLUMNS: Any = {
    "made": st.column_config.DatetimeColumn("made (UTC)", format="D MMM, HH:mm"),
    "prompt": st.column_config.TextColumn(width="large"),
    "changed": st.column_config.NumberColumn("tokens changed"),
}


def show(study: Study) -> None:
    """Draw the history."""
    st.subheader("Runs so far", anchor="history")
    kept = runs(bench().store)
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
    _marks(run)
    if other is not None and other != chosen:
        _against(run, names[other])
    with frame.told():
        steerfiles.show(study, run)


def _marks(run: Run) -> None:
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.button(
        "Branch from here",
        icon=":material/fork_right:",
        key="branch",
        on_click=_branch,
        args=(run,),
        help="Loads recipe and prompt into the controls above, and shows its texts.",
    )
    for label, name, on, icon in (
        ("Unpin" if run.pinned else "Pin", "pinned", run.pinned, ":material/push_pin:"),
        ("Unstar" if run.starred else "Star", "starred", run.starred, ":material/star:"),
    ):
        row.button(label, icon=icon, key=name, on_click=_mark, args=(run.name, {name: not on}))
    row.button(
        "Delete",
        icon=":material/delete:",
        key="delete-run",
        on_click=delete_run,
        args=(bench().store, run.name),
    )
    key = f"note-{run.name}"
    row.text_input(
        "Note", value=run.note, key=key, max_chars=2000, on_change=_note, args=(run.name, key)
    )
    if st.session_state.get("history-told"):
        st.error(st.session_state.pop("history-told"))


def _mark(name: str, marks: dict[str, Any]) -> None:
    try:
        mark_run(bench().store, name, **marks)
    except CoreError as error:
        st.session_state["history-told"] = str(error)


def _note(name: str, key: str) -> None:
    _mark(name, {"note": st.session_state[key]})


def _branch(run: Run) -> None:
    try:
        steerlink.load(run.recipe, run.prompt, run.name)
    except CoreError as error:
        st.session_state["history-told"] = str(error)


def _against(run: Run, other: Run) -> None:
    for column, one in zip(st.columns(2), (run, other), strict=True):
        with column.container(border=True, height="stretch"):
            st.caption(run_title(one))
            for text in one.steered:
                st.html(f"<p class='ms-text'>{escape(one.prompt)}<b>{escape(text)}</b></p>")
