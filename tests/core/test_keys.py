"""A cache made before opens after: keys of kept things are what they were.

A digest here changes only together with what is stored, on purpose: then a format number was
raised, and the new digest is written down. Libraries' versions are left out of it.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from core.activations import study
from core.activations.prompts import ReadSpec
from core.comparison import paired_tests, pairs, profiles
from core.comparison.sides import Side
from core.dataset import sets
from core.dataset.sets import ItemSpec
from core.diagnosis import diagnosis, evidence, waterfall
from core.diagnosis.diagnosis import DiagnosisSpec
from core.features import effect, feature_activations, logit_lens, ranking
from core.features.effect import EffectSpec
from core.features.ranking import FeatureSpec
from core.maps import layouts
from core.maps.projection import LayoutSpec
from core.runtime.store import fingerprint, library_version
from core.sae.training import foreign_report, sampled_text, token_states
from core.sae.training.corpora import CorpusSpec
from core.sae.training.spec import TrainSpec
from core.sae.training.trained import TrainPlan
from core.steering.effects import off_target, strength_sweep
from core.steering.effects.strength_sweep import DoseSpec
from tests.core.models.madecards import made_card

DIGESTS = {
    "items": "df96b1c5e834753b",
    "acts": "6ea07e3244bca2de",
    "layout": "e84aab5d9626070f",
    "umap": "ab08456d5d499322",
    "evidence": "5656cacc08523955",
    "diagnosis of a layer": "24c0f0201fd34fed",
    "diagnosis of words": "d9b8b9b2cdc33269",
    "half of a diagnosis": "41bd775676969ee7",
    "waterfall": "c0063ac4158cf40d",
    "comparison": "3a5be341ba206881",
    "map noise": "e0680de5311cc021",
    "profile": "7aa6a12ba95a08a6",
    "training": "59053882b5695335",
    "written text": "6b9d6ce2d22f4bc5",
    "token states": "b5daf8285ced9387",
    "report": "a2e225d8d0e6e577",
    "codes": "e06cc141d009f6a9",
    "latents": "d8407e9c829a3964",
    "words": "fe0d11693a36370a",
    "effect": "34956e863cebdee9",
    "dose": "368ee7fb31f2cac4",
    "leakage": "8ebed28f7f6d1c1d",
}
DICTIONARY: Any = SimpleNamespace(digest="d" * 64)
MODEL: Any = SimpleNamespace(card=made_card())


@pytest.fixture
def known(store, monkeypatch):
    """Return the built-in set beside a made model, with every library at version 0."""
    monkeypatch.setattr("core.runtime.store.version", lambda _: "0")
    library_version.cache_clear()
    yield study.open_study(sets.builtin(store), made_card(), ReadSpec())
    library_version.cache_clear()


def keys(known):
    """Name the key of one artefact of each kind."""
    spec, first, second = DiagnosisSpec(), Side(known, 1, "mean"), Side(known, 2, "mean")
    layout, scaling = LayoutSpec(), "standardised"
    return {
        "items": sets._key(ItemSpec("file", None, name="x", sha256="a" * 64)),
        "acts": known.plan.key(1, "mean"),
        "layout": layouts.model_layout_key(known, 2, "mean", scaling, layout),
        "umap": layouts.model_layout_key(known, 1, "mean", scaling, LayoutSpec("umap", 3)),
        "evidence": evidence._stored_key(evidence._model_key(known, 1, "mean", scaling)),
        "diagnosis of a layer": diagnosis._layer_keys(known, spec, 1),
        "diagnosis of words": diagnosis._baseline_keys(known, spec, "words"),
        "half of a diagnosis": paired_tests._half_key(known, spec, "gradient", 1),
        "waterfall": waterfall._key(known, known, 500, 0),
        "comparison": pairs.comparison_key(first, second, scaling),
        "map noise": pairs._noise_key(first, scaling, layout),
        "profile": profiles.profile_key(first, second, scaling),
        "training": TrainPlan(known, 1, CorpusSpec(), TrainSpec()).key(),
        "written text": sampled_text._key(MODEL, [[1, 2]], 96, 0, 3),
        "token states": token_states.states_key(
            MODEL, SimpleNamespace(digest="e" * 64), 1, "bfloat16"
        ),
        "report": foreign_report.worth_key(known, DICTIONARY),
        "codes": feature_activations.codes_key(known.plan, DICTIONARY),
        "latents": ranking.latents_key(known, DICTIONARY, FeatureSpec()),
        "words": logit_lens.lens_key(DICTIONARY, known.card.identity, [3, 1]),
        "effect": effect.effect_key(known, DICTIONARY, EffectSpec(3, "care-harm")),
        "dose": strength_sweep.dose_key(known, DoseSpec("care-harm", 1)),
        "leakage": off_target.leakage_key(known, 1, 0.1, "not first"),
    }


def test_keys_are_those_of_caches_made_before(known):
    assert {name: fingerprint(key)[:16] for name, key in keys(known).items()} == DIGESTS
