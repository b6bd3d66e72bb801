"""Layers as frames: those that are drawn, where their maps have them, with their middles."""

import numpy as np
import pytest

from core.layers import EMBEDDING
from core.maps import frames
from core.maps.frames import drawn_layers, layer_frames
from core.maps.landmarks import landmarks
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec, layer_reading, model_picture


@pytest.fixture
def spec():
    return ViewSpec(layer=1, scaling="centred")


def draw(store, study, spec, layer):
    return model_layout(store, study, layer, spec.pooling, spec.scaling, spec.layout).get()


def test_only_drawn_layers_are_played(store, two_layers, spec):
    assert drawn_layers(store, two_layers, spec) == []
    draw(store, two_layers, spec, 1)
    assert drawn_layers(store, two_layers, spec) == [1]
    draw(store, two_layers, spec, EMBEDDING)
    assert drawn_layers(store, two_layers, spec) == [EMBEDDING, 1]


def test_on_moral_axes_every_layer_is_a_frame_unless_that_takes_long(
    store, two_layers, monkeypatch
):
    spec = ViewSpec(layer=1, scaling="centred", method="axes", x="care", y="fairness-cheating")
    layers = drawn_layers(store, two_layers, spec)
    assert layers == [EMBEDDING, 1]  # layer 0 has the same state for all texts
    found = layer_frames(store, two_layers, spec, layers)
    seen = layer_reading(store, two_layers, spec)
    wanted = model_picture(store, two_layers, spec, seen).points
    assert np.array_equal(found.places[1], wanted, equal_nan=True)
    monkeypatch.setattr(frames, "MOST_NUMBERS", 10)
    assert drawn_layers(store, two_layers, spec) == []


def test_a_frame_is_the_layers_own_map(store, two_layers, spec):
    drawn = [draw(store, two_layers, spec, layer) for layer in (1, EMBEDDING)]
    found = layer_frames(store, two_layers, spec, [EMBEDDING, 1])
    assert (found.names, found.at, found.slides) == (["embedding", "layer 1"], 1, False)
    assert found.places.dtype == np.float32
    assert np.array_equal(found.places[1], drawn[0].points[two_layers.plan.rows])
    assert np.array_equal(found.places[0], drawn[1].points[two_layers.plan.rows])
    wanted = landmarks(found.places[0], two_layers.members)
    assert np.array_equal(found.centres[0].place, wanted.place, equal_nan=True)
