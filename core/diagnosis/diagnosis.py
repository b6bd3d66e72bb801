"""The four tests at every layer of a model, beside everything that could explain them away.

Each layer is measured on all texts; besides, its headline figures are taken on two halves of the
texts, so that a layer can be chosen on the one and reported on the other. A result is a small table
on disk under the key of all it depends on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture, layer_states, states_of
from core.diagnosis.layer import LayerDiagnosis, is_kept, open_kept, save
from core.layers import EMBEDDING
from core.measures import clusters, gradients, opposition, probes
from core.measures.cohort import DRAWS, Cohort, cohort_of
from core.measures.result import NOTHING, TESTS, Measured, Test, band
from core.runtime.progress import Report, silent
from core.runtime.store import Store, library_version
from core.runtime.workers import each, workers
from core.statistics.bag_of_words import bag_of_words, sentence_length
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling, fit_scaler

#: What is measured beside the layers: word counts and the length of the sentence.
Baseline = Literal["words", "length"]
BASELINES: Final[tuple[Baseline, ...]] = ("words", "length")
#: Words of the bag; more than enough for short actions, few enough to be whitened.
_MOST_WORDS: Final = 2048
#: Raised whenever the same spec would give other figures.
FORMAT: Final = 4


@dataclass(frozen=True)
class DiagnosisSpec:
    """How layers are measured."""

    pooling: Pooling = "mean"
    """Which pooled state."""

    scaling: Scaling = "centred"
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
    """Word counts and length, measured the same way on the same prompts."""

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


def load_or_diagnose(
    store: Store, study: Study, spec: DiagnosisSpec, layer: int, cohort: Cohort | None = None
) -> LayerDiagnosis:
    """Return the four tests at a layer, measured only if they are not stored.

    Args:
        store: Where states and results lie.
        study: Who read what.
        spec: How to measure.
        layer: Decoder layer or ``EMBEDDING``.
        cohort: ``study_cohort``'s, if it is at hand: its shuffles are drawn once.

    Raises:
        CoreError: The states are not stored.
    """
    keys = _layer_keys(study, spec, layer)
    kept = open_kept(store, keys)
    if kept is not None:
        return kept
    if not has_picture(store, study, layer, spec.pooling):
        return _problem(store, study, spec, layer, keys)
    cohort = cohort or study_cohort(study, spec)
    if not is_kept(store, keys[0]):
        states = layer_states(store, study, layer, spec.pooling, spec.scaling).states
        save(store, keys[0], _geometry(states[study.plan.rows], cohort))
    if not is_kept(store, keys[1]):
        raw = states_of(store, study).prompt_states(layer, spec.pooling)
        save(store, keys[1], _decoding(raw[study.plan.rows], cohort))
    return open_kept(store, keys) or _lost()


def load_or_measure_baseline(
    store: Store, study: Study, spec: DiagnosisSpec, name: Baseline, cohort: Cohort | None = None
) -> LayerDiagnosis:
    """Return the four tests on word counts or on the sentence's length; the same prompts."""
    keys = _baseline_keys(study, spec, name)
    kept = open_kept(store, keys)
    if kept is not None:
        return kept
    cohort = cohort or study_cohort(study, spec)
    plain = word_states(study) if name == "words" else sentence_length(study.plan.prompts)
    rows = study.plan.rows
    if not is_kept(store, keys[0]):
        scaled = fit_scaler(plain, spec.scaling).apply(plain)
        save(store, keys[0], _geometry(scaled[rows], cohort))
    if not is_kept(store, keys[1]):
        # Rare words blown up to unit variance would make the control weak.
        save(store, keys[1], _decoding(plain[rows], cohort, standardise=name == "length"))
    return open_kept(store, keys) or _lost()


def study_cohort(study: Study, spec: DiagnosisSpec) -> Cohort:
    """Return all items of a study as one cohort."""
    return cohort_of(study.items, draws=spec.draws, shuffles=spec.shuffles, seed=spec.seed)


def diagnose(store: Store, study: Study, spec: DiagnosisSpec, report: Report = silent) -> Diagnosis:
    """Return the diagnosis of all layers and baselines; what is stored is not measured again.

    Raises:
        CoreError: The states are not stored.
        Cancelled: The person cancelled; layers done so far stay.
    """
    cohort = study_cohort(study, spec)
    kept = open_diagnosis(store, study, spec)
    if kept is not None:
        return kept
    report(0, 1, "shuffling and resampling the labels")
    cohort.prepare()

    def measure(piece: Baseline | int) -> LayerDiagnosis:
        if isinstance(piece, int):
            return load_or_diagnose(store, study, spec, piece, cohort)
        return load_or_measure_baseline(store, study, spec, piece, cohort)

    pieces: list[Baseline | int] = [*BASELINES, *study.plan.layers]
    count = workers(4 * len(cohort) * study.plan.d_model)
    found = dict(each(measure, pieces, count, report, "measuring layers and controls"))
    return Diagnosis(
        study,
        spec,
        {layer: found[layer] for layer in study.plan.layers},
        {name: found[name] for name in BASELINES},
    )


def open_diagnosis(store: Store, study: Study, spec: DiagnosisSpec) -> Diagnosis | None:
    """Return a diagnosis if all of it is stored, else None. Needs no states."""
    baselines, layers = {}, {}
    for name in BASELINES:
        kept = open_kept(store, _baseline_keys(study, spec, name))
        if kept is None:
            return None
        baselines[name] = kept
    for layer in study.plan.layers:
        kept = open_kept(store, _layer_keys(study, spec, layer))
        if kept is None:
            return None
        layers[layer] = kept
    return Diagnosis(study, spec, layers, baselines)


def is_diagnosed(store: Store, study: Study, spec: DiagnosisSpec) -> bool:
    """Tell whether all of a diagnosis is stored."""
    keys = [_baseline_keys(study, spec, name) for name in BASELINES]
    keys += [_layer_keys(study, spec, layer) for layer in study.plan.layers]
    return all(is_kept(store, key) for pair in keys for key in pair)


def _geometry(states: NDArray[np.float32], cohort: Cohort) -> LayerDiagnosis:
    """Measure what depends on distances: the first three tests."""
    clustering = clusters.cluster(states, cohort)
    first, quick = cohort.first_half, cohort.plain
    half, headline = quick.take(first), gradients.VARIANTS[:1]
    return LayerDiagnosis(
        {
            "categorical": opposition.measure(states, cohort),
            "gradient": gradients.measure(states, cohort),
            "structural": clusters.measure(clustering, cohort),
        },
        {
            "categorical": _value(opposition.measure(states[first], half)),
            "gradient": _value(gradients.measure(states[first], half, variants=headline)),
            "structural": _value(clusters.headline(clustering, half)),
        },
        {
            "categorical": second_half("categorical", states, cohort).headline,
            "gradient": second_half("gradient", states, cohort).headline,
            "structural": clusters.headline(clustering, cohort.second_half).headline,
        },
    )


def _decoding(
    states: NDArray[np.float32], cohort: Cohort, *, standardise: bool = True
) -> LayerDiagnosis:
    """Measure the fourth test."""
    quick = cohort.plain
    probe = probes.fit(states, cohort, standardise=standardise)
    whole, second = probes.measure_both(probe, cohort, cohort.second_half)
    return LayerDiagnosis(
        {"dimensional": whole},
        {"dimensional": _value(probes.headline(probe, quick, quick.take(quick.first_half)))},
        {"dimensional": second.headline},
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
        return opposition.measure(states[half.rows], half)
    if test == "gradient":
        variants = gradients.VARIANTS[:1]
        return gradients.measure(states[half.rows], half, variants=variants)
    if test == "structural":
        return clusters.headline(clusters.cluster(states, cohort), half)
    return probes.headline(probes.fit(states, cohort, standardise=standardise), cohort, half)


def word_states(study: Study) -> NDArray[np.float32]:
    """Return the bag of words of each prompt, the same prompts as the model's."""
    return bag_of_words(study.plan.prompts, max_words=_MOST_WORDS)


def _value(measured: Measured) -> float:
    return measured.headline.observed.value


# --- on disk ---


def _layer_keys(study: Study, spec: DiagnosisSpec, layer: int) -> tuple[dict[str, Any], ...]:
    source = {"states": study.plan.key(layer, spec.pooling)}
    return _keys(source, study, spec)


def _baseline_keys(study: Study, spec: DiagnosisSpec, name: Baseline) -> tuple[dict[str, Any], ...]:
    # What a pack brought along stays its own, even where it names no model.
    own = {"pack": study.plan.model.split(":")[1]} if study.card.packed else {}
    return _keys({"states": name, "prompts": study.plan.digest, **own}, study, spec)


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


def _problem(
    store: Store,
    study: Study,
    spec: DiagnosisSpec,
    layer: int,
    keys: tuple[dict[str, Any], ...],
) -> LayerDiagnosis:
    """Write down why a layer cannot be measured: it is a result, too."""
    try:
        layer_states(store, study, layer, spec.pooling, spec.scaling)
    except CoreError as error:
        nothing = LayerDiagnosis({}, {}, {}, str(error))
        for key in keys:
            save(store, key, nothing)
        return nothing
    return _lost()


def _lost() -> LayerDiagnosis:
    raise CoreError(
        "A result that was just stored is gone: another process cleared the cache. Start again."
    )
