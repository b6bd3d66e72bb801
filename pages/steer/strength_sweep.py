"""Dose: what a direction does at each strength, and up to where the model stays itself."""

import streamlit as st

from core.activations.study import Study
from core.steering import jobs as steering_jobs
from core.steering.effects.strength_sweep import RANDOM, STRENGTHS, DoseSpec, open_dose
from pages.shared.address import bound
from pages.shared.bench import bench
from pages.shared.progress import watched
from pages.steer import sweep_charts
from pages.steer.choice import AXES, Choice


def show(study: Study, choice: Choice) -> None:
    """Draw the dose of one axis, its progress, or an offer to measure it."""
    st.subheader("How much is safe?", anchor="dose")
    axis = st.selectbox(
        "Direction",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound("dose", "care-harm", AXES),
    )
    spec = DoseSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
    dose = open_dose(bench().store, study, spec)
    if dose is not None:
        sweep_charts.show(dose)
        return
    job = bench().runner.get(steering_jobs.dose_job_key(study, spec))
    if watched(job):
        return
    st.caption(
        f"{len(STRENGTHS)} strengths on held-out actions of this axis and on neutral sentences, "
        f"beside {RANDOM} random directions and one of shuffled labels: a minute or two on two "
        "cores, measured once."
    )
    if st.button("Measure the dose", icon=":material/play_arrow:", key="dose-start"):
        steering_jobs.dose(bench(), study, spec)
        st.rerun()
