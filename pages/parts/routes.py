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


def diagnosis() -> Any:
    """Return the diagnosis page."""
    return st.Page(
        _PAGES / "explore/diagnosis.py",
        title="Diagnosis",
        icon=":material/stethoscope:",
        url_path="diagnosis",
    )


def compare() -> Any:
    """Return the comparison page."""
    return st.Page(
        _PAGES / "explore/compare.py",
        title="Compare",
        icon=":material/compare_arrows:",
        url_path="compare",
    )


def leaderboard() -> Any:
    """Return the leaderboard."""
    return st.Page(
        _PAGES / "explore/leaderboard.py",
        title="Leaderboard",
        icon=":material/leaderboard:",
        url_path="leaderboard",
    )


def features() -> Any:
    """Return the features page."""
    return st.Page(
        _PAGES / "dissect/features.py",
        title="Features",
        icon=":material/category:",
        url_path="features",
    )


def steer() -> Any:
    """Return the steering page."""
    return st.Page(
        _PAGES / "steer/steer.py", title="Steer", icon=":material/tune:", url_path="steer"
    )


def set_widgets(settings: Mapping[str, Any]) -> None:
    """Set bound widgets (a callback: before the run, when no widget holds its key yet)."""
    for key, value in settings.items():
        st.session_state[key] = value
