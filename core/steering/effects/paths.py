"""Ways on a map that are known at a few strengths of each axis only: in between they go straight.

So it is with UMAP, which has no formula for a new state, and at a layer above the steered one,
where only the model knows what becomes of a push. Several axes at once are taken to add up. What
that misses is measured: ``settled`` holds a preview against the places that the states really take.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import Pooling
from core.activations.study import Study, states_of
from core.maps.view import ViewSpec
from core.runtime.store import Store
from core.steering.directions import Method
from core.steering.edits import residual_norm
from core.steering.effects.frame import Frame
from core.steering.effects.motion import OTHERS, Fan, Motion, between
from core.steering.effects.shift import control_vectors, pushes_of
from core.steering.recipes import Recipe

#: Strengths of an axis at which its places are worked out, in residual norms; 0 in the middle.
KNOTS: Final = (-0.4, -0.2, 0.0, 0.2, 0.4)
#: Lengths of control pushes.
LENGTHS: Final = (0.0, 0.2, 0.4)
#: Texts of a UMAP that have ways of their own at most: each is compared with all others.
MOST: Final = 2000
#: Texts whose middle the fan of a UMAP is taken from.
_FEW: Final = 100


@dataclass(frozen=True, eq=False)
class Paths(Motion):
    """Ways from place to place."""

    rows: NDArray[np.int64]
    """Items that have a way of their own, shape ``(m,)``; all others go by their mean."""

    ways: NDArray[np.float64]
    """What each of the knots adds to their places, shape ``(k, knots, m, 2)``."""

    knots: tuple[float, ...] = KNOTS
    """Strengths of an axis at which its ways are known, growing."""

    def place(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the points' places at some strengths (others are 0), shape ``(n, 2)``."""
        moved = np.zeros(self.ways.shape[2:])
        for way, dose in zip(self.ways, self.doses(strengths), strict=True):
            below, part = between(np.array(self.knots), dose)
            moved += way[below] + part * (way[below + 1] - way[below])
        return self.moved(moved)

    def moved(self, by: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return all places where the rows move by ``(m, 2)``, shape ``(n, 2)``."""
        places = self.points + mean_of(by)
        places[self.rows] = self.points[self.rows] + by
        return places

    def middle(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return what some strengths add to the middle of the rows, shape ``(2,)``."""
        return mean_of((self.place(strengths) - self.points)[self.rows])


def straight(way: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return an axis's ways whose strengths are 0 and 1 alone: its knots lead to the latter."""
    return [knot * way for knot in KNOTS]


def mean_of(ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the ways that there are, shape ``(2,)``."""
    seen = np.isfinite(ways).all(axis=1)
    mean: NDArray[np.float64] = ways[seen].mean(axis=0) if seen.any() else np.zeros(2)
    return mean


class Settled(NamedTuple):
    """Where the states really lie, beside the preview."""

    rows: NDArray[np.int64]
    """Items, shape ``(m,)``."""

    places: NDArray[np.float64]
    """Theirs, shape ``(m, 2)``."""

    apart: float
    """Median distance of the preview from them, in map widths."""

    most: float
    """The largest."""

    own: int
    """How many of the first items have a way of their own in the preview."""

    left: int = 0
    """How many more items can be followed, if asked for."""


def settled(
    found: Paths,
    rows: NDArray[np.int64],
    by: NDArray[np.float64],
    strengths: Mapping[str, float],
    left: int = 0,
) -> Settled:
    """Hold a preview against what the states really do.

    Args:
        found: The preview.
        rows: Items that were followed, shape ``(m,)``.
        by: How they really move, shape ``(m, 2)``.
        strengths: At which strengths.
        left: How many more can be.
    """
    places = found.points[rows] + by
    far = np.linalg.norm(found.place(strengths)[rows] - places, axis=1) / found.width
    far = far[np.isfinite(far)]
    apart, most = (float(np.median(far)), float(far.max())) if len(far) else (np.nan, np.nan)
    return Settled(rows, places, apart, most, len(found.rows), left)


def spread(n: int, most: int) -> NDArray[np.int64]:
    """Return at most so many of n numbers, evenly over them."""
    return np.unique(np.linspace(0, n - 1, most).astype(np.int64))


class NeighbourMap:
    """A UMAP of the steered layer: where additive pushes take its points, by their neighbours."""

    def __init__(
        self,
        store: Store,
        study: Study,
        axes: Sequence[str],
        spec: ViewSpec,
        *,
        method: Method = "means",
        pooling: Pooling = "last",
        others: Recipe | None = None,
    ) -> None:
        """Work the ways out; arguments as for ``shift.shift``."""
        states = states_of(store, study).prompt_states(spec.layer, spec.pooling)
        every = np.arange(len(states))
        some = every if len(states) <= MOST else spread(len(states), MOST)
        rows = np.flatnonzero(np.isin(study.plan.rows, some))
        self._items = np.searchsorted(some, study.plan.rows[rows])
        self._states = states[some]
        self._frame = Frame(store, study, spec, rows)
        norm = residual_norm(store, study, spec.layer)
        pushes = pushes_of(store, study, axes, spec.layer, method, pooling, others)
        self._pushes = norm * pushes
        self._plain = self._frame.place(self._states)
        few = spread(len(some), _FEW)
        fan = [
            [self._middle(few, length * norm * control) for length in LENGTHS]
            for control in control_vectors(store, study, spec.layer)
        ]
        ways = [
            [self._moved(knot * push)[self._items] for knot in KNOTS] for push in self._pushes[:-1]
        ]
        ways.append(straight(self._moved(self._pushes[-1])[self._items]))
        self.paths = Paths(
            self._frame.points,
            (*axes, OTHERS),
            pushes @ pushes.T,
            Fan(np.array(LENGTHS), np.array(fan)),
            rows,
            np.array(ways),
        )

    def settled(self, strengths: Mapping[str, float]) -> Settled:
        """Return where the points really lie at some strengths."""
        push = self.paths.doses(strengths) @ self._pushes
        return settled(self.paths, self.paths.rows, self._moved(push)[self._items], strengths)

    def _moved(self, push: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far each prompt moves under a push, ``(n_prompts, 2)``."""
        if not push.any():
            return np.zeros_like(self._plain)
        return self._frame.place(self._states + push) - self._plain

    def _middle(self, few: NDArray[np.int64], push: NDArray[np.float64]) -> NDArray[np.float64]:
        if not push.any():
            return np.zeros(2)
        return mean_of(self._frame.place(self._states[few] + push) - self._plain[few])
