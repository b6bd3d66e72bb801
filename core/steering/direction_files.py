"""Directions that people bring: kept under their content, so that a link finds them again."""

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.runtime.store import Store, clear_disk_errors
from core.steering.directions import (
    MOST_BYTES,
    Direction,
    DirectionError,
    direction_bytes,
    load_direction,
)

if TYPE_CHECKING:
    from core.models.card import ModelCard

_KIND: Final = "direction"
_FILE: Final = "direction.safetensors"
#: Digits of a digest that name a direction, in a recipe and in an address.
DIGITS: Final = 16
#: Axis names that begin so mean a loaded direction, by digest.
FILE: Final = "file:"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._ -]+")


def axis_of(direction: Direction) -> str:
    """Return the name of a kept direction in a recipe."""
    return f"{FILE}{direction.digest[:DIGITS]}"


def keep_direction(store: Store, name: str, content: bytes, card: "ModelCard") -> Direction:
    """Read a direction that came through the browser and keep it.

    Args:
        store: Keeps it.
        name: The file's name, as the browser told it.
        content: A safetensors file of one vector.
        card: The model that is to be steered.

    Raises:
        DirectionError: It is too large or no direction of this model.
        CacheError: The disk is full or cannot be written.
    """
    if len(content) > MOST_BYTES:
        raise DirectionError(
            f"{name[:60]} has {len(content) / 2**20:,.0f} MB; a direction has at most "
            f"{MOST_BYTES // 2**20}. Choose a file with one vector."
        )
    safe = _UNSAFE.sub("_", Path(name).name).lstrip(".")[-60:] or "direction"
    with clear_disk_errors(store.root), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / safe
        path.write_bytes(content)
        direction = load_direction(path, card)
    with store.writing(_KIND, _key(direction.digest)) as target:
        (target / _FILE).write_bytes(direction_bytes(direction))
    return direction


def open_direction(store: Store, digest: str) -> Direction | None:
    """Return a kept direction by its digest, or the first ``DIGITS`` of it; else None."""
    folder = store.open(_KIND, _key(digest)) if len(digest) >= DIGITS else None
    return None if folder is None else _read(folder)


def kept_directions(store: Store, card: "ModelCard") -> list[Direction]:
    """Return the kept directions that fit a model, the newest first."""
    folders = [store.open(_KIND, one.key) for one in store.artefacts(_KIND)]
    found = [_read(folder) for folder in folders if folder is not None]
    return [
        one
        for one in found
        if one.vector.shape == (card.d_model,) and one.model in ("", card.identity)
    ]


def _key(digest: str) -> dict[str, str]:
    return {"direction": digest[:DIGITS]}


def _read(folder: Path) -> Direction:
    from safetensors import safe_open

    with safe_open(folder / _FILE, framework="np") as file:
        about, vector = file.metadata(), file.get_tensor("direction")
    return Direction(about["name"], vector, about["model"], int(about["layer"]), about["source"])
