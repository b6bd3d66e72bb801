"""The sliders of the stage: what they are given, and what they report on release."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import streamlit as st

from core import palette
from core.foundations import FOUNDATIONS
from core.steering.effects.shipped_doses import KnownDose
from pages.steer.choice import DOSES, SHARES
from pages.steer.stage import component

#: Of the change of an aligned dictionary, in per cent: as it was trained.
_WHOLE: Final = 100


def show(doses: Mapping[str, KnownDose]) -> None:
    """Draw the foundations' sliders.

    Args:
        doses: Known doses by axis; their safe ranges are painted.
    """
    axes = [
        {
            "name": axis,
            "label": f"{vice} ← → {virtue}",
            "virtue": virtue,
            "vice": vice,
            "colour": palette.FOUNDATION_COLOURS[axis],
            "safe": [round(100 * end) for end in doses[axis].safe] if axis in doses else None,
        }
        for axis, (virtue, vice) in ((one, one.split("-")) for one in FOUNDATIONS)
    ]
    _mount("stage-sliders", axes, DOSES, {"notch": 0, "beyond": "the safe range"})


def shares(names: Mapping[str, str]) -> None:
    """Draw the sliders of aligned dictionaries: how much of the change.

    Args:
        names: What they are called, by axis.
    """
    axes = [
        {
            "name": axis,
            "label": f"Share of the change, {name}",
            "virtue": "beyond",
            "vice": "untouched",
            "colour": palette.OWN,
            "safe": [0, _WHOLE],
        }
        for axis, name in names.items()
    ]
    marks = {"notch": _WHOLE, "names": {_WHOLE: "aligned"}, "beyond": "what was trained"}
    _mount("stage-shares", axes, SHARES, marks)


def _mount(key: str, axes: list[dict[str, Any]], ends: range, marks: Mapping[str, Any]) -> None:
    names = [axis["name"] for axis in axes]
    strengths = {name: int(st.session_state[name]) for name in names}
    component.mount(
        "sliders",
        key,
        {"axes": axes, "least": ends[0], "most": ends[-1], "strengths": strengths, **marks},
        on_strengths_change=partial(_take, key, names, ends),
    )


def _take(key: str, names: list[str], ends: range) -> None:
    """Put what the sliders report where the page has its strengths (a callback)."""
    st.session_state.update(taken(st.session_state[key].get("strengths"), names, ends))


def taken(reported: object, names: Iterable[str], ends: range) -> dict[str, int]:
    """Return the strengths of a report, in per cent; what is none is left out."""
    if not isinstance(reported, Mapping):
        return {}
    return {name: int(reported[name]) for name in names if reported.get(name) in ends}
