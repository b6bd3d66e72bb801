"""What the map page keeps between reruns."""

import streamlit as st

from core.activations.study import Study
from core.diagnosis.evidence import Finding, evidence
from core.maps.field import Field, Pole
from core.maps.field_view import layer_field
from core.maps.view import ViewSpec
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
