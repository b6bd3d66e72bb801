"""Ridge with many outputs in closed form, in a way that other targets cost one product.

Everything is solved in float64 by Cholesky, on the device of the rows: as many equations as
coordinates (primal), or as training rows where these are fewer (dual). Both give the same.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.statistics.scaling import CONSTANT

if TYPE_CHECKING:
    import torch

#: Penalties tried, in units of the mean diagonal of the training Gram matrix.
PENALTIES: Final[tuple[float, ...]] = tuple((10.0 ** np.linspace(-4, 4, 9)).tolist())
#: States wider than this are reduced to as many principal directions.
MOST_WIDTH: Final = 1024
#: A coordinate that varies on the training rows by less than this share of all is constant there.
_STILL: Final = 1e-6


class Fold(NamedTuple):
    """Which rows a fold uses, as index arrays of torch."""

    train: "torch.Tensor"
    validation: "torch.Tensor"
    test: "torch.Tensor"


class Refit(NamedTuple):
    """A solved fold: its test predictions as a linear function of any training targets ``Y``.

    They are ``operator @ right + offset * mean``, where ``right`` is ``states.T @ Y`` over the
    training rows (``Y`` itself in the dual form) and ``mean`` is the mean of ``Y``.
    """

    operator: "torch.Tensor"
    """Shape ``(n_test, d)``, dual ``(n_test, n_train)``; float32."""

    offset: "torch.Tensor"
    """Weight of the training mean in each prediction, shape ``(n_test,)``; float32."""

    left: "torch.Tensor"
    """What is left of the training targets after the fit, shape ``(n_train, m)``; float32."""


def scaled(rows: "torch.Tensor", *, standardise: bool) -> "torch.Tensor":
    """Centre states in place; coordinates constant up to rounding become 0, others unit variance.

    The same over all folds, so it only keeps the numbers tame; each fold scales by its own training
    rows after this. What is rounding depends on the widest coordinate and on the own mean. In
    place, because 16,000 states of 4,096 coordinates are half a gigabyte in float64.
    """
    import torch

    if not rows.numel():
        return rows
    mean, spread = rows.mean(dim=0), rows.std(dim=0, correction=0)
    alive = spread > CONSTANT * torch.maximum(spread.max(), mean.abs())
    if not standardise:
        return rows.sub_(mean).mul_(alive)
    return rows.sub_(mean).mul_(torch.where(alive, 1 / torch.where(alive, spread, 1), 0))


def reduced(rows: "torch.Tensor") -> "torch.Tensor":
    """Return coordinates along the first ``MOST_WIDTH`` principal directions (seeded), float64.

    Args:
        rows: Float32, shape ``(n, d)``.
    """
    import torch

    cuda = rows.device.type == "cuda"
    with torch.random.fork_rng(devices=[rows.device] if cuda else []):
        torch.default_generator.manual_seed(0)
        if cuda:
            torch.cuda.manual_seed(0)
        left, size, _ = torch.svd_lowrank(rows, q=MOST_WIDTH)
    return (left * size).double()


def solved(
    rows: "torch.Tensor", targets: "torch.Tensor", fold: Fold, *, dual: bool, rescale: bool
) -> tuple[float, "torch.Tensor", Refit]:
    """Return a fold's penalty, its test predictions ``(n_test, 10)`` and how to refit it.

    Primal and dual are the same ridge: ``known.T @ known`` has one equation per coordinate,
    ``known @ known.T`` one per training row.
    """
    import torch

    known = rows[fold.train]
    if not len(known) or known.var(dim=0, correction=0).mean() <= _STILL**2 * rows.square().mean():
        return _nothing(rows, targets, fold, dual=dual)
    mean, scale = known.mean(dim=0), torch.ones_like(known[0])
    if rescale:
        spread = known.std(dim=0, correction=0)
        scale = torch.where(spread > _STILL, 1 / spread.clamp(min=_STILL), 0)
    known = (known - mean) * scale
    test, checked = ((rows[part] - mean) * scale for part in (fold.test, fold.validation))
    middle = targets[fold.train].mean(dim=0)
    truth, square = targets[fold.train] - middle, known @ known.T if dual else known.T @ known
    unit = known.square().sum() / known.shape[1]
    if dual:
        test, checked = test @ known.T, checked @ known.T
    right = truth if dual else known.T @ truth
    penalty = _chosen(square, unit, right, checked, targets[fold.validation] - middle)
    lower = _factor(square, penalty * unit)
    solution = torch.cholesky_solve(right, lower)
    prediction, left = test @ solution + middle, truth - (square if dual else known) @ solution
    operator = torch.cholesky_solve(test.T, lower).T
    if not dual:
        operator = operator * scale
    constant = torch.ones_like(known[:, 0]) if dual else rows[fold.train].sum(dim=0)
    offset = 1 - operator @ constant
    return penalty, prediction, Refit(operator.float().contiguous(), offset.float(), left.float())


def _nothing(
    rows: "torch.Tensor", targets: "torch.Tensor", fold: Fold, *, dual: bool
) -> tuple[float, "torch.Tensor", Refit]:
    """Return what a fold gives that has no training rows, or only rows of one state: NaN."""
    wide = len(fold.train) if dual else rows.shape[1]
    import torch

    operator = rows.new_full((len(fold.test), wide), np.nan).float()
    prediction = rows.new_full((len(fold.test), targets.shape[1]), np.nan)
    left = torch.full_like(targets[fold.train], torch.nan).float()
    return np.nan, prediction, Refit(operator, prediction[:, 0].float(), left)


def _chosen(
    square: "torch.Tensor",
    unit: "torch.Tensor",
    right: "torch.Tensor",
    checked: "torch.Tensor",
    truth: "torch.Tensor",
) -> float:
    """Return the penalty with the least validation error.

    The largest of equals: without rows to validate on, the one that claims least.
    """
    import torch

    def error(penalty: float) -> float:
        solution = torch.cholesky_solve(right, _factor(square, penalty * unit))
        return float((checked @ solution - truth).square().sum())

    return min(reversed(PENALTIES), key=error)


def _factor(square: "torch.Tensor", ridge: "torch.Tensor") -> "torch.Tensor":
    import torch

    penalised = square.clone()
    penalised.diagonal().add_(ridge)
    lower: torch.Tensor = torch.linalg.cholesky(penalised)
    return lower
