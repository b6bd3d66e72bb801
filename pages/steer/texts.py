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


def begin() -> None:
    """Take a finished run over; before anything that shows it is drawn."""
    pair.style()
    stamp.style()
    now = writer.job()
    # Once, also if it ended while the person was on another page.
    if now is not None and now.state == "done" and st.session_state.get("taken") != now.ended:
        st.session_state["taken"] = now.ended
        st.session_state["run"] = now.result
        st.session_state["history-run"] = now.result.name


def shown() -> Run | None:
    """Return the run that is shown, None while there is none."""
    return st.session_state.get("run")


@st.fragment
def show(study: Study, choice: Choice, told: Any) -> None:
    """Draw the button and the texts, where there is no stage.

    A click on Write runs this part alone: a whole page would delay the first word.

    Args:
        study: Items and model.
        choice: Where and how the controls steer.
        told: Where it is said what wrote the texts.
    """
    if buttons(study, choice, told):
        live_texts.watch(live_texts.full)
        return
    st.caption("Both texts draw the same random numbers: they part only where steering acts.")
    if shown() is None and (now := writer.job()) is not None and now.state != "done":
        live_texts.so_far(now)
    compared(study)


def buttons(study: Study, choice: Choice, told: Any) -> bool:
    """Draw Write, Stop and how it writes; return whether it is writing."""
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
        row.button("Stop", icon=":material/stop_circle:", key="stop", on_click=now.cancel)
    else:
        with row.popover("How it writes", icon=":material/settings:"):
            decoding.ask(chat=steering_jobs.has_chat(workbench(), study))
        if failed := st.session_state.pop("write-told", ""):
            st.error(failed)
        if shown() is None and now is not None and now.state != "done":
            _unfinished(now)
    stamp.show(told, study, choice)
    return writing


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


def _unfinished(now: Job) -> None:
    """Say how the writing ended without a run."""
    if now.state == "failed":
        progress.ended(now)
    else:
        st.info("Stopped before the first token: there is nothing to keep.")


def compared(study: Study) -> None:
    """Draw the run that is shown, word by word; nothing while there is none."""
    run = shown()
    if run is None:
        return
    with st.container(key=stamp.KEY), frame.told():
        if told := restore.compared(run):
            st.caption(told)
        text_diff.show(study, run)
