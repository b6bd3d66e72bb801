"""Texts while they are written, token by token."""

import time
from collections.abc import Callable
from html import escape
from typing import Final

import streamlit as st

from core.runtime.runner import Job
from pages.shared import progress
from pages.steer import pair, writer

#: Seconds between two looks at a text that is being written, and at most before its first token.
_LOOK: Final = 0.25
_FIRST: Final = 0.8


@st.fragment(run_every=_LOOK)
def watch(show: Callable[[Job], None]) -> None:
    """Show the text so far; when it ends, the page runs again.

    Args:
        show: Draws how far a job is and what it has written.
    """
    now = writer.job()
    end = time.monotonic() + _FIRST
    while now is not None and now.active and now.live.written is None and time.monotonic() < end:
        time.sleep(0.01)
    if now is None or not now.active:
        st.rerun()
    show(now)


def full(now: Job) -> None:
    """Draw how far a job is, and what it has written."""
    if now.state == "queued":
        st.caption(waits(now))
    else:
        st.progress(now.fraction, text=now.note)
    so_far(now)


def so_far(now: Job) -> None:
    """Draw what a job has written, in two columns."""
    if now.live is not None and now.live.written is not None:
        written = now.live.written
        for plain, steered in zip(written.plain, written.steered, strict=True):
            pair.show(escape(plain), escape(steered))


def waits(now: Job) -> str:
    """Say what a queued job waits for."""
    return progress.waits_for(now) or "Begins."
