"""What verdicts on pairs add up to: wins, net win rate, strength of all arms.

Each pair was shown in both orders. A verdict counts if it names the same answer both times; if it
follows the place it is a tie; if one of the two is missing or unreadable, the pair is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.statistics.bootstrap import Estimate

#: What a judge says of one showing: the first answer, the second, neither.
Label = Literal["first", "second", "tie"]
#: What both showings of a pair say of the arm that is judged.
Verdict = Literal["win", "tie", "loss", "missing"]
VALUES: Final[Mapping[Verdict, float]] = {"win": 1.0, "tie": 0.5, "loss": 0.0, "missing": np.nan}
DRAWS: Final = 2000


class Showing(NamedTuple):
    """What a judge said of one pair in both orders; None: missing."""

    arm_first: Label | None
    """With the arm's answer first and the other's second."""

    arm_second: Label | None
    """The other way round."""

    @property
    def verdict(self) -> Verdict:
        """What counts."""
        if self.arm_first is None or self.arm_second is None:
            return "missing"
        if (self.arm_first, self.arm_second) == ("first", "second"):
            return "win"
        if (self.arm_first, self.arm_second) == ("second", "first"):
            return "loss"
        return "tie"


@dataclass(frozen=True, eq=False)
class Standing:
    """An arm against another over some prompts."""

    wins: int
    """Consistent verdicts for the arm."""

    ties: int
    """Ties and verdicts that followed the place."""

    losses: int
    """Consistent verdicts for the other."""

    missing: int
    """Pairs without a readable verdict in both orders; never counted as any."""

    net: Estimate
    """Wins and half the ties, as a share of all that are not missing, with its 95 % interval."""

    sign: float
    """Exact two-sided sign test of wins against losses; 1 if there is neither."""

    first_rate: float
    """Of all showings with a side, how often it was the first; .5 without position bias."""

    consistent: float
    """Share of pairs on which both showings name the same answer, or both a tie."""

    level: Estimate
    """The net win rate at equal length of both answers: intercept of a logistic curve over the
    difference of lengths (Dubois et al. 2024, https://arxiv.org/abs/2404.04475)."""


def standing(
    showings: Sequence[Showing], longer: NDArray[np.float64], *, seed: int = 0
) -> Standing:
    """Return how an arm stands against another.

    Args:
        showings: One per prompt.
        longer: How much longer the arm's answer is than the other's, in words, ``(n,)``.
        seed: Of the resamples over prompts.
    """
    from scipy.stats import binomtest  # a second of every command

    verdicts = [one.verdict for one in showings]
    values = np.array([VALUES[one] for one in verdicts])
    known = np.isfinite(values)
    wins, losses = verdicts.count("win"), verdicts.count("loss")
    sided = [one for pair in showings for one in pair if one in ("first", "second")]
    both = [pair for pair in showings if None not in pair]
    same = [pair for pair in both if pair.verdict != "tie" or set(pair) == {"tie"}]
    rng = np.random.default_rng([seed, 41])
    draws = rng.integers(0, max(known.sum(), 1), (DRAWS, int(known.sum())))
    return Standing(
        wins,
        verdicts.count("tie"),
        losses,
        verdicts.count("missing"),
        _mean(values[known], draws),
        float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0,
        sided.count("first") / len(sided) if sided else np.nan,
        len(same) / len(both) if both else np.nan,
        _at_equal_length(values[known], longer[known], draws[:200]),
    )


def net_rate(showings: Sequence[Showing], *, seed: int = 0) -> Estimate:
    """Return the net win rate alone, as ``Standing.net``."""
    values = np.array([VALUES[one.verdict] for one in showings], np.float64)
    known = values[np.isfinite(values)]
    rng = np.random.default_rng([seed, 41])
    return _mean(known, rng.integers(0, max(len(known), 1), (DRAWS, len(known))))


def _mean(values: NDArray[np.float64], draws: NDArray[np.int64]) -> Estimate:
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def _at_equal_length(
    values: NDArray[np.float64], longer: NDArray[np.float64], draws: NDArray[np.int64]
) -> Estimate:
    """Return the win rate where lengths are equal; without spread of lengths, the plain one."""
    if not len(values):
        return Estimate(np.nan, np.nan, np.nan)
    spread = longer.std()
    x = np.tanh(longer / spread) if spread > 0 else np.zeros(len(values))

    def fitted(rows: NDArray[np.int64]) -> float:
        return float(expit(_logistic(x[rows], values[rows])))

    low, high = np.quantile([fitted(rows) for rows in draws], [0.025, 0.975])
    return Estimate(fitted(np.arange(len(values))), float(low), float(high))


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the intercept of a logistic regression of shares on one variable.

    A weak ridge keeps it finite where one side won everything.
    """
    design = np.column_stack([np.ones_like(x), x])
    weights = np.zeros(2)
    ridge = np.array([0.05, 0.5])
    for _ in range(50):
        p = expit(design @ weights)
        gradient = design.T @ (p - y) + ridge * weights
        curve = (design.T * (p * (1 - p))) @ design + np.diag(ridge)
        step = np.linalg.solve(curve, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0])


# --- all arms at once ---


class Battle(NamedTuple):
    """A verdict on two arms' answers to one prompt."""

    prompt: int
    """Which prompt."""

    arm: str
    """Whose win or loss it is."""

    other: str
    """Against whom."""

    verdict: Verdict
    """What both showings say."""


def strengths(
    battles: Sequence[Battle], base: str, *, draws: int = 300, seed: int = 0
) -> dict[str, Estimate]:
    """Return each arm's strength in logits over a base, by Bradley and Terry, ties half.

    Each pair of arms has one tie more than was judged, so strengths are finite.

    Args:
        battles: Verdicts of any pairs of arms.
        base: Whose strength is 0.
        draws: Resamples over prompts behind each interval.
        seed: Of them.

    References:
        Bradley & Terry 1952; fitted by evalica (Ustalov 2025, https://github.com/dustalov/evalica).
    """
    known = [one for one in battles if one.verdict != "missing"]
    if not any(base in (one.arm, one.other) for one in known):
        return {}
    # One tie more for each pair of arms: who wins everything is not infinitely strong.
    more = [Battle(-1, *pair, "tie") for pair in sorted({(one.arm, one.other) for one in known})]
    prompts, place = np.unique([one.prompt for one in known], return_inverse=True)
    rng = np.random.default_rng([seed, 43])
    counts = np.ones((1 + draws, len(prompts)))
    counts[1:] = rng.multinomial(len(prompts), np.full(len(prompts), 1 / len(prompts)), draws)
    fits = [
        _fitted([*known, *more], np.concatenate([one[place], np.ones(len(more))]), base)
        for one in counts
    ]
    found: dict[str, Estimate] = {}
    for name, value in fits[0].items():
        low, high = np.quantile([one[name] for one in fits[1:]], [0.025, 0.975])
        found[name] = Estimate(value, float(low), float(high))
    return found


def _fitted(battles: Sequence[Battle], weights: NDArray[np.float64], base: str) -> dict[str, float]:
    from evalica import Winner, bradley_terry

    who = {"win": Winner.X, "loss": Winner.Y, "tie": Winner.Draw}
    fit = bradley_terry(
        [one.arm for one in battles],
        [one.other for one in battles],
        [who[one.verdict] for one in battles],
        weights=weights.tolist(),
        limit=1000,
    )
    logits = np.log(fit.scores)
    return {str(name): float(value - logits[base]) for name, value in logits.items()}


def papers_rate(arm_second: Sequence[Label | None]) -> float:
    """Return the paper's win rate: its one order, wins over all, ties and failures in the divisor.

    Args:
        arm_second: What the judge said with the arm's answer second, as the paper always put it.

    References:
        arXiv 2603.15615, its released judge script; faults G1 to G5 of it are kept.
    """
    return sum(one == "second" for one in arm_second) / len(arm_second) if arm_second else np.nan
