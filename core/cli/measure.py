"""The commands that measure: ``evidence`` and ``diagnose`` with waterfall and further controls."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from core import CoreError
from core.activations.jobs import untrained
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.cli.desk import Desk, ReadRequest, chosen_pooling, study_of
from core.diagnosis import jobs, leaderboard_rows
from core.diagnosis.controls import FurtherControls
from core.diagnosis.diagnosed import Diagnosed
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.evidence_report import Evidence
from core.diagnosis.seeds import SEEDS, Copy
from core.diagnosis.templates import Phrasing
from core.diagnosis.waterfall import Step
from core.layers import EMBEDDING
from core.measures.result import Test
from core.runtime.made import Made
from core.statistics.scaling import Scaling

#: Resamples and shuffles; more would take gigabytes and move no digit that is shown.
MOST_DRAWS: Final = 10_000

# --- evidence ---


def measure(
    desk: Desk, asked: ReadRequest, pooling: Pooling | None, scaling: Scaling, layers: Sequence[int]
) -> Evidence:
    """Measure some layers, all of them if none is named.

    Raises:
        CoreError: A layer or pooling does not exist, or the model cannot read the items.
    """
    study = study_of(desk, asked)
    pooling = chosen_pooling(study, pooling)
    chosen = sorted(set(layers)) or list(study.plan.layers)
    lost = [layer for layer in chosen if layer not in study.plan.layers]
    if lost:
        raise CoreError(
            f"{study.card.name} has no layer {lost[0]}. Its layers are 0 to "
            f"{study.card.n_layers - 1}, and {EMBEDDING} for the embedding output."
        )
    found = desk.make(jobs.measured(desk.work, study, pooling, scaling, chosen))
    if not found.findings:  # an empty table would look like a result
        raise CoreError(" ".join(dict.fromkeys(found.problems.values())))
    return found


# --- the four tests ---


class Diagnoses(NamedTuple):
    """What ``diagnose`` found."""

    several: list[Diagnosed]
    """One for each pooling."""

    kept: bool
    """Whether all of it was stored before."""


def diagnose(
    desk: Desk,
    asked: ReadRequest,
    pooling: Pooling | Literal["both"] | None,
    spec: DiagnosisSpec,
    *,
    control: bool = True,
    templates: bool = False,
    seeds: bool = False,
) -> Diagnoses:
    """Run the four tests at every layer of a model and of its untrained copy.

    Args:
        desk: Where to work.
        asked: Which items are read by which model, and how.
        pooling: Which pooled state; ``both``: each that is read; None: the first of them.
        spec: How to measure; its pooling is not looked at.
        control: Measure the untrained copy as well, where the model is none itself.
        templates: Besides, the headlines under other templates.
        seeds: Besides, untrained copies of more seeds, at the chosen layers.

    Raises:
        CoreError: A number or pooling cannot be, one of the two models cannot read the items, or
            seeds are asked for where there is no untrained copy.
    """
    _check(spec)
    study = study_of(desk, asked)
    poolings = study.plan.spec.poolings if pooling == "both" else (chosen_pooling(study, pooling),)
    copy, copies = _copies(desk, study, control=control, seeds=seeds)
    specs = [replace(spec, pooling=one) for one in poolings]
    # Before anything is measured: what that takes up in memory would lie beside the copy's weights.
    for who in (study, copy):
        if who is not None:
            _read(desk, [jobs.diagnosis(desk.work, who, one) for one in specs])
    found = [_diagnosed(desk, study, one, copy, copies, templates=templates) for one in specs]
    return Diagnoses([one for one, _ in found], all(kept for _, kept in found))


def _copies(
    desk: Desk, study: Study, *, control: bool, seeds: bool
) -> tuple[Study | None, list[Study]]:
    """Return the untrained copy, and those of more seeds; None or no others where not asked for.

    They are described before any weights are opened: one that does not fit is told at once.
    """
    copy = untrained(desk.work, study) if control else None
    if seeds and copy is None:
        raise CoreError(
            "There is no untrained copy to draw with more seeds: it was left out, or the model is "
            "one itself. Leave --untrained-seeds out, or --no-control and --untrained."
        )
    drawn = (untrained(desk.work, study, seed) for seed in SEEDS if seeds)
    return copy, [one for one in drawn if one is not None]


def _diagnosed(
    desk: Desk,
    study: Study,
    spec: DiagnosisSpec,
    copy: Study | None,
    copies: list[Study],
    *,
    templates: bool,
) -> tuple[Diagnosed, bool]:
    """Return what is found with one pooling, and whether all of it was stored before."""
    store = desk.work.store
    kept = all(four_tests(store, who, spec).has() for who in (study, copy) if who is not None)
    own = desk.make(jobs.diagnosis(desk.work, study, spec))
    other = None if copy is None else desk.make(jobs.diagnosis(desk.work, copy, spec))
    leaderboard_rows.keep(store, own, other)
    drawn = jobs.untrained_seeds(desk.work, own, copies) if copies else None
    phrased = jobs.phrasings(desk.work, own) if templates else None
    kept &= all(made.has() for made in (drawn, phrased) if made is not None)
    copied: list[Copy] = desk.make(drawn) if drawn else []
    told: list[Phrasing] = desk.make(phrased) if phrased else []
    return Diagnosed(own, other, copied, told), kept


class Repaired(NamedTuple):
    """What ``repair`` found."""

    steps: dict[Test, list[Step]]
    """Test -> its steps from the paper's figure to the repaired one."""

    kept: bool
    """Whether all of it was stored before."""


def repair(desk: Desk, study: Study, spec: DiagnosisSpec) -> Repaired:
    """Repair the paper's tests one step at a time; the model reads the items in both ways.

    Args:
        desk: Where to work.
        study: Which items are read by which model; of how, only the template counts.
        spec: Resamples and seed; the steps themselves choose states and scaling.

    Raises:
        CoreError: The model cannot read the items.
    """
    made = jobs.repaired(desk.work, study, draws=spec.draws, seed=spec.seed)
    kept = made.has()
    _read(desk, [made])
    return Repaired(desk.make(made), kept=kept)


def _read(desk: Desk, several: Sequence[Made[Any]]) -> None:
    """Make the readings that things not kept need, and close the models: measuring needs room."""
    needs = [need for made in several if not made.has() for need in made.needs]
    for need in needs:
        desk.make(need)
    if needs:
        desk.work.shelf.close_all()


class Controlled(NamedTuple):
    """What ``control`` found."""

    several: list[FurtherControls]
    """One for each diagnosis."""

    kept: bool
    """Whether all of it was stored before."""


def control(desk: Desk, several: Sequence[Diagnosed]) -> Controlled:
    """Ask of diagnoses whether what they found is moral; the model reads 240 texts more.

    Args:
        desk: Where to work.
        several: What ``diagnose`` found.

    Raises:
        CoreError: The model cannot read the texts.
    """
    made = [jobs.further(desk.work, one.diagnosis) for one in several]
    kept = all(one.has() for one in made)
    return Controlled([desk.make(one) for one in made], kept)


def _check(spec: DiagnosisSpec) -> None:
    """Refuse numbers that mean nothing."""
    for name, meaning in (("draws", "resamples"), ("shuffles", "shuffles")):
        number: int = getattr(spec, name)
        if not 0 <= number <= MOST_DRAWS:
            raise CoreError(
                f"{number:,} {meaning} cannot be drawn. Choose --{name} from 0 to {MOST_DRAWS:,}."
            )
    if spec.seed < 0:
        raise CoreError(f"The seed is {spec.seed}; use a number from 0 up.")
