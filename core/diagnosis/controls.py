"""Further controls of a diagnosis: another concept, the probe's selectivity, equal length.

They ask of the layers that the four tests have chosen whether what is found there is moral.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, NamedTuple

from core.activations.study import Study, layer_states, open_study, states_of
from core.dataset.pleasantness import pleasantness
from core.diagnosis.concept import Beside, beside
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.diagnosis.diagnosis import Diagnosis, study_cohort
from core.measures import partial_gradients, selectivity, transfer
from core.measures.cohort import cohort_of
from core.measures.partial_gradients import Partial
from core.measures.result import Test
from core.measures.selectivity import Selectivity
from core.runtime.made import Made, artefact, read_json, several, write_json
from core.runtime.progress import Report, part
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.surface import surface

#: Raised whenever the same states would give other figures.
_FORMAT: Final = 1


class Directions(NamedTuple):
    """AUROC of poles along directions: of the own set, of the other set, and own minus other."""

    moral: Estimate
    moral_crossed: Estimate
    moral_difference: Estimate
    pleasant: Estimate
    pleasant_crossed: Estimate
    pleasant_difference: Estimate


class FurtherControls(NamedTuple):
    """What the further controls found; None where the test has no layer."""

    concept: list[Beside]
    """Each test on the moral set and on pleasantness."""

    selectivity: Selectivity | None
    """The probe on control tasks, at the layer of the dimensional test."""

    transfer: Directions | None
    """Whether one concept's direction parts the other's poles, at the layer of the categorical
    test."""

    partial: Partial | None
    """Typicality at equal length, negation and form, at the layer of the gradient test."""


def other_concept(study: Study) -> Study:
    """Return how a study's model reads the texts about pleasantness, in the study's own way."""
    return open_study(pleasantness(), study.card, study.plan.spec)


def further_controls(store: Store, found: Diagnosis) -> Made[FurtherControls]:
    """Return the further controls of a diagnosis; both sets have to be read before.

    Args:
        store: Where states and results lie.
        found: The model's four tests.
    """
    study, chosen, other = found.study, found.chosen, other_concept(found.study)
    pieces: dict[str, Made[Any]] = {"concept": beside(store, study, other, found.spec, chosen)}
    if "categorical" in chosen:
        pieces["transfer"] = _transfer(store, found, other, chosen["categorical"])
    if "dimensional" in chosen:
        pieces["selectivity"] = _selectivity(store, found, chosen["dimensional"])
    if "gradient" in chosen:
        pieces["partial"] = _partial(store, found, chosen["gradient"])

    def joined(several_found: Sequence[Any]) -> FurtherControls:
        known = dict(zip(pieces, several_found, strict=True))
        others = (known.get(name) for name in ("selectivity", "transfer", "partial"))
        return FurtherControls(known["concept"], *others)

    def measured(report: Report) -> FurtherControls:
        n = len(pieces)
        return joined(
            [one.get(part(report, at / n, (at + 1) / n)) for at, one in enumerate(pieces.values())]
        )

    whole = several(
        "further controls",
        {name: dict(one.key) for name, one in pieces.items()},
        list(pieces.values()),
        joined,
        title=f"Further controls of {study.card.name}",
    )
    return replace(whole, make=measured)


def _key(found: Diagnosis, test: Test, layer: int) -> dict[str, Any]:
    return {
        "format": [_FORMAT, DIAGNOSIS_FORMAT],
        "states": found.study.plan.key(layer, found.spec.pooling),
        "items": found.study.items.digest,
        "test": test,
        "diagnosis": asdict(found.spec),
        "versions": {name: library_version(name) for name in ("numpy", "scipy", "torch")},
    }


def _transfer(store: Store, found: Diagnosis, other: Study, layer: int) -> Made[Directions]:
    def measured(report: Report) -> Directions:
        report(0, 1, "directions of morality and pleasantness")
        study, spec = found.study, found.spec
        half = study_cohort(study, spec).second_half
        plain = cohort_of(other.items, draws=spec.draws, shuffles=0, seed=spec.seed)
        scaled, scaler = layer_states(store, study, layer, spec.pooling, spec.scaling)
        raw = states_of(store, other).prompt_states(layer, spec.pooling)
        moral = scaled[study.plan.rows][half.rows], half
        pleasant = scaler.apply(raw)[other.plan.rows], plain
        both = transfer.measure(*moral, *pleasant), transfer.measure(*pleasant, *moral)
        return Directions(*both[0], *both[1])

    return artefact(
        store,
        "transfer",
        {
            **_key(found, "categorical", layer),
            "other": other.plan.key(layer, found.spec.pooling),
            "other items": other.items.digest,
        },
        read=read_json("figures.json", partial(_estimates, Directions)),
        write=write_json("figures.json", list),
        make=measured,
    )


def _selectivity(store: Store, found: Diagnosis, layer: int) -> Made[Selectivity]:
    def measured(report: Report) -> Selectivity:
        report(0, 1, "fitting the probe to control tasks")
        study, cohort = found.study, study_cohort(found.study, found.spec)
        raw = states_of(store, study).text_states(layer, found.spec.pooling)
        return selectivity.measure(raw, cohort, study.items.texts(), cohort.second_half)

    return artefact(
        store,
        "selectivity",
        _key(found, "dimensional", layer),
        read=read_json("figures.json", partial(_estimates, Selectivity)),
        write=write_json("figures.json", list),
        make=measured,
    )


def _partial(store: Store, found: Diagnosis, layer: int) -> Made[Partial]:
    def measured(report: Report) -> Partial:
        report(0, 1, "typicality at equal length")
        study, spec = found.study, found.spec
        half = study_cohort(study, spec).second_half
        scaled = layer_states(store, study, layer, spec.pooling, spec.scaling).states
        told = surface(study.items.texts())[half.rows]
        return partial_gradients.measure(scaled[study.plan.rows][half.rows], half, told)

    return artefact(
        store,
        "equal-length",
        _key(found, "gradient", layer),
        read=read_json("figures.json", partial(_estimates, Partial)),
        write=write_json("figures.json", list),
        make=measured,
    )


def _estimates(kind: Any, row: list[Any]) -> Any:
    """Return a tuple of figures, and of numbers behind them, as it was written."""
    return kind(*(Estimate(*one) if isinstance(one, list) else one for one in row))
