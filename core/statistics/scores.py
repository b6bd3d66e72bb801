"""How well ten predictions tell ten graded targets: R², rank correlation, AUROC, and their draws.

Pure functions. Each score comes as ``(k, 10)``: one row for the labels as they are, for each
resample of texts, or for each shuffle of the labels; NaN where it cannot be computed.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.statistics.bootstrap import percentile_rank

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

#: Rows below which nothing is scored.
_FEWEST: Final = 3
#: A sum of squared deviations below this share of the sum of squares is rounding (float32).
_ROUNDING: Final = 1e-6
#: Correlations that Fisher's transformation takes without becoming infinite.
_INSIDE: Final = 1 - 1e-9
#: Weights held at once by a bootstrap: 2**23 float64 cells are 67 MB.
_BLOCK_CELLS: Final = 2**23


# Explained variance -----------------------------------------------------------------------------


class Explained(NamedTuple):
    """Squared error beside variance."""

    residual: Floats
    """Sum of squared errors, shape ``(k, 10)``."""

    total: Floats
    """Sum of squared deviations from the mean of the scored rows, ``(k, 10)``; 0 if constant."""

    def each(self) -> Floats:
        """Return R² per dimension, shape ``(k, 10)``; at most 1, below 0 if the mean does better.

        NaN for a constant target and for fewer than 3 rows.
        """
        known = self.total > 0
        return np.where(known, 1 - self.residual / np.where(known, self.total, 1), np.nan)

    def weighted(self) -> Floats:
        """Return R² of all dimensions together, each by its variance, shape ``(k,)``."""
        residual = np.where(self.total > 0, self.residual, 0).sum(axis=1)
        total = self.total.sum(axis=1)
        return np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), np.nan)


def explained(residual: Floats, once: Floats, squared: Floats, count: Any) -> Explained:
    """Return squared error and variance from sums over rows.

    Args:
        residual: Sum of squared errors, shape ``(k, 10)``.
        once: Sum of targets, same shape.
        squared: Sum of squared targets, same shape.
        count: Number of rows: one number, or shape ``(k, 1)``.
    """
    total = squared - once**2 / np.maximum(count, 1)
    real = (total > _ROUNDING * squared) & (count >= _FEWEST)
    return Explained(residual, np.where(real, total, 0.0))


def explained_by_text(
    prediction: Floats, targets: Floats, text: NDArray[np.int64], weights: NDArray[np.uint8]
) -> tuple[Explained, Explained]:
    """Return squared error and variance of all rows ``(1, 10)`` and of each draw ``(draws, 10)``.

    Args:
        prediction: Shape ``(n, 10)``.
        targets: Shape ``(n, 10)``.
        text: Text of each row, shape ``(n,)``.
        weights: How often each draw has each text, shape ``(draws, n_texts)``.
    """
    parts = [(targets - prediction) ** 2, targets, targets**2, np.ones((len(text), 1))]
    sums = _by_text(np.hstack(parts), text, weights.shape[1])

    def split(rows: Floats) -> Explained:
        return explained(rows[:, :10], rows[:, 10:20], rows[:, 20:30], rows[:, 30:])

    return split(sums.sum(axis=0, keepdims=True)), split(_drawn(weights, sums))


def _by_text(values: Floats, text: NDArray[np.int64], n_texts: int) -> Floats:
    sums = np.zeros((n_texts, values.shape[1]))
    np.add.at(sums, text, values)
    return sums


def _drawn(weights: NDArray[np.uint8], sums: Floats) -> Floats:
    """Return the totals of resampled texts, ``(draws, m)``, in blocks of bounded memory."""
    size = max(1, _BLOCK_CELLS // max(len(sums), 1))
    blocks = [weights[start : start + size] @ sums for start in range(0, len(weights), size)]
    return np.vstack([np.empty((0, sums.shape[1])), *blocks])


# Order ------------------------------------------------------------------------------------------


class RankScores(NamedTuple):
    """Scores of the order of predictions only."""

    auroc: Floats
    """Chance that a row with the dimension is predicted higher than one without, ``(k, 10)``."""

    correlation: Floats
    """Spearman's correlation with the grade among rows that have the dimension, ``(k, 10)``."""


def ranked(
    prediction: "torch.Tensor", targets: "torch.Tensor", takers: "torch.Tensor"
) -> RankScores:
    """Return the scores of the order, for each shuffle of the labels.

    Args:
        prediction: Each shuffle's own predictions, shape ``(n, b, 10)``.
        targets: Moral vectors as they are, in [0, 1], shape ``(n, 10)``.
        takers: The row that takes each row's vector, shape ``(b, n)``.
    """
    import torch

    shape = (len(takers), targets.shape[1])
    auroc, correlation = (
        targets.new_full(shape, np.nan, dtype=torch.float64) for _ in range(len(RankScores._fields))
    )
    shuffle = torch.arange(len(takers), device=takers.device)[:, None]
    for column in range(shape[1]):
        present = targets[:, column] > 0
        high, low = (prediction[takers[:, rows], shuffle, column] for rows in (present, ~present))
        if len(targets) >= _FEWEST and high.shape[1] and low.shape[1]:
            auroc[:, column] = _middle(low, high).mean(dim=1) / low.shape[1]
        if high.shape[1] >= _FEWEST:
            grades = targets[present, column][None]
            correlation[:, column] = _aligned(_middle(high, high), _middle(grades, grades))
    broken = prediction.isnan().any(dim=0)
    return RankScores(
        *(score.masked_fill(broken, torch.nan).cpu().numpy() for score in (auroc, correlation))
    )


def _middle(among: "torch.Tensor", values: "torch.Tensor") -> "torch.Tensor":
    """Return how many of a row of ``among`` lie below each value, ties counting half; float64."""
    import torch

    ordered, values = among.sort(dim=1).values.contiguous(), values.contiguous()
    below = torch.searchsorted(ordered, values)
    return (below + torch.searchsorted(ordered, values, right=True)).double() / 2


def _aligned(first: "torch.Tensor", second: "torch.Tensor") -> "torch.Tensor":
    """Return Pearson's correlation of each row of ranks ``(b, n)``; NaN if one side is constant."""
    import torch

    x, y = (ranks - ranks.mean(dim=1, keepdim=True) for ranks in (first, second))
    size = x.square().sum(dim=1) * y.square().sum(dim=1)
    value = (x * y).sum(dim=1) / size.clamp(min=1e-300).sqrt()
    return torch.where(size > 0, value, torch.nan)


def auroc_draws(
    prediction: "torch.Tensor",
    targets: "torch.Tensor",
    text: "torch.Tensor",
    weights: NDArray[np.uint8] | NDArray[np.int32],
) -> Floats:
    """Return the exact AUROC of each resample of texts, shape ``(draws, 10)``.

    One sort per dimension: a draw only changes how often each row counts.

    Args:
        prediction: Shape ``(n, 10)``, no NaN.
        targets: Shape ``(n, 10)``.
        text: Text of each row, shape ``(n,)``.
        weights: How often each draw has each text, shape ``(draws, n_texts)``.
    """
    import torch

    size = max(1, _BLOCK_CELLS // max(len(text), 1))
    found = [np.empty((0, targets.shape[1]))]
    for start in range(0, len(weights), size):
        drawn = torch.as_tensor(weights[start : start + size].T.copy(), device=text.device)
        columns = [
            _weighted_auroc(prediction[:, column], targets[:, column] > 0, text, drawn)
            for column in range(targets.shape[1])
        ]
        found.append(torch.stack(columns, dim=1).cpu().numpy())
    return np.vstack(found)


def _weighted_auroc(
    prediction: "torch.Tensor", present: "torch.Tensor", text: "torch.Tensor", drawn: "torch.Tensor"
) -> "torch.Tensor":
    """Return one dimension's AUROC in each draw ``(draws,)``; ``drawn`` is ``(n_texts, draws)``."""
    import torch

    low, order = prediction[~present].sort()
    high = prediction[present]
    without = drawn[text[~present][order]].cumsum(dim=0, dtype=torch.int32)
    without = torch.cat([torch.zeros_like(drawn[:1], dtype=torch.int32), without])
    weight = drawn[text[present]].double()
    sides = [torch.searchsorted(low, high, right=right) for right in (False, True)]
    below = (without[sides[0]] + without[sides[1]]).double() / 2
    pairs = weight.sum(dim=0) * without[-1]
    return torch.where(pairs > 0, (weight * below).sum(dim=0) / pairs.clamp(min=1), torch.nan)


def correlation_draws(
    prediction: Floats,
    targets: Floats,
    text: NDArray[np.int64],
    weights: NDArray[np.uint8],
) -> Floats:
    """Return Spearman's correlation in each resample of texts, ranks held fixed, ``(draws, 10)``.

    Args:
        prediction: Shape ``(n, 10)``.
        targets: Shape ``(n, 10)``.
        text: Text of each row, shape ``(n,)``.
        weights: How often each draw has each text, shape ``(draws, n_texts)``.
    """
    moments = np.zeros((targets.shape[1], 6, len(text)))
    for column, parts in enumerate(moments):
        rows = np.flatnonzero(targets[:, column] > 0)
        if len(rows) >= _FEWEST:
            x = percentile_rank(prediction[rows, column]) - 0.5
            y = percentile_rank(targets[rows, column]) - 0.5
            parts[:, rows] = [np.ones_like(x), x, y, x * x, y * y, x * y]
    sums = _by_text(moments.reshape(-1, len(text)).T, text, weights.shape[1])
    drawn = _drawn(weights, sums).reshape(len(weights), targets.shape[1], 6)
    n, x, y, xx, yy, xy = np.moveaxis(drawn, 2, 0)
    n = np.maximum(n, 1)
    left, right = xx - x**2 / n, yy - y**2 / n
    real = (left > _ROUNDING * xx) & (right > _ROUNDING * yy)
    size = np.sqrt(np.where(real, left * right, 1))
    return np.where(real, (xy - x * y / n) / size, np.nan)


# Means over dimensions --------------------------------------------------------------------------


def mean_known(values: Floats, weight: Floats | None = None) -> Floats:
    """Return the mean over dimensions ``(k, 10) -> (k,)``; NaN ones are left out."""
    share = np.isfinite(values) * (np.ones(values.shape[1]) if weight is None else weight)
    total, whole = (np.where(share > 0, values, 0) * share).sum(axis=1), share.sum(axis=1)
    return np.where(whole > 0, total / np.where(whole > 0, whole, 1), np.nan)


def mean_correlation(values: Floats, n: NDArray[np.int64]) -> Floats:
    """Return the mean correlation over dimensions ``(k, 10) -> (k,)`` on Fisher's scale.

    Args:
        values: Correlations, in [-1, 1].
        n: Rows behind each, shape ``(10,)``; its weight is ``n - 3``, the inverse variance.
    """
    z = np.arctanh(np.clip(values, -_INSIDE, _INSIDE))
    mean: Floats = np.tanh(mean_known(z, np.maximum(n - 3, 0).astype(np.float64)))
    return mean
