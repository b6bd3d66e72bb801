"""Measuring as jobs of one workbench: evidence, the four tests, the waterfall, the standing."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from core import CoreError
from core.activations.extraction import LostStatesError, States
from core.activations.jobs import reading, untrained, with_states
from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture, open_study
from core.diagnosis import leaderboard_rows
from core.diagnosis.controls import FurtherControls, further_controls, other_concept
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, four_tests
from core.diagnosis.evidence import evidence, model_figures
from core.diagnosis.evidence_report import Evidence
from core.diagnosis.waterfall import Waterfall, paper_read, plain_read, waterfall
from core.measures.cohort import DRAWS
from core.models.card import describe
from core.models.spec import ModelError
from core.runtime.made import Made
from core.runtime.progress import Report, silent
from core.runtime.store import CacheError
from core.statistics.scaling import Scaling
from core.workbench import Workbench


def measured(
    work: Workbench,
    study: Study,
    pooling: Pooling,
    scaling: Scaling,
    layers: Sequence[int] | None = None,
) -> Made[Evidence]:
    """Return the findings of some layers, of all if none is named, in one job.

    Where nothing can be measured, such as where all texts have the same state, stands why.
    """
    chosen = study.plan.layers if layers is None else layers
    store, read = work.store, reading(work, study)

    def has() -> bool:
        return all(
            model_figures(store, study, layer, pooling, scaling).has()
            or (read.has() and not has_picture(store, study, layer, pooling))
            for layer in chosen
        )

    def make(report: Report) -> Evidence:
        found = Evidence(study, pooling, scaling, {}, {})
        for number, layer in enumerate(chosen):
            report(number, len(chosen), f"measuring layers · {number} of {len(chosen)}")
            try:
                found.findings[layer] = evidence(store, study, layer, pooling, scaling)
            except (CacheError, LostStatesError):
                raise
            except CoreError as problem:
                found.problems[layer] = str(problem)
        return found

    return Made(
        "evidence of layers",
        {
            **study.plan.base_key(),
            "items": study.items.digest,
            "pooling": pooling,
            "scaling": scaling,
            "layers": list(chosen),
        },
        has=has,
        open=lambda: make(silent) if has() else None,
        make=with_states(read, make),
        title=f"Measuring {len(chosen)} layers of {study.card.name}",
        needs=(read,),
    )


def diagnosis(
    work: Workbench, study: Study, spec: DiagnosisSpec, states: Made[States] | None = None
) -> Made[Diagnosis]:
    """Return the four tests of a study; once made, it has its place on the leaderboard.

    Args:
        work: The process's workbench.
        study: Items and model.
        spec: How it is measured.
        states: How a steered study is read; None: the plain reading.
    """
    tests, read = four_tests(work.store, study, spec), states or reading(work, study)

    def make(report: Report) -> Diagnosis:
        found = with_states(read, tests.make)(report)
        if study.plan.steered is None:  # a steered self is no model of the leaderboard
            keep_standing(work, study, spec)
        return found

    return replace(tests, make=make, needs=(read,))


def keep_standing(work: Workbench, study: Study, spec: DiagnosisSpec) -> None:
    """Keep a study's rows of the leaderboard, and those of the model whose control it is."""
    with contextlib.suppress(ModelError):  # a hub that is out of reach now
        whole = replace(study.card.spec, untrained_seed=None)
        card = study.card if study.card.spec == whole else describe(whole, work.store)
        original = open_study(study.items, card, study.plan.spec)
        copy = None
        if not whole.remote:
            mine = study.card.spec == whole.untrained()
            copy = study if mine else untrained(work, original)
        leaderboard_rows.keep_study(work.store, original, copy, spec)


def repaired(
    work: Workbench, study: Study, *, draws: int = DRAWS, seed: int = 0
) -> Made[Waterfall]:
    """Return a study's waterfall; the model reads the items as the paper does, and without faults.

    Args:
        work: The process's workbench.
        study: Items and model; of how they are read, only the template counts.
        draws: Resamples of texts behind each interval.
        seed: Seed of everything random.
    """
    paper = open_study(study.items, study.card, paper_read(study.plan.spec))
    plain = open_study(study.items, study.card, plain_read(study.plan.spec))
    steps = waterfall(work.store, paper, plain, draws=draws, seed=seed)
    return replace(steps, needs=(reading(work, paper), reading(work, plain)))


def further(work: Workbench, found: Diagnosis) -> Made[FurtherControls]:
    """Return the further controls of a diagnosis; the model reads 240 texts more for them.

    Args:
        work: The process's workbench.
        found: The model's four tests.
    """
    controls = further_controls(work.store, found)
    reads = [reading(work, one) for one in (other_concept(found.study), found.study)]
    make = with_states(reads[0], with_states(reads[1], controls.make))
    return replace(controls, make=make, needs=tuple(reads))
