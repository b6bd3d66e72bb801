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
from core.foundations import DIMENSIONS, FOUNDATIONS, Foundation
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.runtime.store import Store
from core.steering.directions import Method, control_directions, moral_direction
from core.steering.edits import residual_norm, resolve
from core.steering.effects.motion import CONTROLS, OTHERS, Fan, Motion
from core.steering.recipes import Recipe

#: Lengths at which the fan's bent ways are worked out, in residual norms.
_LENGTHS: Final = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
#: States that UMAP places at once: each is held against all others.
_PLACED_AT_ONCE: Final = 1024


class Bend(NamedTuple):
    """How the length of each state grows: what bends a point's path on moral axes."""

    length: NDArray[np.float64]
    """Of the plain scaled states, shape ``(n,)``."""

    onto: NDArray[np.float64]
    """Inner product of each state with each push, shape ``(n, k)``."""

    gram: NDArray[np.float64]
    """Inner products of the pushes, shape ``(k, k)``."""


@dataclass(frozen=True, eq=False)
class Shift(Motion):
    """Exact ways: of a linear map, or of moral axes."""

    along: NDArray[np.float64]
    """What strength 1 adds, ``(1, k, 2)``: to a place; with ``bend``, ``(n, k, 2)``: to a place
    times its state's length."""

    bend: Bend | None = None
    """None on a PCA map."""

    def place(self, strengths: Mapping[str, float]) -> NDArray[np.float64]:
        """Return the points' places at some strengths (others are 0), shape ``(n, 2)``."""
        doses = self.doses(strengths)
        if self.bend is None:
            moved: NDArray[np.float64] = np.einsum("k,nkd->nd", doses, self.along)
            return self.points + moved
        return _bent(self.points, self.along, self.bend, doses)


def _bent(
    points: NDArray[np.float64],
    along: NDArray[np.float64],
    bend: Bend,
    doses: NDArray[np.float64],
) -> NDArray[np.float64]:
    own = float(doses @ bend.gram @ doses)
    squared = bend.length**2 + 2 * (bend.onto @ doses) + own
    moved = np.einsum("k,nkd->nd", doses, along)
    with np.errstate(invalid="ignore", divide="ignore"):  # pushed into the origin: no angle
        places: NDArray[np.float64] = (points * bend.length[:, None] + moved) / np.sqrt(
            np.maximum(squared, 0)
        )[:, None]
    return np.where(np.isfinite(places), places, np.nan)


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
    pushes = pushes_of(store, study, axes, spec.layer, method, pooling, others)
    controls = control_vectors(store, study, spec.layer)
    norm = residual_norm(store, study, spec.layer)
    states, scaler = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    moves, other = scaler.moves(norm * pushes), scaler.moves(norm * controls)
    names, gram = (*axes, OTHERS), pushes @ pushes.T
    if spec.method == "axes":
        points, fan, along, bend = _over_axes(study, spec, states, moves, other)
        return Shift(points, names, gram, fan, along, bend)
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    if layout.linear is None:
        raise ValueError("a PCA layout is linear")
    points = layout.points[study.plan.rows].astype(np.float64)
    linear = layout.linear[:-1]
    ways = np.stack([np.zeros((len(other), 2)), other @ linear], axis=1)
    return Shift(points, names, gram, Fan(np.array([0.0, 1.0]), ways), (moves @ linear)[None])


def _over_axes(
    study: Study,
    spec: ViewSpec,
    states: NDArray[np.floating],
    moves: NDArray[np.float64],
    other: NDArray[np.float64],
) -> tuple[NDArray[np.float64], Fan, NDArray[np.float64], Bend]:
    """Return points, fan, ways and bend on moral axes; ``moves`` and ``other`` as for states."""
    rows = states[study.plan.rows].astype(np.float64)
    both = [
        _on_axis(study, rows, np.concatenate([moves, other]), axis) for axis in (spec.x, spec.y)
    ]
    length = np.linalg.norm(rows, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        points = np.column_stack([value for value, _ in both]) / length[:, None]
    along = np.stack([push for _, push in both], axis=2)
    k = len(moves)
    fan = _bent_fan(points, along[:, k:], Bend(length, rows @ other.T, other @ other.T))
    return points, fan, along[:, :k], Bend(length, rows @ moves.T, moves @ moves.T)


def still(store: Store, study: Study, axes: Sequence[str], spec: ViewSpec) -> Shift:
    """Return a map that no axis moves: of a layer below the steered one.

    Raises:
        CoreError: The states are not stored or not finite.
    """
    picture = model_picture(store, study, spec, layer_reading(store, study, spec))
    k = len(axes) + 1
    fan = Fan(np.array([0.0, 1.0]), np.zeros((CONTROLS, 2, 2)))
    points = picture.points.astype(np.float64)
    return Shift(points, (*axes, OTHERS), np.zeros((k, k)), fan, np.zeros((1, k, 2)))


def _bent_fan(points: NDArray[np.float64], along: NDArray[np.float64], bend: Bend) -> Fan:
    """Return where each control takes the middle of the points, at ``_LENGTHS``."""
    seen = np.isfinite(points).all(axis=1)
    every = np.eye(along.shape[1])
    ways = [
        [
            np.nanmean((_bent(points, along, bend, length * one) - points)[seen], axis=0)
            for length in _LENGTHS
        ]
        for one in every
    ]
    return Fan(_LENGTHS, np.array(ways))


def displaced(
    store: Store, study: Study, spec: ViewSpec, strengths: Mapping[Foundation, float]
) -> NDArray[np.float64]:
    """Return how far steering at a map's layer moves each item's point, in widths of the map.

    On PCA all move alike, on moral axes exactly as ``Shift`` says. UMAP places the steered states
    by their neighbours among the plain ones; the way is that from where it so places the plain
    state, so that the error of placing does not count as movement.

    Args:
        store: Where the states lie.
        study: Items and model.
        spec: The map.
        strengths: Of the foundations' axes, in residual norms.

    Returns:
        Shape ``(n,)``; NaN where a point has no place.

    Raises:
        CoreError: As ``shift``.
    """
    axes = [axis for axis, strength in strengths.items() if strength]
    if spec.method != "umap":
        found = shift(store, study, axes, spec)
        way = found.place({axis: strengths[axis] for axis in axes}) - found.points
        return np.asarray(np.linalg.norm(way, axis=1) / found.width)
    if spec.pooling == "mean_all":
        raise CoreError(
            "The first token is not steered, so a mean that holds it moves less than the others. "
            "Choose the mean without the first token, or the last token."
        )
    states, scaler = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    norm = residual_norm(store, study, spec.layer)
    vectors = [
        strengths[axis] * moral_direction(store, study, axis, spec.layer).vector for axis in axes
    ]
    push = scaler.moves(norm * np.stack(vectors).sum(axis=0, dtype=np.float64, keepdims=True))
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    ways: NDArray[np.float64] = np.vstack(
        [
            layout.place(some + push, states) - layout.place(some, states)
            for some in np.array_split(states, len(states) // _PLACED_AT_ONCE + 1)
        ]
    )
    width = float(np.ptp(layout.points, axis=0).max())
    return np.asarray(np.linalg.norm(ways[study.plan.rows], axis=1) / width)


def pushes_of(
    store: Store,
    study: Study,
    axes: Sequence[str],
    layer: int,
    method: Method,
    pooling: Pooling,
    others: Recipe | None,
) -> NDArray[np.float64]:
    """Return what strength 1 adds along each axis and, last, by the others, in residual norms.

    Args:
        store: Where the states lie.
        study: Items and model.
        axes: Moral axes.
        layer: Decoder layer.
        method: How directions are made.
        pooling: From which pooled states they are made.
        others: A recipe that adds further directions at this layer.

    Returns:
        Shape ``(axes + 1, d_model)``.

    Raises:
        DirectionError: A direction cannot be made.
        RecipeError: The other directions do not fit.
    """
    made = [
        moral_direction(store, study, axis, layer, method=method, pooling=pooling).vector
        for axis in axes
    ]
    rest = np.zeros(study.card.d_model)
    for edit in resolve(store, study, others) if others is not None else ():
        if edit.layer == layer:
            rest = rest + np.array(edit.strengths) @ edit.vectors
    return np.stack([*made, rest]).astype(np.float64)


def control_vectors(store: Store, study: Study, layer: int) -> NDArray[np.float64]:
    """Return the fan's control directions, each of unit length, shape ``(CONTROLS, d_model)``."""
    last: Pooling = "last" if "last" in study.plan.spec.poolings else study.plan.spec.poolings[0]
    found = control_directions(store, study, "covariance", "", layer, CONTROLS, pooling=last)
    return np.stack([one.vector for one in found]).astype(np.float64)


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
