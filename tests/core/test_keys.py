"""A cache made before opens after: keys of kept things are what they were.

A digest here changes only together with what is stored, on purpose: then a format number was
raised, and the new digest is written down. Libraries' versions are left out of it.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.comparison.joint_maps import shared_map
from core.comparison.pairs import compared, noise
from core.comparison.profiles import profiled
from core.comparison.sides import Side
from core.dataset import sets
from core.dataset.sets import ItemSpec
from core.diagnosis.diagnosis import DiagnosisSpec, baseline_tests, layer_tests
from core.diagnosis.evidence import model_figures
from core.diagnosis.waterfall import waterfall
from core.features import effect
from core.features.effect import EffectSpec, kept_effect
from core.features.feature_activations import kept_activations
from core.features.logit_lens import kept_lens
from core.features.ranking import FeatureSpec, kept_latents
from core.maps.layouts import model_layout
from core.maps.projection import LayoutSpec
from core.runtime.store import fingerprint, library_version
from core.sae.training import sampled_text
from core.sae.training.corpora import CorpusSpec
from core.sae.training.foreign_report import kept_report
from core.sae.training.spec import TrainSpec
from core.sae.training.token_states import states_key
from core.sae.training.trained import TrainPlan
from core.steering.effects import probes, pushes, strength_sweep
from core.steering.effects.off_target import kept_off_target
from core.steering.effects.probes import ProbeSpec, kept_probes
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.safe_ranges import RangeSpec, kept_safe_ranges
from core.steering.effects.strength_sweep import kept_sweep
from tests.core.models.madecards import made_card

KINDS = {
    "layout": "layout",
    "umap": "layout",
    "evidence": "evidence",
    "waterfall": "waterfall",
    "comparison": "comparison",
    "map noise": "mapnoise",
    "joint map": "joint",
    "profile": "profile",
    "report": "worth",
    "codes": "codes",
    "latents": "latents",
    "words": "lens",
    "effect": "effect",
    "dose": "dose",
    "leakage": "dose",
    "safe range": "dose",
    "probes": "probes",
}
DIGESTS = {
    "items": "df96b1c5e834753b",
    "acts": "6ea07e3244bca2de",
    "layout": "e84aab5d9626070f",
    "umap": "ab08456d5d499322",
    "evidence": "5656cacc08523955",
    "diagnosis of a layer": "d58a33ac27b18eed",
    "diagnosis of words": "e1663edad6ed38e8",
    "diagnosis of a sentence embedding": "98ed0193d9ad7278",
    "waterfall": "4c35515f75ef9699",
    "comparison": "3a5be341ba206881",
    "map noise": "e0680de5311cc021",
    "joint map": "c56b3ff6a2988c00",
    "profile": "7aa6a12ba95a08a6",
    "training": "59053882b5695335",
    "written text": "6b9d6ce2d22f4bc5",
    "token states": "b5daf8285ced9387",
    "report": "c3723728cbb2ed6d",
    "codes": "e06cc141d009f6a9",
    "latents": "4a25f6e42deef96d",
    "words": "fe0d11693a36370a",
    "effect": "58181d1f6e8f2231",
    "dose": "77098109b003fc79",
    "leakage": "435f8b0348682916",
    "safe range": "f58dc27e763b6ed1",
    "probes": "cf84bf5574d6c240",
}
DICTIONARY: Any = SimpleNamespace(digest="d" * 64, n_latents=8, info=SimpleNamespace(name="made"))
MODEL: Any = SimpleNamespace(card=made_card())


@pytest.fixture
def known(store, monkeypatch):
    """Return the built-in set beside a made model, with every library at version 0."""
    monkeypatch.setattr("core.runtime.store.version", lambda _: "0")
    library_version.cache_clear()
    yield open_study(sets.builtin(store), made_card(), ReadSpec())
    library_version.cache_clear()


def keys(known, store):
    """Name the key of one artefact of each kind."""
    spec, first, second = DiagnosisSpec(), Side(known, 1, "mean"), Side(known, 2, "mean")
    layout, umap, scaling = LayoutSpec(), LayoutSpec("umap", 3), "standardised"
    layer, words = layer_tests(store, known, spec, 1), baseline_tests(store, known, spec, "words")
    sentence = baseline_tests(store, known, spec, "sentence")
    kept = {
        "layout": model_layout(store, known, 2, "mean", scaling, layout),
        "umap": model_layout(store, known, 1, "mean", scaling, umap),
        "evidence": model_figures(store, known, 1, "mean", scaling),
        "waterfall": waterfall(store, known, known, draws=500, seed=0),
        "comparison": compared(store, first, second, scaling),
        "map noise": noise(store, first, scaling, layout),
        "joint map": shared_map(store, first, second, scaling, layout),
        "profile": profiled(store, first, second, scaling),
        "report": kept_report(store, known, DICTIONARY, None),
        "codes": kept_activations(store, known.plan, DICTIONARY, None),
        "latents": kept_latents(store, known, DICTIONARY, FeatureSpec(), None),
        "words": kept_lens(store, DICTIONARY, known.card.identity, [3, 1], None),
        "effect": kept_effect(store, known, DICTIONARY, EffectSpec(3, "care-harm"), None),
        "dose": kept_sweep(store, known, SweepSpec("care-harm", 1), None),
        "safe range": kept_safe_ranges(store, known, RangeSpec(1), None),
        "leakage": kept_off_target(store, known, 1, 0.1, "not first", None),
        "probes": kept_probes(store, known, ProbeSpec(1, 2, "mean"), None),
    }
    return {
        "items": sets._key(ItemSpec("file", None, name="x", sha256="a" * 64)),
        "acts": known.plan.key(1, "mean"),
        "diagnosis of a layer": layer.key["keys"],
        "diagnosis of words": words.key["keys"],
        "diagnosis of a sentence embedding": sentence.key["keys"],
        "training": TrainPlan(known, 1, CorpusSpec(), TrainSpec()).key(),
        "written text": sampled_text._key(MODEL, [[1, 2]], 96, 0, 3),
        "token states": states_key(MODEL, SimpleNamespace(digest="e" * 64), 1, "bfloat16"),
        **{name: one.key for name, one in kept.items()},
    }, {name: one.kind for name, one in kept.items()}


def test_keys_are_those_of_caches_made_before(known, store):
    found, kinds = keys(known, store)
    assert {name: fingerprint(key)[:16] for name, key in found.items()} == DIGESTS
    assert kinds == KINDS


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (pushes, ("dose", "leakage", "safe range")),
        (strength_sweep, ("dose",)),
        (effect, ("effect",)),
        (probes, ("probes",)),
    ],
)
def test_a_raised_format_is_another_key(known, store, monkeypatch, module, names):
    """The states' own key has a format, too: one must not hide the other."""
    before, _ = keys(known, store)
    monkeypatch.setattr(module, "_FORMAT", module._FORMAT + 1)
    after, _ = keys(known, store)
    changed = {name for name in before if fingerprint(before[name]) != fingerprint(after[name])}
    assert changed == set(names)
