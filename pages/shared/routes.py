"""The pages: title, icon, address. One place, so that links and navigation agree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import streamlit as st

from pages.shared import address

_FOLDER: Final = Path(__file__).resolve().parents[1]
#: Name in the session: the page that a button led to.
_GOES: Final = "way-asked"
#: Sections of the navigation, and in each the pages: folder (also the address), title, icon.
_SECTIONS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "Start": (("overview", "Overview", "home"), ("data", "Data", "table_rows")),
    "Explore": (
        ("map", "Map", "explore"),
        ("diagnosis", "Diagnosis", "stethoscope"),
        ("compare", "Compare", "compare_arrows"),
        ("leaderboard", "Leaderboard", "leaderboard"),
    ),
    "Dissect": (("features", "Features", "category"),),
    "Steer": (("steer", "Steer", "tune"), ("align", "Align", "straighten")),
    "Judge": (("evaluate", "Evaluate", "balance"), ("claims", "Claims", "gavel")),
}


def sections() -> dict[str, list[Any]]:
    """Return all pages by section, as the navigation shows them."""
    return {title: [_page(*one) for one in some] for title, some in _SECTIONS.items()}


def page(name: str) -> Any:
    """Return a page by the name of its folder."""
    return next(_page(*one) for some in _SECTIONS.values() for one in some if one[0] == name)


def _page(name: str, title: str, icon: str) -> Any:
    home = name == "overview"
    return st.Page(
        _FOLDER / name / "page.py",
        title=title,
        icon=f":material/{icon}:",
        url_path=None if home else name,
        default=home,
    )


def open_page(name: str) -> None:
    """Go to a page by the name of its folder."""
    address.leave(page(name))


def way(place: Any, label: str, name: str, settings: Mapping[str, Any], **button: Any) -> None:
    """Draw a button that sets another page's widgets and goes there.

    A link's query would be lost: the address of a page that is come to is its own.

    Args:
        place: Where.
        label: On the button.
        name: Folder of the page.
        settings: Of its widgets.
        button: How the button looks.
    """
    place.button(label, on_click=_go, args=(name, settings), **button)


def _go(name: str, settings: Mapping[str, Any]) -> None:
    set_widgets(settings)
    st.session_state[_GOES] = name


def go_on() -> None:
    """Go where a button led: with its settings this page may be another one, without the button."""
    if (name := st.session_state.pop(_GOES, None)) is not None:
        open_page(name)


def set_widgets(settings: Mapping[str, Any]) -> None:
    """Set bound widgets (a callback: before the run, when no widget holds its key yet)."""
    for key, value in settings.items():
        st.session_state[key] = value
