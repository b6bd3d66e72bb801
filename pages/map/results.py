"""What the map page keeps between reruns."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from core.activations.study import Study
from core.diagnosis.evidence import Finding, evidence
from core.foundations import Foundation
from core.maps import frames as maps_frames
from core.maps import point as maps_point
from core.maps.field import Field, Sketch
from core.maps.field_view import layer_field, sketch_over
from core.maps.graded import Pole
from core.maps.point import Neighbourhood
from core.maps.scene import Frames
from core.maps.view import ViewSpec
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from core.steering.effects.shift import displaced
from pages.shared import pictures
from pages.shared.bench import NAMES, workbench


@st.cache_resource(show_spinner="Measuring against controls …", max_entries=128, hash_funcs=NAMES)
def findings(study: Study, spec: ViewSpec) -> list[Finding]:
    """Return a layer's findings beside their controls."""
    return evidence(workbench().store, study, spec.layer, spec.pooling, spec.scaling)


@st.cache_resource(show_spinner="Smoothing over the map …", max_entries=64, hash_funcs=NAMES)
def field(study: Study, spec: ViewSpec, pole: Pole) -> Field:
    """Return the fields of a pole over a layer's map."""
    picture, seen = pictures.model_picture(study, spec), pictures.closeness(study, spec)
    return layer_field(workbench().store, study, spec, picture, seen, pole)


@st.cache_resource(show_spinner="Smoothing over the map …", max_entries=64, hash_funcs=NAMES)
def people_sketch(study: Study, spec: ViewSpec, set_name: str, pole: Pole) -> Sketch:
    """Return the fields of a pole over people's map."""
    picture, seen = pictures.human_picture(set_name, spec), pictures.closeness(study, spec)
    return sketch_over(workbench().store, study, spec, picture, seen, pole)


@st.cache_resource(show_spinner="Opening the dictionary …", max_entries=4, hash_funcs=NAMES)
def dictionary(shelved: Shelved) -> Dictionary:
    """Return a dictionary of the shelf, loaded once."""
    return shelved.load()


@st.cache_resource(show_spinner="Seeing where the points go …", max_entries=32, hash_funcs=NAMES)
def moved(
    study: Study, spec: ViewSpec, strengths: tuple[tuple[Foundation, float], ...]
) -> NDArray[np.float64]:
    """Return how far steering moves each item's point, in widths of the map."""
    return displaced(workbench().store, study, spec, dict(strengths))


@st.cache_resource(show_spinner="Looking around …", max_entries=128, hash_funcs=NAMES)
def neighbourhood(study: Study, spec: ViewSpec, row: int) -> Neighbourhood:
    """Return the texts nearest to an item for people and at the view's layer."""
    return maps_point.neighbourhood(
        workbench().store, study, row, spec.layer, spec.pooling, spec.scaling
    )


@st.cache_resource(show_spinner="Looking at all layers …", max_entries=64, hash_funcs=NAMES)
def centres_by_layer(study: Study, spec: ViewSpec, row: int) -> NDArray[np.float64]:
    """Return an item's cosine to the ten centres at every layer."""
    return maps_point.centres_by_layer(workbench().store, study, row, spec.pooling, spec.scaling)


@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs=NAMES)
def axis_layers(study: Study, spec: ViewSpec) -> list[int]:
    """Return the layers that can be played on moral axes."""
    return maps_frames.drawn_layers(workbench().store, study, spec)


@st.cache_resource(show_spinner="Laying out the layers …", max_entries=16, hash_funcs=NAMES)
def layer_frames(study: Study, spec: ViewSpec, layers: tuple[int, ...]) -> Frames:
    """Return the maps of some layers as frames of one."""
    return maps_frames.layer_frames(workbench().store, study, spec, list(layers))
