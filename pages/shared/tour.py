"""The tour: eight steps through the pages, as chips on the overview and as a bar on each page."""

from typing import Any, Final

import streamlit as st

from pages.shared import controls, routes
from pages.shared.address import bound
from pages.shared.tour_steps import STEPS

#: Name in the address: which step is shown, counted from 1; 0: no tour.
_KEY: Final = "step"
#: Name in the session: a step was asked for in this very run.
_GOES: Final = "step-asked"
#: What a step sets back if it does not set it itself.
_PLAIN: Final[dict[str, Any]] = {
    "layer": "",  # no layer: the first one shown
    "method": controls.FIRST_METHOD,
    "dims": 2,
    "colour": "foundation",
    "field": "off",
    "say": "",
    "q": "",
    "untrained": False,
    "care-harm": 0,
}


def chips() -> None:
    """Draw all steps in a line, the present one marked."""
    here = _here()
    row = st.container(horizontal=True, vertical_alignment="center", gap="small", key="chips")
    row.markdown("**Tour**", width="content")
    for number, step in enumerate(STEPS, 1):
        kind: Any = "primary" if number == here else "secondary"
        label = f"{number} · {step.name}"
        _button(row, label, number, f"tour-{number - 1}", type=kind, help=step.text)


def bar(page: str) -> None:
    """Go to the step asked for; draw above its page which it is, and the way to the next.

    Args:
        page: Folder of the page; empty for the overview, which has the chips.
    """
    here = _here()
    step = STEPS[here - 1]
    if st.session_state.pop(_GOES, False) and step.page != page:
        routes.open_page(step.page)
    if not (here and page):
        return
    row = st.container(horizontal=True, vertical_alignment="center", key="tour")
    row.html(
        f"<p class='ms-note'><b>Step {here} of {len(STEPS)} · {step.name}.</b> {step.text}</p>"
    )
    if here > 1:
        _button(row, "Back", here - 1, "tour-back", type="tertiary")
    if here < len(STEPS):
        name = f"Next: {STEPS[here].name}"
        _button(row, name, here + 1, "tour-next", type="primary")
    row.button(
        "End",
        key="tour-end",
        type="tertiary",
        icon=":material/close:",
        on_click=routes.set_widgets,
        args=({_KEY: 0},),
    )


def _here() -> int:
    bound(_KEY, 0, range(len(STEPS) + 1))
    return int(st.session_state[_KEY])


def _button(place: Any, label: str, number: int, key: str, **look: Any) -> None:
    place.button(label, key=key, on_click=_go, args=(number,), **look)


def _go(number: int) -> None:
    """Set a step's widgets; the run that follows goes to its page (a callback)."""
    routes.set_widgets({**_PLAIN, **STEPS[number - 1].settings, _KEY: number, _GOES: True})
