"""Alignment as jobs of one workbench: train the arms, hold them against each other, keep all."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.activations.jobs import reading, with_model
from core.activations.study import Study
from core.alignment.arms import (
    Aligned,
    Trainer,
    arm_key,
    kept_arm,
    partial_file,
    settled,
    untrained,
)
from core.alignment.data import AlignData, read_data
from core.alignment.measure import Judge, Judged, Outcome, at_divergence, scaled
from core.alignment.report import (
    MEANS,
    UNTOUCHED,
    AlignReport,
    Run,
    kept_report,
    opened_before,
    report_key,
)
from core.alignment.spec import (
    ARMS,
    KL_TARGETS,
    OBJECTIVES,
    AlignmentError,
    AlignSpec,
    Arm,
    Objective,
)
from core.alignment.splice import tokens_of
from core.alignment.train import AlignStep
from core.features.jobs import activations
from core.foundations import FOUNDATIONS
from core.runtime.made import Made
from core.runtime.progress import Report, part
from core.runtime.store import Key, Store
from core.runtime.torch_device import working_device
from core.sae.dictionary import Dictionary, check_fits
from core.sae.training.reconstruction_report import Fit, fit_of
from core.steering.directions import Direction, moral_direction
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.neutral import hold_neutral
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Share of the residual norm at which the search for a push's strength begins.
_FIRST_DOSE = 0.2
#: Arms that put what another one trained in place of the state.
_SOURCES: Final[dict[Arm, Arm]] = {"paper, replaced": "paper"}


def alignment(
    work: Workbench,
    study: Study,
    base: Dictionary,
    spec: AlignSpec | None = None,
    targets: tuple[float, ...] = KL_TARGETS,
    *,
    curve: list[AlignStep] | None = None,
) -> Made[AlignReport]:
    """Return the report of an alignment; every arm is kept by itself, so a stopped one goes on.

    Args:
        work: The process's workbench.
        study: Items and model, plain.
        base: A dictionary of one of its layers.
        spec: How.
        targets: Divergences on neutral text at which arms are compared, nats per token.
        curve: Filled while the trained arm learns.

    Raises:
        DictionaryError: The dictionary belongs to another model.
    """
    check_fits(base, study.card)
    spec = AlignSpec() if spec is None else spec
    key = report_key(study, base, spec, targets)

    def run(model: "OpenModel", report: Report) -> AlignReport:
        return _Alignment(work, study, base, spec, model, report).report(key, targets, curve)

    made = kept_report(work.store, key, with_model(work, study, run))
    return replace(
        made,
        title=f"Aligning {base.info.name}",
        lane="model",
        needs=(reading(work, study),),
        live=curve,
    )


def trained_arm(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, seed: int
) -> Aligned | None:
    """Return an arm that was trained before; None if it was not."""
    if arm == "old reconstruction":
        return untrained(base)
    chosen = chosen_spec(work, study, base, spec)
    if chosen is None:
        return None
    kept = _kept(work, study, base, chosen, _SOURCES.get(arm, arm), seed)
    return None if kept is None else _as(arm, kept)


def needed_arm(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, seed: int
) -> Aligned:
    """Return an arm that was trained before.

    Raises:
        AlignmentError: It is not stored any more.
    """
    found = trained_arm(work, study, base, spec, arm, seed)
    if found is None:
        raise AlignmentError(f"The arm {arm} is gone: the cache was cleared. Align once more.")
    return found


class Divergence(NamedTuple):
    """One divergence at which an alignment's arms are compared."""

    work: Workbench
    """The process's workbench."""

    study: Study
    """Items and model, plain."""

    base: Dictionary
    """The dictionary before."""

    spec: AlignSpec
    """How it is aligned."""

    targets: tuple[float, ...]
    """Divergences of the alignment's report, nats per token."""

    target: float
    """One of them."""

    @property
    def report(self) -> Made[AlignReport]:
        """The alignment's report."""
        return alignment(self.work, self.study, self.base, self.spec, self.targets)

    def arm(self, arm: Arm, seed: int) -> Aligned:
        """Return a trained arm.

        Raises:
            AlignmentError: It is not stored any more.
        """
        return needed_arm(self.work, self.study, self.base, self.spec, arm, seed)


def chosen_spec(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec
) -> AlignSpec | None:
    """Return a spec with the objective that validation texts chose; None if they did not yet."""
    if spec.objective != "chosen":
        return spec
    tried = candidates(work, study, base, spec)
    return None if tried is None else settled(spec, tried)


def candidates(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec
) -> dict[Objective, Aligned] | None:
    """Return what each objective trained, seed 0; None if one is not kept."""
    found: dict[Objective, Aligned] = {}
    for one in OBJECTIVES:
        kept = _kept(work, study, base, replace(spec, objective=one), "repaired", 0)
        if kept is None:
            return None
        found[one] = kept
    return found


def _kept(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, seed: int
) -> Aligned | None:
    def never(_: Report) -> Aligned:
        raise ValueError("only what is kept is asked for")

    return kept_arm(work.store, study, base, spec, arm, seed, never).open()


def _as(arm: Arm, source: Aligned) -> Aligned:
    """Return what an arm does with what was trained."""
    return source if arm == source.arm else replace(source, arm=arm, operation="replace")


def edits_of(
    store: Store, study: Study, base: Dictionary, trained: Iterable[Aligned]
) -> Iterator[tuple[tuple[str, int], LayerEdit]]:
    """Yield what each arm does, by arm and seed; last the push along the difference of means.

    Args:
        store: Where the plain states lie.
        study: Items and model that the arms were trained on.
        base: The dictionary before.
        trained: The arms.
    """
    layer = base.info.layer
    norm = residual_norm(store, study, layer)
    for one in trained:
        yield (
            (one.arm, one.seed),
            LayerEdit(layer, (), (1.0,), norm, one.operation, one.dictionary, before=one.before),
        )
    push = LayerEdit(layer, (_valence(store, study, layer),), (_FIRST_DOSE,), norm, "add")
    yield (MEANS, 0), push


def _valence(store: Store, study: Study, layer: int) -> Direction:
    """Return the mean of the five moral directions, of unit length."""
    pooling = study.plan.spec.poolings[0]
    each = [moral_direction(store, study, axis, layer, pooling=pooling) for axis in FOUNDATIONS]
    total = np.sum([one.vector for one in each], axis=0)
    vector = (total / np.linalg.norm(total)).astype(np.float32)
    return Direction("virtue", vector, study.card.identity, layer, MEANS)


class _Alignment:
    """One alignment on its way."""

    def __init__(
        self,
        work: Workbench,
        study: Study,
        base: Dictionary,
        spec: AlignSpec,
        model: "OpenModel",
        report: Report,
    ) -> None:
        self._work, self._store = work, work.store
        self._study, self._base, self._spec = study, base, spec
        self._model, self._layer, self._say = model, base.info.layer, report
        codes = activations(work, study, base).get(part(report, 0.0, 0.1))
        self._data: AlignData = read_data(
            work.store, study, model, self._layer, part(report, 0.1, 0.25)
        )
        self._trainer = Trainer(study, base, spec, self._data, codes, working_device())

    def report(
        self, key: Key, targets: tuple[float, ...], curve: list[AlignStep] | None
    ) -> AlignReport:
        """Train all arms and measure them."""
        spec = self._train(part(self._say, 0.25, 0.6), curve)
        data = self._data
        judged = Judged(self._study, data.signed, data.of("test"), data.of("train"))
        judge = Judge(self._store, judged, self._model, self._layer)
        runs = tuple(self._runs(judge, spec, targets, part(self._say, 0.6, 1.0)))
        opened = opened_before(self._store, key)
        return AlignReport(self._layer, runs, len(self._trainer.moral), len(judge.rows), opened)

    def _train(self, report: Report, curve: list[AlignStep] | None) -> AlignSpec:
        """Train what is asked for and what it needs; all is kept, and the spec returned settled."""
        spec = self._spec
        open_ones = OBJECTIVES if spec.objective == "chosen" else ()
        needed = {_SOURCES.get(arm, arm) for arm in spec.arms} - {"old reconstruction"}
        arms = [arm for arm in ARMS if arm in needed or (arm == "repaired" and "noise" in needed)]
        total, told = len(open_ones) + spec.seeds * len(arms), 0

        def trained(spec: AlignSpec, arm: Arm, seed: int, like: Aligned | None = None) -> Aligned:
            nonlocal told
            say = part(report, told / total, (told + 1) / total)
            told += 1
            say(0, 1, f"{arm}, seed {seed}")
            watched = curve if (arm, seed) == ("repaired", 0) else None
            path = partial_file(self._store, arm_key(self._study, self._base, spec, arm, seed))
            train = partial(
                self._trainer.train, spec, arm, seed, curve=watched, like=like, path=path
            )
            made = kept_arm(self._store, self._study, self._base, spec, arm, seed, train)
            return made.get(say)

        if open_ones:
            tried = {one: trained(replace(spec, objective=one), "repaired", 0) for one in open_ones}
            spec = settled(spec, tried)
        for seed in range(spec.seeds):
            like = None
            for arm in arms:
                one = trained(spec, arm, seed, like)
                like = one if arm == "repaired" else like
        return spec

    def _names(self) -> list[tuple[Arm, int]]:
        """Return the arms that are asked for with each of their seeds, in order."""
        arms = [arm for arm in ARMS if arm in self._spec.arms]
        return [
            (arm, seed)
            for arm in arms
            for seed in range(1 if arm == "old reconstruction" else self._spec.seeds)
        ]

    def _opened(self, spec: AlignSpec) -> Iterator[Aligned]:
        """Yield the arms, one in memory at a time: each is a dictionary of its own."""
        for arm, seed in self._names():
            one = trained_arm(self._work, self._study, self._base, spec, arm, seed)
            if one is None:
                raise AlignmentError(f"The arm {arm} is gone: the cache was cleared. Start again.")
            yield one

    def _runs(
        self, judge: Judge, spec: AlignSpec, targets: tuple[float, ...], report: Report
    ) -> Iterator[Run]:
        held = hold_neutral(self._model, self._layer)
        edits = edits_of(self._store, self._study, self._base, self._opened(spec))
        total = 1 + (len(self._names()) + 1) * len(targets)
        report(0, total, "reading test texts, untouched")
        plain = judge.outcome([], 0.0, 0.0)
        yield Run(UNTOUCHED, 0, 0.0, plain, self._base.digest, *self._fit(self._base))
        nothing: Outcome | None = None
        for number, ((arm, seed), edit) in enumerate(edits):
            # A change of low rank reconstructs nothing.
            fit = self._fit(edit.dictionary if edit.before is self._base else None)
            digest = "" if edit.dictionary is None else edit.dictionary.digest
            for place, target in enumerate(targets):
                report(1 + number * len(targets) + place, total, f"{arm} at {target:g} nats")
                share, kl = at_divergence(self._model, held, edit, target)
                if np.isfinite(share):
                    outcome = judge.outcome([scaled(edit, share)], share, kl)
                else:
                    nothing = nothing or judge.outcome([], np.nan, np.nan)
                    outcome = nothing
                yield Run(arm, seed, target, outcome, digest, *fit)

    def _fit(self, dictionary: Dictionary | None) -> tuple[Fit | None, float]:
        """Return how a dictionary meets the test texts' plain states, and its dead latents."""
        if dictionary is None:
            return None, np.nan
        where, owner = tokens_of(self._data.starts, self._data.of("test").tolist())
        return fit_of(dictionary, self._data.states[where], owner)
