"""A comparison as jobs of one workbench: read, diagnose, draw, compare; each piece made once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import NamedTuple

from core import CoreError
from core.activations.study import Study
from core.comparison.differences import Difference
from core.comparison.paired_tests import differences_at, differences_at_best, halve_all, is_halved
from core.comparison.pairs import (
    Comparison,
    SideMap,
    comparison_key,
    is_compared,
    is_drawn,
    is_noise_known,
    load_or_compare,
    load_or_noise,
    side_map,
)
from core.comparison.profiles import Profile, is_profiled, load_or_profile
from core.comparison.sides import LETTERS, Side
from core.comparison.texts import Question, Told, ask
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, is_diagnosed, open_diagnosis
from core.maps.projection import LayoutSpec
from core.measures.result import Test
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

    tests: Scaling = "centred"
    """What is taken off the states of the four tests."""

    layout: LayoutSpec = field(default_factory=LayoutSpec)
    """How maps are drawn."""

    def diagnosis(self, side: Side) -> DiagnosisSpec:
        """Return how a side's layers are measured."""
        return DiagnosisSpec(pooling=side.pooling, scaling=self.tests)


@dataclass(frozen=True)
class Piece:
    """One thing that a comparison needs."""

    title: str
    """What is done."""

    is_kept: Callable[[], bool]
    """Tells whether it is stored."""

    make: Callable[[Report], object]
    """Makes and stores it."""


def unread(work: Workbench, sides: Sequence[Side]) -> list[Study]:
    """Return the studies whose model has not read the items yet, each once."""
    return [side.study for side in _studies(sides) if not work.is_read(side.study)]


def undiagnosed(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> list[Side]:
    """Return sides whose four tests are not measured, one for each model and pooling."""
    if not _one_set(sides):
        return []
    return [
        side
        for side in _readings(sides)
        if not is_diagnosed(work.store, side.study, spec.diagnosis(side))
    ]


def next_job(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Job | None:
    """Start (or join) the next piece of work on a comparison; None if everything is kept.

    One model after the other reads the items; then each is diagnosed, then they are compared.
    """
    for study in unread(work, sides):
        return work.read(study)
    for side in undiagnosed(work, sides, spec):
        job = work.diagnose(side.study, spec.diagnosis(side))
        if job is not None:
            return job
    missing = [piece for piece in pieces(work, sides, spec) if not piece.is_kept()]
    if not missing:
        return None
    names = " and ".join(dict.fromkeys(side.study.card.name for side in sides))
    return work.runner.submit(
        compare_key(sides, spec), f"Comparing {names}", partial(_make, missing), lane="layout"
    )


def _make(missing: Sequence[Piece], report: Report) -> None:
    for number, piece in enumerate(missing):
        inner = part(report, number / len(missing), (number + 1) / len(missing))
        inner(0, 1, piece.title)
        if not piece.is_kept():
            piece.make(inner)


def running(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Job | None:
    """Return the latest started job on a comparison that is not kept yet; None if there is none."""
    keys = [compare_key(sides, spec)]
    for side in _readings(sides):
        keys.append(work.diagnose_key(side.study, spec.diagnosis(side)))
    keys += [work.read_key(side.study) for side in _studies(sides)]
    jobs = [job for key in keys if (job := work.runner.get(key)) is not None]
    return next((job for job in jobs if job.active), jobs[0] if jobs else None)


def compare_key(sides: Sequence[Side], spec: CompareSpec) -> str:
    """Return the key of the job that compares sides which are read and diagnosed."""
    pairs = [comparison_key(sides[0], side, spec.scaling) for side in sides[1:]]
    return fingerprint({"compare": pairs, "tests": spec.tests, "layout": asdict(spec.layout)})


def is_ready(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> bool:
    """Tell whether everything that a comparison shows is stored."""
    return (
        not unread(work, sides)
        and not undiagnosed(work, sides, spec)
        and all(piece.is_kept() for piece in pieces(work, sides, spec))
    )


def pieces(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Iterator[Piece]:
    """Yield what a comparison of sides needs once they are read and diagnosed."""
    yield from _of_states(work, sides, spec)
    for found in _diagnoses(work, sides, spec):
        yield _half(work, found)


def _of_states(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Iterator[Piece]:
    store, first = work.store, sides[0]
    scaling, layout = spec.scaling, spec.layout
    yield Piece(
        "drawing the first map twice, from halves",
        partial(is_noise_known, store, first, scaling, layout),
        lambda _: load_or_noise(store, first, scaling, layout),
    )
    yield from _maps(work, sides, spec)
    for side in sides[1:]:
        yield Piece(
            "comparing states and items",
            partial(is_compared, store, first, side, scaling),
            partial(load_or_compare, store, first, side, scaling),
        )
        yield Piece(
            "comparing all layers",
            partial(is_profiled, store, first, side, scaling),
            partial(load_or_profile, store, first, side, scaling),
        )


def _maps(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Iterator[Piece]:
    for side in sides:

        def draw(_: Report, side: Side = side) -> None:
            side_map(work.store, sides[0], side, spec.scaling, spec.layout)

        kept = partial(is_drawn, work.store, side, spec.scaling, spec.layout)
        yield Piece("drawing the maps", kept, draw)


def _half(work: Workbench, found: Diagnosis) -> Piece:
    return Piece(
        "measuring the texts that chose no layer",
        partial(is_halved, work.store, found),
        partial(halve_all, work.store, found),
    )


def _diagnoses(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> list[Diagnosis]:
    """Return the stored diagnoses, one per model and pooling; none for sides of different sets."""
    if not _one_set(sides):
        return []
    opened = (
        open_diagnosis(work.store, side.study, spec.diagnosis(side)) for side in _readings(sides)
    )
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


class NotReadyError(CoreError):
    """Something that a comparison shows is not stored yet."""


class Found(NamedTuple):
    """Everything that a comparison shows; lists of others have an entry per side but the first."""

    sides: tuple[Side, ...]
    """What is compared; the first is what the others are held against."""

    diagnoses: list[Diagnosis]
    """Of each side; empty if sides read different sets."""

    maps: list[SideMap]
    """Of each side, turned onto the first."""

    comparisons: list[Comparison]
    """Of the others."""

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


def gathered(work: Workbench, sides: Sequence[Side], spec: CompareSpec) -> Found:
    """Return everything that a comparison shows, from the store.

    Raises:
        NotReadyError: Something has to be made first, by ``next_job``.
        CoreError: No texts are shared.
    """
    store, first, others = work.store, sides[0], sides[1:]
    ready = not unread(work, sides) and not undiagnosed(work, sides, spec)
    opened = _diagnoses(work, sides, spec) if ready else []
    halves = [_half(work, found) for found in opened]
    if not ready or not all(piece.is_kept() for piece in (*_of_states(work, sides, spec), *halves)):
        raise NotReadyError(
            "These sides have not been compared yet. Start it on the comparison page."
        )
    by_key = dict(zip(map(_reading, _readings(sides)), opened, strict=False))
    diagnoses = [by_key[_reading(side)] for side in sides] if opened else []
    shown = [
        differences_at(diagnoses[0], one, first.layer, side.layer)
        for one, side in zip(diagnoses[1:], others, strict=False)
    ]
    best = [
        shown[place]
        if _reading(side) == _reading(first)
        else differences_at_best(store, diagnoses[0], diagnoses[place + 1])
        for place, side in enumerate(others)
        if diagnoses
    ]
    return Found(
        tuple(sides),
        diagnoses,
        [side_map(store, first, side, spec.scaling, spec.layout) for side in sides],
        [load_or_compare(store, first, side, spec.scaling) for side in others],
        [load_or_profile(store, first, side, spec.scaling) for side in others],
        best,
        shown,
    )


# --- the same question to every side ---


def ask_all(work: Workbench, sides: Sequence[Side], question: Question) -> Job:
    """Start (or join) the job that asks every model, one after the other.

    Its result is a dictionary: letter of a side -> ``Told``. The shelf keeps models open beside
    each other only where they fit.
    """

    def do(report: Report) -> dict[str, Told]:
        told: dict[str, Told] = {}
        asked: dict[str, Told] = {}
        for number, (letter, side) in enumerate(zip(LETTERS, sides, strict=False)):
            name = side.study.plan.model
            if name not in asked:
                inner = part(report, number / len(sides), (number + 1) / len(sides))
                model = work.shelf.get(side.study.card.spec, part(inner, 0.0, 0.3))
                rest = part(inner, 0.3, 1.0)
                asked[name] = ask(work.store, side.study, model, question, rest)
            told[letter] = asked[name]
        return told

    return work.runner.submit(ask_key(sides, question), "Asking every model the same", do)


def ask_key(sides: Sequence[Side], question: Question) -> str:
    """Return the key of the job that asks every model."""
    plans = [side.study.plan.base_key() for side in sides]
    return fingerprint({"ask": plans, "question": asdict(question)})
