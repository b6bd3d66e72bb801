"""Plain and steered text side by side: written token by token, then compared word by word."""

from html import escape

import streamlit as st

from core import steerjobs
from core.history import Run
from core.jobs import Job
from core.steeredrun import Live
from core.study import Study
from pages.parts import (
    frame,
    progress,
    steercompare,
    steerpair,
    steerrecipe,
    steertake,
    steerwriter,
    steerwriting,
)
from pages.parts.bench import bench
from pages.parts.steerchoice import Choice


def show(study: Study, choice: Choice) -> Run | None:
    """Draw the texts; return the run that is shown, None while there is none."""
    st.subheader("Let it write", anchor="texts")
    steerpair.style()
    now = steerwriter.job()
    active = now is not None and now.active
    _take(now)
    st.fragment(_texts, run_every=0.3 if active else None)(study, choice, was_active=active)
    return st.session_state.get("run")


def _take(now: Job | None) -> None:
    """Show a finished run once, also if it ended while the person was on another page."""
    if now is not None and now.state == "done" and st.session_state.get("taken") != now.ended:
        st.session_state["taken"] = now.ended
        st.session_state["run"] = now.result
        st.session_state["history-run"] = now.result.name


def _texts(study: Study, choice: Choice, *, was_active: bool) -> None:
    now = steerwriter.job()
    active = now is not None and now.active
    if was_active and not active:
        st.rerun()
    with frame.told():
        _buttons(study, choice, now if active else None)
    if now is not None and active:
        _waiting(now)
    elif now is not None:
        _ended(now)
    if now is not None and now.live is not None and now.state != "done":
        _live(now.live)
    elif st.session_state.get("run") is not None:
        run = st.session_state["run"]
        if told := steertake.compared(run):
            st.caption(told)
        steercompare.show(study, run)


def _buttons(study: Study, choice: Choice, running: Job | None) -> None:
    row = st.container(horizontal=True, vertical_alignment="center")
    if running is not None:
        row.button("Stop", icon=":material/stop_circle:", key="stop", on_click=running.cancel)
        return
    if row.button("Write", type="primary", icon=":material/edit:", key="write"):
        recipe = steerrecipe.recipe(study, choice, steerwriting.decoding())
        steerwriter.start(study, recipe, steerrecipe.prompt(), st.session_state.pop("parent", ""))
        st.rerun()
    with row.popover("How it writes", icon=":material/settings:"):
        steerwriting.ask(chat=steerjobs.has_chat(bench(), study))
    row.caption("Both texts draw the same random numbers: they part only where steering acts.")


def _waiting(now: Job) -> None:
    ahead = bench().runner.ahead(now)
    if now.state == "queued":
        st.caption(f"Waiting for {ahead} other job(s) of the model.")
    else:
        st.progress(now.fraction, text=now.note)


def _ended(now: Job) -> None:
    if now.state == "failed":
        progress.ended(now)
    elif now.state == "cancelled":
        st.info("Stopped before the first token: there is nothing to keep.")


def _live(live: Live) -> None:
    if live.written is None:
        return
    for plain, steered in zip(live.written.plain, live.written.steered, strict=True):
        steerpair.show(escape(plain), escape(steered))
