"""The four tests of two models, paired: at the layers shown, and at each model's best layer.

Each model's best layer was chosen on one half of the texts; what is compared is the other half.
"""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core import CoreError
from core.activations.study import Study, layer_states, states_of
from core.comparison.differences import Difference, paired_difference
from core.diagnosis.diagnosis import FORMAT, Diagnosis, DiagnosisSpec, second_half, study_cohort
from core.measures.cohort import Cohort
from core.measures.result import HEADLINES, NOTHING, TESTS, Measured, Measurement, Test
from core.runtime.made import Made, artefact, several
from core.runtime.progress import Report
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate


def differences_at(first: Diagnosis, second: Diagnosis, layer: int, other: int) -> list[Difference]:
    """Return the four differences at one layer of each model, on all texts.

    Args:
        first: Against whom.
        second: Who.
        layer: Layer of the first.
        other: Layer of the second.

    Raises:
        CoreError: The diagnoses are of other items, or made otherwise.
    """
    _check(first, second)
    return [
        _difference(test, _whole(first, test, layer), _whole(second, test, other)) for test in TESTS
    ]


def differences_at_best(store: Store, first: Diagnosis, second: Diagnosis) -> list[Difference]:
    """Return the four differences at each model's best layer, on the texts that did not choose it.

    Raises:
        CoreError: The diagnoses are of other items, or made otherwise; states are not stored.
    """
    _check(first, second)
    return [
        _difference(test, _best(store, first, test), _best(store, second, test)) for test in TESTS
    ]


def _difference(test: Test, first: Measured | None, second: Measured | None) -> Difference:
    if first is None or second is None:
        return Difference(test, NOTHING, NOTHING, NOTHING, NOTHING, "nothing")
    return paired_difference(test, first, second)


def _whole(diagnosis: Diagnosis, test: Test, layer: int) -> Measured | None:
    return diagnosis.layers[layer].whole.get(test)


def _best(store: Store, diagnosis: Diagnosis, test: Test) -> Measured | None:
    layer = diagnosis.chosen.get(test)
    if layer is None:
        return None
    return half(store, diagnosis.study, diagnosis.spec, test, layer).get()


def _check(first: Diagnosis, second: Diagnosis) -> None:
    one, other = first.study.items, second.study.items
    if one.digest != other.digest:
        raise CoreError(
            f"The four tests are compared on one set of items; here one model read "
            f"{one.provenance.name}, the other {other.provenance.name}. Let both read the same set."
        )
    if _drawn(first.spec) != _drawn(second.spec):
        raise CoreError(
            "The two models were diagnosed with other resamples, shuffles or seeds, so their "
            "draws cannot be paired. Diagnose both alike."
        )


def _drawn(spec: DiagnosisSpec) -> tuple[int, int, int]:
    return spec.draws, spec.shuffles, spec.seed


# --- kept on disk ---


def half(
    store: Store,
    study: Study,
    spec: DiagnosisSpec,
    test: Test,
    layer: int,
    cohort: Cohort | None = None,
) -> Made[Measured]:
    """Return a test's headline on the half that chose no layer, with its draws.

    Args:
        store: Where states and results lie.
        study: Who read what.
        spec: How it is measured.
        test: Which test.
        layer: Which layer.
        cohort: ``study_cohort``'s, if it is at hand.
    """

    def measure(_: Report) -> Measured:
        if test == "dimensional":
            states = states_of(store, study).prompt_states(layer, spec.pooling)
        else:
            states = layer_states(store, study, layer, spec.pooling, spec.scaling).states
        return second_half(test, states[study.plan.rows], cohort or study_cohort(study, spec))

    key = _half_key(study, spec, test, layer)
    read = partial(_read, test=test)
    return artefact(store, "halves", key, read=read, write=_write, make=measure)


def halves(store: Store, diagnosis: Diagnosis) -> Made[list[Measured]]:
    """Return every test on the half that chose no layer: all that ``differences_at_best`` needs."""
    cohort = study_cohort(diagnosis.study, diagnosis.spec)
    parts = [
        half(store, diagnosis.study, diagnosis.spec, test, layer, cohort)
        for test, layer in diagnosis.chosen.items()
    ]
    key, note = {"halves": [one.key for one in parts]}, "measuring the texts that chose no layer"
    return several("halves", key, parts, list, note=note)


def _half_key(study: Study, spec: DiagnosisSpec, test: Test, layer: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "states": study.plan.measured_key(layer, spec.pooling),
        "items": study.items.digest,
        "test": test,
        "scaling": "own" if test == "dimensional" else spec.scaling,
        "draws": spec.draws,
        "shuffles": spec.shuffles,
        "seed": spec.seed,
        "versions": {name: library_version(name) for name in ("numpy", "scikit-learn", "torch")},
    }


def _write(folder: Path, found: Measured) -> None:
    head = found.headline
    np.save(folder / "draws.npy", found.draws)
    np.save(folder / "null.npy", found.null)
    facts: Mapping[str, Any] = {
        "n": head.n,
        "part": head.part,
        "observed": head.observed,
        "shuffled": head.shuffled,
    }
    (folder / "headline.json").write_text(json.dumps(facts))


def _read(folder: Path, test: Test) -> Measured:
    facts = json.loads((folder / "headline.json").read_text())
    head = Measurement(
        test,
        HEADLINES[test],
        facts["part"],
        facts["n"],
        Estimate(*facts["observed"]),
        Estimate(*facts["shuffled"]),
    )
    return Measured((head,), *(np.load(folder / f"{name}.npy") for name in ("draws", "null")))
