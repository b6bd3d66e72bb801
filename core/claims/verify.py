"""Packs as evidence: some of their texts are read again here, and figures computed from them.

A pack's hashes say that it is what was packed, not that a model ever gave it. So the same model, if
it is on this machine, reads a few of the texts; which, follows from the hash of the pack, so that
whoever makes one cannot choose them. The reported figures are then computed from the packed states
once more. The figures of the packed untrained copy come without states and are taken as they are.
"""

from dataclasses import asdict
from typing import Final, NamedTuple

import numpy as np

from core import CoreError
from core.activations.extraction import load_or_extract, make_plan
from core.activations.study import Study, layer_states, states_of
from core.diagnosis.diagnosis import FORMAT as TESTS_FORMAT
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, four_tests, second_half
from core.leaderboard.pack import original_identity
from core.measures.cohort import cohort_of
from core.models.card import describe
from core.models.spec import KNOWN, ModelError, ModelSpec
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part
from core.runtime.store import library_version
from core.workbench import Workbench

KIND: Final = "pack check"
#: Texts that are read again.
TEXTS: Final = 6
#: Largest difference of a state, relative to its length: float32 differs by about 1e-6 between
#: machines, sixteen bits keep two or three digits. What is made up differs by about its length.
_STATES: Final = {"float32": 1e-3, "bfloat16": 0.1}
#: Largest difference of a figure or an end of its interval.
_FIGURES: Final = 2e-3
_FORMAT: Final = 1


class Checked(NamedTuple):
    """What was found."""

    texts: int
    """Texts read again, at every layer."""

    difference: float
    """Largest difference of a state, relative to its length."""

    figures: float
    """Largest difference of a reported figure or interval from what the packed states give."""

    problem: str
    """What speaks against the pack; empty: nothing."""


def twin(work: Workbench, study: Study, others: list[ModelSpec]) -> ModelSpec | None:
    """Return the model on this machine that a pack says it was made of; None if it is not here.

    Args:
        work: The process's workbench.
        study: The packed study.
        others: Models to look at beside those that come along or were fetched.
    """
    wanted = original_identity(work.store, study.card)
    near = [one.spec for one in KNOWN if one.spec.source in ("packaged", "fetched")]
    for spec in [*near, *others]:
        try:
            if spec.source != "pack" and describe(spec, work.store).identity == wanted:
                return spec
        except CoreError:
            continue
    return None


def check(
    work: Workbench, study: Study, how: DiagnosisSpec, model: ModelSpec | None = None
) -> Made[Checked]:
    """Return what reading some texts of a pack again has shown.

    Args:
        work: The process's workbench.
        study: The packed study.
        how: How it was measured.
        model: The same model on this machine; needed to make it.
    """

    def make(report: Report) -> Checked:
        if model is None:
            raise ValueError("texts are read again by a model")
        own = four_tests(work.store, study, how).open()
        difference, bound = _read_again(work, study, model, part(report, 0.0, 0.5))
        figures = 0.0 if own is None else _figures(work, own, part(report, 0.5, 1.0))
        problem = ""
        if not difference <= bound:
            problem = (
                f"its states lie up to {difference:.1g} times their length from what the model "
                f"gives here ({bound:g} is allowed)"
            )
        elif not figures <= _FIGURES:
            problem = f"its figures lie up to {figures:.2g} from what its own states give"
        return Checked(TEXTS, difference, figures, problem)

    key = {
        "format": [_FORMAT, TESTS_FORMAT],
        **study.plan.base_key(),
        "items": study.items.digest,
        "diagnosis": asdict(how),
        "versions": {name: library_version(name) for name in ("torch", "transformers", "numpy")},
    }
    return artefact(
        work.store,
        KIND,
        key,
        read=read_json("check.json", lambda record: Checked(**record)),
        write=write_json("check.json", lambda checked: checked._asdict()),
        make=make,
        title=f"Reading {TEXTS} texts of {study.card.name} again",
        lane="model",
    )


def _read_again(
    work: Workbench, study: Study, model: ModelSpec, report: Report
) -> tuple[float, float]:
    """Return the largest difference of a state from the packed one, and what is allowed."""
    card = describe(model, work.store)
    if card.identity != original_identity(work.store, study.card):
        raise ModelError(
            f"{card.name} is not the model that {study.card.name} was made of: another content. "
            "Name the model of the pack."
        )
    texts = sorted(set(study.items.texts()))
    draw = np.random.default_rng(int(study.card.identity.split(":")[1][:15], 16))
    chosen = [texts[one] for one in draw.choice(len(texts), min(TEXTS, len(texts)), replace=False)]
    plan = make_plan(card, chosen, study.plan.spec)
    found = load_or_extract(
        work.store, plan, lambda: work.shelf.get(model, part(report, 0.0, 0.5)), report
    )
    packed = states_of(work.store, study)
    place = {prompt: row for row, prompt in enumerate(study.plan.prompts)}
    rows = [place[prompt] for prompt in plan.prompts]
    worst = 0.0
    for layer in plan.layers:
        for pooling in plan.spec.poolings:
            here = found.prompt_states(layer, pooling)
            away = np.linalg.norm(here - packed.prompt_states(layer, pooling)[rows], axis=1)
            length = np.maximum(np.linalg.norm(here, axis=1), 1e-30)
            worst = max(worst, float(np.nan_to_num(away / length, nan=np.inf).max()))
    exact = {card.dtype, study.card.dtype, plan.spec.dtype} == {"float32"}
    return worst, _STATES["float32" if exact else "bfloat16"]


def _figures(work: Workbench, own: Diagnosis, report: Report) -> float:
    """Return how far reported figures lie from what the packed states give."""
    study, how = own.study, own.spec
    cohort = cohort_of(study.items, draws=how.draws, shuffles=0, seed=how.seed)
    worst = 0.0
    for number, (test, layer) in enumerate(own.chosen.items()):
        report(number, len(own.chosen), f"computing the {test} figure from the packed states")
        scaling = "raw" if test == "dimensional" else how.scaling
        states = layer_states(work.store, study, layer, how.pooling, scaling).states
        found = second_half(test, states[study.plan.rows], cohort).headline.observed
        kept = own.layers[layer].reported(test).observed
        apart = np.abs(np.subtract(found, kept))
        lost = np.isnan(found) != np.isnan(kept)
        worst = max(worst, float(np.where(lost, np.inf, np.nan_to_num(apart)).max()))
    return worst
