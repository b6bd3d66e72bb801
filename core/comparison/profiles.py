"""Two models compared layer by layer: CKA of all pairs of layers, neighbours at equal depth."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import Pooling
from core.activations.study import has_picture, layer_states
from core.comparison.sides import Side, same_depth, shared_by
from core.layers import EMBEDDING
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import nearest
from core.statistics.scaling import Scaling
from core.statistics.similarity import cka_matrix, shared_neighbours

#: Raised whenever the same layers would give other figures.
_FORMAT: Final = 1
_NEIGHBOURS: Final = 10
#: Shuffles behind the band of each layer's neighbours.
_SHUFFLES: Final = 50


class Profile(NamedTuple):
    """Two models, layer by layer; row 0 and column 0 are the embedding outputs."""

    debiased: NDArray[np.float64]
    """Debiased linear CKA, ``(n_first + 1, n_second + 1)``; NaN where a layer has one state."""

    plain: NDArray[np.float64]
    """Not debiased, same shape."""

    partner: NDArray[np.int64]
    """Layer of the second model at the depth of each layer of the first, ``(n_first + 1,)``."""

    overlap: NDArray[np.float64]
    """Shared neighbours of each layer and its partner: value, low, high; ``(n_first + 1, 3)``."""

    chance: NDArray[np.float64]
    """The same with texts paired at random, ``(n_first + 1, 3)``."""

    def shared(self, layer: int) -> Estimate:
        """Return the shared neighbours of a layer of the first model and its partner."""
        return Estimate(*self.overlap[layer - EMBEDDING].tolist())


def profiled(store: Store, first: Side, second: Side, scaling: Scaling) -> Made[Profile]:
    """Return two models' profile; the sides' own layers do not matter.

    Making it raises ``CoreError`` if states are not stored, or no texts are shared.
    """
    plans = [
        {
            **side.study.plan.base_key(),
            **side.study.plan.weighing(),
            "pooling": side.pooling,
            "stored": side.study.plan.spec.dtype,
        }
        for side in (first, second)
    ]
    key = {
        "format": _FORMAT,
        "plans": plans,
        "items": [side.study.items.digest for side in (first, second)],
        "scaling": scaling,
        "versions": {"numpy": library_version("numpy")},
    }
    make = partial(_profile, store, first, second, scaling)
    return artefact(store, "profile", key, read=_read, write=_write, make=make)


def _write(folder: Path, profile: Profile) -> None:
    for name, values in profile._asdict().items():
        np.save(folder / f"{name}.npy", values)


def _read(folder: Path) -> Profile:
    return Profile(*(np.load(folder / f"{name}.npy") for name in Profile._fields))


def _profile(store: Store, first: Side, second: Side, scaling: Scaling, report: Report) -> Profile:
    shared = shared_by(first.study, second.study)
    own, its = shared.texts
    here = _layers(store, first, first.pooling, scaling, own)
    there = _layers(store, second, second.pooling, scaling, its)
    shape = (len(first.study.plan.layers), len(second.study.plan.layers))
    debiased, plain = np.full(shape, np.nan), np.full(shape, np.nan)
    if here and there:
        alike = cka_matrix([*here.values()], [*there.values()], part(report, 0.0, 0.7))
        cells = np.ix_([one - EMBEDDING for one in here], [one - EMBEDDING for one in there])
        debiased[cells], plain[cells] = alike.debiased, alike.plain
    partner = np.array(
        [same_depth(layer, first.study, second.study) for layer in first.study.plan.layers]
    )
    overlap, chance = np.full((2, shape[0], 3), np.nan)
    for row, (layer, other) in enumerate(zip(first.study.plan.layers, partner, strict=True)):
        report(0.7 + 0.3 * row / shape[0], 1, "comparing neighbours at each depth")
        if layer in here and int(other) in there:
            near = [nearest(get(), _NEIGHBOURS).rows for get in (here[layer], there[int(other)])]
            found = shared_neighbours(*near, shuffles=_SHUFFLES)
            overlap[row], chance[row] = found.observed, found.shuffled
    return Profile(debiased, plain, partner, overlap, chance)


def _layers(
    store: Store, side: Side, pooling: Pooling, scaling: Scaling, rows: NDArray[np.int64]
) -> dict[int, Callable[[], NDArray[np.float32]]]:
    """Return how to get the states of each layer that has any to compare."""

    def states(layer: int) -> NDArray[np.float32]:
        return layer_states(store, side.study, layer, pooling, scaling).states[rows]

    return {
        layer: partial(states, layer)
        for layer in side.study.plan.layers
        if has_picture(store, side.study, layer, pooling)
    }
