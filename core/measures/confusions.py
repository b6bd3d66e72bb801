"""Where a layer fails: actions of opposite poles that it holds for nearly the same."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import FOUNDATIONS
from core.measures.cohort import Cohort
from core.statistics.neighbours import normalised


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
    """Share of the foundation's pairs of texts on the same side that are less alike, in [0, 1]."""


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
        same = _same_side(unit, cohort.text, (virtue, vice))
        for row, column in _apart(cosine, k):
            value = float(cosine[row, column])
            less = float(np.searchsorted(same, value) / len(same)) if len(same) else np.nan
            found.append(Confusion(foundation, int(virtue[row]), int(vice[column]), value, less))
    return sorted(found, key=lambda one: -one.cosine)


def _apart(cosine: NDArray[np.float32], k: int) -> list[tuple[int, int]]:
    """Return the ``k`` highest cells of which no two share a row or a column."""
    left = cosine.copy()
    chosen: list[tuple[int, int]] = []
    while len(chosen) < k:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        if left[row, column] < -1.5:
            break
        chosen.append((int(row), int(column)))
        left[row], left[:, column] = -2, -2
    return chosen


def _same_side(
    unit: NDArray[np.float32], text: NDArray[np.int64], sides: tuple[NDArray[np.int64], ...]
) -> NDArray[np.float32]:
    """Return the cosines of all pairs of different texts on the same side, sorted."""
    pairs = []
    for rows in sides:
        one, other = np.triu_indices(len(rows), 1)
        different = text[rows[one]] != text[rows[other]]
        pairs.append((unit[rows] @ unit[rows].T)[one[different], other[different]])
    return np.sort(np.concatenate(pairs))
