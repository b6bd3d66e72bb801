"""A dictionary trained here: started, watched, paused, gone on with."""

from typing import Final

import streamlit as st

from core.activations.study import Study
from core.sae.training.jobs import training
from core.sae.training.trained import TrainPlan, discard, is_paused
from pages.features import arrived, training_curve, training_form
from pages.shared import frame, progress
from pages.shared.bench import workbench

_PLAN: Final = "training-plan"


def show(study: Study) -> None:
    """Draw the form, the running training, or what it gave."""
    with st.form("train", border=False), frame.told():
        make = training_form.ask(study)
        if st.form_submit_button("Train", icon=":material/play_arrow:", type="primary"):
            plan = make()
            st.session_state[_PLAN] = plan
            _start(plan)
    asked = st.session_state.get(_PLAN)
    if isinstance(asked, TrainPlan) and asked.study.plan.model == study.plan.model:
        with frame.told():
            _state(asked)


def _start(plan: TrainPlan) -> None:
    workbench().runner.ensure(training(workbench(), plan))


def _state(plan: TrainPlan) -> None:
    """Show the job of a plan, or how it ended."""
    store = workbench().store
    made = training(workbench(), plan)
    kept = made.open()
    if kept is not None:
        arrived.offer(kept.shelved.digest, "train-take")
        return
    job = workbench().runner.of(made)
    if job is not None and job.active:
        progress.watch(job.key)
        training_curve.live(job.key)
        return
    if job is not None:
        progress.ended(job)
    paused = is_paused(store, plan)
    if job is None and not paused:
        return
    row = st.container(horizontal=True)
    row.button("Go on", icon=":material/play_arrow:", on_click=_start, args=(plan,))
    if paused:
        row.button("Forget it", icon=":material/delete:", on_click=discard, args=(store, plan))
