"""The tour: eight steps through the pages, as chips on the overview and as a bar on each page."""

from typing import Any, Final, NamedTuple

import streamlit as st

from pages.shared import controls, routes
from pages.shared.address import bound


class Step(NamedTuple):
    """One step."""

    name: str
    """What its chip says."""

    text: str
    """What there is to see."""

    page: str
    """Folder of the page that shows it."""

    settings: dict[str, Any]
    """Of the page's widgets."""


STEPS: Final = (
    Step(
        "Two maps",
        "Each point is an action: left, where people's judgements put it; right, where one layer "
        "of the model puts the same words.",
        "map",
        {},
    ),
    Step(
        "Layers",
        "Move the layer slider: every layer is turned onto the same frame, so what moves has moved "
        "in the model.",
        "map",
        {"layer": "emb", "method": "umap"},
    ),
    Step(
        "Disagreement",
        "Orange: people find the action typical and the model does not; purple, the other way "
        "round. Drag a box to read them below.",
        "map",
        {"colour": "residual", "method": "axes"},
    ),
    Step(
        "Your sentence",
        "Type a sentence of your own: it lands as a star, and below stands how near it is to the "
        "ten poles, beside what random centres give.",
        "map",
        {"say": "Returning a lost wallet with all the money in it"},
    ),
    Step(
        "Untrained copy",
        "The model beside a copy with random weights: what both show comes from the words, not "
        "from training.",
        "compare",
        {},
    ),
    Step(
        "Inside a layer",
        "Layer 9 taken apart into 5,120 features: which are on for care or harm, beside what "
        "shuffled labels and random features give.",
        "features",
        {"sort": "care"},
    ),
    Step(
        "Steer",
        "Push the model towards care and see the map and its next words change, beside a random "
        "push of the same strength.",
        "steer",
        {"care-harm": 10},
    ),
    Step(
        "Your data",
        "Bring Social-Chemistry-101 or a table of your own; it goes through the same pages.",
        "data",
        {},
    ),
)
#: Name in the address: which step is shown, counted from 1; 0: no tour.
_KEY: Final = "step"
#: Name in the session: a step was asked for in this very run.
_GOES: Final = "step-asked"
#: What a step sets back if it does not set it itself.
_PLAIN: Final[dict[str, Any]] = {
    "method": controls.FIRST_METHOD,
    "dims": 2,
    "colour": "foundation",
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
