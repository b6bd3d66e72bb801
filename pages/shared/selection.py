"""The one selection of items: shared by all maps and tables, kept by item id, named in the URL."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core import CoreError
from core.dataset.items import Items
from core.runtime.selections import load_selection, save_selection
from pages.shared.address import is_told_anew
from pages.shared.bench import workbench

_STATE = "selection"
_PARAM = "sel"


def chosen(items: Items) -> NDArray[np.bool_]:
    """Return which items are selected, bool ``(n,)``; ids that the set lacks are ignored."""
    if is_told_anew(_PARAM) or _STATE not in st.session_state:
        st.session_state[_STATE] = _from_url()
    elif st.session_state[_STATE] and _PARAM not in st.query_params:
        _to_url(st.session_state[_STATE])
    return np.isin(items.item, list(st.session_state[_STATE]))


def choose(ids: list[str]) -> None:
    """Select items by id; none for an empty list."""
    st.session_state[_STATE] = tuple(ids)
    _to_url(ids)


def clear_button() -> None:
    """Draw the button that clears the selection, as Esc and a double click on a map do."""
    st.button(
        "Clear selection",
        key="clear-selection",
        icon=":material/close:",
        on_click=choose,
        args=([],),
        shortcut="Escape",
    )


def choose_rows(rows: object, items: Items) -> None:
    """Select what a map reports: rows of the set; what is none is left out."""
    told = rows if isinstance(rows, list) else []
    known = [row for row in told if isinstance(row, int) and 0 <= row < len(items)]
    choose([str(one) for one in items.item[known]])


def _to_url(ids: "list[str] | tuple[str, ...]") -> None:
    if not ids:
        st.query_params.pop(_PARAM, None)
        return
    try:
        st.query_params[_PARAM] = save_selection(workbench().store, list(ids))
    except CoreError as error:
        st.warning(str(error))


def _from_url() -> tuple[str, ...]:
    name = st.query_params.get(_PARAM)
    if not name:
        return ()
    ids = load_selection(workbench().store, name)
    if ids is None:
        st.toast("The link names a selection that is not stored here; it was left out.")
        st.query_params.pop(_PARAM, None)
        return ()
    return tuple(ids)
