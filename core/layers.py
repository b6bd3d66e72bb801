"""Layers by number and by name: the embedding output, lists such as ``9, 12-14``."""

import re
from collections.abc import Sequence
from typing import Final

from core import CoreError

#: Index of the embedding output, beside decoder layers ``0 .. n_layers - 1``.
EMBEDDING: Final = -1

_PART: Final = re.compile(r"(\d{1,4})(?:\s*[-–]\s*(\d{1,4}))?")


def layers_of(text: str, n_layers: int) -> tuple[int, ...]:
    """Return the layers that a text names, each once, in its order; none for an empty text.

    Args:
        text: Numbers and ranges, with commas between them.
        n_layers: Decoder layers of the model.

    Raises:
        CoreError: It is no such list, or there is no such layer.
    """
    found: dict[int, None] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        match = _PART.fullmatch(part)
        if match is None:
            raise CoreError(
                f"{part[:30]!r} is no layer. Write numbers and ranges, such as 9, 12-14."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if max(first, last) >= n_layers:
            raise CoreError(
                f"There is no layer {max(first, last)}. Choose layers 0 to {n_layers - 1}."
            )
        step = 1 if first <= last else -1
        found.update(dict.fromkeys(range(first, last + step, step)))
    return tuple(found)


def layers_text(layers: Sequence[int]) -> str:
    """Return layers as ``layers_of`` reads them, in their order; ranges where they go up by one."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def layer_name(layer: int, *, long: bool = False) -> str:
    """Name a layer: ``9`` on axes, in tables and addresses; ``layer 9`` in titles and sentences."""
    if layer == EMBEDDING:
        return "embedding" if long else "emb"
    return f"layer {layer}" if long else str(layer)
