"""Where a layer fails: actions of opposite poles that it holds for nearly the same."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.cohort import Cohort
from core.foundations import FOUNDATIONS
from core.neighbours import normalised

#: Pairs looked at per foundation before each action is allowed only once.
_LOOKED_AT: Final = 400


class Confusion(NamedTuple):
    """A virtue and a vice of one foundation whose states point the same way."""

    foundation: int
    """Index into ``FOUNDATIONS``."""

    virtue: int
    """Row of the cohort."""

    vice: int
    """Row of the cohort."""

    cosine: float
    """Of their states, in [-1, 1]."""

    closer_than: float
    """Share of the foundation's pairs on the same side that are less alike, in [0, 1]."""


def confusions(
    states: NDArray[np.floating], cohort: Cohort, *, least_grade: float = 0.5, k: int = 4
) -> list[Confusion]:
    """Return the pairs of opposite actions that a layer tells apart least.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.
        least_grade: Only actions that people grade at least so high: nobody disputes their side.
        k: Pairs per foundation; no action stands in two of them.

    Returns:
        Most alike first. Empty where a foundation has no such virtue or no such vice.
    """
    unit = normalised(states)
    found: list[Confusion] = []
    for foundation in range(len(FOUNDATIONS)):
        sure = (cohort.foundation == foundation) & (cohort.labels.grade >= least_grade - 1e-6)
        virtue, vice = (np.flatnonzero(sure & (cohort.sign == pole)) for pole in (0, 1))
        if not len(virtue) or not len(vice):
            continue
        cosine = unit[virtue] @ unit[vice].T
        cosine[cohort.text[virtue][:, None] == cohort.text[vice][None]] = -2
        same = _same_side(unit, virtue, vice)
        for row, column in _apart(cosine, k):
            value = float(cosine[row, column])
            less = float(np.searchsorted(same, value) / len(same)) if len(same) else np.nan
            found.append(Confusion(foundation, int(virtue[row]), int(vice[column]), value, less))
    return sorted(found, key=lambda one: -one.cosine)


def _apart(cosine: NDArray[np.float32], k: int) -> list[tuple[int, int]]:
    """Return the ``k`` highest cells of which no two share a row or a column."""
    flat = cosine.ravel()
    many = min(len(flat), _LOOKED_AT)
    best = np.argpartition(-flat, many - 1)[:many]
    chosen: list[tuple[int, int]] = []
    for cell in best[np.lexsort((best, -flat[best]))]:
        row, column = divmod(int(cell), cosine.shape[1])
        if flat[cell] > -1.5 and not any(row == r or column == c for r, c in chosen):
            chosen.append((row, column))
        if len(chosen) == k:
            break
    return chosen


def _same_side(
    unit: NDArray[np.float32], virtue: NDArray[np.int64], vice: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosines of all pairs on the same side, sorted."""
    pairs = []
    for rows in (virtue, vice):
        upper = np.triu_indices(len(rows), 1)
        pairs.append((unit[rows] @ unit[rows].T)[upper])
    return np.sort(np.concatenate(pairs))
