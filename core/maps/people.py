"""The human map of the built-in set as it comes along: UMAP takes a process seconds to compile.

So the first page of a new cache shows it at once, and it is the same on every machine. It holds for
the same moral vectors drawn in the same way; others are drawn here.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.maps.projection import Layout, LayoutSpec, Trust
from core.runtime.store import fingerprint, library_version

#: The file in ``core/data``; ``python -m core people`` makes it.
FILE: Final = Path(__file__).resolve().parents[1] / "data" / "human-umap.json"
_LIBRARIES: Final = ("umap-learn", "numba", "scikit-learn", "numpy")


def shipped_places(vectors: NDArray[np.floating], spec: LayoutSpec) -> Layout | None:
    """Return the picture of different moral vectors that comes along; None for any others.

    Args:
        vectors: Shape ``(n, 10)``, sorted, as ``numpy.unique`` gives them.
        spec: How it is drawn.
    """
    found = _shipped()
    if found.get("made from") != made_from(vectors, spec):
        return None
    points = np.array(found["points"], np.float32)
    return Layout(points, Trust(*found["trust"]), float("nan"), None)


@cache
def _shipped() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def made_from(vectors: NDArray[np.floating], spec: LayoutSpec) -> dict[str, Any]:
    """Return all that the picture hangs on, versions of libraries apart."""
    rows = np.asarray(vectors, np.float32).tolist()
    return {"vectors": fingerprint(rows)[:16], "spec": asdict(spec)}


def write_places(
    path: Path, vectors: NDArray[np.floating], spec: LayoutSpec, layout: Layout, command: str
) -> None:
    """Write a picture as one JSON file.

    Args:
        path: Where.
        vectors: What was drawn.
        spec: How.
        layout: The picture.
        command: What made it.

    Raises:
        CoreError: It cannot be written.
    """
    told = {
        "command": command,
        "made from": made_from(vectors, spec),
        "versions": {name: library_version(name) for name in _LIBRARIES},
        "trust": list(layout.trust.written.values()),
        "points": [[round(float(one), 6) for one in row] for row in layout.points],
    }
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in told.items()]
    try:
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error
