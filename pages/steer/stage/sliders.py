"""The foundations' sliders of the stage: what they are given, and what they report on release."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from core import palette
from core.foundations import FOUNDATIONS
from core.steering.effects.shipped_doses import KnownDose
from pages.steer.choice import DOSES, MOST
from pages.steer.stage import component

_KEY: Final = "stage-sliders"


def show(doses: Mapping[str, KnownDose]) -> None:
    """Draw the foundations' sliders.

    Args:
        doses: Known doses by axis; their safe ranges are painted.
    """
    axes = [
        {
            "name": axis,
            "virtue": axis.split("-")[0],
            "vice": axis.split("-")[1],
            "colour": palette.FOUNDATION_COLOURS[axis],
            "safe": [round(100 * end) for end in doses[axis].safe] if axis in doses else None,
        }
        for axis in FOUNDATIONS
    ]
    strengths = {axis: int(st.session_state[axis]) for axis in FOUNDATIONS}
    component.mount(
        "sliders",
        _KEY,
        {"axes": axes, "most": MOST, "strengths": strengths},
        on_strengths_change=_take,
    )


def _take() -> None:
    """Put what the sliders report where the page has its strengths (a callback)."""
    st.session_state.update(taken(st.session_state[_KEY].get("strengths")))


def taken(reported: object) -> dict[str, int]:
    """Return the strengths of a report, in per cent; what is none is left out."""
    if not isinstance(reported, Mapping):
        return {}
    return {axis: int(reported[axis]) for axis in FOUNDATIONS if reported.get(axis) in DOSES}
