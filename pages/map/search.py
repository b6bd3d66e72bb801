"""Search in the actions: matches are ringed on both maps."""

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.dataset.items import Items
from core.maps import view as maps_view
from pages.shared.address import bound


def box(bar: Any, items: Items) -> NDArray[np.bool_]:
    """Draw the box into a toolbar and return which items match, bool ``(n,)``."""
    words = bar.text_input(
        "Search the actions",
        width=170,
        **bound("q", ""),
        max_chars=100,
        placeholder="a word",
        help="Matches are ringed on both maps.",
    )
    marked = maps_view.matching(items, words or "")
    if words:
        st.caption(f"{int(marked.sum()):,} items contain “{words}”.")
    return marked
