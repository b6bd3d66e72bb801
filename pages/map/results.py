"""What the map page keeps between reruns."""

import streamlit as st

from core.activations.study import Study
from core.diagnosis.evidence import Finding, evidence
from core.maps.view import ViewSpec
from pages.shared.bench import NAMES, workbench


@st.cache_resource(show_spinner="Measuring against controls …", max_entries=128, hash_funcs=NAMES)
def findings(study: Study, spec: ViewSpec) -> list[Finding]:
    """Return a layer's findings beside their controls."""
    return evidence(workbench().store, study, spec.layer, spec.pooling, spec.scaling)
