"""Do judges agree? People and models on the same pairs: kappa of each two, alpha of all.

Intervals draw prompts, because the pairs of one prompt are not independent of each other.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.evaluation.verdicts import Verdict
from core.statistics.bootstrap import Estimate, group_numbers

_KINDS: Final[tuple[Verdict, ...]] = ("win", "tie", "loss")
_DRAWS: Final = 2000


class Two(NamedTuple):
    """Two judges of the same pairs."""

    first: str
    """One's name."""

    second: str
    """The other's."""

    pairs: int
    """Pairs that both decided."""

    same: float
    """Share of these on which they say the same; NaN for none."""

    kappa: Estimate
    """Cohen's kappa: 0 as by chance, 1 always the same."""


def each_two(said: Mapping[str, Sequence[Verdict]], prompts: Sequence[int]) -> list[Two]:
    """Return how far each two judges agree.

    Args:
        said: Judge -> verdict on each pair.
        prompts: Of which prompt each pair is; an interval draws prompts.
    """
    found = []
    for one, other in combinations(said, 2):
        both = [(a, b) for a, b in zip(said[one], said[other], strict=True) if _known(a, b)]
        same = float(np.mean([a == b for a, b in both])) if both else np.nan
        figure = kappa(said[one], said[other], prompts)
        found.append(Two(one, other, len(both), same, figure))
    return found


def _known(*verdicts: Verdict) -> bool:
    return "missing" not in verdicts


def kappa(
    first: Sequence[Verdict], second: Sequence[Verdict], prompts: Sequence[int] | None = None
) -> Estimate:
    """Return Cohen's kappa of two judges over the pairs that both decided, with its interval.

    Args:
        first: Verdicts of one, one per pair.
        second: Of the other, on the same pairs.
        prompts: Of which prompt each pair is; None: each of its own.

    References:
        Cohen 1960, A coefficient of agreement for nominal scales.
    """
    rows = [row for row, both in enumerate(zip(first, second, strict=True)) if _known(*both)]
    crossed = np.zeros((len(rows), 3, 3))
    for place, row in enumerate(rows):
        crossed[place, _KINDS.index(first[row]), _KINDS.index(second[row])] = 1

    def of(tables: NDArray[np.float64]) -> NDArray[np.float64]:
        total = tables.sum(axis=(1, 2))
        seen = np.trace(tables, axis1=1, axis2=2) / total
        by_chance = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / total**2
        return _beyond_chance(1 - seen, 1 - by_chance)

    return _drawn(of, crossed, _groups(prompts, rows))


def alpha(said: Sequence[Sequence[Verdict]], prompts: Sequence[int] | None = None) -> Estimate:
    """Return Krippendorff's alpha of any number of judges, verdicts as names, with its interval.

    Pairs that fewer than two decided say nothing.

    Args:
        said: For each judge a verdict on each pair.
        prompts: Of which prompt each pair is; None: each of its own.

    References:
        Krippendorff 2011, Computing Krippendorff's alpha-reliability.
    """
    counts = np.array(
        [[column.count(kind) for kind in _KINDS] for column in zip(*said, strict=True)]
    )
    return nominal_alpha(counts.reshape(-1, 3), prompts)


def nominal_alpha(counts: NDArray[np.int64], prompts: Sequence[int] | None = None) -> Estimate:
    """Return alpha from how often each pair was given each value, ``(pairs, values)``."""
    rows = [int(row) for row in np.flatnonzero(counts.sum(axis=1) > 1)]
    kept = counts[rows].astype(float)
    own = kept[:, :, None] * kept[:, None, :] - kept[:, :, None] * np.eye(kept.shape[1])
    together = own / np.maximum(kept.sum(axis=1) - 1, 1)[:, None, None]

    def of(tables: NDArray[np.float64]) -> NDArray[np.float64]:
        total, each = tables.sum(axis=(1, 2)), tables.sum(axis=2)
        apart = 1 - np.trace(tables, axis1=1, axis2=2) / total
        return _beyond_chance(apart, (total**2 - (each**2).sum(axis=1)) / (total * (total - 1)))

    return _drawn(of, together, _groups(prompts, rows))


def _beyond_chance(
    apart: NDArray[np.float64], by_chance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return one minus their ratio; 1 where all say one thing: there is nothing to disagree on."""
    return 1 - np.divide(apart, by_chance, out=np.zeros_like(apart), where=by_chance > 1e-12)


def _groups(prompts: Sequence[int] | None, rows: Sequence[int]) -> NDArray[np.int64]:
    return group_numbers(np.array(rows if prompts is None else [prompts[row] for row in rows]))


def _drawn(
    of: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    tables: NDArray[np.float64],
    groups: NDArray[np.int64],
) -> Estimate:
    """Return a figure of summed tables, one of each pair, with its interval over groups."""
    if len(tables) < 2:
        return Estimate(np.nan, np.nan, np.nan)
    n = int(groups.max()) + 1
    sums = np.zeros((n, *tables.shape[1:]))
    np.add.at(sums, groups, tables)
    weights = np.random.default_rng([0, 47]).multinomial(n, np.full(n, 1 / n), _DRAWS)
    low, high = np.quantile(of(np.tensordot(weights.astype(float), sums, 1)), [0.025, 0.975])
    return Estimate(float(of(sums.sum(axis=0)[None])[0]), float(low), float(high))
