"""An evaluation as files: JSON, Markdown, a receipt, and the command that makes the same."""

import json
import shlex
from typing import Any

from core.activations.study import Study
from core.diagnosis.receipt import pinned, reading_options
from core.evaluation.judging import Judge
from core.evaluation.landing import Landing
from core.evaluation.prompts import PromptSet
from core.evaluation.report import PLAIN, Evaluation
from core.evaluation.request import Half, judge_word, word_of
from core.evaluation.spec import EvaluateSpec, about
from core.evaluation.view import BROKEN_MEANS, NAMES, arm_rows
from core.foundations import DIMENSIONS
from core.runtime.store import Key
from core.statistics.bootstrap import Estimate
from core.wording import interval


def _figure(one: Estimate) -> list[float] | None:
    """Return a figure with its interval; NaN is no JSON."""
    return [*one] if one.value == one.value else None


def record(found: Evaluation, spec: EvaluateSpec) -> dict[str, Any]:
    """Return everything as JSON values."""
    return {
        "prompts": {"name": found.prompts.name, "n": len(found.prompts)},
        "judge": {
            "name": found.judge,
            "accuracy": _figure(found.trust.accuracy),
            "p": found.trust.p,
            "first": _figure(found.trust.first),
            "longer": _figure(found.trust.longer),
            "level": found.trust.level,
        },
        "spec": about(spec),
        "perplexity": {arm: _figure(found.perplexity(arm)) for arm in found.answers},
        "questions": {
            question: {
                "told": found.told(question),
                "arms": {
                    arm: {
                        where or "all": {
                            "win": one.wins,
                            "tie": one.ties,
                            "loss": one.losses,
                            "missing": one.missing,
                            "net": _figure(one.net),
                            **(
                                {}
                                if where
                                else {
                                    "broken": int(found.broken_pairs(arm).sum()),
                                    "without broken": _figure(found.sound(question, arm)),
                                }
                            ),
                            "sign": one.sign,
                            "at equal length": _figure(one.level),
                        }
                        for where in ("", *found.prompts.dimensions)
                        for one in (found.standing(question, arm, where),)
                    }
                    for arm in found.arms
                },
                "strengths": {arm: _figure(one) for arm, one in found.strengths(question).items()},
            }
            for question in found.questions
        },
    }


def markdown(found: Evaluation) -> str:
    """Return an evaluation as Markdown: the judge, what may be said, a table for each question."""
    lines = [f"# Evaluation: {found.prompts.name}", "", f"Judge: {found.judge}. {found.trust.told}"]
    for question in found.questions:
        lines += ["", f"## {NAMES[question]}", "", found.told(question), ""]
        lines += [
            "| arm | win | tie | loss | missing | net | broken | net without | perplexity |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in arm_rows(found, question):
            one = row.standing
            cells = [
                row.arm,
                *map(str, (one.wins, one.ties, one.losses, one.missing)),
                interval(one.net, 2),
                str(row.broken_pairs),
                interval(row.sound, 2),
                interval(found.perplexity(row.arm), 1),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    plain = interval(found.perplexity(PLAIN), 1)
    lines += ["", f"Perplexity under the plain model; plain: {plain}. {BROKEN_MEANS}"]
    return "\n".join([*lines, ""])


def map_record(found: Landing) -> dict[str, Any]:
    """Return where answers land as JSON values: ways from the plain ones, with intervals."""
    ways = {arm: found.way(arm) for arm in found.places if arm != PLAIN}
    return {
        "layer": found.layer,
        "told": found.told,
        "from plain": {
            arm: {
                "texts": way.texts,
                "right": _figure(way.x),
                "up": _figure(way.y),
                "centres": dict(zip(DIMENSIONS, map(_figure, way.centres), strict=True)),
            }
            for arm, way in ways.items()
        },
    }


def as_json(values: Any) -> str:
    """Return JSON values as text."""
    return json.dumps(values, indent=1, ensure_ascii=False)


def receipt(found: Evaluation, spec: EvaluateSpec, judge: Judge, key: Key) -> dict[str, Any]:
    """Return all that an evaluation depends on and what it says, as JSON values.

    Args:
        found: The evaluation.
        spec: How arms were compared.
        judge: Who judged.
        key: What the evaluation is kept under.
    """
    return {
        "depends_on": dict(key),
        "spec": about(spec),
        "judge": dict(judge.key),
        "trust": found.trust._asdict(),
        "verdicts": {one: found.told(one) for one in found.questions},
    }


def command(
    study: Study, prompts: PromptSet, half: Half, spec: EvaluateSpec, judge: Judge
) -> str | None:
    """Return the command that makes the same evaluation, None if none can.

    A set other than the built-in one must be in the cache, a file of questions where it runs.

    Args:
        study: The model that answers, and the items that directions come from.
        prompts: Where the questions come from.
        half: Which of them are asked.
        spec: Arms, questions of the judge, decoding.
        judge: Who judges.
    """
    options = reading_options(study)
    if options is None or set(options) != {"items"}:
        return None
    words = ["python", "-m", "core", "evaluate", pinned(study.card), "--items", options["items"]]
    words += ["--prompts", prompts.word, "--half", half, "--judge", judge_word(judge)]
    words += ["--tokens", str(spec.decoding.tokens), "--kl", f"{spec.kl or 0:g}"]
    words += ["--questions", *spec.questions]
    return shlex.join([*words, "--arms", *(word_of(arm) for arm in spec.arms[1:])])
