"""Intervals and chance bands: pure functions on arrays, seeded, no loops over draws.

The bootstrap resamples groups (texts), not rows: rows that share a text are one observation.
"""

import functools
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Weights held at once by a bootstrap: 2**24 cells are 128 MB.
_BLOCK_CELLS: Final = 2**24
#: Weights up to this many cells (16 MB) are drawn once for all figures of a set.
_KEPT_CELLS: Final = 2**21


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    """The figure itself."""

    low: float
    """Lower end of the interval."""

    high: float
    """Upper end of the interval."""


def group_numbers(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Number groups 0, 1, ... in sorted order, shape kept."""
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def bootstrap_mean(
    values: NDArray[np.floating],
    groups: NDArray[Any],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return the mean of all rows with a percentile bootstrap interval over groups.

    Args:
        values: Shape ``(n,)``; rows that are NaN are left out.
        groups: Shape ``(n,)``; rows of one group are drawn together.
        draws: Number of resamples.
        level: Coverage of the interval, in (0, 1).
        seed: Seed of the draws.

    Returns:
        NaN throughout if no row is left.

    References:
        Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13.
    """
    return bootstrap_ratio(
        values, np.ones(len(values)), groups, draws=draws, level=level, seed=seed
    )


def bootstrap_ratio(
    above: NDArray[np.floating],
    below: NDArray[np.floating],
    groups: NDArray[Any],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return a ratio of sums over rows with a percentile bootstrap interval over groups.

    Args:
        above: Shape ``(n,)``; rows that are NaN are left out.
        below: Shape ``(n,)``, not negative, their sum in each group above 0.
        groups: Shape ``(n,)``; rows of one group are drawn together.
        draws: Number of resamples.
        level: Coverage of the interval, in (0, 1).
        seed: Seed of the draws.

    Returns:
        NaN throughout if no row is left.
    """
    kept = ~np.isnan(above)
    if not kept.any():
        return Estimate(np.nan, np.nan, np.nan)
    number = group_numbers(groups[kept])
    pair = [np.bincount(number, one[kept].astype(np.float64)) for one in (above, below)]
    sums = np.column_stack(pair).astype(np.float64)
    drawn = _resampled(sums, draws, seed)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - level) / 2, (1 + level) / 2])
    total = sums.sum(axis=0)
    return Estimate(float(total[0] / total[1]), float(low), float(high))


def _resampled(sums: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the column totals of resampled groups, ``(draws, k)``, in blocks of bounded memory.

    Args:
        sums: Each group's sums, shape ``(n_groups, k)``.
        draws: Number of resamples.
        seed: Seed of the draws.
    """
    n = len(sums)
    if n * draws <= _KEPT_CELLS:
        return np.asarray(_weights(n, draws, seed) @ sums)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // n)
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    share = np.full(n, 1 / n)
    return np.vstack([rng.multinomial(n, share, size=size) @ sums for size in sizes])


@functools.lru_cache(maxsize=4)
def _weights(n: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often each of ``n`` groups is drawn in each resample, ``(draws, n)``."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    return counts.astype(np.float64)


def bootstrap_correlation(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    groups: NDArray[Any],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return Pearson's correlation with a percentile bootstrap interval over groups.

    Args:
        first: Shape ``(n,)``, no NaN; give ranks for a rank correlation.
        second: Shape ``(n,)``, no NaN.
        groups: Shape ``(n,)``; rows of one group are drawn together.
        draws: Number of resamples.
        level: Coverage of the interval, in (0, 1).
        seed: Seed of the draws.

    Returns:
        NaN throughout if one side is constant.
    """
    x, y = first - np.mean(first), second - np.mean(second)
    number = group_numbers(groups)
    moments = [np.ones_like(x), x, y, x * x, y * y, x * y]
    sums = np.column_stack([np.bincount(number, one) for one in moments]).astype(np.float64)
    drawn = np.vstack([sums.sum(axis=0), _resampled(sums, draws, seed)])
    drawn /= drawn[:, :1]
    _, mx, my, xx, yy, xy = drawn.T
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (xy - mx * my) / np.sqrt((xx - mx**2) * (yy - my**2))
    if not np.isfinite(values[0]):
        return Estimate(np.nan, np.nan, np.nan)
    low, high = np.nanquantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values[0]), float(low), float(high))


def chance(samples: NDArray[np.floating], *, level: float = 0.95) -> Estimate:
    """Return mean and central band of a figure under the null, from its samples ``(draws,)``."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(np.mean(samples)), float(low), float(high))


def percentile_rank(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mid-rank of each value as a share in (0, 1); ties share their middle.

    Args:
        values: Shape ``(n,)``, no NaN.
    """
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    share: NDArray[np.float64] = (below + not_above) / (2 * max(len(values), 1))
    return share
