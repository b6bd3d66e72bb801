"""Maps and readings of the present set and model, drawn once and kept between reruns."""

import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.maps import view as maps_view
from core.maps.placing import LayerCloseness
from core.maps.view import Picture, ViewSpec
from pages.shared.bench import items, key_of, workbench


@st.cache_resource(show_spinner="Drawing the human map …", max_entries=32)
def human_picture(set_name: str, spec: ViewSpec) -> Picture:
    """Return the human map."""
    return maps_view.human_picture(workbench().store, items(set_name), spec)


def reading(study: Study, spec: ViewSpec) -> LayerCloseness:
    """Return a layer's reading."""
    return _reading(study, key_of(study), spec)


@st.cache_resource(show_spinner="Comparing with the centres …", max_entries=64)
def _reading(_study: Study, key: str, spec: ViewSpec) -> LayerCloseness:
    del key
    return maps_view.layer_reading(workbench().store, _study, spec)


def model_picture(study: Study, spec: ViewSpec) -> Picture:
    """Return a layer's map."""
    return _model_picture(study, key_of(study), spec)


@st.cache_resource(show_spinner="Drawing the layer …", max_entries=128)
def _model_picture(_study: Study, key: str, spec: ViewSpec) -> Picture:
    return maps_view.model_picture(workbench().store, _study, spec, _reading(_study, key, spec))


def facts(set_name: str, study: Study | None, spec: ViewSpec) -> pd.DataFrame:
    """Return the table twin of the maps; without a study, the human side alone."""
    if study is None:
        return _human_facts(set_name)
    return _facts(study, key_of(study), spec)


@st.cache_data(show_spinner=False, max_entries=8)
def _human_facts(set_name: str) -> pd.DataFrame:
    return maps_view.facts(items(set_name), None)


@st.cache_data(show_spinner=False, max_entries=16)
def _facts(_study: Study, key: str, spec: ViewSpec) -> pd.DataFrame:
    return maps_view.facts(_study.items, _reading(_study, key, spec))
