"""A comparison as jobs of one workbench: read, diagnose, draw, compare; each piece made once."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple

from core.activations import jobs as activations_jobs
from core.activations.extraction import States
from core.activations.study import Study
from core.comparison.differences import Difference, without_evidence
from core.comparison.paired_tests import differences_at, differences_at_best
from core.comparison.pairs import (
    Comparison,
    SideMap,
    compared,
    comparison_key,
    noise,
    picture,
    side_map,
)
from core.comparison.profiles import Profile, profiled
from core.comparison.sides import LETTERS, Side
from core.comparison.steered import edits_of, was_taught
from core.comparison.texts import Answer, Question, ask
from core.diagnosis import jobs as diagnosis_jobs
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.maps.projection import LayoutSpec
from core.measures.result import Test
from core.runtime.made import Made
from core.runtime.progress import Report, part
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.statistics.scaling import Scaling
from core.workbench import Workbench


@dataclass(frozen=True)
class CompareSpec:
    """How sides are compared."""

    scaling: Scaling = "standardised"
    """What is taken off the states of maps, similarities and items."""

    tests: Scaling = "standardised"
    """What is taken off the states of the four tests."""

    layout: LayoutSpec = field(default_factory=LayoutSpec)
    """How maps are drawn."""

    def diagnosis(self, side: Side) -> DiagnosisSpec:
        """Return how a side's layers are measured."""
        return DiagnosisSpec(pooling=side.pooling, scaling=self.tests)


class Found(NamedTuple):
    """Everything that a comparison shows; lists of others have an entry per side but the first."""

    sides: tuple[Side, ...]
    """What is compared; the first is what the others are held against."""

    diagnoses: list[Diagnosis]
    """Of each side; empty if sides read different sets."""

    maps: list[SideMap]
    """Of each side, turned onto the first."""

    comparisons: list[Comparison]
    """Of the others; none as long as only the maps are drawn."""

    profiles: list[Profile]
    """Of the others."""

    best: list[list[Difference]]
    """Of the others, at each model's best layer; empty if sides read different sets. A side that
    is the first's own reading at another layer has no other best one: it is compared as shown."""

    shown: list[list[Difference]]
    """Of the others, at the layers of the sides; empty if sides read different sets."""

    def layers(self, place: int, test: Test, *, best: bool) -> tuple[int | None, int | None]:
        """Return at which layers a test compares the first side and another; None: at no layer.

        Args:
            place: Place of the other among the others.
            test: Which test.
            best: At each model's best layer, or at the layers shown.
        """
        first, other = self.sides[0], self.sides[place + 1]
        if not best or _reading(first) == _reading(other):
            return first.layer, other.layer
        one, its = self.diagnoses[0], self.diagnoses[place + 1]
        return one.chosen.get(test), its.chosen.get(test)


def reading(work: Workbench, study: Study) -> Made[States]:
    """Return a model's states, steered while it reads if the study says so."""
    return activations_jobs.reading(work, study, partial(edits_of, work.store, study))


def diagnosis(work: Workbench, side: Side, spec: CompareSpec) -> Made[Diagnosis]:
    """Return a side's four tests."""
    states = reading(work, side.study)
    return diagnosis_jobs.diagnosis(work, side.study, spec.diagnosis(side), states)


def unread(work: Workbench, sides: Sequence[Side]) -> list[Study]:
    """Return the studies whose model has not read the items yet, each once."""
    studies = [side.study for side in _studies(sides)]
    return [study for study in studies if not reading(work, study).has()]


def undiagnosed(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> list[Study]:
    """Return the studies whose four tests are not measured, one for each model and pooling."""
    if not _one_set(sides):
        return []
    return [side.study for side in _readings(sides) if not diagnosis(work, side, spec).has()]


def comparison(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Made[Found]:
    """Return everything that a comparison shows.

    One model after the other reads the items; then each is diagnosed, then they are compared.
    """
    pairs = [comparison_key(sides[0], side, spec.scaling) for side in sides[1:]]
    needs: list[Made[Any]] = [reading(work, side.study) for side in _studies(sides)]
    if _one_set(sides):
        needs += [diagnosis(work, side, spec) for side in _readings(sides)]

    def has() -> bool:
        every = _of_states(work, sides, spec)
        return all(one.has() for one in needs) and all(one.has() for _, one in every)

    def make(report: Report) -> Found:
        missing = [one for one in _of_states(work, sides, spec) if not one[1].has()]
        for number, (note, one) in enumerate(missing):
            inner = part(report, number / len(missing), (number + 1) / len(missing))
            inner(0, 1, note)
            one.get(inner)
        return _gathered(work, sides, spec)

    names = " and ".join(dict.fromkeys(side.study.card.name for side in sides))
    return Made(
        "comparison of sides",
        {"compare": pairs, "tests": spec.tests, "layout": asdict(spec.layout)},
        has=has,
        open=lambda: _gathered(work, sides, spec) if has() else None,
        make=make,
        title=f"Comparing {names}",
        needs=tuple(needs),
    )


def pictured(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Made[Found]:
    """Return the maps of a comparison alone: they stand before the rest is measured."""
    needs = tuple(reading(work, side.study) for side in _studies(sides))
    drawn = [picture(work.store, side, spec.scaling, spec.layout) for side in sides]

    def has() -> bool:
        return all(one.has() for one in needs) and all(one.has() for one in drawn)

    def found() -> Found:
        maps = [
            side_map(work.store, sides[0], side, spec.scaling, spec.layout, noisy=False)
            for side in sides
        ]
        return Found(tuple(sides), [], maps, [], [], [], [])

    def make(report: Report) -> Found:
        for number, one in enumerate(drawn):
            report(number, len(drawn), "drawing the maps")
            one.get()
        return found()

    names = " and ".join(dict.fromkeys(side.study.card.name for side in sides))
    return Made(
        "maps of sides",
        {"pictured": [one.key for one in drawn], "onto": sides[0].key},
        has=has,
        open=lambda: found() if has() else None,
        make=make,
        title=f"Drawing the maps of {names}",
        needs=needs,
    )


def _of_states(
    work: Workbench, sides: Sequence[Side], spec: CompareSpec
) -> Iterator[tuple[str, Made[Any]]]:
    """Yield what is made of states alone, each with what making it is called."""
    store, first, scaling = work.store, sides[0], spec.scaling
    for side in sides:
        yield "drawing the maps", picture(store, side, scaling, spec.layout)
    yield "drawing the first map twice, from halves", noise(store, first, scaling, spec.layout)
    for side in sides[1:]:
        yield "comparing states and items", compared(store, first, side, scaling)
        yield "comparing all layers", profiled(store, first, side, scaling)


def _diagnoses(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> list[Diagnosis]:
    """Return the stored diagnoses, one per model and pooling; none for sides of different sets."""
    if not _one_set(sides):
        return []
    opened = (diagnosis(work, side, spec).open() for side in _readings(sides))
    return [found for found in opened if found is not None]


def _studies(sides: Sequence[Side]) -> list[Side]:
    """Return one side per model that reads."""
    return list({fingerprint(side.study.plan.base_key()): side for side in sides}.values())


def _readings(sides: Sequence[Side]) -> list[Side]:
    """Return one side per model and pooling."""
    return list({_reading(side): side for side in sides}.values())


def _reading(side: Side) -> str:
    return fingerprint({**side.study.plan.base_key(), "pooling": side.pooling})


def _one_set(sides: Sequence[Side]) -> bool:
    return len({side.study.items.digest for side in sides}) == 1


def _gathered(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Found:
    store, first, others = work.store, sides[0], sides[1:]
    opened = _diagnoses(work, sides, spec)
    by_key = dict(zip(map(_reading, _readings(sides)), opened, strict=False))
    diagnoses = [by_key[_reading(side)] for side in sides] if opened else []
    shown = [
        differences_at(diagnoses[0], one, first.layer, side.layer)
        for one, side in zip(diagnoses[1:], others, strict=False)
    ]
    best = [
        shown[place]
        if _reading(side) == _reading(first)
        else differences_at_best(diagnoses[0], diagnoses[place + 1])
        for place, side in enumerate(others)
        if diagnoses
    ]
    taught = [was_taught(store, side.study, work.items) for side in others]
    best, shown = (
        [
            without_evidence(one) if learned else one
            for one, learned in zip(told, taught, strict=False)
        ]
        for told in (best, shown)
    )
    return Found(
        tuple(sides),
        diagnoses,
        [side_map(store, first, side, spec.scaling, spec.layout) for side in sides],
        [compared(store, first, side, spec.scaling).get() for side in others],
        [profiled(store, first, side, spec.scaling).get() for side in others],
        best,
        shown,
    )


# --- the same question to every side ---


def ask_all(work: Workbench, sides: Sequence[Side], question: Question) -> Job:
    """Start (or join) the job that asks every model, one after the other.

    Its result is a dictionary: letter of a side -> ``Answer``. The shelf keeps models open beside
    each other only where they fit.
    """

    def do(report: Report) -> dict[str, Answer]:
        told: dict[str, Answer] = {}
        asked: dict[str, Answer] = {}
        for number, (letter, side) in enumerate(zip(LETTERS, sides, strict=False)):
            name = side.study.plan.model
            if name not in asked:
                inner = part(report, number / len(sides), (number + 1) / len(sides))
                model = work.shelf.get(side.study.card.spec, part(inner, 0.0, 0.3))
                rest = part(inner, 0.3, 1.0)
                asked[name] = ask(work.store, side.study, model, question, rest)
            told[letter] = asked[name]
        return told

    title = "Asking every model the same"
    return work.runner.submit(ask_key(sides, question), title, do, urgent=True)


def ask_key(sides: Sequence[Side], question: Question) -> str:
    """Return the key of the job that asks every model."""
    plans = [side.study.plan.base_key() for side in sides]
    return fingerprint({"ask": plans, "question": asdict(question)})
