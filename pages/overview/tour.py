"""The tour: eight steps, each with the button that shows it."""

from typing import Any

import streamlit as st

from pages.shared import routes

#: Title, text, page, settings of its widgets.
_STEPS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    (
        "Two maps of the same actions",
        "Each point is an action. Left, its place follows from what people say: which of five "
        "foundations it touches, virtue or vice, how strongly. Right, from what one layer of the "
        "model makes of the words. Colour is the foundation, shape the pole.",
        "map",
        {},
    ),
    (
        "Walk through the layers",
        "Move the layer slider. Every layer is turned onto the same frame, so what moves has moved "
        "in the model. Under the maps stand three figures, each beside shuffled labels and word "
        "counts: only what exceeds both says more than words.",
        "map",
        {"layer": "emb", "method": "umap"},
    ),
    (
        "Where it disagrees with people",
        "Moral axes: x is care minus harm, y fairness minus cheating, on both sides. Orange: "
        "people find the action typical and the model does not; purple, the other way round. Drag "
        "a box to read them in the table.",
        "map",
        {"colour": "residual", "method": "axes"},
    ),
    (
        "Your own sentence",
        "Type one. It appears as a star, with its cosine to the ten centres beside what random "
        "centres would give, at every layer.",
        "map",
        {"say": "Returning a lost wallet with all the money in it"},
    ),
    (
        "The control that must fail",
        "The model beside its untrained copy: the same architecture with random weights. What both "
        "show comes from the words, not from training; what differs stands with its interval.",
        "compare",
        {},
    ),
    (
        "Inside a layer",
        "Layer 9 taken apart into 5,120 latents. Which are on for care or harm, on which words, "
        "and does switching one off change anything? Beside each, what shuffled labels and random "
        "latents give.",
        "features",
        {"sort": "care"},
    ),
    (
        "A slider for care",
        "Push the model towards care and read what it would say next, beside a random push of the "
        "same strength. Then let it write, plain and steered side by side.",
        "steer",
        {"care-harm": 10},
    ),
    (
        "Your own data",
        "Bring Social-Chemistry-101 or a table of your own; it goes through the same page.",
        "data",
        {},
    ),
)


#: What a step sets back if it does not set it itself.
_PLAIN: dict[str, Any] = {
    "method": "pca",
    "dims": 2,
    "colour": "foundation",
    "say": "",
    "q": "",
    "untrained": False,
    "care-harm": 0,
}
#: Steps in one row.
_PER_ROW = 4


def show() -> None:
    """Draw the tour."""
    st.subheader("Tour in eight steps")
    for start in range(0, len(_STEPS), _PER_ROW):
        columns = st.columns(_PER_ROW)
        for number in range(start, min(start + _PER_ROW, len(_STEPS))):
            with columns[number - start].container(border=True, height="stretch"):
                _step(number)


def _step(number: int) -> None:
    title, text, page, settings = _STEPS[number]
    st.markdown(f"**{number + 1} · {title}**")
    st.caption(text)
    if st.button(
        "Show me",
        key=f"tour-{number}",
        icon=":material/arrow_forward:",
        on_click=routes.set_widgets,
        args=({**_PLAIN, **settings},),
    ):
        routes.open_page(page)
