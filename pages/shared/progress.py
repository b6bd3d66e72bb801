"""A job on the screen: bar, present step, time left, Cancel; redrawn by itself until it ends."""

from typing import Any, Final

import streamlit as st

from core.runtime.made import Made
from core.runtime.runner import Job
from pages.shared.bench import workbench

#: Names of what this visitor has asked for: its pieces are started one after the other.
_ASKED: Final = "asked-for"


@st.fragment(run_every=0.7)
def watch(key: str) -> None:
    """Show a running job; when it ends, the page runs again."""
    job = workbench().runner.get(key)
    if job is None or not job.active:
        st.rerun()
    note = waits_for(job) or job.note
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


def waits_for(job: Job) -> str:
    """Say what a queued job waits for and about how long; nothing if it has its turn."""
    ahead = workbench().runner.ahead(job)
    if not ahead:
        return ""
    first, *others = ahead
    left = "" if first.left is None else f", about {_span(first.left)} left"
    more = f", then {len(others)} more" if others else ""
    return f"waiting for “{first.title}”{left}{more}"


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
        watch(job.key)
        return True
    if job is not None:
        ended(job)
    return False


def making(made: Made[Any], note: str = "", *, unasked: bool = False) -> bool:
    """Show the job on something, or on what it needs, and return True; False if none runs.

    What the visitor has asked for goes on with its next piece when one has ended.

    Args:
        made: What is not kept yet.
        note: Shown beneath a job that runs.
        unasked: Begin by itself.
    """
    runner, asked = workbench().runner, st.session_state.setdefault(_ASKED, set())
    job = runner.of(made)
    # Not while a job runs, even one that is stopping, nor after one that ended badly.
    if (job is None or job.state == "done") and (unasked or made.name in asked):
        job = runner.ensure(made)
    if job is not None and job.active:
        asked.add(made.name)  # whoever began it: what follows goes on here
        watch(job.key)
        if note:
            st.caption(note)
        return True
    if job is not None and (job.key == made.name or made.name in asked):
        ended(job)
    return False


def begin(made: Made[Any]) -> None:
    """Start making something, or first what it needs."""
    st.session_state.setdefault(_ASKED, set()).add(made.name)
    workbench().runner.ensure(made)


def offer(place: Any, made: Made[Any], label: str, **button: Any) -> None:
    """Draw the button that starts making something."""
    if place.button(label, **{"icon": ":material/play_arrow:", **button}):
        begin(made)
        st.rerun()
