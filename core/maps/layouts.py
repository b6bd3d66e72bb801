"""Pictures of a study: made once, kept, each turned onto the one before it.

They form a chain, so that all of them can be compared by eye: the human map first, the anchor layer
turned onto it, every other layer turned onto the anchor.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import FEWEST_TEXTS, Study, layer_states
from core.dataset.items import Items
from core.maps.projection import Layout, LayoutSpec, layout_key, open_layout, project, save_layout
from core.runtime.store import Store
from core.statistics.scaling import Scaling


def human_layout(store: Store, items: Items, spec: LayoutSpec) -> Layout:
    """Return the picture of the human moral vectors, one row per item; ties share a place."""
    key = layout_key(spec, {"vectors": items.digest}, "")
    kept = open_layout(store, key)
    if kept is not None:
        return kept
    if len(items) < FEWEST_TEXTS:
        raise CoreError(
            f"A map needs at least {FEWEST_TEXTS} actions; this set has {len(items)}. Add rows to "
            "the table, or choose another set."
        )
    vectors = items.vectors()
    if spec.method == "umap":
        layout = _human_umap(vectors, spec)
    else:
        layout = project(vectors, spec, metric="euclidean")
    save_layout(store, key, layout)
    return layout


def _human_umap(vectors: NDArray[np.float32], spec: LayoutSpec) -> Layout:
    """Run UMAP on the different vectors only: hundreds of equal rows have no neighbourhood."""
    places, number = np.unique(vectors, axis=0, return_inverse=True)
    if len(places) < FEWEST_TEXTS:
        raise CoreError(
            f"The labels of this set take only {len(places)} different values: too few for UMAP. "
            "Choose PCA or moral axes for this set."
        )
    layout = project(places, spec, metric="euclidean")
    return Layout(layout.points[number], layout.trust, layout.explained, None)


def model_layout(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> Layout:
    """Return a layer's picture, one row per prompt, turned onto the anchor's.

    Raises:
        CoreError: The states are not stored.
    """
    key = model_layout_key(study, layer, pooling, scaling, spec)
    kept = open_layout(store, key)
    if kept is not None:
        return kept
    states = layer_states(store, study, layer, pooling, scaling).states
    if layer == study.anchor:
        layout = project(
            states, spec, anchor=_human_points(store, study, spec), start_at_anchor=False
        )
    else:
        anchor = model_layout(store, study, study.anchor, pooling, scaling, spec)
        layout = project(states, spec, anchor=anchor.points)
    save_layout(store, key, layout)
    return layout


def model_layout_key(
    study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> dict[str, Any]:
    """Return the content key of a layer's picture."""
    source = {**study.plan.key(layer, pooling), "scaling": scaling}
    anchor = f"layer {study.anchor}" if layer != study.anchor else "human"
    return layout_key(spec, source, f"{anchor} of {study.items.digest}")


def _human_points(store: Store, study: Study, spec: LayoutSpec) -> NDArray[np.float64]:
    """Return each prompt's mean place on the human map, ``(n_prompts, dims)``."""
    points = human_layout(store, study.items, LayoutSpec(dims=spec.dims)).points
    count = np.bincount(study.plan.rows, minlength=len(study.plan.prompts))
    sums = [np.bincount(study.plan.rows, column, len(count)) for column in points.T]
    return np.column_stack(sums) / count[:, None]
