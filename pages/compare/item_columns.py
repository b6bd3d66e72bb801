"""Columns of the table of actions on which two sides differ."""

from typing import Any, Final

import streamlit as st

#: What is looked at first stands first.
ORDER: Final = [
    *("text", "first", "second", "difference", "low", "high", "sure", "foundation", "pole"),
    *("grade", "shared_neighbours", "moved", "first_closeness", "second_closeness"),
]


def columns(letter: str) -> dict[str, Any]:
    """Return the columns of the table of A and another side."""
    number = st.column_config.NumberColumn
    bar = st.column_config.ProgressColumn
    return {
        "text": st.column_config.TextColumn("action", width=330),
        "grade": number(format="%.3g", help="Human typicality, 0 to 1."),
        "first": bar("in A", min_value=0, max_value=1, format="%.2f"),
        "second": bar(f"in {letter}", min_value=0, max_value=1, format="%.2f"),
        "difference": number(f"{letter} − A", format="%+.2f"),
        "low": number(format="%+.2f"),
        "high": number(format="%+.2f"),
        "sure": st.column_config.CheckboxColumn("beyond noise"),
        "first_closeness": number("cosine in A", format="%.2f"),
        "second_closeness": number(f"cosine in {letter}", format="%.2f"),
        "shared_neighbours": number("neighbours shared", format="percent"),
        "moved": number(format="%.2f", help="Distance on the map, in units of the map."),
    }
