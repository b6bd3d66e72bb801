"""Plain and steered text side by side: written token by token, then compared word by word."""

from typing import Any

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.runtime.runner import Job
from core.steering import jobs as steering_jobs
from core.steering.history import Run
from pages.shared import frame, progress
from pages.shared.bench import workbench
from pages.steer import decoding, live_texts, pair, restore, stamp, text_diff, writer
from pages.steer import recipe as steer_recipe
from pages.steer.choice import Choice


def begin() -> Any:
    """Draw the heading; return the place where it is said what wrote the texts."""
    st.subheader("Let it write", anchor="texts")
    pair.style()
    stamp.style()
    _take(writer.job())
    return st.empty()


def show(study: Study, choice: Choice, told: Any) -> Run | None:
    """Draw the texts; return the run that is shown, None while there is none."""
    _texts(study, choice, told)
    return st.session_state.get("run")


def _take(now: Job | None) -> None:
    """Show a finished run once, also if it ended while the person was on another page."""
    if now is not None and now.state == "done" and st.session_state.get("taken") != now.ended:
        st.session_state["taken"] = now.ended
        st.session_state["run"] = now.result
        st.session_state["history-run"] = now.result.name


@st.fragment
def _texts(study: Study, choice: Choice, told: Any) -> None:
    """A click on Write runs this part alone: a whole page would delay the first word."""
    now = writer.job()
    writing = now is not None and now.active
    row = st.container(horizontal=True, vertical_alignment="center")
    # In its place in both cases: what is not drawn again stays clickable until this part has run.
    row.button(
        "Write",
        type="primary",
        icon=":material/edit:",
        key="write",
        disabled=writing,
        on_click=_write,
        args=(study, choice),
    )
    if now is not None and now.active:
        stamp.show(told, study, choice)
        row.button("Stop", icon=":material/stop_circle:", key="stop", on_click=now.cancel)
        live_texts.watch()
        return
    with row.popover("How it writes", icon=":material/settings:"):
        decoding.ask(chat=steering_jobs.has_chat(workbench(), study))
    row.caption("Both texts draw the same random numbers: they part only where steering acts.")
    stamp.show(told, study, choice)
    if failed := st.session_state.pop("write-told", ""):
        st.error(failed)
    with st.container(key=stamp.KEY):
        _ended(study, now)


def _write(study: Study, choice: Choice) -> None:
    """Start writing (a callback); a second click on a button that is still there does nothing."""
    now = writer.job()
    if now is not None and now.active:
        return
    try:
        recipe = steer_recipe.recipe(study, choice, decoding.decoding())
        prompt, parent = steer_recipe.prompt(), st.session_state.pop("parent", "")
        writer.start(study, recipe, prompt, parent)
    except CoreError as error:
        st.session_state["write-told"] = str(error)


def _ended(study: Study, now: Job | None) -> None:
    """Show the run, or how the writing ended without one."""
    run = st.session_state.get("run")
    if run is None and now is not None and now.state != "done":
        if now.state == "failed":
            progress.ended(now)
        else:
            st.info("Stopped before the first token: there is nothing to keep.")
        live_texts.so_far(now)
    elif run is not None:
        with frame.told():
            if told := restore.compared(run):
                st.caption(told)
            text_diff.show(study, run)
