"""A pack is opened on the Data page: uploaded, or named by its path."""

from functools import partial
from pathlib import Path

import streamlit as st

from core.leaderboard import pack
from core.leaderboard.pack_file import SUFFIX
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.runtime.uploads import keep_upload
from pages.shared import progress
from pages.shared.bench import workbench

_JOB = "pack-job"


def open_one() -> None:
    """Draw the ways to open a pack; while one is opened, its progress."""
    job = workbench().runner.get(st.session_state.get(_JOB, ""))
    if job is not None and job.active:
        progress.watch(job.key)
        return
    if job is not None:
        _opened(job)
    st.caption(
        "A pack holds a set with its licence and what one model made of it: states, maps, figures, "
        "receipts. Map and Diagnosis open from it without the model; every file's hash is checked."
    )
    left, right = st.columns(2)
    given = left.file_uploader("A pack, up to 200 MB", type=[SUFFIX[1:]], key="pack-upload")
    typed = right.text_input(
        "Or its path on this machine", key="pack-path", placeholder=f"/data/model{SUFFIX}"
    )
    asked = given is not None or bool(typed)
    if st.button("Open the pack", icon=":material/unarchive:", disabled=not asked):
        path = Path(typed.strip()).expanduser() if typed else None
        if path is None and given is not None:
            path = keep_upload(workbench().store, given.name, given.getvalue())
        if path is not None:
            _start(path)


def _start(path: Path) -> None:
    key = fingerprint({"unpack": str(path)})
    work = partial(pack.unpack, workbench().store, path)
    st.session_state[_JOB] = (
        workbench().runner.submit(key, f"Opening {path.name}", work, "data").key
    )
    st.rerun()


def _opened(job: Job) -> None:
    progress.ended(job)
    if job.state != "done" or not isinstance(job.result, pack.Packed):
        return
    found = job.result
    st.success("The pack is open." if found.new else "This pack was open already.")
    st.caption("  \n".join(found.told))
    settings = {"set": found.set_name[:12], "model": str(found.spec), "untrained": False}
    st.button("Look at it", type="primary", on_click=st.session_state.update, args=(settings,))
