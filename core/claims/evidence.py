"""What is cached about claims: diagnoses, their controls, waterfalls. Nothing is measured here."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import pandas as pd

from core import CoreError
from core.activations.jobs import study_of, untrained
from core.activations.prompts import PRESETS, ReadSpec
from core.activations.study import Study, open_study
from core.claims import verify
from core.claims.claim import PAPERS, POLES, Claim
from core.claims.judge import OPEN, Reading, Verdict, Witness, judge, judge_effect
from core.dataset.items import Items
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, four_tests
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.receipt import receipt
from core.diagnosis.verdicts import controls_of
from core.diagnosis.waterfall import paper_read, plain_read, waterfall
from core.layers import EMBEDDING
from core.leaderboard import effects
from core.leaderboard import view as leaderboard_view
from core.leaderboard.model_list import PAPER_FILE, read_list
from core.leaderboard.pack import original_identity
from core.measures.result import NOTHING
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.runtime.store import Store, fingerprint
from core.statistics.bootstrap import Estimate
from core.workbench import Workbench

#: How controls are called in a verdict.
COPY: Final = "an untrained copy"
SHUFFLED: Final = "shuffled labels"
_RESTS_ON: Final = (leaderboard_rows.KIND, "diagnosis", "waterfall", verify.KIND)
#: What a pack is marked with until some of its texts were read again.
UNVERIFIED: Final = "pack, unverified"
_NOT_READ: Final = (
    "it comes from a pack of which no text was read again on this machine: "
    "python -m core claim paper --verify MODEL"
)
_A_CONTROL: Final = "it is an untrained copy, a control and no model."


@dataclass(frozen=True, eq=False)
class Exhibit:
    """What is cached of one model on one set."""

    name: str
    """Of the model, for people."""

    model: str
    """Its text form."""

    own: Diagnosis | None = None
    """Its four tests; None: not measured."""

    copy: Diagnosis | None = None
    """Its untrained copy's."""

    paper: Mapping[str, Estimate] = field(default_factory=dict)
    """Test -> the figure of the paper's own procedure; empty: not measured."""

    paper_copy: Mapping[str, Estimate] = field(default_factory=dict)
    """The same of the untrained copy."""

    problem: str = ""
    """Why the model cannot even be described here; empty: it can."""

    mark: str = ""
    """On what it rests if not on a reading of this machine."""

    unusable: str = ""
    """Why it may not decide; empty: it may."""

    @cached_property
    def receipt(self) -> Mapping[str, Any] | None:
        """All that the figures depend on, for every claim the same; None: nothing was measured."""
        return None if self.own is None else receipt(self.own, self.copy)


class Evidence:
    """What is cached on one set of items, looked up as claims ask for it."""

    def __init__(self, work: Workbench, set_name: str) -> None:
        """Look at the leaderboard of a set.

        Args:
            work: The process's workbench.
            set_name: ``builtin`` or the digest of a stored set.

        Raises:
            CoreError: There is no such set.
        """
        self.set_name = set_name
        self.items: Items = work.items(set_name)
        self._work = work
        board = leaderboard_rows.leaderboard(work.store, self.items.digest)
        ways = leaderboard_view.settings(board)
        self.rows = leaderboard_view.measured_so(board, ways[0], "training") if ways else board
        self._exhibits: dict[str, Exhibit] = {}

    def hear(self, claim: Claim) -> Verdict:
        """Return the verdict on a claim."""
        if claim.effect_of:
            rows = self._counted()
            some = effects.models(rows[rows["model"].isin(self.models(claim))], claim.test)
            return judge_effect(claim, *effects.effect(some, claim.effect_of))
        known = [self.exhibit(one) for one in self.models(claim)]
        if not known:
            why = "No model that it speaks of was measured here: python -m core sweep LIST --items "
            return Verdict(claim.name, OPEN, f"{why}{self.set_name}", claim)
        return judge(claim, [witness_of(claim, one, self.set_name) for one in known])

    def _counted(self) -> pd.DataFrame:
        """Return the rows of models that may count, a pack under its model's own identity."""
        rows = self.rows.copy()
        for model in rows["model"].astype(str).unique():
            if not model.startswith("pack:") or ModelSpec.parse(model).untrained_seed is not None:
                continue
            mine = rows["model"] == model
            known = self.exhibit(model)
            if known.unusable or known.own is None:
                rows = rows[~mine]
            else:
                card = known.own.study.card
                rows.loc[mine, "identity"] = original_identity(self._work.store, card)
        return rows

    def models(self, claim: Claim) -> list[str]:
        """Return the text forms of the models that a claim speaks of.

        Copies are controls; a model that was edited while it read is none of its own.
        """
        if isinstance(claim.models, tuple):
            return list(claim.models)
        if claim.models == PAPERS:
            return [str(one.spec) for one in read_list(PAPER_FILE)]
        rows = self.rows
        if isinstance(claim.models, Mapping):
            for label, value in claim.models.items():
                rows = rows[rows[label].fillna("").str.casefold() == value.casefold()]
        copies = rows["model"].astype(str).str.contains("untrained=", regex=False)
        edited = rows["identity"].astype(str).str.contains(leaderboard_rows.STEERED, regex=False)
        return sorted(set(rows[~copies & ~edited]["model"]))

    def exhibit(self, model: str) -> Exhibit:
        """Return what is cached of a model, looked up once."""
        if model not in self._exhibits:
            self._exhibits[model] = self._looked_up(model)
        return self._exhibits[model]

    def _looked_up(self, model: str) -> Exhibit:
        spec = ModelSpec.parse(model)
        if spec.source == "hub" and model not in set(self.rows["model"]):  # no look at the hub
            return Exhibit(spec.label, model)
        try:
            study, how = self._measured(spec)
        except CoreError as error:
            return Exhibit(spec.label, model, problem=str(error))
        try:
            copy = untrained(self._work, study)
        except CoreError:  # a pack without one, a model that runs elsewhere
            copy = None
        mark, unusable = self._standing(study, how)
        return Exhibit(
            study.card.name,
            model,
            _open(self._work, study, how),
            None if copy is None else _open(self._work, copy, how),
            self._paper(study, how),
            {} if copy is None else self._paper(copy, how),
            mark=mark,
            unusable=unusable,
        )

    def _standing(self, study: Study, how: DiagnosisSpec) -> tuple[str, str]:
        """Return on what a model's figures rest, and why they may not decide; empty: they may."""
        if study.card.spec.untrained_seed is not None:
            return "control", _A_CONTROL
        if not study.card.packed:
            return "", ""
        checked = verify.check(self._work, study, how).open()
        if checked is None:
            return UNVERIFIED, _NOT_READ
        if checked.problem:
            return (
                "pack, refused",
                f"it comes from a pack that failed its check: {checked.problem}.",
            )
        return f"pack, {checked.texts} texts read again, its copy as packed", ""

    def packs(self, others: Iterable[ModelSpec] = ()) -> list[Made[verify.Checked] | str]:
        """Return the checks of packs that were not made yet; a name: its model is not here.

        Args:
            others: Models to look at beside those that come along, were fetched or measured.
        """
        plain = [ModelSpec.parse(one) for one in sorted(set(self.rows["model"].astype(str)))]
        found: list[Made[verify.Checked] | str] = []
        for spec in plain:
            if spec.source != "pack" or spec.untrained_seed is not None:
                continue
            study, how = self._measured(spec)
            if verify.check(self._work, study, how).has():
                continue
            model = verify.twin(self._work, study, [*others, *plain])
            made = None if model is None else verify.check(self._work, study, how, model)
            found.append(study.card.name if made is None else made)
        return found

    def _measured(self, spec: ModelSpec) -> tuple[Study, DiagnosisSpec]:
        """Return how a model was read and measured, as the leaderboard's leading way says."""
        how, read = DiagnosisSpec(), ReadSpec()
        if len(self.rows):
            row = self.rows.iloc[0]
            numbers = {name: int(row[name]) for name in ("draws", "shuffles", "seed")}
            how = DiagnosisSpec(pooling=row["pooling"], scaling=row["scaling"], **numbers)
            read = replace(read, template=row["template"])
        ways = [read, *(replace(one, template=read.template) for one in PRESETS.values())]
        studies = [study_of(self._work, self.items, spec, one) for one in ways]
        able = [one for one in studies if how.pooling in one.plan.spec.poolings]
        known = (one for one in able if four_tests(self._work.store, one, how).has())
        return next(known, (able or studies)[0]), how

    def _paper(self, study: Study, how: DiagnosisSpec) -> dict[str, Estimate]:
        """Return the first bar of each test's waterfall; nothing where it was not measured."""
        read = study.plan.spec
        paper, plain = (
            open_study(self.items, study.card, one(read)) for one in (paper_read, plain_read)
        )
        kept = waterfall(self._work.store, paper, plain, draws=how.draws, seed=how.seed)
        found = kept.open() if kept.has() else None
        return {test: steps[0].figure for test, steps in (found or {}).items()}


def _open(work: Workbench, study: Study, how: DiagnosisSpec) -> Diagnosis | None:
    kept = four_tests(work.store, study, how)
    return kept.open() if kept.has() else None


# --- what a model says to a claim ---


def witness_of(claim: Claim, known: Exhibit, set_name: str) -> Witness:
    """Return what is known of a model about a claim, and what would have to be measured.

    Args:
        claim: What is claimed.
        known: What is cached of the model.
        set_name: Of the set, for the command that measures what is missing.
    """
    told = Witness(known.name, known.model, mark=known.mark, unusable=known.unusable)
    if known.problem:
        return replace(told, lack=known.problem)
    if claim.statistic == "paper":
        return _by_the_paper(claim, known, told, set_name)
    if known.own is None:
        why = "It was not measured on this set yet"
        return replace(told, lack=_command(why, known.model, set_name))
    own, copy = known.own, known.copy
    controls = {SHUFFLED: _readings(claim, own, copy, own, shuffled=True)}
    lack = ""
    if copy is not None:
        controls[COPY] = _readings(claim, copy, copy, own)
    elif not known.unusable:
        lack = _command("Its untrained copy was not measured", known.model, set_name)
    # What a figure is held against already says nothing more about it.
    controls.pop({"shuffled": SHUFFLED, "untrained": COPY}.get(claim.null, ""), None)
    return replace(
        told,
        readings=_readings(claim, own, copy, own),
        controls={name: one for name, one in controls.items() if _is_known(one)},
        lack=lack,
        receipt=known.receipt,
    )


def _by_the_paper(claim: Claim, known: Exhibit, told: Witness, set_name: str) -> Witness:
    if claim.test not in known.paper:
        why = "The paper's figure was not measured"
        return replace(told, lack=_command(why, known.model, set_name, "--waterfall"))
    found = replace(told, readings=(Reading(None, known.paper[claim.test]),))
    if claim.test in known.paper_copy:
        return replace(found, controls={COPY: (Reading(None, known.paper_copy[claim.test]),)})
    if known.unusable:
        return found
    why = f"The paper's figure of {COPY} was not measured"
    copy = str(ModelSpec.parse(known.model).untrained())
    return replace(found, lack=_command(why, copy, set_name, "--waterfall"))


def _command(why: str, model: str, set_name: str, *more: str) -> str:
    words = ["python", "-m", "core", "diagnose", model, "--items", set_name, *more]
    return f"{why}: {shlex.join(words)}"


def _readings(
    claim: Claim, who: Diagnosis, copy: Diagnosis | None, own: Diagnosis, *, shuffled: bool = False
) -> tuple[Reading, ...]:
    """Return the figures that a claim is held against.

    Args:
        claim: Which figure, at which layers, held against what.
        who: Whose: the model's, or its untrained copy's.
        copy: The untrained copy; None: not measured.
        own: The model's, which chooses the layer.
        shuffled: Of ``who``, what labels shuffled give.
    """
    layers: Iterable[int] = (one for one in sorted(who.layers) if one != EMBEDDING)
    if claim.layers == "chosen":
        layers = [own.chosen[claim.test]] if claim.test in own.chosen else []
    found = []
    for layer in layers:
        here = partial(_figure, claim, who.layers[layer], shuffled=shuffled)
        found.append(Reading(layer, here(claim.part), _null(claim, who, copy, layer, here)))
    return tuple(found)


def _null(
    claim: Claim,
    who: Diagnosis,
    copy: Diagnosis | None,
    layer: int,
    here: Callable[..., Estimate],
) -> Estimate | None:
    """Return what is taken off a figure; NaN where it was not measured."""
    if not claim.null:
        return None
    if claim.null in POLES:
        return here(claim.null)
    if claim.null == "shuffled":
        return here(claim.part, shuffled=True)
    against = controls_of(who, layer, copy).get(claim.null)
    return NOTHING if against is None else _figure(claim, against, claim.part)


def _figure(claim: Claim, one: LayerDiagnosis, part: str, *, shuffled: bool = False) -> Estimate:
    """Return a figure of a layer: of the reporting half where the layer was chosen on the other."""
    if claim.halved:
        found = one.reported(claim.test)
        return found.shuffled if shuffled else found.observed
    if claim.test not in one.whole:
        return NOTHING
    named = {
        figure.part: figure.shuffled if shuffled else figure.observed
        for figure in one.whole[claim.test].figures
        if figure.name == claim.figure
    }
    each = [named.get(pole, NOTHING) for pole in POLES.get(part, (part,))]
    # The mean of five; its interval is that of five that err together, so it is never too narrow.
    value, low, high = np.mean(each, axis=0).tolist()
    return Estimate(value, low, high)


def _is_known(readings: tuple[Reading, ...]) -> bool:
    return bool(readings) and not np.isnan([one.judged.low for one in readings]).all()


def cached(store: Store) -> str:
    """Return a fingerprint of all that verdicts rest on; with more of it they may be others."""
    return fingerprint([one.digest for kind in _RESTS_ON for one in store.artefacts(kind)])
