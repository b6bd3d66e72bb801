"""The sliders: five foundations, ten poles, directions from files; and presets."""

from collections.abc import Mapping

import streamlit as st

from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.steering.effects.shipped_doses import KnownDose
from pages.steer import latents, own_directions, presets, slider


def show(study: Study, doses: Mapping[str, KnownDose]) -> None:
    """Draw all sliders.

    Args:
        study: Items and model.
        doses: Known doses by axis; their safe ranges are painted.
    """
    presets.doses()
    for axis in FOUNDATIONS:
        virtue, vice = axis.split("-")
        slider.show(axis, f"{vice} ← → {virtue}", doses.get(axis))
    further(study, doses)


def further(study: Study, doses: Mapping[str, KnownDose]) -> None:
    """Draw the sliders of all that is no foundation's axis."""
    slider.style()
    if any(st.session_state[pole] for pole in DIMENSIONS):
        st.session_state["poles"] = True
    more = st.expander(
        "Advanced: ten poles, each against neutral actions", key="poles", on_change="rerun"
    )
    if more.open:  # thirty widgets that few need: they would be sent with every answer
        with more:
            for pole in DIMENSIONS:
                slider.show(pole, pole, doses.get(pole))
    latents.show(study)
    own_directions.show(study)
