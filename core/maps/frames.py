"""Maps of all layers as frames of one: what a map needs to be played over the layers."""

import numpy as np

from core.activations.study import Study
from core.layers import layer_name
from core.maps.landmarks import landmarks
from core.maps.layouts import model_layout
from core.maps.scene import Frames
from core.maps.view import ViewSpec
from core.runtime.store import Store


def drawn_layers(store: Store, study: Study, spec: ViewSpec) -> list[int]:
    """Return the layers whose map is drawn already; none on moral axes, which are not kept."""
    if spec.method == "axes":
        return []
    return [
        layer
        for layer in study.plan.layers
        if model_layout(store, study, layer, spec.pooling, spec.scaling, spec.layout).has()
    ]


def layer_frames(store: Store, study: Study, spec: ViewSpec, layers: list[int]) -> Frames:
    """Return flat maps of some layers as frames, registered as the layouts are.

    Args:
        store: Where they lie.
        study: Who read what.
        spec: Whose map it is; its layer is the frame that is shown first.
        layers: Layers that are drawn, among them the spec's.
    """
    layouts = [
        model_layout(store, study, layer, spec.pooling, spec.scaling, spec.layout).get()
        for layer in layers
    ]
    places = np.stack([one.points[study.plan.rows] for one in layouts]).astype(np.float32)
    return Frames(
        [layer_name(layer, long=True) for layer in layers],
        places,
        layers.index(spec.layer),
        centres=[landmarks(one, study.members) for one in places],
    )
