"""How one figure per unit goes with what the unit is: ranks, permuted over units within strata.

A unit is what could have been another one, such as a model, and not one of the many rows that it
gives. Units of one stratum (a family) share more than what is asked about, so that they swap their
figures with each other alone, wherever that can give enough arrangements to tell anything.
"""

from itertools import permutations, product
from math import factorial, prod, sqrt
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: With more arrangements than this, as many are drawn instead.
_MOST: Final = 10_000
#: Fewer arrangements within strata than this could not give p = .05 on two sides.
_FEWEST: Final = 40
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


NONE: Final = Association(np.nan, np.nan, np.nan, np.nan, np.nan, 0, within=False)


def rank_association(x: Floats, y: Floats, strata: NDArray[Any], *, seed: int = 0) -> Association:
    """Return Spearman's correlation over units, in strata the mean of each taken off the ranks.

    The interval is Fisher's with the variance of Bonett & Wright (2000,
    https://doi.org/10.1007/BF02294183), a degree of freedom less for each further stratum. It takes
    units as independent given their stratum; none where ρ is ±1 or too few units are left.

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
        return NONE._replace(n=len(x))
    found = second[_arranged(numbers, seed)] @ first / size
    value = float(np.clip(found[0], -1, 1))
    free = len(x) - 3 - numbers.max()
    low = high = np.nan
    if free > 0 and abs(value) < 1 - _ROUNDING:
        arm = 1.959964 * sqrt((1 + value**2 / 2) / free)
        low, high = (float(np.tanh(np.arctanh(value) + side)) for side in (-arm, arm))
    p = float((np.abs(found) >= abs(value) - _ROUNDING).mean())
    return Association(value, low, high, float(found.mean()), p, len(x), within)


def kind_association(
    kinds: NDArray[Any], y: Floats, strata: NDArray[Any], *, seed: int = 0
) -> Association:
    """Return how much of the ranks' variance lies between kinds of units (η² on ranks).

    It has no interval: even without any association it is above 0, as ``chance`` says.

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
    ranks = _centred(y, numbers)
    size, groups = float(ranks @ ranks), np.eye(int(kind.max(initial=0)) + 1)[kind]
    if size == 0 or groups.shape[1] < 2:
        return NONE._replace(n=len(kind))
    means = ranks[_arranged(numbers, seed)] @ groups
    found = (means**2 / groups.sum(axis=0)).sum(axis=1) / size
    p = float((found >= found[0] - _ROUNDING).mean())
    return Association(float(found[0]), np.nan, np.nan, float(found.mean()), p, len(kind), within)


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

    ranks = rankdata(values)
    means = np.bincount(strata, ranks) / np.bincount(strata)
    centred: Floats = ranks - means[strata]
    return centred


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
