"""Which map the stage shows: picture, layer, scaling; and when it cannot follow the sliders."""

from typing import Final, cast

import streamlit as st

from core.activations.prompts import Pooling
from core.activations.study import Study
from core.maps.placing import AXES
from core.maps.view import MapMethod, ViewSpec
from pages.shared import controls
from pages.shared.address import bound
from pages.steer.choice import Choice

PICTURES: Final[dict[str, str]] = {"pca": "PCA", "umap": "UMAP", "axes": "Moral axes"}
_STEERED: Final = "steered"


def ask(study: Study, choice: Choice) -> ViewSpec:
    """Draw the choice of the map, in one row, and return it."""
    row = st.container(horizontal=True, vertical_alignment="center")
    method = row.segmented_control(
        "Picture",
        list(PICTURES),
        required=True,
        format_func=PICTURES.__getitem__,
        label_visibility="collapsed",
        **bound("picture", "pca", list(PICTURES)),
    )
    layers = [_STEERED, *map(str, range(study.card.n_layers))]
    at = row.selectbox(
        "Layer of the map",
        layers,
        format_func=lambda one: (
            f"Layer {choice.layers[0]}, steered" if one == _STEERED else f"Layer {one}"
        ),
        label_visibility="collapsed",
        width=195,
        **bound("seen", _STEERED, layers),
    )
    more = row.popover("Map", icon=":material/tune:")
    scaling = controls.scaling_box(more)
    x, y = "care-harm", "fairness-cheating"
    if method == "axes":
        x, y = (
            more.selectbox(
                label,
                AXES,
                format_func=lambda name: name.replace("-", " − "),
                **bound(key, first, AXES),
            )
            for label, key, first in (("Horizontal axis", "x", x), ("Vertical axis", "y", y))
        )
    alone = st.session_state["stage"]
    row.button(
        "Leave the stage" if alone else "Stage",
        key="stage-alone",
        icon=":material/fullscreen_exit:" if alone else ":material/fullscreen:",
        on_click=_turn,
    )
    layer = choice.layers[0] if at == _STEERED else int(at)
    pooling: Pooling = "mean" if "mean" in study.plan.spec.poolings else "last"
    return ViewSpec(layer, pooling, scaling, cast("MapMethod", method), x=x, y=y)


def _turn() -> None:
    """Show the stage alone, or the whole page again (a callback)."""
    st.session_state["stage"] = not st.session_state["stage"]


def why_not(choice: Choice, spec: ViewSpec) -> str:
    """Say why the map cannot follow a direction's thumb; empty if it can."""
    if choice.operation != "add":
        return (
            "Only adding a direction moves all texts alike, so that the map can follow a thumb. "
            "Choose 'Add the direction' under More to see it; the sliders work all the same."
        )
    first, *more = choice.layers
    if any(layer < first for layer in more):
        return (
            f"Layer {first} reads what is steered below it: where its points go only a reading can "
            "tell. Choose the lowest layer with the slider to see them move."
        )
    if any(layer <= spec.layer for layer in more):
        return (
            f"Layer {spec.layer} shows the pushes of several layers together: where its points go "
            "only a reading can tell. Show the first steered layer, or steer after one alone."
        )
    return ""
