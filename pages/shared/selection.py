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
#: Streamlit sends nothing of a double click on a chart that was drawn anew since its selection.
#: Set once: a button that comes again finds it there.
_DOUBLE_CLICK = """<script>
window.moralscopeClears ??= (document.addEventListener("mousedown", event => {
    const clear = document.querySelector(".st-key-clear-selection button");
    if (event.detail === 2 && event.target.closest(".nsewdrag") && clear
        && event.target.closest("[class*='st-key-chart-']")) clear.click();
}, true), true);
</script>"""


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
    row = st.container(horizontal=True)
    row.button(
        "Clear selection",
        key="clear-selection",
        icon=":material/close:",
        on_click=choose,
        args=([],),
        shortcut="Escape",
    )
    row.html(_DOUBLE_CLICK, width="content", unsafe_allow_javascript=True)


def from_chart(key: str, items: Items) -> None:
    """Take over what was just selected on a chart (a callback)."""
    points = st.session_state[key].selection.points
    rows = sorted({int(_first(point["customdata"])) for point in points if "customdata" in point})
    choose([str(one) for one in items.item[rows]])


def _first(value: object) -> int:
    return int(value[0]) if isinstance(value, list) else int(str(value))


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
