"""What the map page keeps between reruns."""

import streamlit as st

from core.activations.study import Study
from core.diagnosis.evidence import Finding, evidence
from core.maps.view import ViewSpec
from pages.shared.bench import key_of, workbench


def findings(study: Study, spec: ViewSpec) -> list[Finding]:
    """Return a layer's findings beside their controls."""
    return _findings(study, key_of(study), spec)


@st.cache_resource(show_spinner="Measuring against controls …", max_entries=128)
def _findings(_study: Study, key: str, spec: ViewSpec) -> list[Finding]:
    del key
    return evidence(workbench().store, _study, spec.layer, spec.pooling, spec.scaling)
