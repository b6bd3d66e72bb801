"""What one flat map shows, as plain data: places, colours and shapes, lines, arrows, frames.

A ``Scene`` is made of finished results; ``scene_data`` turns it into what the browser draws.
Numbers travel as base64 of little-endian arrays (NaN stays NaN), words as they are. The contract:

* ``Scene.lines``: polylines in the map's coordinates, such as contours. ``layer`` names the switch
  on the map that shows and hides them ("Contours").
* ``Scene.arrows``: from → to. Arrows of items are filtered and greyed with them.
* ``Scene.frames``: further places of the same items (layers, or two models), between which the map
  moves. A line or an arrow with a ``frame`` is seen at that one only.
* ``Scene.centres``: names of the ten poles with an ellipse that holds half of what they name.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.foundations import POLES
from core.maps.landmarks import Landmarks
from core.maps.view import Colouring, Picture
from core.palette import DIVERGING, SEQUENTIAL

#: Steps of a colour scale: more are not told apart.
STEPS: Final = 64
#: Characters of an action that a map shows; the table has all.
SHOWN: Final = 240


class Line(NamedTuple):
    """A polyline on the map."""

    points: NDArray[np.floating]
    """Its corners, shape ``(k, 2)``, in the map's coordinates."""

    colour: str
    """CSS colour."""

    layer: str = "Contours"
    """The switch that shows it, named for people."""

    width: float = 1.5
    """In pixels."""

    dash: tuple[float, ...] = ()
    """Lengths of dashes and gaps in pixels; solid if empty."""

    label: str = ""
    """Written at its middle; nothing if empty."""

    frame: int | None = None
    """The frame at which alone it is seen; None: always."""


class Arrows(NamedTuple):
    """Arrows of one colour."""

    start: NDArray[np.floating]
    """Where they begin, shape ``(k, 2)``."""

    end: NDArray[np.floating]
    """Where they point, shape ``(k, 2)``; one with a NaN is left out."""

    colour: str
    """CSS colour; "": that of the letters."""

    layer: str = "Arrows"
    """The switch that shows them, named for people."""

    rows: NDArray[np.integer] | None = None
    """Item of each arrow, shape ``(k,)``; None: they belong to no items."""

    heads: bool = True
    """False: plain lines, such as trails from another map."""

    frame: int | None = None
    """The frame at which alone they are seen; None: always."""


class Curve(NamedTuple):
    """A figure at each frame, beside its control."""

    title: str
    """What it is."""

    value: NDArray[np.floating]
    """Shape ``(m,)``; NaN where there is none."""

    interval: NDArray[np.floating]
    """Ends of its 95 % interval, shape ``(m, 2)``."""

    chance: NDArray[np.floating]
    """Ends of the 95 % band of shuffled labels, shape ``(m, 2)``."""


class Frames(NamedTuple):
    """Further places of the same items, in the same coordinates."""

    names: list[str]
    """What each is called, shape ``(m,)``; "layer 3"."""

    places: NDArray[np.float32]
    """Shape ``(m, n, 2)``, NaN where an item has none."""

    at: int = 0
    """The one that ``Scene.picture`` shows."""

    slides: bool = False
    """True: one may stop between two of them (A ↔ B); False: they are steps."""

    span: tuple[float, float] | None = None
    """Shares that the first and the last of sliding frames stand for, the others equally far
    between: where one stops is then told as a share. None: as a way from one to the other."""

    centres: Sequence[Landmarks] = ()
    """Of each frame, the ten poles' middles; none: they are not shown while it moves."""

    curve: Curve | None = None
    """What is drawn beneath, with a cursor that moves with the frames."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One flat map."""

    picture: Picture
    """Where the items lie; two dimensions."""

    colours: Colouring
    """What colours them."""

    poles: NDArray[np.str_]
    """Pole of each item: its shape."""

    chosen: NDArray[np.bool_] | None = None
    """The selection; the rest turns grey. None or all False: no selection."""

    marked: NDArray[np.bool_] | None = None
    """Items to ring."""

    point: int | None = None
    """The item that was clicked: it is marked."""

    own: NDArray[np.floating] | None = None
    """Place of a sentence of one's own, shape ``(2,)``."""

    limits: Sequence[tuple[float, float]] | None = None
    """Least and largest x, and y, that maps side by side share; None: its own."""

    lines: Sequence[Line] = ()
    """Contours and the like."""

    arrows: Sequence[Arrows] = ()
    """Displacements and the like."""

    frames: Frames | None = None
    """Places between which the map moves."""

    centres: Landmarks | None = None
    """The ten poles' middles, which are named."""


def scene_data(scene: Scene) -> dict[str, Any]:
    """Return a scene as JSON can hold it; the places of frames travel apart, see ``held``."""
    numbers, colours = _painted(scene.colours)
    rows = np.arange(len(scene.poles))
    data: dict[str, Any] = {
        "places": encoded(scene.picture.points, "<f4"),
        "category": encoded(numbers, "u1"),
        "pole": encoded([POLES.index(one) for one in scene.poles], "u1"),
        "colours": colours,
        "chosen": [] if scene.chosen is None else rows[scene.chosen].tolist(),
        "marked": [] if scene.marked is None else rows[scene.marked].tolist(),
        "point": scene.point,
        "own": None if scene.own is None else [float(one) for one in scene.own],
        "axes": None if scene.picture.axes is None else list(scene.picture.axes),
        "limits": None if scene.limits is None else [list(one) for one in scene.limits],
        "lines": [_line(one) for one in scene.lines],
        "arrows": [_arrows(one) for one in scene.arrows],
        "legend": legend_data(scene.colours),
        "centres": None if scene.centres is None else _middles(scene.centres),
    }
    if scene.frames is not None:
        frames = scene.frames
        data["frames"] = {
            "names": frames.names,
            "at": frames.at,
            "slides": frames.slides,
            "span": None if frames.span is None else list(frames.span),
            "centres": [_middles(one) for one in frames.centres],
            "curve": None if frames.curve is None else _curve(frames.curve),
        }
    return data


def legend_data(colours: Colouring) -> dict[str, Any]:
    """Return how colours are explained: names with theirs, or the ends of a scale with its steps.

    Keys: ``title``; ``names``, a list of name and colour, empty for numbers and where poles are
    what is coloured; ``poles``, name and colour ("" if shape alone tells); ``scale``, or None.
    """
    categories = colours.categories or {}
    of_poles = set(categories) == set(POLES)
    names = [] if of_poles else [[name, colour] for name, colour in categories.items()]
    scale = None
    if colours.categories is None:
        scale = {"span": [float(one) for one in colours.span], "steps": _steps(colours)}
    poles = [[pole, categories[pole] if of_poles else ""] for pole in POLES]
    return {"title": colours.title, "names": names, "poles": poles, "scale": scale}


class Words(NamedTuple):
    """What is read on each item."""

    texts: list[str]
    """The action, shortened."""

    notes: list[str]
    """Its labels."""

    name: str
    """Under which the browser holds them: the same words, the same name."""


def words_data(table: pd.DataFrame) -> Words:
    """Return what is read on each item: the action, shortened, and its labels.

    Args:
        table: As ``view.facts`` returns it.
    """
    texts = [one if len(one) <= SHOWN else one[: SHOWN - 2] + " …" for one in table["text"]]
    rows = zip(table["foundation"], table["pole"], table["grade"], strict=True)
    notes = [
        f"{foundation} · {pole}" + (f" · grade {grade:g}" if pole != "neutral" else "")
        for foundation, pole, grade in rows
    ]
    return Words(texts, notes, held([texts, notes]))


def held(content: Any) -> str:
    """Return the name under which something is sent once and asked for by many maps."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def encoded(numbers: Any, kind: str) -> str:
    """Return numbers as base64 of their bytes.

    Args:
        numbers: Any array.
        kind: NumPy's name of the type, such as ``<f4``.
    """
    return base64.b64encode(np.ascontiguousarray(numbers, kind).tobytes()).decode()


def _painted(colours: Colouring) -> tuple[NDArray[np.int64], list[str]]:
    """Return each item's number of a colour, and the colours."""
    if colours.categories is not None:
        names = list(colours.categories)
        numbers = np.array([names.index(one) for one in colours.data], np.int64)
        return numbers, list(colours.categories.values())
    low, high = colours.span
    share = (colours.data.astype(float) - low) / ((high - low) or 1.0)
    steps = np.clip(np.nan_to_num(share) * (STEPS - 1), 0, STEPS - 1).round().astype(np.int64)
    return np.where(np.isnan(share), STEPS, steps), [*_steps(colours), colours.rest]


def _steps(colours: Colouring) -> list[str]:
    from plotly.colors import sample_colorscale

    stops: Any = [list(stop) for stop in DIVERGING] if colours.diverging else SEQUENTIAL
    return [str(one) for one in sample_colorscale(stops, STEPS)]


def _middles(found: Landmarks) -> str:
    """Five numbers for each pole: its place, and its ellipse."""
    return encoded(np.hstack([found.place, found.shape]), "<f4")


def _curve(curve: Curve) -> dict[str, str]:
    numbers = np.column_stack([curve.value, curve.interval, curve.chance])
    return {"title": curve.title, "numbers": encoded(numbers, "<f4")}


def _line(line: Line) -> dict[str, Any]:
    rest = {"colour": line.colour, "layer": line.layer, "width": line.width, "label": line.label}
    return {
        **rest,
        "points": encoded(line.points, "<f4"),
        "dash": list(line.dash),
        "frame": line.frame,
    }


def _arrows(arrows: Arrows) -> dict[str, Any]:
    rest = {"colour": arrows.colour, "layer": arrows.layer, "heads": arrows.heads}
    return {
        **rest,
        "start": encoded(arrows.start, "<f4"),
        "end": encoded(arrows.end, "<f4"),
        "rows": None if arrows.rows is None else [int(one) for one in arrows.rows],
        "frame": arrows.frame,
    }
