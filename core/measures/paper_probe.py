"""The paper's own linear probe, number for number, to stand beside the ridge of ``core.probes``.

After the released ``linear.py`` (arXiv 2603.15615, dimensional test): one affine layer on raw
pooled states, AdamW on the mean squared error of ten outputs. Kept as it is, faults included:

* The split is by row, so a text may stand in two parts; ``text_split`` is the same without that.
* States are not scaled, and how far 100 epochs at a fixed learning rate get depends on their scale.
* The code means to return to the epoch of the least validation loss, but its copy of the weights
  shares their memory: the last epoch's are reported. So they are here.

The released code seeds the split only; here the first weights and the batches are seeded as well.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures.cohort import Cohort

if TYPE_CHECKING:
    import torch

TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1
BATCH: Final = 512
EPOCHS: Final = 100
LEARNING_RATE: Final = 1e-3
WEIGHT_DECAY: Final = 1e-4
#: Epochs without a smaller validation loss after which training stops.
PATIENCE: Final = 10

#: Plateau rule: the rate is halved after more than 5 epochs that gain less than a share of 1e-4.
_PLATEAU_PATIENCE: Final = 5
_PLATEAU_FACTOR: Final = 0.5
_PLATEAU_GAIN: Final = 1e-4
#: A halving smaller than this is not made (torch's default).
_SMALLEST_CHANGE: Final = 1e-8
#: AdamW's own constants in torch: decay of both moments, and what keeps its divisor above 0.
_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8


class PaperSplit(NamedTuple):
    """Row numbers of the three parts, int64."""

    train: NDArray[np.int64]
    """About 70 %."""

    validation: NDArray[np.int64]
    """About 10 %."""

    test: NDArray[np.int64]
    """About 20 %."""


def row_split(n: int, seed: int = 42) -> PaperSplit:
    """Split rows at random, as the paper does, whatever their texts.

    Args:
        n: Number of rows, at least 3.
        seed: Seed of both cuts: the test rows first, then the validation rows from the rest.
    """
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(n), test_size=TEST_SHARE, random_state=seed)
    share = VALIDATION_SHARE / (1 - TEST_SHARE)
    train, validation = train_test_split(rest, test_size=share, random_state=seed)
    return PaperSplit(train, validation, test)


def text_split(cohort: Cohort) -> PaperSplit:
    """Split in the same shares, no text in two parts: the first fold of ``core.probes``."""
    test, validation = cohort.blocks < 2, cohort.blocks == 2
    parts = (~(test | validation), validation, test)
    return PaperSplit(*(np.flatnonzero(part) for part in parts))


class _Plateau:
    """Halves a learning rate when a loss has stopped to fall: torch's ``ReduceLROnPlateau``."""

    def __init__(self) -> None:
        self.rate = LEARNING_RATE
        self._best, self._bad = np.inf, 0

    def step(self, loss: float) -> None:
        """Take in the loss of another epoch."""
        if loss < self._best * (1 - _PLATEAU_GAIN):
            self._best, self._bad = loss, 0
        else:
            self._bad += 1
        if self._bad > _PLATEAU_PATIENCE:
            lower = self.rate * _PLATEAU_FACTOR
            self.rate = lower if self.rate - lower > _SMALLEST_CHANGE else self.rate
            self._bad = 0


class _Adam:
    """AdamW on one matrix, in place.

    Written out: torch's own takes a second to import and most of a small step's time.
    """

    def __init__(self, weights: "torch.Tensor") -> None:
        self._weights = weights
        self._mean, self._square = (
            weights.new_zeros(weights.shape),
            weights.new_zeros(weights.shape),
        )
        self._steps = 0

    def step(self, gradient: "torch.Tensor", rate: float) -> None:
        """Move the weights against a gradient of the same shape."""
        self._steps += 1
        first, second = _BETAS
        self._weights.mul_(1 - rate * WEIGHT_DECAY)
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = self._square.sqrt().div_((1 - second**self._steps) ** 0.5).add_(_EPSILON)
        self._weights.addcdiv_(self._mean, root, value=-rate / (1 - first**self._steps))


def train(
    states: NDArray[np.float32], vectors: NDArray[np.float32], split: PaperSplit, seed: int = 0
) -> NDArray[np.float32]:
    """Train the probe and return what it predicts for the test rows, shape ``(n_test, 10)``.

    Args:
        states: One layer as pooled, neither centred nor scaled, shape ``(n, d)``.
        vectors: Moral vectors, shape ``(n, 10)``.
        split: Which rows train, stop and test; the first two not empty.
        seed: Seed of first weights and batches, the same on every device.
    """
    import torch

    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.tensor(array, dtype=torch.float32) for array in (states, vectors))
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1).to(place)  # the last weight is the bias
    y = y.to(place)
    rows, checked, test = (torch.as_tensor(part, device=place) for part in split)
    learnt, known, seen, truth = x[rows], y[rows], x[checked], y[checked]
    reach = max(states.shape[1], 1) ** -0.5  # nn.Linear's first weights and bias: U(-reach, reach)
    start = torch.rand(x.shape[1], y.shape[1], generator=generator)
    weights = ((2 * start - 1) * reach).to(place)
    adam, plateau, best, waited = _Adam(weights), _Plateau(), np.inf, 0
    for _ in range(EPOCHS):
        order = torch.randperm(len(rows), generator=generator).to(place)
        for batch in torch.split(order, BATCH):
            inputs = learnt[batch]
            error = torch.addmm(known[batch], inputs, weights, beta=-1)
            adam.step(inputs.T @ error * (2 / error.numel()), plateau.rate)
        loss = float((seen @ weights - truth).square().mean())
        plateau.step(loss)
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited >= PATIENCE:
            break
    prediction: NDArray[np.float32] = (x[test] @ weights).cpu().numpy()
    return prediction


def score(prediction: NDArray[np.floating], targets: NDArray[np.floating]) -> float:
    """Return the paper's overall R²: the plain mean over the ten outputs, from the test rows' mean.

    Constant columns count in this mean, as they do in the paper, by scikit-learn's ``r2_score``:
    0, or 1 if predicted exactly. Its other rule, 0 for a standard deviation up to 1e-6, holds for
    the list by category only, so a column that varies by less still has its R² in the mean.

    Args:
        prediction: Shape ``(n, 10)``.
        targets: Shape ``(n, 10)``.

    Returns:
        At most 1; NaN for fewer than 2 rows.
    """
    from sklearn.metrics import r2_score

    return float(r2_score(targets, prediction)) if len(targets) > 1 else float("nan")
