"""Dose: what a direction does at each strength, and up to where the model stays itself."""

import streamlit as st

from core.activations.study import Study
from core.steering import jobs as steering_jobs
from core.steering.effects.matched_controls import CONTROLS
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.safe_ranges import STRENGTHS
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import opened, workbench
from pages.steer import sweep_charts
from pages.steer.choice import AXES, Choice


def show(study: Study, choice: Choice) -> None:
    """Draw the dose of one axis, its progress, or an offer to measure it."""
    st.subheader("How much is safe?", anchor="dose")
    axis = st.selectbox(
        "Direction",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound("sweep", "care-harm", AXES),
    )
    spec = SweepSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
    made = steering_jobs.strength_sweep(workbench(), study, spec)
    dose = opened(made)
    if dose is not None:
        sweep_charts.show(dose)
        return
    if progress.making(made):
        return
    st.caption(
        f"{len(STRENGTHS)} strengths on held-out actions of this axis and on neutral sentences, "
        f"beside up to {CONTROLS} random directions and {CONTROLS} of shuffled labels, of equal "
        "length and of equal effect on neutral text, until they decide: one to ten minutes on two "
        "cores, measured once."
    )
    progress.offer(st, made, "Measure the dose", key="dose-start")
