"""A diagnosis before it is there: start it, watch it, or say what it would cost."""

import streamlit as st

from core.activations.study import Study
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.runtime.runner import Job
from pages.shared import bench as shared_bench
from pages.shared import progress, reading
from pages.shared.bench import bench


def panel(study: Study, spec: DiagnosisSpec) -> Diagnosis | None:
    """Return the diagnosis; while there is none, show its progress or offer it."""
    found = shared_bench.diagnosis(study, spec)
    if found is not None:
        return found
    work = bench()
    job = work.runner.get(work.diagnose_key(study, spec))
    if job is None and _unasked(study):
        job = work.diagnose(study, spec)
    if _watched(job, "You may leave this page: the measuring goes on. Later it opens at once."):
        return None
    with st.container(border=True):
        st.markdown(f"**{study.card.name}** has not been diagnosed with these settings yet.")
        st.caption(
            f"Four tests at {len(study.plan.layers)} layers on {len(study.items):,} items, each "
            f"with {spec.draws:,} resamples of texts and {spec.shuffles:,} shuffles of labels: "
            "minutes, growing with items × width. No weights are needed."
        )
        if st.button("Run the four tests", type="primary", icon=":material/play_arrow:"):
            work.diagnose(study, spec)
            st.rerun()
    return None


def untrained(study: Study, spec: DiagnosisSpec) -> Diagnosis | None:
    """Return the untrained copy's diagnosis; while there is none, read and measure it."""
    copy = shared_bench.untrained(study)
    if copy is None:
        st.info(
            "What is shown **is** the untrained control: random weights. Nothing here came from "
            "training.",
            icon=":material/science:",
        )
        return None
    found = shared_bench.diagnosis(copy, spec)
    if found is None:
        _measure(copy, spec)
    return found


def _measure(copy: Study, spec: DiagnosisSpec) -> None:
    """Read the copy, then diagnose it; unasked if that is cheap or was asked for before."""
    work = bench()
    is_read, asked = work.is_read(copy), work.runner.get(work.read_key(copy)) is not None
    job = work.runner.get(work.diagnose_key(copy, spec) if is_read else work.read_key(copy))
    if job is None and (asked or _unasked(copy)):
        job = work.diagnose(copy, spec) if is_read else work.read(copy)
    if _watched(job, "The untrained copy is being measured: verdicts wait for it."):
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption("The untrained copy has not been measured: verdicts stop short of it.")
    if row.button("Measure the untrained copy", icon=":material/play_arrow:"):
        if is_read:
            work.diagnose(copy, spec)
        else:
            work.read(copy)
        st.rerun()


def _unasked(study: Study) -> bool:
    return study.card.spec.source == "packaged" and len(study.plan.prompts) <= reading.UNASKED


def _watched(job: Job | None, note: str) -> bool:
    """Show a running job with a note and return True; say how one ended that did not end well."""
    if job is not None and job.active:
        progress.watch(job.key)
        st.caption(note)
        return True
    if job is not None:
        progress.ended(job)
    return False
