"""Prompt, sliders and map, and the read-out that answers without a word being written."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.steering import jobs as steering_jobs
from core.steering.edits import SPLICES
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.shipped_doses import KnownDose
from pages.shared import frame
from pages.shared.address import bound
from pages.shared.bench import opened, workbench
from pages.steer import aligned, presets, readout, recipe, stamp
from pages.steer import choice as steer_choice
from pages.steer import sliders as steer_sliders
from pages.steer.choice import AXES, Choice
from pages.steer.stage import component, picture
from pages.steer.stage import sliders as stage_sliders
from pages.steer.stage import texts as stage_texts


@st.fragment
def show(study: Study, told: Any, shown: list[Choice]) -> Choice:
    """Draw where and how, prompt, sliders and map, and what the model would say next.

    Args:
        study: Items and model.
        told: Where the texts below say what wrote them, if they are no part of the stage.
        shown: Empty; then the choice by which the rest of the page is drawn. Another one draws the
            whole page again.

    Returns:
        Where and how the model is steered.
    """
    recipe.bind(study)
    bound("plain", default=False)
    if is_staged():
        return _staged(study, shown)
    choice = _asked(study, shown, narrow=False)
    _plain(study, choice)
    stamp.show(told, study, choice)
    return choice


def is_staged() -> bool:
    """Tell whether the sliders stand beside the moving map, once ``show`` has bound them."""
    return not st.session_state["plain"]


def _asked(study: Study, shown: list[Choice], *, narrow: bool) -> Choice:
    choice = steer_choice.ask(study, narrow=narrow)
    if shown and shown[0] != choice:
        st.rerun()
    shown.append(choice)
    return choice


def _prompt(height: int) -> None:
    st.text_area("Prompt", height=height, **bound("prompt", recipe.PROMPT))


def _staged(study: Study, shown: list[Choice]) -> Choice:
    """Draw the stage, and below it the read-outs and all further sliders."""
    bound("stage", default=False)
    component.style(alone=st.session_state["stage"])
    with st.container(key="stage"):
        asked, sliders, seen = (st.container(key=f"stage-{one}") for one in ("ask", "push", "map"))
        strip, tables = st.container(key="stage-strip"), st.container(key="stage-tables")
    with asked:
        _prompt(68)
        choice = _asked(study, shown, narrow=True)
    doses = _doses(study, choice)
    spliced = choice.operation in SPLICES
    with sliders:
        if spliced:
            aligned.show(study, staged=True)
        else:
            stage_sliders.show(doses)
    with seen, frame.told():
        picture.show(study, choice, tables)
    with strip:
        stage_texts.show(study, choice, doses)
    mine, others = st.columns([1, 1.1], gap="large")
    with frame.told():
        for _ in readout.stages(study, choice, mine, others):
            pass
    with mine:
        if not spliced:
            presets.folded()
            steer_sliders.further(study, doses)
    return choice


def _plain(study: Study, choice: Choice) -> None:
    """Draw prompt and sliders, and beside them the read-outs.

    The answer to the person's own prompt is sent first, then the controls, then the rest.
    """
    left, right = st.columns([1, 1.1], gap="large")
    asking, mine, sliders = left.container(), left.container(), left.container()
    stages = readout.stages(study, choice, mine, right)
    with mine, frame.told():
        next(stages, None)
    with asking:
        _prompt(80)
        presets.examples()
    with sliders:
        if choice.operation in SPLICES:
            aligned.show(study, staged=False)
        else:
            st.markdown("**Steer towards**", help="In per cent of the layer's residual norm.")
            steer_sliders.show(study, _doses(study, choice))
    with right, frame.told():
        for _ in stages:
            pass


def _doses(study: Study, choice: Choice) -> dict[str, KnownDose]:
    specs = {
        axis: SweepSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
        for axis in AXES
    }
    found = {
        axis: steering_jobs.known_dose(workbench(), study, spec, opened)
        for axis, spec in specs.items()
    }
    return {axis: dose for axis, dose in found.items() if dose is not None}
