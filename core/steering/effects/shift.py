"""Where steering moves the points of a layer's map: exactly, simply enough for a browser.

Adding a direction at a layer adds one vector to every token, so to every text's pooled state there
(the mean without the first token, or the last one; the first token, if it is left alone, is in
neither). A PCA map is linear: its points move by one arrow. On moral axes a point is a difference
of two cosines, ``s'd / |s|``, and both parts stay simple under ``s + v``. So a handful of numbers
per axis, or per axis and point, give every point's place at any strength, without interpolation.

The frame is the plain model's: scaling, picture and centres stay as they were, so that the part of
a push that all points share is seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec
from core.runtime.store import Store
from core.steering.directions import Method, covariance_direction, moral_direction
from core.steering.edits import residual_norm, resolve
from core.steering.recipes import Recipe

#: What follows the moral axes: all other directions of a recipe together, at strength 1 as the
#: recipe says; and the random direction that a push is held against.
OTHERS: Final = "others"
RANDOM: Final = "random"


class Bend(NamedTuple):
    """How the length of each state grows: what bends a point's path on moral axes."""

    length: NDArray[np.float64]
    """Of the plain scaled states, shape ``(n,)``."""

    onto: NDArray[np.float64]
    """Inner product of each state with each push, shape ``(n, k)``."""

    gram: NDArray[np.float64]
    """Inner products of the pushes, shape ``(k, k)``."""


@dataclass(frozen=True, eq=False)
class Shift:
    """A map's points and where each axis moves them; ``k`` axes, the last two as above."""

    points: NDArray[np.float64]
    """Places without steering, a row per item, shape ``(n, 2)``; NaN where there is none."""

    axes: tuple[str, ...]
    """Names of the pushes, length ``k``."""

    along: NDArray[np.float64]
    """What strength 1 adds, ``(1, k, 2)``: to a place; with ``bend``, ``(n, k, 2)``: to a place
    times its state's length."""

    bend: Bend | None
    """None on a PCA map."""

    gram: NDArray[np.float64]
    """Inner products of the pushes as the model gets them, in residual norms, ``(k, k)``."""

    def place(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the points' places at some strengths (others are 0), shape ``(n, 2)``."""
        doses = self._doses(strengths)
        moved: NDArray[np.float64] = np.einsum("k,nkd->nd", doses, self.along)
        if self.bend is None:
            return self.points + moved
        own = float(doses @ self.bend.gram @ doses)
        squared = self.bend.length**2 + 2 * (self.bend.onto @ doses) + own
        with np.errstate(invalid="ignore", divide="ignore"):  # pushed into the origin: no angle
            places: NDArray[np.float64] = (
                self.points * self.bend.length[:, None] + moved
            ) / np.sqrt(np.maximum(squared, 0))[:, None]
        return np.where(np.isfinite(places), places, np.nan)

    def length(self, strengths: Mapping[str, float]) -> float:
        """Return how long the sum of some pushes is, in residual norms."""
        doses = self._doses(strengths)
        return float(np.sqrt(max(float(doses @ self.gram @ doses), 0.0)))

    def travel(self, strengths: Mapping[str, float]) -> float:
        """Return how far the middle of the points moves, in widths of the plain map."""
        seen = np.isfinite(self.points).all(axis=1)
        moved = np.nanmean(self.place(strengths)[seen] - self.points[seen], axis=0)
        return float(np.linalg.norm(moved)) / self.width

    @property
    def width(self) -> float:
        """Longer side of the box around the plain points."""
        return float((np.nanmax(self.points, axis=0) - np.nanmin(self.points, axis=0)).max())

    def _doses(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        return np.array([strengths.get(axis, 0.0) for axis in self.axes])


def shift(
    store: Store,
    study: Study,
    axes: Sequence[str],
    spec: ViewSpec,
    *,
    method: Method = "means",
    pooling: Pooling = "last",
    others: Recipe | None = None,
) -> Shift:
    """Return where adding directions at a layer moves the points of its map.

    Args:
        store: Where the states lie.
        study: Items and model.
        axes: Moral axes, at least one.
        spec: The map: layer, pooled state (not the mean with the first token), scaling, and PCA or
            moral axes in two dimensions.
        method: How directions are made.
        pooling: From which pooled states they are made.
        others: A recipe that adds further directions at this layer.

    Raises:
        DirectionError: A direction cannot be made.
        RecipeError: The other directions do not fit.
        CoreError: The map does not move so simply, or the states are not stored or not finite.
    """
    if spec.method == "umap" or spec.dims != 2 or spec.pooling == "mean_all":
        raise CoreError(
            "Points can be moved at once on flat maps by PCA or moral axes, of the last token or "
            "of the mean without the first. Choose one of these."
        )
    vectors = _pushes(store, study, axes, spec.layer, method, pooling, others)
    norm = residual_norm(store, study, spec.layer)
    states, scaler = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    moves = scaler.moves(norm * vectors)
    names, gram = (*axes, OTHERS, RANDOM), vectors @ vectors.T
    if spec.method == "axes":
        rows = states[study.plan.rows].astype(np.float64)
        both = [_on_axis(study, rows, moves, axis) for axis in (spec.x, spec.y)]
        length = np.linalg.norm(rows, axis=1)
        values = np.column_stack([value for value, _ in both])
        with np.errstate(invalid="ignore", divide="ignore"):
            points = values / length[:, None]
        along = np.stack([push for _, push in both], axis=2)
        return Shift(points, names, along, Bend(length, rows @ moves.T, moves @ moves.T), gram)
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    if layout.linear is None:
        raise ValueError("a PCA layout is linear")
    points = layout.points[study.plan.rows].astype(np.float64)
    return Shift(points, names, (moves @ layout.linear[:-1])[None], None, gram)


def _pushes(
    store: Store,
    study: Study,
    axes: Sequence[str],
    layer: int,
    method: Method,
    pooling: Pooling,
    others: Recipe | None,
) -> NDArray[np.float64]:
    """Return what strength 1 adds along each axis, in residual norms, shape ``(k, d_model)``."""
    made = [
        moral_direction(store, study, axis, layer, method=method, pooling=pooling).vector
        for axis in axes
    ]
    rest = np.zeros(study.card.d_model)
    for edit in resolve(store, study, others) if others is not None else ():
        if edit.layer == layer:
            rest = rest + np.array(edit.strengths) @ edit.vectors
    last: Pooling = "last" if "last" in study.plan.spec.poolings else study.plan.spec.poolings[0]
    # The one that the read-out is held against.
    control = covariance_direction(store, study, layer, 0, last).vector
    return np.stack([*made, rest, control]).astype(np.float64)


def _on_axis(
    study: Study, states: NDArray[np.float64], moves: NDArray[np.float64], axis: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the parts of states ``(n,)`` and of moves ``(n, k)`` along each item's own axis.

    That is a pole's centre or virtue's minus vice's, each of unit length and without the item's
    own text.
    """
    if axis in FOUNDATIONS:
        column = 2 * FOUNDATIONS.index(axis)
        signs = {column: 1.0, column + 1: -1.0}
    else:
        signs = {DIMENSIONS.index(axis): 1.0}
    value, push = np.zeros(len(states)), np.zeros((len(states), len(moves)))
    for column, sign in signs.items():
        for rows, centre in _centres(study, states, column):
            value[rows] += sign * (states[rows] @ centre)
            push[rows] += sign * (moves @ centre)
    return value, push


def _centres(
    study: Study, states: NDArray[np.float64], column: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield rows and the unit centre that they are compared with; NaN where no member is left."""
    group, member = study.labels.group, study.members[:, column]
    total = states[member].sum(axis=0)
    texts = np.unique(group[member])
    yield np.flatnonzero(~np.isin(group, texts)), _unit(total)
    for text in texts:
        own = group == text
        only = len(texts) == 1
        rest = total - states[own & member].sum(axis=0)
        yield np.flatnonzero(own), np.full_like(total, np.nan) if only else _unit(rest)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector of unit length; NaN for none."""
    with np.errstate(invalid="ignore"):
        unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit
