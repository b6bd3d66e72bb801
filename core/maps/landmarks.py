"""Names on a map: where each pole's typical members lie, and an ellipse that holds half of them."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Share of the members that an ellipse holds.
HELD: Final = 0.5


class Landmarks(NamedTuple):
    """The middles of some groups on a flat map."""

    place: NDArray[np.float64]
    """Mean place of the members, shape ``(k, 2)``; NaN where a group has none on the map."""

    shape: NDArray[np.float64]
    """Ellipse about it: xx, xy and yy of the matrix S in ``(p - place)ᵀ S⁻¹ (p - place) = 1``.

    Shape ``(k, 3)``; it has the directions of the members' covariance and is as large as to hold
    half of them. Zero where fewer than three members, or members on a line, have no ellipse.
    """


def landmarks(points: NDArray[np.floating], members: NDArray[np.bool_]) -> Landmarks:
    """Return where groups of items lie on a map.

    Args:
        points: Place of each item, shape ``(n, 2)``; items with a NaN are left out.
        members: Which items make up each group, shape ``(n, k)``.
    """
    there = np.isfinite(points).all(axis=1)
    place = np.full((members.shape[1], 2), np.nan)
    shape = np.zeros((members.shape[1], 3))
    for group in range(members.shape[1]):
        own = points[members[:, group] & there].astype(np.float64)
        if not len(own):
            continue
        place[group] = own.mean(axis=0)
        away = own - place[group]
        spread = away.T @ away / len(own)
        if len(own) < 3 or np.linalg.det(spread) <= 1e-9 * np.trace(spread) ** 2:
            continue
        far = np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away)
        shape[group] = (spread * np.quantile(far, HELD))[[0, 0, 1], [0, 1, 1]]
    return Landmarks(place, shape)
