"""What pages share of core: one workbench per process, and results kept between reruns.

The only home of ``st.cache_*``. Everything cached here is immutable or guarded by its own lock.
"""

import pandas as pd
import streamlit as st

from core import view
from core.evidence import Finding, evidence
from core.items import Items
from core.modelspec import ModelSpec
from core.prompts import ReadSpec
from core.study import Reading, Study
from core.view import Picture, ViewSpec
from core.workbench import Workbench


@st.cache_resource(show_spinner=False)
def bench() -> Workbench:
    """Return the process's workbench."""
    return Workbench.at()


@st.cache_resource(show_spinner="Opening the items …", max_entries=8)
def items(name: str) -> Items:
    """Return a set of items by name."""
    return bench().items(name)


@st.cache_resource(show_spinner="Looking at the model …", max_entries=16)
def study(set_name: str, model: str, read: ReadSpec) -> Study:
    """Return the study of a set and a model."""
    return bench().study(items(set_name), ModelSpec.parse(model), read)


@st.cache_resource(show_spinner="Drawing the human map …", max_entries=32)
def human_picture(set_name: str, spec: ViewSpec) -> Picture:
    """Return the human map."""
    return view.human_picture(bench().store, items(set_name), spec)


@st.cache_resource(show_spinner=False, max_entries=64)
def reading(_study: Study, key: str, spec: ViewSpec) -> Reading:  # noqa: ARG001 - key names the study
    """Return a layer's reading."""
    return view.layer_reading(bench().store, _study, spec)


@st.cache_resource(show_spinner="Drawing the layer …", max_entries=128)
def model_picture(_study: Study, key: str, spec: ViewSpec) -> Picture:
    """Return a layer's map."""
    return view.model_picture(bench().store, _study, spec, reading(_study, key, spec))


@st.cache_resource(show_spinner="Measuring against controls …", max_entries=128)
def findings(_study: Study, key: str, spec: ViewSpec) -> list[Finding]:  # noqa: ARG001 - as above
    """Return a layer's findings beside their controls."""
    return evidence(bench().store, _study, spec.layer, spec.pooling, spec.scaling)


@st.cache_data(show_spinner=False, max_entries=16)
def facts(_study: Study | None, key: str, set_name: str, spec: ViewSpec | None) -> pd.DataFrame:
    """Return the table twin of the maps."""
    seen = None if _study is None or spec is None else reading(_study, key, spec)
    return view.facts(items(set_name), seen)
