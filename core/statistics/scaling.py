"""What is taken off the states before anything is measured.

A few coordinates of a residual stream are hundreds of times larger than the rest (massive
activations, Sun et al. 2024, arXiv 2402.17762) and own every cosine. ``centred`` is the paper's
correction and leaves them; ``standardised`` gives each coordinate unit variance. ``top-removed``
takes off the leading principal directions as well (Mu & Viswanath 2018, arXiv 1702.01417), and
``whitened`` gives all of them one variance. ``raw`` takes nothing off.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scaling = Literal["standardised", "centred", "raw", "top-removed", "whitened"]

#: A coordinate that varies less than this share of the widest one is constant up to rounding.
CONSTANT: Final = 1e-7
#: ``top-removed`` takes off one direction for so many coordinates.
COORDINATES_PER_DIRECTION: Final = 100
#: Rows that are held in float64 at once: of 4,096 coordinates 64 MB.
BLOCK: Final = 2048


@dataclass(frozen=True, eq=False)
class Scaler:
    """An affine map, fitted once and applied to new states as well."""

    mean: NDArray[np.float64]
    """What is subtracted, shape ``(d,)``: the mean state, or zeros."""

    scale: NDArray[np.float64]
    """Divisor of each coordinate, shape ``(d,)``, above 0."""

    matrix: NDArray[np.float64] | None = None
    """What the divided states are multiplied by, symmetric, shape ``(d, d)``; None: nothing."""

    def apply(self, states: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return scaled states: one ``(d,)`` or many ``(n, d)``, same shape."""
        rows = np.atleast_2d(states)
        scaled = np.empty(rows.shape, np.float32)
        for part in _blocks(len(rows)):
            moved: NDArray[np.float64] = (rows[part] - self.mean) / self.scale
            scaled[part] = moved if self.matrix is None else moved @ self.matrix
        return scaled.reshape(states.shape)

    def moves(self, changes: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far scaled states move where states move by some vectors, ``(k, d)``."""
        moved: NDArray[np.float64] = changes / self.scale
        return moved if self.matrix is None else moved @ self.matrix


def fit_scaler(states: NDArray[np.floating], scaling: Scaling) -> Scaler:
    """Fit a scaler.

    Args:
        states: A row per different text, shape ``(n, d)``, finite.
        scaling: What to take off. Where nothing varies, each keeps its scale: a constant
            coordinate when standardised, all of them when whitened.
    """
    one = np.ones(states.shape[1])
    if scaling == "raw":
        return Scaler(np.zeros_like(one), one)
    mean = states.mean(axis=0, dtype=np.float64)
    if scaling == "centred":
        return Scaler(mean, one)
    if scaling == "top-removed":
        return Scaler(mean, one, _without_top(_spectrum(states, mean)))
    if scaling == "whitened":
        return Scaler(mean, one, _whitening(_spectrum(states, mean), _fourth(states, mean)))
    spread = states.std(axis=0, dtype=np.float64)
    constant = spread <= CONSTANT * max(float(spread.max()), 1e-300)
    return Scaler(mean, np.where(constant, 1.0, spread))


# --- principal directions ---


class _Spectrum(NamedTuple):
    """Principal directions of centred states, the widest first; ``r`` is at most ``d``."""

    variance: NDArray[np.float64]
    """Variance along each direction, shape ``(r,)``, not negative."""

    directions: NDArray[np.float64]
    """Orthonormal columns, shape ``(d, r)``."""

    n: int
    """Number of states."""

    @property
    def varying(self) -> int:
        """How many directions the states vary in, up to rounding."""
        # variances, hence the square; what no direction exceeds is 0 if all states are the same
        return int((self.variance > CONSTANT**2 * self.variance.max(initial=0.0)).sum())


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def _spectrum(states: NDArray[np.floating], mean: NDArray[np.float64]) -> _Spectrum:
    n, d = states.shape
    if n < d:  # far cheaper than a covariance of rank n, and no variance is squared
        centred: NDArray[np.float64] = states - mean
        _, length, rows = np.linalg.svd(centred, full_matrices=False)
        return _Spectrum(length**2 / n, rows.T, n)
    covariance = np.zeros((d, d))
    for part in _blocks(n):
        moved: NDArray[np.float64] = states[part] - mean
        covariance += moved.T @ moved
    variance, directions = np.linalg.eigh(covariance / n)
    return _Spectrum(np.maximum(variance[::-1], 0), directions[:, ::-1], n)


def _fourth(states: NDArray[np.floating], mean: NDArray[np.float64]) -> float:
    """Return the mean fourth power of the states' distance from their mean."""
    total = 0.0
    for part in _blocks(len(states)):
        moved: NDArray[np.float64] = states[part] - mean
        total += float(((moved**2).sum(axis=1) ** 2).sum())
    return total / max(len(states), 1)


def _without_top(spectrum: _Spectrum) -> NDArray[np.float64]:
    """Return the projection that removes the leading directions, shape ``(d, d)``.

    One for every 100 coordinates, as Mu & Viswanath do, and at least one; but never more than half
    of those that vary, or nothing would be left of a few texts.
    """
    d = len(spectrum.directions)
    count = min(max(1, d // COORDINATES_PER_DIRECTION), spectrum.varying // 2)
    top = spectrum.directions[:, :count]
    return np.eye(d) - top @ top.T


def _whitening(spectrum: _Spectrum, fourth: float) -> NDArray[np.float64] | None:
    """Return the symmetric (ZCA) whitening of the shrunk covariance, shape ``(d, d)``.

    Rotated back, so that coordinates stay the model's own (Kessy, Lewin & Strimmer 2018). In
    directions in which no text varies the shrunk variance is that of the shrinkage alone.

    Returns:
        None if the states do not vary.
    """
    variance, directions, _ = spectrum
    d, known = len(directions), spectrum.varying
    if not known:
        return None
    share = _shrinkage(spectrum, fourth)
    floor = share * variance.sum() / d
    if floor <= CONSTANT**2 * variance[0]:  # no shrinkage: what does not vary is left out
        variance, directions, floor, rest = variance[:known], directions[:, :known], 0.0, 0.0
    else:
        rest = 1 / np.sqrt(floor)
    gain = 1 / np.sqrt((1 - share) * variance + floor) - rest
    matrix: NDArray[np.float64] = (directions * gain) @ directions.T
    matrix[np.diag_indices(d)] += rest
    return matrix


def _shrinkage(spectrum: _Spectrum, fourth: float) -> float:
    """Return Ledoit & Wolf's (2004) weight of the round covariance, in [0, 1].

    As ``sklearn.covariance.ledoit_wolf_shrinkage``, but from the spectrum: no second copy of the
    states.
    """
    d = len(spectrum.directions)
    squares = float((spectrum.variance**2).sum())
    distance = squares - float(spectrum.variance.sum()) ** 2 / d
    noise = (fourth - squares) / spectrum.n
    return min(max(noise, 0.0) / distance, 1.0) if distance > 0 else 0.0
