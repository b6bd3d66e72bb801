"""The stage's component: sliders, map and what lands there, plain JavaScript on a canvas.

Each part is a mount of its own, so that the map's numbers are not sent again with every strength; a
drag asks the server nothing.
"""

from pathlib import Path
from typing import Any, Final

import streamlit as st

from pages.shared.atlas.component import MARKS

_HERE: Final = Path(__file__).parent
#: One script, in this order, after the marks of all maps: the parts know each other.
_SCRIPTS: Final = (
    "talk.js",
    "sliders.js",
    "ways.js",
    "written.js",
    "picture.js",
    "mount.js",
)
_COMPONENT: Final = st.components.v2.component(
    "moralscope-stage",
    html="<div class='stage'></div><p class='missing'>If nothing appears here, switch on "
    "<b>Plain sliders</b> under More.</p>",
    css=(_HERE / "stage.css").read_text(encoding="utf-8"),
    js="\n".join([MARKS, *((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)]),
)


def style(*, alone: bool) -> None:
    """Add the rules that keep the stage on one screen, and put the map first on a phone.

    Args:
        alone: Hide the rest of the page and enlarge what is left, for a projector.
    """
    names = ("screen.css", "projector.css") if alone else ("screen.css",)
    rules = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)
    st.html(f"<style>{rules}</style>")


def mount(part: str, key: str, data: dict[str, Any], **reported: Any) -> None:
    """Draw a part.

    Args:
        part: Sliders, map or found.
        key: Of the mount.
        data: What it is drawn from.
        reported: What is called when a state changes, as ``on_strengths_change``.
    """
    _COMPONENT(key=key, data={"part": part, **data}, **reported)
