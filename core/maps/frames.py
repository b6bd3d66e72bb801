"""Maps of all layers as frames of one: what a map needs to be played over the layers."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study, has_picture
from core.layers import layer_name
from core.maps.landmarks import landmarks
from core.maps.layouts import model_layout
from core.maps.placing import axis_values, layer_closeness
from core.maps.scene import Frames
from core.maps.view import ViewSpec
from core.runtime.store import Store

#: Numbers in the states of all layers up to which moral axes are worked out at once (seconds).
MOST_NUMBERS: Final = 100_000_000


def drawn_layers(store: Store, study: Study, spec: ViewSpec) -> list[int]:
    """Return the layers whose map is drawn already.

    On moral axes, which are not kept: all that have a map, or none where that would take long.
    """
    layers, pooling = study.plan.layers, spec.pooling
    if spec.method == "axes":
        numbers = len(study.plan.prompts) * study.card.d_model * len(layers)
        cheap = layers if numbers <= MOST_NUMBERS else ()
        return [layer for layer in cheap if has_picture(store, study, layer, pooling)]
    return [
        layer
        for layer in layers
        if model_layout(store, study, layer, pooling, spec.scaling, spec.layout).has()
    ]


def layer_frames(store: Store, study: Study, spec: ViewSpec, layers: list[int]) -> Frames:
    """Return flat maps of some layers as frames, registered as the layouts are.

    Args:
        store: Where they lie.
        study: Who read what.
        spec: Whose map it is; its layer is the frame that is shown first.
        layers: Layers that are drawn, among them the spec's.
    """
    places = np.stack([_places(store, study, spec, layer) for layer in layers])
    return Frames(
        [layer_name(layer, long=True) for layer in layers],
        places,
        layers.index(spec.layer),
        centres=[landmarks(one, study.members) for one in places],
    )


def _places(store: Store, study: Study, spec: ViewSpec, layer: int) -> NDArray[np.float32]:
    if spec.method == "axes":
        close = layer_closeness(store, study, layer, spec.pooling, spec.scaling).close
        return np.column_stack([axis_values(one, close) for one in (spec.x, spec.y)]).astype("f4")
    layout = model_layout(store, study, layer, spec.pooling, spec.scaling, spec.layout).get()
    return np.asarray(layout.points[study.plan.rows], np.float32)
