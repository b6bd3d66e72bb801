"""Plain and steered text side by side: written token by token, then compared word by word."""

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.runtime.runner import Job
from core.steering import jobs as steering_jobs
from core.steering.history import Run
from pages.shared import frame, progress
from pages.shared.bench import workbench
from pages.steer import decoding, live_texts, pair, restore, text_diff, writer
from pages.steer import recipe as steer_recipe
from pages.steer.choice import Choice


def show(study: Study, choice: Choice) -> Run | None:
    """Draw the texts; return the run that is shown, None while there is none."""
    st.subheader("Let it write", anchor="texts")
    pair.style()
    _take(writer.job())
    _texts(study, choice)
    return st.session_state.get("run")


def _take(now: Job | None) -> None:
    """Show a finished run once, also if it ended while the person was on another page."""
    if now is not None and now.state == "done" and st.session_state.get("taken") != now.ended:
        st.session_state["taken"] = now.ended
        st.session_state["run"] = now.result
        st.session_state["history-run"] = now.result.name


@st.fragment
def _texts(study: Study, choice: Choice) -> None:
    """A click on Write runs this part alone: a whole page would delay the first word."""
    now = writer.job()
    row = st.container(horizontal=True, vertical_alignment="center")
    if now is not None and now.active:
        row.button("Stop", icon=":material/stop_circle:", key="stop", on_click=now.cancel)
        live_texts.watch()
        return
    row.button(
        "Write",
        type="primary",
        icon=":material/edit:",
        key="write",
        on_click=_write,
        args=(study, choice),
    )
    with row.popover("How it writes", icon=":material/settings:"):
        decoding.ask(chat=steering_jobs.has_chat(workbench(), study))
    row.caption("Both texts draw the same random numbers: they part only where steering acts.")
    if told := st.session_state.pop("write-told", ""):
        st.error(told)
    _ended(study, now)


def _write(study: Study, choice: Choice) -> None:
    """Start writing (a callback)."""
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
