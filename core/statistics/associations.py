"""How one figure per unit goes with what the unit is: ranks, permuted over units within strata.

A unit is what could have been another one, such as a model, and not one of the many rows that it
gives. Units of one stratum (a family) share more than what is asked about, so that they swap their
figures with each other alone, wherever that can give enough arrangements to tell anything.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations, product
from math import factorial, prod, sqrt, tanh
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: With more arrangements than this, as many are drawn instead.
_MOST: Final = 10_000
#: Fewer arrangements within strata than this could not give p = .05 on two sides.
_FEWEST: Final = 40
#: Above this, chance is not excluded.
_ALPHA: Final = 0.05
#: Half a 95 % interval's arm, in standard errors.
_SURE: Final = 1.959964
#: Tail of the F of ranks on either side of a share: half of what normal figures would need, since
#: ranks err unequally. Of simulated intervals over 12 to 40 units at most 5 % miss then (normal
#: figures, two and four kinds, pairs), 11 % where a rare kind is three times as noisy, 13 % where
#: figures have heavy tails (t with 3) and four kinds lie far apart.
_TAIL: Final = 0.0125
#: By how much rounding may part what is equal.
_ROUNDING: Final = 1e-9


class Association(NamedTuple):
    """What was found over units."""

    value: float
    """Spearman's ρ in [−1, 1], or the share of the ranks' variance between kinds in [0, 1]."""

    low: float
    """Lower end of the 95 % interval over units; NaN where there is none."""

    high: float
    """Upper end."""

    chance: float
    """Mean over the arrangements: what units without any association give."""

    p: float
    """Share of the arrangements that go at least as far, two-sided; NaN: nothing varies."""

    n: int
    """Units."""

    within: bool
    """Whether units swapped within strata alone; else all were taken as exchangeable."""

    kinds: int = 0
    """Kinds of units; 0: they are of different size instead."""

    strata: int = 1
    """Strata whose means were taken off."""

    missing: int = 0
    """Units, of the rarest kinds, without which no arrangement has p ≤ .05; 0: there is one."""

    def fewest(self, bound: float) -> int:
        """Return how many units, in as many strata, could have an interval within a bound at all.

        With fewer even those that go together no further than by chance reach over it.

        Args:
            bound: On ρ without its sign, or on the share; above 0.
        """
        from scipy.special import ncfdtr

        between = max(self.kinds, 2) - 1

        def clear(free: int) -> bool:
            if self.kinds:
                odds = bound / max(1 - bound, _ROUNDING)
                return bool(ncfdtr(between, free - between, odds * free, 1.0) < _TAIL)
            return tanh(_SURE / sqrt(free - 2)) < bound

        low = between if self.kinds else 2
        high = 2 * low + 1
        while not clear(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if clear(middle) else (middle, high)
        return high + self.strata


NONE: Final = Association(np.nan, np.nan, np.nan, np.nan, np.nan, 0, within=False)


def rank_association(x: Floats, y: Floats, strata: NDArray[Any], *, seed: int = 0) -> Association:
    """Return Spearman's correlation over units, in strata the mean of each taken off the ranks.

    The interval is Fisher's with the variance of Bonett & Wright (2000,
    https://doi.org/10.1007/BF02294183), a degree of freedom less for each further stratum. It takes
    units as independent given their stratum; none where too few are left. Of ρ = ±1 it is that of
    the next ρ that as many ranks can have, up to ±1.

    Args:
        x: What units are, shape ``(n,)``.
        y: Their figures, shape ``(n,)``.
        strata: Stratum of each, shape ``(n,)``.
        seed: Seed of the arrangements where they are drawn.
    """
    numbers = _numbers(strata)
    within = _arrangements_of(x, numbers) >= _FEWEST
    if within:
        told = np.array([len(np.unique(x[numbers == one])) > 1 for one in numbers])
        x, y, numbers = x[told], y[told], _numbers(numbers[told])
    else:
        numbers = np.zeros(len(x), np.int64)
    first, second = _centred(x, numbers), _centred(y, numbers)
    size = sqrt(float(first @ first) * float(second @ second))
    if size == 0:
        return nothing_of(x, ranked=True)
    found = second[_arranged(numbers, seed)] @ first / size
    value = float(np.clip(found[0], -1, 1))
    free = len(x) - 3 - numbers.max()
    low = high = np.nan
    if free > 0:
        finest = 1 - 12 / (len(x) * (len(x) ** 2 - 1))
        near = float(np.clip(value, -finest, finest))
        arm = _SURE * sqrt((1 + near**2 / 2) / free)
        low, high = (float(np.tanh(np.arctanh(near) + side)) for side in (-arm, arm))
        if abs(value) > finest + _ROUNDING:
            low, high = (low, 1.0) if value > 0 else (-1.0, high)
    p = float((np.abs(found) >= abs(value) - _ROUNDING).mean())
    told_of = nothing_of(x, ranked=True)
    return told_of._replace(
        value=value,
        low=low,
        high=high,
        chance=float(found.mean()),
        p=p,
        within=within,
        strata=int(numbers.max()) + 1,
    )


def kind_association(
    kinds: NDArray[Any], y: Floats, strata: NDArray[Any], *, seed: int = 0
) -> Association:
    """Return the share of the ranks' variance within strata that lies between kinds (partial η²).

    Even without any association it is above 0, as ``chance`` says; its interval takes that off.

    Args:
        kinds: Kind of each unit, shape ``(n,)``.
        y: Their figures, shape ``(n,)``.
        strata: Stratum of each, shape ``(n,)``.
        seed: Seed of the arrangements where they are drawn.
    """
    kind, numbers = _numbers(kinds), _numbers(strata)
    within = _arrangements_of(kind, numbers) >= _FEWEST
    if within:
        told = np.array([len(np.unique(kind[numbers == one])) > 1 for one in numbers])
        kind, y, numbers = _numbers(kind[told]), y[told], _numbers(numbers[told])
    else:
        numbers = np.zeros(len(kind), np.int64)
    ranks, told_of = _centred(y, numbers), nothing_of(kind, ranked=False)
    size, groups = float(ranks @ ranks), np.eye(int(kind.max(initial=0)) + 1)[kind]
    axes, lengths, _ = np.linalg.svd(
        np.column_stack([_off(one, numbers) for one in groups.T]), full_matrices=False
    )
    apart = axes[:, lengths > _ROUNDING]
    if size == 0 or not apart.shape[1]:
        return told_of
    found = ((ranks[_arranged(numbers, seed)] @ apart) ** 2).sum(axis=1) / size
    strata_left = int(numbers.max()) + 1
    low, high = share_interval(float(found[0]), apart.shape[1], len(kind) - strata_left)
    return told_of._replace(
        value=float(found[0]),
        low=low,
        high=high,
        chance=float(found.mean()),
        p=float((found >= found[0] - _ROUNDING).mean()),
        within=within,
        strata=strata_left,
    )


def share_interval(value: float, between: int, free: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of variance between kinds, from the non-central F.

    Its ends are the shares that would give as much, or as little, in ``_TAIL`` of all draws
    (Steiger 2004, https://doi.org/10.1037/1082-989X.9.2.164). Less than chance gives counts as
    chance, so that a lucky draw of few units is no absence; and ranks of few units resolve no share
    nearer to 1 than 1 / (``free`` + 1).

    Args:
        value: Observed share in [0, 1].
        between: Degrees of freedom between kinds.
        free: Of all units, those between kinds included.

    Returns:
        Ends in [0, 1]; NaN where no unit is left to err.
    """
    from scipy.optimize import brentq
    from scipy.special import ncfdtr

    if free <= between:
        return np.nan, np.nan
    finest = 1 - 1 / (free + 1)

    def end(share: float, tail: float) -> float:
        ratio = share / between / ((1 - share) / (free - between))

        def beyond(strength: float) -> float:
            return float(ncfdtr(between, free - between, strength, ratio)) - tail

        if beyond(0) <= 0:
            return 0.0
        most = 1.0
        while beyond(most) > 0:
            most *= 2
        found = float(brentq(beyond, 0, most))
        return found / (found + free)

    chance = between / free
    high = 1.0 if value >= finest else end(max(value, chance), _TAIL)
    return end(min(value, finest), 1 - _TAIL), high


def nothing_of(units: NDArray[Any], *, ranked: bool) -> Association:
    """Return what is known of units before their figures are: how many are missing.

    Args:
        units: Size or kind of each, shape ``(n,)``.
        ranked: Whether they are of different size instead of kind.
    """
    alike = [int(count) for count in np.unique(units, return_counts=True)[1]]
    return NONE._replace(
        n=len(units), kinds=0 if ranked else len(alike) or 1, missing=_missing(alike, ranked=ranked)
    )


def _missing(alike: Sequence[int], *, ranked: bool) -> int:
    """Return how many units have to join before the most telling arrangement has p ≤ .05.

    Args:
        alike: How many units there are of each kind, or of each size.
        ranked: Whether those that join are each of a new size; else they are of the rarest kind.
    """
    counts, more = sorted(alike), 0
    if not ranked:
        counts = [0] * (2 - len(counts)) + counts
    while True:
        # Turned round, an arrangement tells as much, and so do kinds of as many units if swapped.
        swaps = 1 if ranked else prod(factorial(same) for same in Counter(counts).values())
        ways = factorial(sum(counts)) // prod(factorial(one) for one in counts)
        if max(2, swaps) <= _ALPHA * ways:
            return more
        if ranked:
            counts.append(1)
        else:
            counts = sorted([counts[0] + 1, *counts[1:]])
        more += 1


def holm(p: Floats) -> Floats:
    """Return p-values that hold together (Holm 1979); NaN stays and counts for nothing."""
    order = np.argsort(p)
    known = order[: int(np.isfinite(p).sum())]
    together = np.full(len(p), np.nan)
    steps = p[known] * np.arange(len(known), 0, -1)
    together[known] = np.minimum(np.maximum.accumulate(steps), 1) if len(known) else steps
    return together


def _numbers(names: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _centred(values: Floats, strata: NDArray[np.int64]) -> Floats:
    """Return ranks, ties at their mean, without the mean of their stratum."""
    from scipy.stats import rankdata

    return _off(rankdata(values), strata)


def _off(values: Floats, strata: NDArray[np.int64]) -> Floats:
    means = np.bincount(strata, values) / np.bincount(strata)
    without: Floats = values - means[strata]
    return without


def _arrangements_of(x: NDArray[Any], strata: NDArray[np.int64]) -> int:
    """Return how many different arrangements swapping within strata can give."""
    count = 1
    for one in np.unique(strata):
        alike = np.unique(x[strata == one], return_counts=True)[1]
        count *= factorial(int(alike.sum())) // prod(factorial(int(same)) for same in alike)
    return count


def _arranged(strata: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return arrangements within strata, ``(m, n)``, the present one first: all, or as drawn."""
    rows = [np.flatnonzero(strata == one) for one in np.unique(strata)]
    if prod(factorial(len(own)) for own in rows) <= _MOST:
        every = [
            np.concatenate(parts)
            for parts in product(*(map(np.array, permutations(own)) for own in rows))
        ]
        found = np.empty((len(every), len(strata)), np.int64)
        found[:, np.concatenate(rows)] = every
        return found
    rng = np.random.default_rng([seed, 11])
    found = np.tile(np.arange(len(strata)), (_MOST, 1))
    for own in rows:
        found[1:, own] = rng.permuted(np.tile(own, (_MOST - 1, 1)), axis=1)
    return found
