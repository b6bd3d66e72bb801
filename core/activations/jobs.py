"""Reading as a job of one workbench: the study of a set and a model, its states, its control."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from core.activations.extraction import (
    Edits,
    LostStatesError,
    States,
    check_model,
    load_or_extract,
    open_states,
)
from core.activations.prompts import ReadSpec
from core.activations.study import Study, open_study
from core.dataset.items import Items
from core.models.card import describe
from core.models.open_models import OpenModel
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.runtime.progress import Report, part
from core.workbench import Workbench

T = TypeVar("T")


def study_of(work: Workbench, items: Items, model: ModelSpec, read: ReadSpec) -> Study:
    """Join a set and a model without loading weights.

    Raises:
        CoreError: The model cannot be described, or the set is too small.
    """
    return open_study(items, describe(model, work.store), read)


def untrained(work: Workbench, study: Study, seed: int = 0) -> Study | None:
    """Return the study of an untrained copy of a model; None if it is one itself."""
    if study.card.spec.untrained_seed is not None:
        return None
    return study_of(work, study.items, study.card.spec.untrained(seed), study.plan.spec)


def reading(
    work: Workbench, study: Study, edits: Callable[[], Edits | None] | None = None
) -> Made[States]:
    """Return a model's states on a set's items; reading can be cancelled and goes on from there.

    Args:
        work: The process's workbench.
        study: Items and model.
        edits: Called when reading begins: what is done to the residual stream meanwhile. A steered
            study needs it.
    """
    plan, spec = study.plan, study.card.spec

    def read(report: Report) -> States:
        if plan.steered is not None and edits is None:
            raise ValueError("plain states would be kept under the name of steered ones")
        opening = _share_of_opening(work, study)
        return load_or_extract(
            work.store,
            plan,
            lambda: work.shelf.get(spec, part(report, 0.0, opening)),
            part(report, opening, 1.0),
            None if edits is None else edits(),
        )

    return Made(
        "reading",
        {**plan.base_key(), "poolings": plan.spec.poolings, "stored": plan.spec.dtype},
        has=lambda: open_states(work.store, plan) is not None,
        open=partial(open_states, work.store, plan),
        make=read,
        title=f"Reading {len(plan.prompts):,} texts with {study.card.name}",
        lane="model",
    )


def _share_of_opening(work: Workbench, study: Study) -> float:
    """Return the part of a reading that opening its model counts for, in [0, 1]."""
    if work.shelf.is_open(study.card.spec):
        return 0.02
    # Fetching or unpacking weights for the first time takes as long as reading a small set.
    return 0.5 if study.card.folder is None else 0.15


def with_states(read: Made[States], then: Callable[[Report], T]) -> Callable[[Report], T]:
    """Return work on states, before which those that prove to be lost are read again.

    A damaged array is noticed only when it is opened, in the middle of the work.

    Args:
        read: The reading of a study.
        then: What is made of its states.
    """

    def make(report: Report) -> T:
        try:
            return then(report)
        except LostStatesError:
            read.make(report)  # what is still stored is not read again
            return then(report)

    return make


def with_model(
    work: Workbench, study: Study, then: Callable[[OpenModel, Report], T], share: float = 0.05
) -> Callable[[Report], T]:
    """Return work that begins by opening a study's model.

    Args:
        work: The process's workbench.
        study: Whose model.
        then: What is done with it; refused if the model has changed since it was described.
        share: Part of the whole that the opening counts for, in [0, 1].
    """

    def make(report: Report) -> T:
        model = work.shelf.get(study.card.spec, part(report, 0.0, share))
        check_model(model, study.plan)
        return then(model, part(report, share, 1.0))

    return make
