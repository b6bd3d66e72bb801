"""Ways to bring data: the official archive, an upload, a file on this machine."""

from pathlib import Path

import streamlit as st

from core.dataset import archive
from core.dataset.items import Items
from core.dataset.sets import ItemSpec
from core.runtime.paths import shown_path
from core.runtime.runner import Job
from core.runtime.uploads import keep_upload
from pages.data import table_form
from pages.shared import progress
from pages.shared.bench import workbench

_WAYS = ("Upload a table", "A file on this machine", "Social-Chemistry-101")
_JOB = "data-job"


def show() -> None:
    """Draw the ways; a running reading replaces them."""
    job = workbench().runner.get(st.session_state.get(_JOB, ""))
    if job is not None and job.active:
        progress.watch(job.key)
        return
    if job is not None:
        _finished(job)
    way = st.segmented_control(
        "From", _WAYS, default=_WAYS[0], required=True, key="way", persist_state="session"
    )
    if way == _WAYS[0]:
        _upload()
    elif way == _WAYS[1]:
        _local()
    else:
        _official()


def _finished(job: Job) -> None:
    progress.ended(job)
    if job.state == "done" and isinstance(job.result, Items):
        items = job.result
        st.success(f"{items.provenance.name} is ready: {len(items):,} items.")
        st.button("Use it now", type="primary", on_click=_use, args=(items.digest[:12],))


def _use(name: str) -> None:
    st.session_state["set"] = name


def _start(spec: ItemSpec | None) -> None:
    if spec is None:
        return
    st.session_state[_JOB] = workbench().add_items(spec).key
    st.rerun()


def _upload() -> None:
    st.caption(
        "CSV, TSV, Parquet or JSONL with an action, its foundation(s), and a judgement −2 to 2 "
        "(with agreement 0 to 4 if you have it), a score from −1 to 1, or a pole (virtue or vice, "
        "with a grade 0 to 1 if you have it); a moral-vector table; or the Social-Chemistry-101 "
        "TSV or zip. Up to 200 MB; it stays on this machine."
    )
    given = st.file_uploader(
        "Table",
        type=["csv", "tsv", "txt", "parquet", "jsonl", "zip"],
        key="upload",
        label_visibility="collapsed",
    )
    if given is not None:
        path = keep_upload(workbench().store, given.name, given.getvalue())
        _start(table_form.ask(path, Path(given.name).stem))


def _local() -> None:
    typed = st.text_input(
        "Path",
        key="local-path",
        persist_state="session",
        max_chars=500,
        placeholder="/data/social-chem-101.v1.0.tsv",
    )
    if typed:
        path = Path(typed.strip()).expanduser()
        _start(table_form.ask(path, path.stem))


def _official() -> None:
    st.markdown(
        f"The table of **Social-Chemistry-101**: 292,000 rules of thumb with {archive.LICENCE} "
        f"([licence]({archive.LICENCE_URL}))."
    )
    st.caption(archive.CITATION)
    sample = st.toggle(
        "A balanced sample",
        value=True,
        key="official-sample",
        help="About 16,000 items, as in the paper; the whole table has 251,334.",
    )
    if st.button("Fetch and read (28 MB)", type="primary", icon=":material/cloud_download:"):
        st.session_state[_JOB] = workbench().fetch_archive("diagnosis" if sample else "all").key
        st.rerun()
    st.caption(
        f"Without a network: fetch {archive.ARCHIVE_URL} elsewhere and put it at "
        f"{shown_path(archive.archive_path(workbench().store))}, or upload it."
    )
