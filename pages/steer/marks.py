"""What a person does with a run: branch, pin, star, delete, note."""

from typing import Any

import streamlit as st

from core import CoreError
from core.steering.history import Run, delete_run, mark_run
from pages.shared.bench import workbench
from pages.steer import restore


def show(run: Run) -> None:
    """Draw the buttons and the note of a run."""
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
        args=(workbench().store, run.name),
    )
    key = f"note-{run.name}"
    row.text_input(
        "Note", value=run.note, key=key, max_chars=2000, on_change=_note, args=(run.name, key)
    )
    if st.session_state.get("history-told"):
        st.error(st.session_state.pop("history-told"))


def _mark(name: str, marks: dict[str, Any]) -> None:
    try:
        mark_run(workbench().store, name, **marks)
    except CoreError as error:
        st.session_state["history-told"] = str(error)


def _note(name: str, key: str) -> None:
    _mark(name, {"note": st.session_state[key]})


def _branch(run: Run) -> None:
    try:
        restore.load(run.recipe, run.prompt, run.name)
    except CoreError as error:
        st.session_state["history-told"] = str(error)
