"""Search in the actions: matches are ringed on both maps."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.dataset.items import Items
from core.maps import view as maps_view
from pages.shared.address import bound


def box(items: Items) -> NDArray[np.bool_]:
    """Draw the box and return which items match, bool ``(n,)``."""
    words = st.text_input(
        "Search the actions",
        **bound("q", ""),
        max_chars=100,
        placeholder="a word, or several",
        help="Matches are ringed on both maps.",
    )
    marked = maps_view.matching(items, words or "")
    if words:
        st.caption(f"{int(marked.sum()):,} items contain “{words}”.")
    return marked
