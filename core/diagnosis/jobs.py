"""Measuring as jobs of one workbench: evidence, the four tests, what they hang on, waterfall."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from core import CoreError
from core.activations.extraction import LostStatesError, States
from core.activations.jobs import reading, untrained, with_states
from core.activations.prompts import PLAIN_TURN, TEMPLATES, Pooling, ReadSpec, chat_turn
from core.activations.study import Study, has_picture, open_study
from core.diagnosis import leaderboard_rows
from core.diagnosis.controls import FurtherControls, further_controls, other_concept
from core.diagnosis.diagnosis import (
    Diagnosis,
    DiagnosisSpec,
    four_tests,
    layer_tests,
    study_cohort,
)
from core.diagnosis.evidence import evidence, model_figures
from core.diagnosis.evidence_report import Evidence
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.seeds import Copy
from core.diagnosis.templates import CHAT, FORMAT, Phrasing, measure_template, own_phrasing
from core.diagnosis.waterfall import Waterfall, paper_read, plain_read, waterfall
from core.measures.cohort import DRAWS, Cohort
from core.measures.result import Test
from core.models.card import describe
from core.models.spec import ModelError
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part, silent
from core.runtime.store import CacheError, library_version
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


def untrained_seeds(work: Workbench, found: Diagnosis, copies: Sequence[Study]) -> Made[list[Copy]]:
    """Return untrained copies of a model at the layers that its tests chose.

    Args:
        work: The process's workbench.
        found: The model's diagnosis.
        copies: The same items as read by copies of several seeds.
    """
    layers = sorted(set(found.chosen.values()))

    def tests_of(copy: Study, cohort: Cohort | None = None) -> dict[int, Made[LayerDiagnosis]]:
        return {layer: layer_tests(work.store, copy, found.spec, layer, cohort) for layer in layers}

    parts = [tests_of(one) for one in copies]
    readings = [reading(work, one) for one in copies]
    every = [one for tests in parts for one in tests.values()]

    def opened() -> list[Copy] | None:
        kept: list[Copy] = []
        for tests in parts:
            copy = {layer: layer_kept for layer, one in tests.items() if (layer_kept := one.open())}
            if len(copy) < len(tests):
                return None
            kept.append(copy)
        return kept

    def make(report: Report) -> list[Copy]:
        cohort = study_cohort(found.study, found.spec)  # its shuffles are drawn once for all
        made: list[Copy] = []
        for number, (copy, read) in enumerate(zip(copies, readings, strict=True)):
            report(number, len(copies), f"measuring untrained copies · {number} of {len(copies)}")
            made.append(with_states(read, partial(_each, tests_of(copy, cohort)))(silent))
        return made

    return Made(
        "untrained seeds",
        {"seeds": [one.key for one in every]},
        has=lambda: all(one.has() for one in every),
        open=opened,
        make=make,
        title=f"Measuring {len(copies)} untrained copies of {found.study.card.name}",
        # What was measured needs no states, such as those of the first copy.
        needs=tuple(
            read
            for tests, read in zip(parts, readings, strict=True)
            if not all(one.has() for one in tests.values())
        ),
    )


def _each(tests: Mapping[int, Made[LayerDiagnosis]], _: Report) -> Copy:
    return {layer: one.get() for layer, one in tests.items()}


def phrasings(work: Workbench, found: Diagnosis) -> Made[list[Phrasing]]:
    """Return the headlines under other templates, read and measured in one job.

    Which chat turn a model has is known only once its tokenizer is open.

    Args:
        work: The process's workbench.
        found: The diagnosis under its own template, which chose the layers.
    """
    study, spec = found.study, found.spec
    own = own_phrasing(found)

    def make(report: Report) -> list[Phrasing]:
        turn = chat_turn(work.shelf.get(study.card.spec, part(report, 0.0, 0.05)))
        others = {name: one for name, one in {**TEMPLATES, CHAT: turn}.items() if one != own[1]}
        cohort, told = study_cohort(study, spec), [own]
        for number, (name, template) in enumerate(others.items()):
            start, step = 0.05 + 0.95 * number / len(others), 0.95 / len(others)
            how = replace(study.plan.spec, template=template, poolings=(spec.pooling,))
            read = reading(work, open_study(study.items, study.card, how))
            if not read.has():
                read.make(part(report, start, start + 0.6 * step))
            report(start + 0.6 * step, 1, f"measuring “{template}”")
            told.append(Phrasing(name, template, _under(work, found, how, cohort, read)))
        return told

    return artefact(
        work.store,
        "templates",
        {
            "format": FORMAT,
            **study.plan.base_key(),
            **study.plan.weighing(),
            "items": study.items.digest,
            "pooling": spec.pooling,
            "scaling": spec.scaling,
            "seed": spec.seed,
            "own": own.template,
            "chosen": dict(found.chosen),
            "templates": [*TEMPLATES.values(), PLAIN_TURN],
            "versions": {name: library_version(name) for name in ("numpy", "scikit-learn")},
        },
        read=read_json("templates.json", _phrasings),
        write=write_json("templates.json", lambda told: [one._asdict() for one in told]),
        make=make,
        title=f"Reading the items under other templates with {study.card.name}",
        lane="model",
    )


def _under(
    work: Workbench, found: Diagnosis, how: ReadSpec, cohort: Cohort, read: Made[States]
) -> dict[Test, float]:
    """Measure one template; states that prove to be lost are read again."""
    study, spec = open_study(found.study.items, found.study.card, how), found.spec

    def measure(_: Report) -> dict[Test, float]:
        return measure_template(work.store, study, found.chosen, spec.pooling, spec.scaling, cohort)

    return with_states(read, measure)(silent)


def _phrasings(told: list[dict[str, Any]]) -> list[Phrasing]:
    return [Phrasing(**one) for one in told]


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
