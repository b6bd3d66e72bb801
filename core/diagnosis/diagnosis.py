"""The four tests at every layer of a model, beside everything that could explain them away.

Each layer is measured on all texts; besides, its headline figures are taken on two halves of the
texts, so that a layer can be chosen on the one and reported on the other. A result is a small table
on disk under the key of all it depends on.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.sentence_embedding import embedding_key, installed, sentence_states
from core.activations.study import Study, has_picture, layer_states, states_of
from core.diagnosis.layer import LayerDiagnosis, stored
from core.layers import EMBEDDING
from core.measures import clusters, excess_opposition, gradients, opposition, probe_scores, probes
from core.measures.clustering import cluster
from core.measures.cohort import DRAWS, Cohort, cohort_of
from core.measures.result import NOTHING, TESTS, Measured, Test, band
from core.runtime.made import Made, several
from core.runtime.progress import Report
from core.runtime.store import Store, library_version
from core.runtime.workers import each, workers
from core.statistics.bag_of_words import bag_of_words, sentence_length
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling, fit_scaler
from core.statistics.words import counting_key

#: What is measured beside the layers: word counts, the length of the sentence, its embedding by a
#: small model where that is installed.
Baseline = Literal["words", "length", "sentence"]
BASELINES: Final[tuple[Baseline, ...]] = ("words", "length", "sentence")
#: Words of the bag; more than enough for short actions, few enough to be whitened.
_MOST_WORDS: Final = 2048
#: Raised whenever the same spec would give other figures.
FORMAT: Final = 6


@dataclass(frozen=True)
class DiagnosisSpec:
    """How layers are measured."""

    pooling: Pooling = "mean"
    """Which pooled state."""

    scaling: Scaling = "standardised"
    """What is taken off the states; the probe standardises its coordinates in any case."""

    draws: int = DRAWS
    """Resamples of texts behind each interval."""

    shuffles: int = DRAWS
    """Shuffles of labels behind each band."""

    seed: int = 0
    """Seed of resamples, shuffles, halves, folds and clusters."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """A model's layers and their baselines."""

    study: Study
    """Who read what."""

    spec: DiagnosisSpec
    """How it was measured."""

    layers: Mapping[int, LayerDiagnosis]
    """Layer -> its tests; ``EMBEDDING`` first."""

    baselines: Mapping[Baseline, LayerDiagnosis]
    """Some of ``BASELINES``, measured the same way on the same prompts."""

    @cached_property
    def chosen(self) -> dict[Test, int]:
        """The decoder layer with the highest headline on the first half, for each test.

        Tests that no layer can compute are left out.
        """
        chosen: dict[Test, int] = {}
        for test in TESTS:
            values = {
                layer: one.first.get(test, np.nan)
                for layer, one in self.layers.items()
                if layer != EMBEDDING
            }
            known = {layer: value for layer, value in values.items() if np.isfinite(value)}
            if known:
                chosen[test] = max(known, key=lambda layer: (known[layer], -layer))
        return chosen

    def highest_by_chance(self, test: Test) -> Estimate:
        """Return mean and 95 % band of the highest decoder layer's headline, labels shuffled."""
        nulls = [
            one.whole[test].null
            for layer, one in self.layers.items()
            if layer != EMBEDDING and test in one.whole and len(one.whole[test].null)
        ]
        return band(np.fmax.reduce(nulls)) if nulls else NOTHING


# --- measuring ---


def layer_tests(
    store: Store, study: Study, spec: DiagnosisSpec, layer: int, cohort: Cohort | None = None
) -> Made[LayerDiagnosis]:
    """Return the four tests at a layer. Why nothing can be measured there is a result, too.

    Args:
        store: Where states and results lie.
        study: Who read what.
        spec: How to measure.
        layer: Decoder layer or ``EMBEDDING``.
        cohort: ``study_cohort``'s, if it is at hand: its shuffles are drawn once.
    """
    rows = study.plan.rows

    def geometry(_: Report) -> LayerDiagnosis:
        states = layer_states(store, study, layer, spec.pooling, spec.scaling).states[rows]
        return _geometry(states, cohort or study_cohort(study, spec))

    def decoding(_: Report) -> LayerDiagnosis:
        raw = states_of(store, study).prompt_states(layer, spec.pooling)
        return _decoding(raw[rows], cohort or study_cohort(study, spec))

    def told(make: Callable[[Report], LayerDiagnosis]) -> Callable[[Report], LayerDiagnosis]:
        def tried(report: Report) -> LayerDiagnosis:
            why = _problem(store, study, spec, layer)
            return LayerDiagnosis({}, {}, {}, why) if why else make(report)

        return tried

    return stored(store, _layer_keys(study, spec, layer), (told(geometry), told(decoding)))


def baseline_tests(
    store: Store, study: Study, spec: DiagnosisSpec, name: Baseline, cohort: Cohort | None = None
) -> Made[LayerDiagnosis]:
    """Return the four tests on one of ``BASELINES``, made of the same prompts."""
    rows = study.plan.rows

    def plain() -> NDArray[np.float32]:
        if name == "sentence":
            return sentence_states(store, study.plan.prompts).get()
        return word_states(study) if name == "words" else sentence_length(study.plan.prompts)

    def geometry(_: Report) -> LayerDiagnosis:
        counts = plain()
        scaled = fit_scaler(study.plan.fitted_rows(counts), spec.scaling).apply(counts)
        return _geometry(scaled[rows], cohort or study_cohort(study, spec))

    def decoding(_: Report) -> LayerDiagnosis:
        # Rare words blown up to unit variance would make the control weak.
        who = cohort or study_cohort(study, spec)
        return _decoding(plain()[rows], who, standardise=name != "words")

    return stored(store, _baseline_keys(study, spec, name), (geometry, decoding))


def baselines_of(store: Store, study: Study, spec: DiagnosisSpec) -> list[Baseline]:
    """Return what stands beside the layers of a study.

    The sentence embedding does where it is installed, or was when this was measured; a pack keeps
    the controls that it came with.
    """
    able = installed() and not study.card.packed
    known = able or baseline_tests(store, study, spec, "sentence").has()
    return [name for name in BASELINES if name != "sentence" or known]


def study_cohort(study: Study, spec: DiagnosisSpec) -> Cohort:
    """Return all items of a study as one cohort."""
    return cohort_of(study.items, draws=spec.draws, shuffles=spec.shuffles, seed=spec.seed)


def four_tests(store: Store, study: Study, spec: DiagnosisSpec) -> Made[Diagnosis]:
    """Return the diagnosis of all layers and baselines; opening it needs no states.

    Cancelled while it is made, the layers done so far stay.
    """
    cohort, names = study_cohort(study, spec), baselines_of(store, study, spec)
    pieces: dict[Baseline | int, Made[LayerDiagnosis]] = {
        **{name: baseline_tests(store, study, spec, name, cohort) for name in names},
        **{layer: layer_tests(store, study, spec, layer, cohort) for layer in study.plan.layers},
    }

    def joined(found: list[LayerDiagnosis]) -> Diagnosis:
        known = dict(zip(pieces, found, strict=True))
        layers = {layer: known[layer] for layer in study.plan.layers}
        return Diagnosis(study, spec, layers, {name: known[name] for name in names})

    def measured(report: Report) -> Diagnosis:
        report(0, 1, "shuffling and resampling the labels")
        cohort.prepare()
        if "sentence" in names and not pieces["sentence"].has():
            sentence_states(store, study.plan.prompts).get(report)  # here it can be stopped
        count, note = workers(4 * len(cohort) * study.plan.d_model), "measuring layers and controls"
        found = dict(each(lambda one: pieces[one].get(), list(pieces), count, report, note))
        return joined([found[one] for one in pieces])

    whole = several(
        "four tests",
        {
            **study.plan.base_key(),
            "items": study.items.digest,
            "stored": study.plan.spec.dtype,
            "diagnosis": asdict(spec),
        },
        list(pieces.values()),
        joined,
        title=f"Four tests at {len(study.plan.layers)} layers of {study.card.name}",
    )
    return replace(whole, make=measured)


def _geometry(states: NDArray[np.float32], cohort: Cohort) -> LayerDiagnosis:
    """Measure what depends on distances: the first three tests."""
    clustering = cluster(states, cohort)
    first, quick = cohort.first_half, cohort.plain
    half, headline = quick.take(first), gradients.VARIANTS[:1]
    return LayerDiagnosis(
        {
            "categorical": opposition.measure(states, cohort),
            "gradient": gradients.measure(states, cohort),
            "structural": clusters.measure(clustering, cohort),
        },
        {
            "categorical": _value(excess_opposition.measure(states[first], half)),
            "gradient": _value(gradients.measure(states[first], half, variants=headline)),
            "structural": _value(clusters.headline(clustering, half)),
        },
        {
            "categorical": second_half("categorical", states, cohort),
            "gradient": second_half("gradient", states, cohort),
            "structural": clusters.headline(clustering, cohort.second_half),
        },
    )


def _decoding(
    states: NDArray[np.float32], cohort: Cohort, *, standardise: bool = True
) -> LayerDiagnosis:
    """Measure the fourth test."""
    quick = cohort.plain
    probe = probes.fit(states, cohort, standardise=standardise)
    whole, second = probe_scores.measure_both(probe, cohort, cohort.second_half)
    return LayerDiagnosis(
        {"dimensional": whole},
        {"dimensional": _value(probe_scores.headline(probe, quick, quick.take(quick.first_half)))},
        {"dimensional": second},
    )


def second_half(
    test: Test, states: NDArray[np.float32], cohort: Cohort, *, standardise: bool = True
) -> Measured:
    """Return a test's headline on the half of the texts that chooses no layer.

    Args:
        test: Which test.
        states: States of all rows; scaled, except for the probe.
        cohort: All rows.
        standardise: Whether the probe standardises its coordinates.
    """
    half = cohort.second_half
    if test == "categorical":
        return excess_opposition.measure(states[half.rows], half)
    if test == "gradient":
        variants = gradients.VARIANTS[:1]
        return gradients.measure(states[half.rows], half, variants=variants)
    if test == "structural":
        return clusters.headline_alone(states, cohort, half)
    return probe_scores.headline(probes.fit(states, cohort, standardise=standardise), cohort, half)


def word_states(study: Study) -> NDArray[np.float32]:
    """Return the bag of words of each prompt, the same prompts as the model's."""
    return bag_of_words(study.plan.prompts, max_words=_MOST_WORDS)


def _value(measured: Measured) -> float:
    return measured.headline.observed.value


# --- on disk ---


def _layer_keys(study: Study, spec: DiagnosisSpec, layer: int) -> tuple[dict[str, Any], ...]:
    source = {"states": study.plan.measured_key(layer, spec.pooling)}
    return _keys(source, study, spec)


def _baseline_keys(study: Study, spec: DiagnosisSpec, name: Baseline) -> tuple[dict[str, Any], ...]:
    # What a pack brought along stays its own, even where it names no model.
    own = {"pack": study.plan.model.split(":")[1]} if study.card.packed else {}
    more: dict[str, Any] = {**counting_key(study.plan.prompts), **study.plan.weighing(), **own}
    if name == "sentence":
        more["embedding"] = embedding_key()
    return _keys({"states": name, "prompts": study.plan.digest, **more}, study, spec)


def _keys(
    source: Mapping[str, Any], study: Study, spec: DiagnosisSpec
) -> tuple[dict[str, Any], ...]:
    """Return the keys of the first three tests and of the probe, which no scaling changes."""
    shared = {
        "format": FORMAT,
        **source,
        "items": study.items.digest,
        "draws": spec.draws,
        "shuffles": spec.shuffles,
        "seed": spec.seed,
        "versions": {name: library_version(name) for name in ("numpy", "scikit-learn", "torch")},
    }
    geometry = {**shared, "tests": list(TESTS[:3]), "scaling": spec.scaling}
    return geometry, {**shared, "tests": list(TESTS[3:])}


def _problem(store: Store, study: Study, spec: DiagnosisSpec, layer: int) -> str:
    """Say why a layer cannot be measured; nothing if it can."""
    if has_picture(store, study, layer, spec.pooling):
        return ""
    try:
        layer_states(store, study, layer, spec.pooling, spec.scaling)
    except CoreError as error:
        return str(error)
    return ""
