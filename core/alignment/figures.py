"""Figures of geometry and behaviour on test texts, each with what it is without each text.

The leave-one-out values give paired jackknife intervals of differences between arms: a bootstrap
would draw a text twice, and no two texts are twins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, t

from core.statistics.bootstrap import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure over ``n`` texts."""

    value: float
    """The figure; NaN where it cannot be computed."""

    without: Floats
    """The same without each text, ``(n,)``."""

    @property
    def estimate(self) -> Estimate:
        """The figure with its 95 % jackknife interval over texts."""
        return jackknifed(self.value, self.without)


def jackknifed(value: float, without: Floats, *, more: float = 0.0) -> Estimate:
    """Return a figure with its 95 % jackknife interval (Efron & Stein 1981).

    Args:
        value: The figure.
        without: The same without each text, ``(n,)``.
        more: Variance that comes from elsewhere, such as seeds.
    """
    n = len(without)
    variance = (n - 1) / n * float(((without - without.mean()) ** 2).sum()) + more
    reach = float(t.ppf(0.975, n - 1)) * float(np.sqrt(variance))
    return Estimate(value, value - reach, value + reach)


def correlation(first: Floats, second: Floats) -> Figure:
    """Return Spearman's correlation over texts; ranks are those among all texts.

    Args:
        first: Shape ``(n,)``.
        second: Shape ``(n,)``.
    """
    x, y = rankdata(first), rankdata(second)
    moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    return _figure(moments.sum(axis=1), moments)


def similarity_of_distances(states: Floats, target: Floats) -> Figure:
    """Return the representational similarity (RSA): Spearman's correlation of all distances.

    Args:
        states: Unit rows, ``(n, d)``; their distance is 1 minus the cosine.
        target: People's vectors, ``(n, k)``; their distance is the Euclidean one.

    References:
        Kriegeskorte, Mur & Bandettini 2008, https://doi.org/10.3389/neuro.06.004.2008
    """
    n = len(states)
    first, second = np.triu_indices(n, 1)
    own = 1 - np.einsum("id,id->i", states[first], states[second])
    wanted = np.linalg.norm(target[first] - target[second], axis=1)
    # Equal up to rounding is equal.
    x, y = rankdata(own), rankdata(wanted.round(6))
    moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    per_text = [
        np.bincount(first, row, minlength=n) + np.bincount(second, row, minlength=n)
        for row in moments
    ]
    return _figure(moments.sum(axis=1), np.stack(per_text))


def _figure(total: Floats, parts: Floats) -> Figure:
    """Return Pearson's correlation from sums ``(6,)`` and each text's share of them, ``(6, n)``."""
    return Figure(float(_pearson(total[:, None])[0]), _pearson(total[:, None] - parts))


def _pearson(sums: Floats) -> Floats:
    count, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (xy - x * y / count) / np.sqrt((xx - x * x / count) * (yy - y * y / count))
    return found


def alignment_with(states: Floats, target: Floats) -> Figure:
    """Return debiased linear CKA of states and people's vectors (Song et al. 2012).

    Args:
        states: Unit rows, ``(n, d)``.
        target: Shape ``(n, k)``.
    """
    one, other = states @ states.T, target @ target.T
    np.fill_diagonal(one, 0)
    np.fill_diagonal(other, 0)
    pairs = [_hsic(*pair) for pair in ((one, other), (one, one), (other, other))]
    (value, without), (own, own_without), (wanted, wanted_without) = pairs
    with np.errstate(invalid="ignore", divide="ignore"):
        return Figure(
            float(value / np.sqrt(own * wanted)), without / np.sqrt(own_without * wanted_without)
        )


def _hsic(one: Floats, other: Floats) -> tuple[float, Floats]:
    """Return the unbiased HSIC of two similarities without diagonal, and without each text."""
    n, k, l = len(one), one.sum(axis=1), other.sum(axis=1)  # noqa: E741 - as in the source

    def scaled(product: Floats, sums: Floats, totals: Floats, count: int) -> Floats:
        value: Floats = product - 2 / (count - 2) * sums
        value = value + totals / ((count - 1) * (count - 2))
        return value / (count * (count - 3))

    rows = np.einsum("ij,ij->i", one, other)
    product, sums = rows.sum(), k @ l
    left = sums - k * l - (one @ l + other @ k) + rows
    totals = (k.sum() - 2 * k) * (l.sum() - 2 * l)
    whole = scaled(product, sums, k.sum() * l.sum(), n)
    return float(whole), scaled(product - 2 * rows, left, totals, n - 1)


def area(values: Floats, positive: NDArray[np.bool_]) -> Figure:
    """Return the area under the ROC curve, ties half, over ``n`` texts.

    Args:
        values: Shape ``(n,)``.
        positive: Texts that should have the higher values, ``(n,)``.
    """
    higher = values[positive][:, None] - values[~positive][None, :]
    wins = (higher > 0) + 0.5 * (higher == 0)
    p, q = wins.shape
    value, without = wins.mean() if wins.size else np.nan, np.full(len(values), np.nan)
    if p > 1 and q > 1:
        total = wins.sum()
        without[positive] = (total - wins.sum(axis=1)) / ((p - 1) * q)
        without[~positive] = (total - wins.sum(axis=0)) / (p * (q - 1))
    return Figure(float(value), without)


def mean_of(values: Floats) -> Figure:
    """Return the mean of one value per text; texts without one are NaN.

    Args:
        values: Shape ``(n,)``.
    """
    return ratio(np.nan_to_num(values), np.isfinite(values).astype(np.float64))


def ratio(parts: Floats, weights: Floats) -> Figure:
    """Return a ratio of two sums over texts.

    Args:
        parts: Shape ``(n,)``.
        weights: Shape ``(n,)``, 0 or more.
    """
    total = weights.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return Figure(
            float(np.divide(parts.sum(), total)), (parts.sum() - parts) / (total - weights)
        )


def gap(values: Floats, side: Floats) -> Figure:
    """Return the mean value on one side minus that on the other, over ``n`` texts.

    Args:
        values: Shape ``(n,)``.
        side: Above 0: the one, below: the other, 0: neither.
    """
    first, second = (mean_of(np.where(rows, values, np.nan)) for rows in (side > 0, side < 0))
    return Figure(first.value - second.value, first.without - second.without)


def difference(one: list[Figure], other: list[Figure]) -> Estimate:
    """Return the mean of some runs minus that of others, with its 95 % interval.

    The interval counts the choice of texts, by a paired jackknife, and that of the runs' seeds.

    Args:
        one: Runs of an arm, a figure each, over the same texts.
        other: Runs of another.
    """
    value = float(np.mean([run.value for run in one]) - np.mean([run.value for run in other]))
    without = np.mean([run.without for run in one], axis=0)
    without = without - np.mean([run.without for run in other], axis=0)
    seeds = sum(
        float(np.var([run.value for run in runs], ddof=1)) / len(runs)
        for runs in (one, other)
        if len(runs) > 1
    )
    return jackknifed(value, without, more=seeds)
