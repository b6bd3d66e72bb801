"""What the features page keeps between reruns: dictionaries, passports, a sentence taken apart."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.dashboard import Dashboard, dashboard_of, pole_directions
from core.features.feature_activations import TokenFeatures
from core.features.jobs import MoralLatents
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from pages.shared.bench import NAMES, workbench


@st.cache_resource(show_spinner="Opening the dictionary …", max_entries=4, hash_funcs=NAMES)
def dictionary(shelved: Shelved) -> Dictionary:
    """Return a dictionary of the shelf, loaded once."""
    return shelved.load()


@st.cache_resource(show_spinner="Writing the passport …", max_entries=256, hash_funcs=NAMES)
def passport(study: Study, dictionary: Dictionary, found: MoralLatents, latent: int) -> Dashboard:
    """Return a latent's passport."""
    poles = _poles(study, dictionary.info.layer)
    return dashboard_of(study, dictionary, found.activations, latent, poles)


@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs=NAMES)
def _poles(study: Study, layer: int) -> Any:
    return pole_directions(workbench().store, study, layer)


@st.cache_resource(show_spinner="Reading the sentence …", max_entries=64, hash_funcs=NAMES)
def light(study: Study, dictionary: Dictionary, text: str) -> TokenFeatures:
    """Return a sentence taken apart."""
    return features_jobs.take_apart(workbench(), study, dictionary, text)
