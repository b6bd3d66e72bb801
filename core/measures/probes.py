"""Are the ten moral dimensions linearly decodable from a layer's states? Ridge, out of sample.

The paper's question (arXiv 2603.15615, dimensional test) without its optimiser: one ridge with ten
outputs in closed form, so that nothing depends on a learning rate or on the scale of a layer. Texts
are split, not rows. Five folds, so that every row is predicted by a probe that never saw its text.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.statistics.ridge import MOST_WIDTH, Fold, Refit, reduced, scaled, solved

if TYPE_CHECKING:
    import torch

#: Folds of two blocks of texts each: 70 % train, 10 % validate, 20 % test, as in the paper.
FOLDS: Final = 5
#: Wider states stay whole if the rows to train on are fewer than coordinates, and than this.
MOST_DUAL: Final = 2048


@dataclass(frozen=True, eq=False)
class Probe:
    """Ten-output ridge, cross-fitted over blocks of texts."""

    prediction: NDArray[np.float64]
    """Out-of-sample predictions, shape ``(n, 10)``; NaN where a fold had nothing to learn from."""

    penalty: NDArray[np.float64]
    """Chosen penalty of each fold, in units of the mean diagonal of its Gram matrix, ``(5,)``."""

    fold: NDArray[np.int64]
    """The fold that tests each row, 0 to 4, shape ``(n,)``."""

    states: "torch.Tensor | None"
    """Centred states ``(n, d)``, float32; None in the dual form, which has no use for them."""

    blocks: tuple["torch.Tensor", ...]
    """Rows of each of the ten blocks."""

    refits: tuple[Refit, ...]
    """How each fold predicts from other targets."""


def fit(states: NDArray[np.float32], cohort: Cohort, *, standardise: bool = True) -> Probe:
    """Fit the probe and predict every row out of sample.

    Fold ``k`` tests on blocks ``2k`` and ``2k + 1`` of the cohort, takes the penalty with the least
    squared error over the ten outputs on block ``2k + 2``, and learns from the other seven.

    Args:
        states: One layer, shape ``(n, d)``.
        cohort: Texts and moral vectors of the rows.
        standardise: Give each coordinate unit variance on the training rows. States of more than
            ``MOST_WIDTH`` coordinates are standardised once, on all rows, before they are reduced;
            the reduction sees no labels.
    """
    import torch

    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    targets = torch.tensor(cohort.vectors, dtype=torch.float64, device=place)
    rows = scaled(torch.tensor(states, device=place).double(), standardise=standardise)
    blocks = tuple(
        torch.as_tensor(np.flatnonzero(cohort.blocks == one), device=place) for one in range(10)
    )
    folds = [fold_of(blocks, k) for k in range(FOLDS)]
    fewest = min(len(fold.train) for fold in folds)
    whole = rows.shape[1] <= MOST_WIDTH or (rows.shape[1] > fewest and fewest <= MOST_DUAL)
    if not whole:
        rows = rows.float()  # first, so that the wide rows in float64 are let go
        rows = reduced(rows)
    dual = rows.shape[1] > fewest
    prediction = torch.full((len(rows), len(DIMENSIONS)), torch.nan, dtype=rows.dtype, device=place)
    penalty, refits = np.full(FOLDS, np.nan), []
    for k, fold in enumerate(folds):
        penalty[k], prediction[fold.test], refit = solved(
            rows, targets, fold, dual=dual, rescale=standardise and whole
        )
        refits.append(refit)
    return Probe(
        prediction.cpu().numpy(),
        penalty,
        cohort.blocks // 2,
        None if dual else rows.float(),
        blocks,
        tuple(refits),
    )


def fold_of(blocks: tuple["torch.Tensor", ...], k: int) -> Fold:
    """Return the rows that fold ``k`` trains on, validates on and tests on, of ten blocks."""
    import torch

    test, checked = (2 * k, 2 * k + 1), (2 * k + 2) % 10
    train = [rows for one, rows in enumerate(blocks) if one not in {*test, checked}]
    return Fold(torch.cat(train), blocks[checked], torch.cat([blocks[one] for one in test]))
