"""The flat map in the browser: one component without a build, mounted for maps and their legend.

What it draws core has worked out (``core.maps.scene``). Maps of one group mark, choose and filter
the same items without asking the server; a selection and a click are told to it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from core.foundations import FOUNDATIONS
from core.maps import scene as maps_scene
from core.maps.scene import Scene, Words
from core.maps.view import Colouring
from core.palette import FOUNDATION_COLOURS

_HERE: Final = Path(__file__).parent
#: One module; each file uses those before it.
_SCRIPTS: Final = ("marks.js", "paint.js", "export.js", "player.js", "chart.js", "atlas.js")
#: The ten poles: name, foundation, colour.
NAMES: Final = [
    [pole, foundation, FOUNDATION_COLOURS[foundation]]
    for foundation in FOUNDATIONS
    for pole in foundation.split("-")
]
STYLE: Final = (_HERE / "atlas.css").read_text(encoding="utf-8")
SCRIPT: Final = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
#: The marks of the poles, for other maps.
MARKS: Final = (_HERE / "marks.js").read_text(encoding="utf-8")
_COMPONENT: Final = st.components.v2.component(
    "moralscope-atlas",
    html="<div class='atlas'></div>",
    css=STYLE,
    js=SCRIPT,
)


@dataclass(frozen=True)
class Said:
    """What a map says of itself, on the page and in its files."""

    title: str
    """What it is called."""

    alt: str
    """What is read to those who do not see it."""

    subtitle: str
    """In files, below the title: how it is made."""

    source: str
    """In files, at the foot: set, licence, how far to trust it."""

    file: str
    """Name of its files, without an ending."""

    small: bool = False
    """A picture to begin with: few tools, nothing to select."""


def legend(group: str, colours: Colouring, words: Words) -> None:
    """Draw the legend of a group's maps; its entries filter them. To be drawn before the maps.

    Args:
        group: Name of the maps that belong together.
        colours: What colours them.
        words: What is read on each item, as ``maps_scene.words_data`` returns it.
    """
    data = {
        "part": "legend",
        "group": group,
        "legend": maps_scene.legend_data(colours),
        "held": {
            "name": words.name,
            "kind": "words",
            "content": {"texts": words.texts, "notes": words.notes},
        },
    }
    _COMPONENT(key=f"legend-{group}", data=data)


def draw(
    key: str,
    group: str,
    said: Said,
    scene: Scene,
    words: Words,
    *,
    on_chosen: Callable[[object], None],
    on_point: Callable[[object], None] | None = None,
    on_frame: Callable[[object], None] | None = None,
) -> None:
    """Draw one map.

    Args:
        key: Of the map; zoom and frame stay while it does.
        group: Maps of one name mark, choose and filter the same items.
        said: What it is called.
        scene: What it shows.
        words: Those that the legend has sent.
        on_chosen: Called with the rows of a new selection; empty: it was cleared.
        on_point: Called with the row of an item that was clicked.
        on_frame: Called with the number of a frame that is to be opened.
    """
    data = maps_scene.scene_data(scene) | {
        "part": "map",
        "group": group,
        **asdict(said),
        "words": words.name,
        "names": NAMES,
    }
    if scene.frames is not None:
        data["frames"]["held"] = _send(maps_scene.encoded(scene.frames.places, "<f4"))

    def told(name: str, act: Callable[[object], None] | None) -> Callable[[], None]:
        def take() -> None:
            value = st.session_state[key].get(name)
            if act is not None and value is not None:
                act(value)

        return take

    _COMPONENT(
        key=key,
        data=data,
        on_chosen_change=told("chosen", on_chosen),
        on_point_change=told("point", on_point),
        on_frame_change=told("frame", on_frame),
    )


def _send(places: str) -> str:
    """Send the places of frames in a message of their own, out of sight; return their name.

    A map is sent anew with each selection; they are large and stay the same.
    """
    name = maps_scene.held(places)
    with st.container(key=f"atlas-held-{name}"):
        st.html("<style>div:has(> [class*=st-key-atlas-held]) {display: none}</style>")
        held = {"name": name, "kind": "places", "content": places}
        _COMPONENT(key=f"held-{name}", data={"part": "held", "held": held})
    return name
