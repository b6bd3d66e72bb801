"""The actions on which two sides differ most: a table that follows the selection."""

from typing import Any, Final

import streamlit as st

from core import compareview as view
from core.comparejobs import Found
from core.sides import LETTERS
from pages.parts import selection
from pages.parts.address import bound

#: Rows that the table shows at most.
_ROWS: Final = 200
#: What is looked at first stands first.
_ORDER: Final = [
    *("text", "first", "second", "difference", "low", "high", "sure", "foundation", "pole"),
    *("grade", "shared_neighbours", "moved", "first_closeness", "second_closeness"),
]


def show(found: Found) -> Any:
    """Draw the table; return all of it."""
    st.subheader("Where they differ most", anchor="items")
    letters = list(LETTERS[1 : len(found.sides)])
    row = st.container(horizontal=True, vertical_alignment="bottom")
    letter = letters[0]
    if len(letters) > 1:
        letter = str(
            row.segmented_control(
                "Against A", letters, required=True, **bound("items-of", letter, letters)
            )
        )
    sure = row.toggle(
        "Only beyond noise",
        help="Differences that are beyond noise even as the largest of so many.",
        **bound("sure", default=False),
    )
    place = letters.index(letter)
    table = view.item_table(found.comparisons[place], found.maps[place + 1])
    chosen = selection.chosen(found.sides[0].study.items)
    shown = table
    if chosen.any():
        shown = table[table["item"].isin(found.sides[0].study.items.item[chosen])]
    shown = shown[shown["sure"]] if sure else shown
    st.dataframe(
        shown.head(_ROWS),
        hide_index=True,
        height=380,
        key="different",
        column_config=_columns(letter),
        column_order=_ORDER,
        alt=f"Actions whose typicality differs most between A and {letter}, with intervals.",
    )
    said = view.items_sentence(found.comparisons[place])
    which = "of the selection" if chosen.any() else "in all"
    st.caption(
        f"{min(len(shown), _ROWS):,} of {len(shown):,} {which}. {said} Typicality: percentile of "
        "closeness to the own pole's centre among the pole's actions, own text left out; the "
        "interval resamples the texts for both at once. Neutral actions have none."
    )
    if chosen.any():
        st.button("Clear selection", icon=":material/close:", on_click=selection.choose, args=([],))
    return table


def _columns(letter: str) -> dict[str, Any]:
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
