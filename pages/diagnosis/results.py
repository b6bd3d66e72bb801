"""What the diagnosis page keeps between reruns."""

import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.diagnosis import view as diagnosis_view
from core.diagnosis.diagnosed import Diagnosed
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.diagnosis.records import records
from core.measures.ceiling import Ceiling, ceiling, graders_of
from core.measures.cohort import cohort_of
from core.measures.confusions import Confusion
from pages.shared.bench import NAMES, items, workbench


@st.cache_resource(show_spinner="Looking for confusions …", max_entries=128, hash_funcs=NAMES)
def confusions(study: Study, spec: DiagnosisSpec, layer: int) -> list[Confusion]:
    """Return the opposite actions that a layer tells apart least."""
    return diagnosis_view.layer_confusions(workbench().store, study, spec, layer)


@st.cache_resource(show_spinner="Asking how far people agree …", max_entries=8)
def human_ceiling(set_name: str) -> Ceiling:
    """Return how far people agree among themselves on a set."""
    graded = items(set_name)
    return ceiling(cohort_of(graded), graders_of(graded))


@st.cache_data(show_spinner=False, max_entries=8, hash_funcs=NAMES)
def figure_table(diagnosed: Diagnosis, untrained: Diagnosis | None) -> pd.DataFrame:
    """Return every figure of a diagnosis, one row each: what the command line writes."""
    return pd.DataFrame(records(Diagnosed(diagnosed, untrained))).astype({"layer": "Int64"})
