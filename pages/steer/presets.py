"""One click instead of many: strengths and prompts that show something."""

from collections.abc import Mapping
from typing import Final

import streamlit as st

from pages.steer import recipe

_PRESETS: Final[dict[str, dict[str, int]]] = {
    "More caring": {"care-harm": 10},
    "More harmful": {"care-harm": -10},
    "Loyal over fair": {"loyalty-betrayal": 8, "fairness-cheating": -8},
    "Obedient": {"authority-subversion": 10},
    "Nothing sacred": {"sanctity-degradation": -10},
}
#: Prompts for a first look: one to be judged, one to be gone on from.
_EXAMPLES: Final[dict[str, str]] = {
    "The last seat": "Taking the last seat on the bus from an old man is morally",
    "A man falls": "When I saw the old man fall in the street, I",
    "A lost wallet": "She found a wallet full of money on the bench and",
}


def set_doses(doses: Mapping[str, int]) -> None:
    """Set every slider; those that are not named go to zero (a callback)."""
    st.session_state.update({**recipe.zeros(), **doses})


def folded() -> None:
    """Offer both behind a button each, where there is little room."""
    row = st.container(horizontal=True)
    with row.popover("Presets", icon=":material/tune:"):
        doses()
    with row.popover("Examples", icon=":material/short_text:"):
        examples()


def examples() -> None:
    """Offer prompts for a first look."""
    row = st.container(horizontal=True)
    for name, text in _EXAMPLES.items():
        row.button(name, key=f"example-{name}", on_click=_set_prompt, args=(text,))


def _set_prompt(text: str) -> None:
    st.session_state["prompt"] = text


def doses() -> None:
    """Offer strengths for a first look."""
    row = st.container(horizontal=True)
    for name, preset in _PRESETS.items():
        row.button(name, key=f"preset-{name}", on_click=set_doses, args=(preset,))
    row.button(
        "All to zero",
        key="all-zero",
        icon=":material/restart_alt:",
        on_click=set_doses,
        args=({},),
    )
