"""The actions on which two sides differ most: a table that follows the selection."""

from typing import Any, Final

import streamlit as st

from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS
from pages.compare import against, item_columns
from pages.shared import selection
from pages.shared.address import bound

#: Rows that the table shows at most.
_ROWS: Final = 200
#: Rows that a click shows on the maps.
_LIT: Final = 20


def show(found: Found) -> Any:
    """Draw the table; return all of it."""
    st.subheader("Where they differ most", anchor="items")
    row = st.container(horizontal=True, vertical_alignment="bottom")
    place = against.ask(row, "items-of", len(found.sides))
    letter = LETTERS[place + 1]
    sure = row.toggle(
        "Only beyond noise",
        help="Differences that are beyond noise even as the largest of so many.",
        **bound("sure", default=False),
    )
    table = comparison_view.item_table(found.comparisons[place], found.maps[place + 1])
    items = found.sides[0].study.items
    chosen = selection.chosen(items)
    shown = table[table["item"].isin(items.item[chosen])] if chosen.any() else table
    shown = shown[shown["sure"]] if sure else shown
    _buttons(row, shown, some=bool(chosen.any()))
    st.dataframe(
        shown.head(_ROWS),
        hide_index=True,
        height=380,
        key="different",
        column_config=item_columns.columns(letter),
        column_order=item_columns.ORDER,
        alt=f"Actions whose typicality differs most between A and {letter}, with intervals.",
    )
    said = comparison_view.items_sentence(found.comparisons[place])
    which = "of the selection" if chosen.any() else "in all"
    st.caption(
        f"{min(len(shown), _ROWS):,} of {len(shown):,} {which}. {said} Typicality: percentile of "
        "closeness to the own pole's centre among the pole's actions, own text left out; the "
        "interval resamples the texts for both at once. Neutral actions have none."
    )
    return table


def _buttons(row: Any, shown: Any, *, some: bool) -> None:
    if some:
        with row:
            selection.clear_button()
    elif len(shown):
        row.button(
            f"Show the first {_LIT} on the maps",
            icon=":material/explore:",
            on_click=selection.choose,
            args=(shown["item"].head(_LIT).tolist(),),
        )
