"""A layer's plain map as a frame: where states lie on it that some items have when steered."""

from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study, layer_states
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.measures.geometry import centres
from core.runtime.store import Store
from core.statistics.neighbours import normalised

#: States that are placed by neighbours in one go: each is compared with all plain ones.
_AT_ONCE: Final = 512


class Frame:
    """Scaling, picture and centres of the plain model, for some items.

    PCA and moral axes place a state exactly; UMAP by its nearest plain neighbours.
    """

    def __init__(self, store: Store, study: Study, spec: ViewSpec, rows: NDArray[np.int64]) -> None:
        """Open a layer's map.

        Args:
            store: Where the states lie.
            study: Items and model.
            spec: The map, in two dimensions.
            rows: Items, shape ``(m,)``.

        Raises:
            CoreError: The states are not stored or not finite.
        """
        self.spec, self._study = spec, study
        known = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
        self._scaler = known.scaler
        #: Places of all items without steering, shape ``(n, 2)``.
        self.points = model_picture(
            store, study, spec, layer_reading(store, study, spec)
        ).points.astype(np.float64)
        if spec.method == "axes":
            self._plain = known.states[study.plan.rows]
            self._axes = _axes_of(study, spec, self._plain, rows)
            return
        self._layout = model_layout(
            store, study, spec.layer, spec.pooling, spec.scaling, spec.layout
        ).get()
        # A linear picture needs no neighbours: a large set's states are not held for nothing.
        self._plain = known.states if self._layout.linear is None else known.states[:0]

    def of(self, rows: NDArray[np.int64]) -> "Frame":
        """Return the same frame for other items."""
        other = copy(self)
        if self.spec.method == "axes":
            other._axes = _axes_of(self._study, self.spec, self._plain, rows)
        return other

    def place(self, states: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where states lie, as the model has them.

        Args:
            states: On moral axes those of the first items or all of them; shape ``(m, d_model)``.

        Returns:
            Shape ``(m, 2)``; NaN where an axis has no centre.
        """
        scaled = self._scaler.apply(np.asarray(states, np.float32))
        if self.spec.method == "axes":
            own = normalised(scaled).astype(np.float64)
            return np.asarray(np.einsum("md,mad->ma", own, self._axes[: len(own)]))
        parts = [scaled[start : start + _AT_ONCE] for start in range(0, len(scaled), _AT_ONCE)]
        placed = [self._layout.place(one, self._plain).astype(np.float64) for one in parts]
        return np.concatenate(placed)


def _axes_of(
    study: Study, spec: ViewSpec, plain: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what each item's two values are inner products with, shape ``(m, 2, d_model)``."""
    texts, found = study.items.texts(), []
    for row in rows:
        middle = normalised(centres(plain, study.members_without(texts[row])))
        found.append([_axis(axis, middle) for axis in (spec.x, spec.y)])
    return np.array(found)


def _axis(axis: str, middle: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return virtue's centre minus vice's, or a pole's, from the ten, shape ``(d_model,)``."""
    if axis in FOUNDATIONS:
        column = 2 * FOUNDATIONS.index(axis)
        return np.asarray(middle[column] - middle[column + 1], np.float64)
    return np.asarray(middle[DIMENSIONS.index(axis)], np.float64)
