"""The four tests of two models, paired: at the layers shown, and at each model's best layer.

Each model's best layer was chosen on one half of the texts; what is compared is the other half.
"""

from core import CoreError
from core.comparison.differences import Difference, paired_difference
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.measures.result import NOTHING, TESTS, Measured, Test


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


def differences_at_best(first: Diagnosis, second: Diagnosis) -> list[Difference]:
    """Return the four differences at each model's best layer, on the texts that did not choose it.

    Raises:
        CoreError: The diagnoses are of other items, or made otherwise.
    """
    _check(first, second)
    return [_difference(test, _best(first, test), _best(second, test)) for test in TESTS]


def _difference(test: Test, first: Measured | None, second: Measured | None) -> Difference:
    if first is None or second is None:
        return Difference(test, NOTHING, NOTHING, NOTHING, NOTHING, "nothing")
    return paired_difference(test, first, second)


def _whole(diagnosis: Diagnosis, test: Test, layer: int) -> Measured | None:
    return diagnosis.layers[layer].whole.get(test)


def _best(diagnosis: Diagnosis, test: Test) -> Measured | None:
    layer = diagnosis.chosen.get(test)
    return None if layer is None else diagnosis.layers[layer].second.get(test)


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
