"""What the diagnosis page keeps between reruns."""

import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.diagnosis import view as diagnosis_view
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.diagnosis.report import Diagnosed
from core.measures.ceiling import Ceiling, ceiling
from core.measures.cohort import cohort_of
from core.measures.confusions import Confusion
from pages.shared.bench import items, key_of, workbench


def confusions(study: Study, spec: DiagnosisSpec, layer: int) -> list[Confusion]:
    """Return the opposite actions that a layer tells apart least."""
    return _confusions(study, key_of(study), spec, layer)


@st.cache_resource(show_spinner="Looking for confusions …", max_entries=128)
def _confusions(_study: Study, key: str, spec: DiagnosisSpec, layer: int) -> list[Confusion]:
    del key
    return diagnosis_view.layer_confusions(workbench().store, _study, spec, layer)


@st.cache_resource(show_spinner="Asking how far people agree …", max_entries=8)
def human_ceiling(set_name: str) -> Ceiling:
    """Return how far people agree among themselves on a set."""
    return ceiling(cohort_of(items(set_name)))


def figure_table(diagnosed: Diagnosis, untrained: Diagnosis | None) -> pd.DataFrame:
    """Return every figure of a diagnosis, one row each: what the command line writes."""
    key = key_of(diagnosed.study)
    return _figure_table(diagnosed, untrained, key, diagnosed.spec, compared=untrained is not None)


@st.cache_data(show_spinner=False, max_entries=8)
def _figure_table(
    _diagnosed: Diagnosis,
    _untrained: Diagnosis | None,
    key: str,
    spec: DiagnosisSpec,
    *,
    compared: bool,
) -> pd.DataFrame:
    del key, spec, compared
    return pd.DataFrame(Diagnosed(_diagnosed, _untrained).records()).astype({"layer": "Int64"})
