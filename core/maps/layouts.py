"""Pictures of a study: made once, kept, each turned onto the one before it.

They form a chain, so that all of them can be compared by eye: the human map first, the anchor layer
turned onto it, every other layer turned onto the anchor.
"""

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import FEWEST_TEXTS, Study, layer_states
from core.dataset.items import Items
from core.maps.people import shipped_places
from core.maps.projection import Layout, LayoutSpec, kept_layout, layout_key, project
from core.runtime.made import Made
from core.runtime.progress import Report
from core.runtime.store import Store
from core.statistics.scaling import Scaling


def human_layout(store: Store, items: Items, spec: LayoutSpec) -> Made[Layout]:
    """Return the picture of the human moral vectors, one row per item; ties share a place.

    Making it raises ``CoreError`` if there are too few actions.
    """
    vectors = items.vectors()
    drawn = np.unique(vectors, axis=0) if spec.method == "umap" else vectors
    key = layout_key(spec, {"vectors": items.digest}, "", len(drawn))
    return kept_layout(store, key, lambda _: _human(items, spec))


def _human(items: Items, spec: LayoutSpec) -> Layout:
    if len(items) < FEWEST_TEXTS:
        raise CoreError(
            f"A map needs at least {FEWEST_TEXTS} actions; this set has {len(items)}. Add rows to "
            "the table, or choose another set."
        )
    vectors = items.vectors()
    if spec.method == "umap":
        return _human_umap(vectors, spec)
    return project(vectors, spec, metric="euclidean")


def _human_umap(vectors: NDArray[np.float32], spec: LayoutSpec) -> Layout:
    """Run UMAP on the different vectors only: hundreds of equal rows have no neighbourhood."""
    places, number = np.unique(vectors, axis=0, return_inverse=True)
    if len(places) < FEWEST_TEXTS:
        raise CoreError(
            f"The labels of this set take only {len(places)} different values: too few for UMAP. "
            "Choose PCA or moral axes for this set."
        )
    layout = shipped_places(places, spec) or project(places, spec, metric="euclidean")
    return Layout(layout.points[number], layout.trust, layout.explained, None)


def model_layout(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> Made[Layout]:
    """Return a layer's picture, one row per prompt, turned onto the anchor's.

    Making it raises ``CoreError`` if the states are not stored.
    """
    is_anchor = layer == study.anchor

    def draw(_: Report) -> Layout:
        states = layer_states(store, study, layer, pooling, scaling).states
        if is_anchor:
            people = _human_points(store, study, spec)
            return project(states, spec, anchor=people, start_at_anchor=False)
        anchor = model_layout(store, study, study.anchor, pooling, scaling, spec).get()
        return project(states, spec, anchor=anchor.points)

    source = {**study.plan.measured_key(layer, pooling), "scaling": scaling}
    turned_onto = "human" if is_anchor else f"layer {study.anchor}"
    onto = f"{turned_onto} of {study.items.digest}"
    key = layout_key(spec, source, onto, len(study.plan.prompts))
    return kept_layout(store, key, draw)


def _human_points(store: Store, study: Study, spec: LayoutSpec) -> NDArray[np.float64]:
    """Return each prompt's mean place on the human map, ``(n_prompts, dims)``."""
    points = human_layout(store, study.items, LayoutSpec(dims=spec.dims)).get().points
    count = np.bincount(study.plan.rows, minlength=len(study.plan.prompts))
    sums = [np.bincount(study.plan.rows, column, len(count)) for column in points.T]
    return np.column_stack(sums) / count[:, None]
