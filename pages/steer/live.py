"""Prompt and sliders, and beside them the read-out that answers without a word being written."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.steering import jobs as steering_jobs
from core.steering.effects.strength_sweep import SweepSpec
from pages.shared import frame
from pages.shared.address import bound
from pages.shared.bench import opened, workbench
from pages.steer import presets, readout, recipe, stamp
from pages.steer import sliders as steer_sliders
from pages.steer.choice import AXES, Choice


@st.fragment
def show(study: Study, choice: Choice, told: Any) -> None:
    """Draw prompt and sliders, and beside them what the model would say next.

    The answer to the person's own prompt is sent first, then the controls, then the rest.

    Args:
        study: Items and model.
        choice: Where and how.
        told: Where the texts below say what wrote them.
    """
    recipe.bind(study)
    left, right = st.columns([1, 1.1], gap="large")
    asking, mine, sliders = left.container(), left.container(), left.container()
    stages = readout.stages(study, choice, mine, right)
    with mine, frame.told():
        next(stages, None)
    with asking:
        st.text_area("Prompt", height=80, **bound("prompt", recipe.PROMPT))
        presets.examples()
    with sliders:
        st.markdown("**Steer towards**", help="In per cent of the layer's residual norm.")
        steer_sliders.show(study, _doses(study, choice))
    stamp.show(told, study, choice)
    with right, frame.told():
        for _ in stages:
            pass


def _doses(study: Study, choice: Choice) -> dict[str, Any]:
    specs = {
        axis: SweepSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
        for axis in AXES
    }
    found = {
        axis: opened(steering_jobs.strength_sweep(workbench(), study, spec))
        for axis, spec in specs.items()
    }
    return {axis: dose for axis, dose in found.items() if dose is not None}
