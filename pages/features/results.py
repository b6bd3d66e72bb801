"""What the features pages keep between reruns: dictionaries, ranked latents, passports."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.dashboard import Passport
from core.features.feature_activations import Lit
from core.features.jobs import Ranked
from core.features.logit_lens import Lens
from core.features.ranking import FeatureSpec
from core.runtime.store import fingerprint
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from pages.shared.bench import bench


def dictionary(shelved: Shelved) -> Dictionary:
    """Return a dictionary of the shelf, loaded once."""
    return _dictionary(shelved, shelved.digest)


@st.cache_resource(show_spinner="Opening the dictionary …", max_entries=4)
def _dictionary(_shelved: Shelved, digest: str) -> Dictionary:
    del digest
    return _shelved.load()


def features(study: Study, dictionary: Dictionary, spec: FeatureSpec) -> Ranked | None:
    """Return a set taken apart and ranked; None while it is not."""
    if not features_jobs.is_found(bench(), study, dictionary, spec):
        return None
    return _features(study, dictionary, features_jobs.codes_digest(study, dictionary), spec)


@st.cache_resource(show_spinner="Opening the latents …", max_entries=8)
def _features(_study: Study, _dictionary: Dictionary, key: str, spec: FeatureSpec) -> Ranked:
    del key
    found = features_jobs.find(bench(), _study, _dictionary, spec)
    if found is None:
        raise CoreError("The latents were deleted while they were opened. Load the page again.")
    return found


def passport(study: Study, dictionary: Dictionary, found: Ranked, latent: int) -> Passport:
    """Return a latent's passport."""
    key = features_jobs.codes_digest(study, dictionary)
    return _passport(study, dictionary, found, key, latent)


@st.cache_resource(show_spinner="Writing the passport …", max_entries=256)
def _passport(
    _study: Study, _dictionary: Dictionary, _found: Ranked, key: str, latent: int
) -> Passport:
    poles = _poles(_study, features_jobs.poles_key(_study), _dictionary.info.layer)
    del key
    return features_jobs.passport(_study, _dictionary, _found.codes, latent, poles)


@st.cache_resource(show_spinner=False, max_entries=16)
def _poles(_study: Study, key: str, layer: int) -> Any:
    del key
    return features_jobs.pole_directions(bench().store, _study, layer)


def words(study: Study, dictionary: Dictionary, latents: Sequence[int]) -> Lens | None:
    """Return latents' words; None while they were not looked up."""
    if not features_jobs.has_words(bench(), study, dictionary, latents):
        return None
    return _words(study, dictionary, features_jobs.words_key(study, dictionary, latents), latents)


@st.cache_resource(show_spinner=False, max_entries=4)
def _words(
    _study: Study, _dictionary: Dictionary, key: str, _latents: Sequence[int]
) -> Lens | None:
    del key
    return features_jobs.kept_words(bench(), _study, _dictionary, _latents)


def light(study: Study, dictionary: Dictionary, text: str) -> Lit:
    """Return a sentence taken apart."""
    return _light(study, dictionary, fingerprint(study.plan.base_key()), dictionary.digest, text)


@st.cache_resource(show_spinner="Reading the sentence …", max_entries=64)
def _light(_study: Study, _dictionary: Dictionary, key: str, digest: str, text: str) -> Lit:
    del key, digest
    return features_jobs.light(bench(), _study, _dictionary, text)
