"""The pages: title, icon, address. One place, so that links and navigation agree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

_PAGES = Path(__file__).resolve().parent.parent


def overview() -> Any:
    """Return the overview page."""
    return st.Page(
        _PAGES / "start/overview.py", title="Overview", icon=":material/home:", default=True
    )


def data() -> Any:
    """Return the data page."""
    return st.Page(
        _PAGES / "start/data.py", title="Data", icon=":material/table_rows:", url_path="data"
    )


def map_page() -> Any:
    """Return the map page."""
    return st.Page(
        _PAGES / "explore/map.py", title="Map", icon=":material/explore:", url_path="map"
    )


def go(page: Any, settings: Mapping[str, Any]) -> None:
    """Open a page with some of its bound widgets set."""
    for key, value in settings.items():
        st.session_state[key] = value
    st.switch_page(page)
