"""A layer's plain map as a frame: where states lie on it that some items have when steered."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study, layer_states
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.measures.geometry import centres
from core.runtime.store import Store
from core.statistics.neighbours import normalised


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
        self.spec, self.rows = spec, rows
        self._study = study
        self._known = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
        #: Places of all items without steering, shape ``(n, 2)``.
        self.points = model_picture(store, study, spec, layer_reading(store, study, spec)).points
        self._layout = (
            None
            if spec.method == "axes"
            else model_layout(
                store, study, spec.layer, spec.pooling, spec.scaling, spec.layout
            ).get()
        )

    def place(self, states: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where states lie, as the model has them.

        Args:
            states: Of the first items or all of them, shape ``(m, d_model)``.

        Returns:
            Shape ``(m, 2)``; NaN where an axis has no centre.
        """
        scaled = self._known.scaler.apply(np.asarray(states, np.float32))
        if self._layout is not None:
            return self._layout.place(scaled, self._known.states).astype(np.float64)
        own = normalised(scaled).astype(np.float64)
        return np.asarray(np.einsum("md,mad->ma", own, self._axes[: len(own)]))

    @cached_property
    def _axes(self) -> NDArray[np.float64]:
        """What an axis's value is the inner product with, per item, shape ``(m, 2, d_model)``."""
        plain = self._known.states[self._study.plan.rows]
        texts = self._study.items.texts()
        found = []
        for row in self.rows:
            middle = normalised(centres(plain, self._study.members_without(texts[row])))
            found.append([_axis(axis, middle) for axis in (self.spec.x, self.spec.y)])
        return np.array(found)


def _axis(axis: str, middle: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return virtue's centre minus vice's, or a pole's, from the ten, shape ``(d_model,)``."""
    if axis in FOUNDATIONS:
        column = 2 * FOUNDATIONS.index(axis)
        return np.asarray(middle[column] - middle[column + 1], np.float64)
    return np.asarray(middle[DIMENSIONS.index(axis)], np.float64)
