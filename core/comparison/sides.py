"""Sides of a comparison: a model's reading at one layer and pooling, and the texts two sides share.

A layer of one model is held against the layer of another at the same depth: 0 is the embedding, 1
the last layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import FEWEST_TEXTS, Study, layer_states
from core.layers import EMBEDDING, layer_name
from core.measures.cohort import DRAWS, Cohort, cohort_of
from core.runtime.store import Store
from core.statistics.scaling import Scaling

#: Sides that are shown beside each other at most; each has a letter.
LETTERS: Final = "ABCD"
#: Texts whose neighbours and similarities are compared at most: all pairs are looked at.
MOST_TEXTS: Final = 2600


@dataclass(frozen=True, eq=False)
class Side:
    """One reading of the items."""

    study: Study
    """Who read what."""

    layer: int
    """Decoder layer, or ``EMBEDDING``."""

    pooling: Pooling
    """Which pooled state."""

    def __post_init__(self) -> None:
        """Refuse a layer or pooling that was not read.

        Raises:
            CoreError: It says what there is.
        """
        plan = self.study.plan
        if self.pooling not in plan.spec.poolings:
            raise CoreError(
                f"{self.study.card.name} was read with the states {', '.join(plan.spec.poolings)}, "
                f"not {self.pooling}. Choose one of these for it."
            )
        if self.layer not in plan.layers:
            raise CoreError(
                f"{self.study.card.name} has layers 0 to {plan.n_layers - 1} and the embedding; "
                f"there is no layer {self.layer}."
            )

    @property
    def key(self) -> dict[str, Any]:
        """Content key of the states."""
        return self.study.plan.measured_key(self.layer, self.pooling)

    @property
    def depth(self) -> float:
        """0 for the embedding, 1 for the last layer."""
        return depth_of(self.layer, self.study)

    def states(self, store: Store, scaling: Scaling) -> NDArray[np.float32]:
        """Return scaled states, a row per prompt.

        Raises:
            CoreError: They are not stored, or cannot be measured.
        """
        return layer_states(store, self.study, self.layer, self.pooling, scaling).states


def depth_of(layer: int, study: Study) -> float:
    """Return a layer's depth: 0 for the embedding, 1 for the last layer."""
    return (layer - EMBEDDING) / study.plan.n_layers


def same_depth(layer: int, study: Study, other: Study) -> int:
    """Return the layer of another model that lies nearest to the depth of a layer.

    Only the embedding is held against an embedding.
    """
    if layer == EMBEDDING:
        return EMBEDDING
    place = round(depth_of(layer, study) * other.plan.n_layers) + EMBEDDING
    return min(max(place, 0), other.plan.n_layers - 1)


def side_names(sides: Sequence[Side]) -> list[str]:
    """Return a short name per side; where models are the same, what tells them apart is added."""
    names = [side.study.card.name for side in sides]
    layers = {
        name: len({s.layer for s, n in zip(sides, names, strict=True) if n == name})
        for name in names
    }
    poolings = {
        name: len({s.pooling for s, n in zip(sides, names, strict=True) if n == name})
        for name in names
    }
    told = []
    for side, name in zip(sides, names, strict=True):
        extra = [layer_name(side.layer, long=True)]
        extra = extra if layers[name] > 1 else []
        extra += [f"{side.pooling} state"] if poolings[name] > 1 else []
        told.append(", ".join([name, *extra]))
    return told


@dataclass(frozen=True, eq=False)
class Shared:
    """What two sides have both read."""

    first: Study
    """Whose items are compared."""

    second: Study
    """The other reading."""

    items: NDArray[np.int64]
    """Rows of the first set whose text stands in the second, too; shape ``(k,)``."""

    own: NDArray[np.int64]
    """Prompt of each in the first reading, ``(k,)``."""

    other: NDArray[np.int64]
    """Prompt of each in the second reading, ``(k,)``."""

    @property
    def whole(self) -> bool:
        """Whether both read the same set."""
        return self.first.items.digest == self.second.items.digest

    @cached_property
    def texts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Prompts of the different texts in both readings, at most ``MOST_TEXTS`` of them."""
        pairs = np.unique(np.column_stack([self.own, self.other]), axis=0)
        if len(pairs) > MOST_TEXTS:
            rows = np.random.default_rng(0).choice(len(pairs), MOST_TEXTS, replace=False)
            pairs = pairs[np.sort(rows)]
        return pairs[:, 0], pairs[:, 1]

    @property
    def key(self) -> dict[str, Any]:
        """What the shared texts depend on."""
        return {"first": self.first.items.digest, "second": self.second.items.digest}

    def cohort(self, draws: int = DRAWS) -> Cohort:
        """Return the shared items, as the first set labels them, as one cohort."""
        items = self.first.items if self.whole else self.first.items.take(self.items)
        return cohort_of(items, draws=draws, shuffles=0)


def shared_by(first: Study, second: Study) -> Shared:
    """Return what two readings share: texts that are the same, character by character.

    Raises:
        CoreError: There are too few.
    """
    place: dict[str, int] = {}
    for row, text in zip(second.plan.rows.tolist(), second.items.texts(), strict=True):
        place.setdefault(text, row)
    found = np.array([place.get(text, -1) for text in first.items.texts()], np.int64)
    items = np.flatnonzero(found >= 0)
    shared = Shared(first, second, items, first.plan.rows[items], found[items])
    count = len(np.unique(shared.own))
    if count < FEWEST_TEXTS:
        names = first.items.provenance.name, second.items.provenance.name
        raise CoreError(
            f"{names[0]} and {names[1]} share {count or 'none'} of their texts; a comparison "
            f"needs at least {FEWEST_TEXTS}. Let both models read the same set."
        )
    return shared
