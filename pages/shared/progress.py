"""A job on the screen: bar, present step, time left, Cancel; redrawn by itself until it ends."""

import streamlit as st

from core.runtime.runner import Job
from pages.shared import progress
from pages.shared.bench import bench


@st.fragment(run_every=0.7)
def watch(key: str) -> None:
    """Show a running job; when it ends, the page runs again."""
    job = bench().runner.get(key)
    if job is None or not job.active:
        st.rerun()
    waiting = bench().runner.ahead(job)
    note = f"waiting for {waiting} other job(s)" if job.state == "queued" and waiting else job.note
    left = "" if job.left is None else f" · about {_span(job.left)} left"
    st.progress(job.fraction, text=f"**{job.title}**  \n{note}{left}")
    stopping = f"stopping-{key}"
    if st.session_state.get(stopping) == job.started > 0:  # of this run, not of one before
        st.caption("Stopping after the present step; what is stored stays.")
        return
    st.button(
        "Cancel",
        key=f"cancel-{key}",
        icon=":material/stop_circle:",
        on_click=_stop,
        args=(job, stopping),
    )


def _stop(job: Job, stopping: str) -> None:
    st.session_state[stopping] = job.started
    job.cancel()


def ended(job: Job) -> None:
    """Say how a job ended, if not well."""
    if job.state == "failed":
        st.error(job.error)
    elif job.state == "cancelled":
        st.info("Cancelled. What was done so far is kept; starting again goes on from there.")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def watched(job: Job | None) -> bool:
    """Show a running job and return True; say how one ended that did not end well."""
    if job is not None and job.active:
        progress.watch(job.key)
        return True
    if job is not None:
        progress.ended(job)
    return False
