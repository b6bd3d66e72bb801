"""What is taken off the states before anything is measured: the mean, or mean and scale.

A few coordinates of a residual stream are hundreds of times larger than the rest (massive
activations, Sun et al. 2024, arXiv 2402.17762) and own every cosine. ``centred`` is the paper's
correction and leaves them; ``standardised`` gives each coordinate unit variance.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["standardised", "centred"]

#: A coordinate that varies less than this share of the widest one is constant up to rounding.
CONSTANT: Final = 1e-7


@dataclass(frozen=True, eq=False)
class Scaler:
    """An affine map per coordinate, fitted once and applied to new states as well."""

    mean: NDArray[np.float64]
    """Mean state, shape ``(d,)``."""

    scale: NDArray[np.float64]
    """Divisor of each coordinate, shape ``(d,)``, above 0."""

    def apply(self, states: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return scaled states, same shape."""
        moved: NDArray[np.float64] = (states - self.mean) / self.scale
        return moved.astype(np.float32)


def fit_scaler(states: NDArray[np.floating], scaling: Scaling) -> Scaler:
    """Fit a scaler.

    Args:
        states: A row per different text, shape ``(n, d)``.
        scaling: ``standardised`` or ``centred``. A constant coordinate keeps its scale.
    """
    mean = states.mean(axis=0, dtype=np.float64)
    if scaling == "centred":
        return Scaler(mean, np.ones_like(mean))
    spread = states.std(axis=0, dtype=np.float64)
    constant = spread <= CONSTANT * max(float(spread.max()), 1e-300)
    return Scaler(mean, np.where(constant, 1.0, spread))
