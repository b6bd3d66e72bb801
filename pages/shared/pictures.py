"""Maps and readings of the present set and model, drawn once and kept between reruns."""

import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.maps import view as maps_view
from core.maps.placing import LayerCloseness
from core.maps.view import Picture, ViewSpec
from pages.shared.bench import NAMES, items, workbench


@st.cache_resource(show_spinner="Drawing the human map …", max_entries=32)
def human_picture(set_name: str, spec: ViewSpec) -> Picture:
    """Return the human map."""
    return maps_view.human_picture(workbench().store, items(set_name), spec)


@st.cache_resource(show_spinner="Comparing with the centres …", max_entries=64, hash_funcs=NAMES)
def closeness(study: Study, spec: ViewSpec) -> LayerCloseness:
    """Return how near a layer's states are to the ten centres."""
    return maps_view.layer_reading(workbench().store, study, spec)


@st.cache_resource(show_spinner="Drawing the layer …", max_entries=128, hash_funcs=NAMES)
def model_picture(study: Study, spec: ViewSpec) -> Picture:
    """Return a layer's map."""
    return maps_view.model_picture(workbench().store, study, spec, closeness(study, spec))


@st.cache_data(show_spinner=False, max_entries=16, hash_funcs=NAMES)
def facts(set_name: str, study: Study | None, spec: ViewSpec | None) -> pd.DataFrame:
    """Return the table twin of the maps; without a study, the human side alone."""
    seen = None if study is None or spec is None else closeness(study, spec)
    return maps_view.facts(items(set_name), seen)
