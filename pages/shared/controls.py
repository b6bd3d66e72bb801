"""Controls of maps and measures. Each value lives in the URL and comes back from it."""

from typing import Any, Final, cast

import streamlit as st

from core.activations.prompts import Pooling
from core.activations.study import Study
from core.layers import EMBEDDING, layer_name
from core.maps.placing import AXES
from core.maps.view import ASKING, COLOURS, Colour, MapMethod, ViewSpec
from core.models.states_kept import first_token_told
from core.statistics.scaling import Scaling
from pages.shared.address import bound
from pages.shared.bench import workbench

#: How maps are drawn at first.
FIRST_METHOD: Final = "umap"
METHODS: dict[str, str] = {"pca": "PCA", "umap": "UMAP", "axes": "Moral axes"}
POOLINGS: dict[str, str] = {
    "mean": "All its words together",
    "last": "Its last word",
    "mean_all": "All, the start sign too",
}
_SCALINGS: dict[Scaling, str] = {
    "standardised": "Mean and spread",
    "centred": "The mean alone (paper)",
    "raw": "Nothing",
    "top-removed": "Mean and widest directions",
    "whitened": "All that differs in width",
}
_COLOURS: dict[Colour, str] = {**COLOURS, **ASKING}
_FIRST: Pooling = "mean"


def layer_names(study: Study) -> list[str]:
    """Return the layers as the slider and the URL call them."""
    return [layer_name(layer) for layer in study.plan.layers]


def map_controls(bar: Any, study: Study | None) -> tuple[ViewSpec, Colour]:
    """Draw layer, picture and colour into a toolbar and return the view that is asked for.

    Args:
        bar: The toolbar.
        study: Items and model; None: the human side alone.
    """
    layer, pooling = EMBEDDING, _FIRST
    if study is not None:
        layer = layer_slider(bar, study)
    method = bar.segmented_control(
        "Picture",
        list(METHODS),
        required=True,
        format_func=METHODS.__getitem__,
        help="PCA: linear. UMAP: keeps neighbourhoods. Moral axes: x and y have a meaning.",
        **bound("method", FIRST_METHOD, list(METHODS)),
    )
    colour = bar.selectbox(
        "Colour",
        list(_COLOURS),
        format_func=_COLOURS.__getitem__,
        width=170,
        **bound("colour", "foundation", list(_COLOURS)),
    )
    with bar.popover("More", icon=":material/settings:"):
        dims = st.segmented_control(
            "Dimensions",
            [2, 3],
            required=True,
            format_func=lambda n: f"{n}-D",
            disabled=method == "axes",
            **bound("dims", 2, [2, 3]),
        )
        if study is not None:
            pooling = pooling_box(st, study)
        scaling = scaling_box(st)
    deep = dims == 3 and method != "axes"
    under_more(study, pooling, scaling, "3-D" if deep else "")
    x, y = "care-harm", "fairness-cheating"
    if method == "axes":
        axes = st.container(horizontal=True, vertical_alignment="center")
        x = _axis(axes, "Horizontal axis", "x", x)
        y = _axis(axes, "Vertical axis", "y", y)
    drawn = cast("MapMethod", method)
    return ViewSpec(layer, pooling, scaling, drawn, 3 if deep else 2, x, y), colour


def under_more(study: Study | None, pooling: Pooling, scaling: Scaling, *told: str) -> None:
    """Say what differs from the first settings among the controls behind "More"."""
    usual = study.plan.spec.poolings[0] if study is not None else pooling
    some = [
        *told,
        "" if pooling == usual else POOLINGS[pooling],
        "" if scaling == "standardised" else f"states {scaling.replace('-', ' ')}",
    ]
    if any(some):
        st.caption("Under More: " + " · ".join(filter(None, some)))


def layer_slider(column: Any, study: Study) -> int:
    """Draw the slider and return the layer."""
    names = layer_names(study)
    name = column.select_slider(
        "Layer",
        names,
        help="Output of a decoder layer, before the final norm; emb is what layer 0 reads.",
        **bound("layer", str(study.anchor), names),
    )
    return layer_of(name)


def layer_of(name: str) -> int:
    """Return the layer that the slider and the URL call so."""
    return EMBEDDING if name == layer_name(EMBEDDING) else int(name)


def pooling_box(column: Any, study: Study) -> Pooling:
    """Draw the box and return the pooling."""
    poolings = list(study.plan.spec.poolings)
    first = first_token_told(workbench().store, study.card)
    chosen: Pooling = column.selectbox(
        "What stands for a text",
        poolings,
        format_func=POOLINGS.__getitem__,
        help="Pooling: the mean state over its tokens (the first one, an attention sink, left "
        "out) or the state of the last token." + (f" Here {first}." if first else ""),
        **bound("pooling", poolings[0], poolings),
    )
    return chosen


def scaling_box(column: Any, key: str = "scaling", default: Scaling = "standardised") -> Scaling:
    """Draw the box and return the scaling.

    Args:
        column: Where.
        key: Name in the address: pages with another default have another key.
        default: What is chosen at first.
    """
    chosen: Scaling = column.selectbox(
        "Taken off the states first",
        list(_SCALINGS),
        format_func=_SCALINGS.__getitem__,
        help="Scaling. A few coordinates are hundreds of times larger than the rest and own every "
        "cosine. Mean and spread (standardised): each coordinate has unit variance. The mean "
        "alone: centred. Nothing: raw; cosines are then often near 1. Mean and widest directions: "
        "the top principal components, one per 100 coordinates, are removed. All that differs in "
        "width (whitened): all principal directions have nearly the same variance.",
        **bound(key, default, list(_SCALINGS)),
    )
    return chosen


def _axis(row: Any, label: str, key: str, start: str) -> str:
    row.caption(label, width="content")
    axis: str = row.selectbox(
        label,
        AXES,
        format_func=lambda name: name.replace("-", " − "),
        label_visibility="collapsed",
        width=240,
        **bound(key, start, AXES),
    )
    return axis
