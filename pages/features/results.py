"""What the features page keeps between reruns: dictionaries, passports, a sentence taken apart."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.features import dashboard
from core.features import jobs as features_jobs
from core.features.dashboard import Dashboard
from core.features.feature_activations import TokenFeatures
from core.features.jobs import MoralLatents
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from pages.shared.bench import key_of, workbench


def dictionary(shelved: Shelved) -> Dictionary:
    """Return a dictionary of the shelf, loaded once."""
    return _dictionary(shelved, shelved.digest)


@st.cache_resource(show_spinner="Opening the dictionary …", max_entries=4)
def _dictionary(_shelved: Shelved, digest: str) -> Dictionary:
    del digest
    return _shelved.load()


def passport(study: Study, dictionary: Dictionary, found: MoralLatents, latent: int) -> Dashboard:
    """Return a latent's passport."""
    return _passport(study, dictionary, found, key_of(study), dictionary.digest, latent)


@st.cache_resource(show_spinner="Writing the passport …", max_entries=256)
def _passport(
    _study: Study, _dictionary: Dictionary, _found: MoralLatents, key: str, digest: str, latent: int
) -> Dashboard:
    del digest
    poles = _poles(_study, key, _dictionary.info.layer)
    return dashboard.dashboard_of(_study, _dictionary, _found.activations, latent, poles)


@st.cache_resource(show_spinner=False, max_entries=16)
def _poles(_study: Study, key: str, layer: int) -> Any:
    del key
    return dashboard.pole_directions(workbench().store, _study, layer)


def light(study: Study, dictionary: Dictionary, text: str) -> TokenFeatures:
    """Return a sentence taken apart."""
    return _light(study, dictionary, key_of(study), dictionary.digest, text)


@st.cache_resource(show_spinner="Reading the sentence …", max_entries=64)
def _light(
    _study: Study, _dictionary: Dictionary, key: str, digest: str, text: str
) -> TokenFeatures:
    del key, digest
    return features_jobs.take_apart(workbench(), _study, _dictionary, text)
