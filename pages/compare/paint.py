"""How the maps are drawn and what colours them."""

from typing import Any, Final, Literal

import streamlit as st

from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.dataset.items import Items
from core.maps import view as maps_view
from core.maps.view import Colouring
from pages.shared import controls
from pages.shared.address import bound

PAINTS: Final = {
    "foundation": "Foundation",
    "pole": "Pole",
    "grade": "Typical to people",
    "moved": "How far it moved",
    "difference": "Difference in typicality",
}
METHODS: Final[dict[Literal["pca", "umap"], str]] = {"pca": "PCA", "umap": "UMAP"}


def ask(bar: Any) -> str:
    """Draw into a toolbar what colours the maps, and return it."""
    paint: str = bar.selectbox(
        "Colour",
        list(PAINTS),
        format_func=PAINTS.__getitem__,
        width=170,
        help="Moved: distance from the place in A. A itself is painted as B is.",
        **bound("paint", "foundation", list(PAINTS)),
    )
    return paint


def method() -> Literal["pca", "umap"]:
    """Draw how the maps are drawn, and return it."""
    chosen = st.segmented_control(
        "Picture",
        list(METHODS),
        required=True,
        format_func=METHODS.__getitem__,
        help="PCA: linear. UMAP: keeps neighbourhoods.",
        **bound("drawn", controls.FIRST_METHOD, list(METHODS)),
    )
    return "umap" if chosen == "umap" else "pca"


def of(found: Found, paint: str, place: int, items: Items) -> Colouring:
    """Return what colours the map of a side; that of A is coloured as that of B."""
    other = max(place - 1, 0)
    if paint in ("moved", "difference"):
        if not found.comparisons:  # the maps come first
            return maps_view.colouring(items, "foundation", None)
        if paint == "moved":
            return comparison_view.moved_colouring(found.maps[other + 1], found.maps[1:])
        return comparison_view.difference_colouring(found.comparisons[other])
    colour: Any = paint
    return maps_view.colouring(items, colour, None)
