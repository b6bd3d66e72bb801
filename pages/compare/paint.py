"""How the maps are drawn and what colours them."""

from typing import Any

from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.dataset.items import Items
from core.maps import view as maps_view
from core.maps.view import Colouring
from pages.compare.choice import METHODS, PAINTS
from pages.shared.address import bound


def ask(row: Any) -> None:
    """Draw the two widgets; their values are read before they are drawn."""
    row.segmented_control(
        "Picture",
        list(METHODS),
        required=True,
        format_func=METHODS.__getitem__,
        help="PCA: linear. UMAP: keeps neighbourhoods.",
        **bound("drawn", "pca", list(METHODS)),
    )
    row.selectbox(
        "Colour",
        list(PAINTS),
        format_func=PAINTS.__getitem__,
        width=240,
        help="Moved: distance from the place in A. A itself is painted as B is.",
        **bound("paint", "foundation", list(PAINTS)),
    )


def of(found: Found, paint: str, place: int, items: Items) -> Colouring:
    """Return what colours the map of a side; that of A is coloured as that of B."""
    other = max(place - 1, 0)
    if paint == "moved":
        return comparison_view.moved_colouring(found.maps[other + 1], found.maps[1:])
    if paint == "difference":
        return comparison_view.difference_colouring(found.comparisons[other])
    colour: Any = paint
    return maps_view.colouring(items, colour, None)
