"""The sliders: five foundations, ten poles, directions from files; and presets."""

from collections.abc import Mapping

import streamlit as st

from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.steering.effects.strength_sweep import Dose
from pages.parts import steerlatents, steerown, steerpresets, steerslider


def show(study: Study, doses: Mapping[str, Dose]) -> None:
    """Draw the sliders.

    Args:
        study: Items and model.
        doses: Measured doses by axis; their safe ranges are painted.
    """
    steerslider.style()
    steerpresets.doses()
    for axis in FOUNDATIONS:
        virtue, vice = axis.split("-")
        steerslider.show(axis, f"{vice} ← → **{virtue}**", doses.get(axis))
    if any(st.session_state[pole] for pole in DIMENSIONS):
        st.session_state["poles"] = True
    more = st.expander(
        "Advanced: ten poles, each against neutral actions", key="poles", on_change="rerun"
    )
    if more.open:  # thirty widgets that few need: they would be sent with every answer
        with more:
            for pole in DIMENSIONS:
                steerslider.show(pole, pole, doses.get(pole))
    steerlatents.show(study)
    steerown.show(study)
