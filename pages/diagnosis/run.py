"""A diagnosis before it is there: start it, watch it, or say what it would cost."""

import streamlit as st

from core.activations.study import Study
from core.diagnosis import jobs as diagnosis_jobs
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from pages.shared import bench as shared_bench
from pages.shared import progress, reading
from pages.shared.bench import opened, workbench


def panel(study: Study, spec: DiagnosisSpec) -> Diagnosis | None:
    """Return the diagnosis; while there is none, show its progress or offer it."""
    made = diagnosis_jobs.diagnosis(workbench(), study, spec)
    found = opened(made)
    if found is not None:
        return found
    note = "You may leave this page: the measuring goes on. Later it opens at once."
    if progress.making(made, note, unasked=reading.is_cheap(study)):
        return None
    with st.container(border=True):
        st.markdown(f"**{study.card.name}** has not been diagnosed with these settings yet.")
        st.caption(
            f"Four tests at {len(study.plan.layers)} layers on {len(study.items):,} items, each "
            f"with {spec.draws:,} resamples of texts and {spec.shuffles:,} shuffles of labels: "
            "minutes, growing with items × width. No weights are needed."
        )
        progress.offer(st, made, "Run the four tests", type="primary")
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
    made = diagnosis_jobs.diagnosis(workbench(), copy, spec)
    found = opened(made)
    note = "The untrained copy is being measured: verdicts wait for it."
    if found is None and not progress.making(made, note, unasked=reading.is_cheap(copy)):
        row = st.container(horizontal=True, vertical_alignment="center")
        row.caption("The untrained copy has not been measured: verdicts stop short of it.")
        progress.offer(row, made, "Measure the untrained copy")
    return found
