"""Quantities at places smoothed over a plane: local linear regression (Fan & Gijbels 1996).

Bandwidth: the kernel ``(1 - r²)²`` reaches as far as Scott's rule says for the places alone (no
value is asked). A place is supported where the texts in reach count for at least ``FEWEST`` equal
ones, lie around it, and not on a line.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Texts of equal weight that a place rests on at least (Kish's effective number).
FEWEST: Final = 15
#: Scott's rule is for a Gaussian; the kernel here smooths alike at 2.62 times the width
#: (canonical bandwidths, Marron & Nolan 1988).
_WIDER: Final = 2.62
#: Middle of the texts in reach, and their least spread, in bandwidths: fully surrounded places
#: have 0 and 0.35.
_OFF_CENTRE: Final = 0.3
_LEAST_SPREAD: Final = 0.1
_CELLS_AT_ONCE: Final = 2**21


class Surface(NamedTuple):
    """A quantity smoothed over places; ``b`` versions of it side by side."""

    values: NDArray[np.float64]
    """Shape ``(m, b)``; NaN where the support is not enough."""

    slopes: NDArray[np.float64]
    """How it grows along x and y, per unit of the map, shape ``(m, b, 2)``."""


def bandwidth(points: NDArray[np.floating]) -> float:
    """Return the reach of the kernel: Scott's rule for places ``(n, 2)``.

    It is the same in all directions, so a turned map gives a turned field.
    """
    spread = np.sqrt(points.var(axis=0).mean())
    return float(_WIDER * spread * len(points) ** (-1 / 6))


def smooth(
    points: NDArray[np.floating],
    places: NDArray[np.floating],
    reach: float,
    values: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> Surface:
    """Smooth ``b`` versions of a quantity at some places by local linear regression.

    Args:
        points: Where it is known, shape ``(n, 2)``.
        places: Where it is asked, shape ``(m, 2)``.
        reach: Radius of the kernel, above 0.
        values: Shape ``(b, n)``.
        weights: How often each row counts in each version, shape ``(b, n)``; None: once.

    Returns:
        NaN where no plane can be laid through what is in reach.
    """
    b = len(values)
    weight = np.ones((1, len(points))) if weights is None else np.asarray(weights, np.float64)
    weighted = (weight * values).T
    found, slopes = np.full((len(places), b), np.nan), np.full((len(places), b, 2), np.nan)
    step = max(1, _CELLS_AT_ONCE // len(points))
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        kernel, across = _kernel(points, places[some], reach)
        one = [kernel, *(kernel * across[..., axis] for axis in (0, 1))]
        two = [one[1 + i] * across[..., j] for i, j in ((0, 0), (0, 1), (1, 1))]
        s, sx, sy, sxx, sxy, syy = (each @ weight.T for each in (*one, *two))
        t, tx, ty = (each @ weighted for each in one)
        plane = np.stack([s, sx, sy, sx, sxx, sxy, sy, sxy, syy], -1).reshape(*s.shape, 3, 3)
        right = np.stack(np.broadcast_arrays(t, tx, ty), -1)
        known = np.linalg.det(plane) > 1e-6 * s**3
        safe = np.where(known[..., None, None], plane, np.eye(3))
        fitted = np.linalg.solve(np.broadcast_to(safe, (*t.shape, 3, 3)), right[..., None])[..., 0]
        fitted = np.where(np.broadcast_to(known, t.shape)[..., None], fitted, np.nan)
        found[some], slopes[some] = fitted[..., 0], fitted[..., 1:] / reach
    return Surface(found, slopes)


def support(
    points: NDArray[np.floating],
    places: NDArray[np.floating],
    reach: float,
    text: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Tell which places have enough texts around them.

    Args:
        points: Place of each row, shape ``(n, 2)``.
        places: Places asked for, shape ``(m, 2)``.
        reach: Radius of the kernel.
        text: Number of each row's text, ``0 ..``, shape ``(n,)``: rows of one text count as one.

    Returns:
        Shape ``(m,)``.
    """
    order = np.argsort(text, kind="stable")
    starts = np.flatnonzero(np.diff(text[order], prepend=-1))
    enough = np.zeros(len(places), bool)
    step = max(1, _CELLS_AT_ONCE // len(points))
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        kernel, across = _kernel(points, places[some], reach)
        total = np.maximum(kernel.sum(axis=1), 1e-12)
        by_text = np.add.reduceat(kernel[:, order], starts, axis=1)
        count = total**2 / np.maximum((by_text**2).sum(axis=1), 1e-12)
        middle = np.einsum("mn,mnd->md", kernel, across) / total[:, None]
        square = np.einsum("mn,mnd,mne->mde", kernel, across, across) / total[:, None, None]
        spread = np.linalg.eigvalsh(square - middle[:, :, None] * middle[:, None, :])[:, 0]
        enough[some] = (
            (count >= FEWEST)
            & (np.linalg.norm(middle, axis=1) <= _OFF_CENTRE)
            & (spread >= _LEAST_SPREAD**2)
        )
    return enough


def _kernel(
    points: NDArray[np.floating], places: NDArray[np.floating], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights ``(m, n)`` and ways from places to points in bandwidths ``(m, n, 2)``."""
    across = (points[None].astype(np.float64) - places[:, None]) / reach
    return np.maximum(1 - (across**2).sum(axis=2), 0) ** 2, across
