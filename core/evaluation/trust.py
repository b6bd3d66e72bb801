"""May a judge be believed? It answers pairs whose verdict is known before its verdicts count.

A good and a bad answer to each of 24 messages, written for this project; the good answer beside
itself; the good answer beside its own first half.
"""

import json
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from core import CoreError
from core.evaluation.judging import Judge, Pair, Question, VerdictLog, both_orders, judged
from core.evaluation.verdicts import Label, Showing
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate

FILE: Final = Path(__file__).resolve().parents[1] / "data" / "judge-pairs.jsonl"
Level = Literal["believed", "weak", "chance"]
#: Accuracy below which a judge that beats chance is still called weak.
GOOD: Final = 0.8
TOLD: Final[dict[Level, str]] = {
    "believed": "This judge tells good from bad answers; its verdicts count.",
    "weak": "This judge is better than chance, but wrong often: read its verdicts as a hint.",
    "chance": "This judge is not shown to be better than chance: its verdicts say nothing.",
}


class KnownPair(NamedTuple):
    """Two answers of which one is better by construction."""

    question: Question
    """In what it is better."""

    prompt: str
    """The message."""

    good: str
    """The better answer."""

    bad: str
    """The worse one."""


class Trust(NamedTuple):
    """How a judge did on known pairs."""

    accuracy: Estimate
    """Share of showings of good beside bad on which it named the good one, ties half; 95 %
    bootstrap interval over pairs."""

    p: float
    """Chance that a coin names the good one in both orders as often: a quarter of the pairs."""

    first: Estimate
    """Of two identical answers and all inconsistent pairs, how often the first; .5 is no bias."""

    longer: Estimate
    """How often it preferred an answer over its own first half: bias or sense, told as it is."""

    unread: float
    """Share of showings without a readable verdict."""

    pairs: int
    """How many known pairs."""

    @property
    def level(self) -> Level:
        """What may be made of its verdicts."""
        if not self.p < 0.05:
            return "chance"
        return "believed" if self.accuracy.value >= GOOD else "weak"

    @property
    def told(self) -> str:
        """The same as a sentence."""
        return TOLD[self.level]


@cache
def known_pairs() -> tuple[KnownPair, ...]:
    """Return the 24 pairs."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    return tuple(KnownPair(**json.loads(line)) for line in lines)


def half_of(answer: str) -> str:
    """Return an answer's first half, cut between words."""
    words = answer.split()
    return " ".join(words[: max(1, len(words) // 2)])


def trial_pairs() -> list[list[Pair]]:
    """Return what is shown: good beside bad, beside itself, beside its half."""
    known = known_pairs()
    return [
        [(one.question, one.prompt, one.good, one.bad) for one in known],
        [(one.question, one.prompt, one.good, one.good) for one in known],
        [(one.question, one.prompt, one.good, half_of(one.good)) for one in known],
    ]


def trust(store: Store, judge: Judge, report: Report = silent) -> Trust:
    """Return how a judge does on known pairs; what it said of them is kept.

    Args:
        store: Where its log lies.
        judge: Who.
        report: Told the showings done.

    Raises:
        CoreError: It cannot be asked.
    """
    for number, pairs in enumerate(trial_pairs()):
        judged(store, judge, pairs, part(report, number / 3, (number + 1) / 3))
    found = trusted(VerdictLog(store, judge))
    if found is None:
        raise CoreError("What the judge said is gone: the cache was cleared. Start again.")
    return found


def trusted(log: VerdictLog) -> Trust | None:
    """Return how a judge did on known pairs; None where it was not asked all of them."""
    kinds = [[log.showing(both_orders(*pair)) for pair in pairs] for pairs in trial_pairs()]
    plain, same, cut = ([one for one in kind if one is not None] for kind in kinds)
    if not len(plain) == len(same) == len(cut) == len(known_pairs()):
        return None
    labels = [one for pair in (*plain, *same, *cut) for one in pair]
    consistent = sum(one.verdict == "win" for one in plain)
    return Trust(
        _share([_right(one) for one in plain]),
        float(binomtest(consistent, len(plain), 0.25, alternative="greater").pvalue),
        _share([float(one == "first") for one in _sided(same, plain)]),
        _share([_right(one) for one in cut]),
        labels.count(None) / len(labels),
        len(plain),
    )


def _right(one: Showing) -> float:
    """Return the share of a pair's readable showings that name the arm's answer; NaN if none."""
    said = [(one.arm_first, "first"), (one.arm_second, "second")]
    found = [0.5 if label == "tie" else float(label == want) for label, want in said if label]
    return float(np.mean(found)) if found else np.nan


def _sided(same: list[Showing], plain: list[Showing]) -> list[Label]:
    """Return sides that the answers cannot explain."""
    found: list[Label] = [one.arm_first for one in same if one.arm_first in ("first", "second")]
    for one in plain:
        if one.arm_first == one.arm_second and one.arm_first in ("first", "second"):
            found.append(one.arm_first)
    return found


def _share(values: list[float]) -> Estimate:
    """Return a mean with its 95 % bootstrap interval."""
    known: NDArray[np.float64] = np.array([one for one in values if np.isfinite(one)])
    if not len(known):
        return Estimate(np.nan, np.nan, np.nan)
    draws = np.random.default_rng(53).integers(0, len(known), (2000, len(known)))
    low, high = np.quantile(known[draws].mean(axis=1), [0.025, 0.975])
    return Estimate(float(known.mean()), float(low), float(high))
