"""The model before it is open: a job with progress, then nothing."""

import streamlit as st

from core.activations.study import Study
from core.steering import jobs as steering_jobs
from pages.shared import progress
from pages.shared.bench import workbench


def panel(study: Study) -> bool:
    """Return True if the model is open; else open it and show how far it is."""
    work = workbench()
    before = work.runner.get(steering_jobs.open_key(study))
    asked = st.session_state.get("open-asked")
    if work.shelf.is_open(study.card.spec):
        st.session_state.pop("open-asked", None)
        return True
    if before is not None and not before.active and asked == study.plan.model:
        progress.ended(before)
        if st.button("Open the model", type="primary", icon=":material/play_arrow:"):
            st.session_state.pop("open-asked")
            st.rerun()
        return False
    job = steering_jobs.open_model(work, study)
    if job is None:
        return True
    st.session_state["open-asked"] = study.plan.model
    progress.watch(job.key)
    return False
