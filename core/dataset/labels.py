"""Labels of items as arrays: vectors, poles, foundations, text groups, typical members."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS, TYPICAL_GRADE
from core.statistics.bootstrap import group_numbers

if TYPE_CHECKING:
    from core.dataset.sets import Items


#: A centre is made of grade 1.0 alone if that many texts have it, else of the highest grades.
ENOUGH_TYPICAL: Final = 10


class Labels(NamedTuple):
    """What geometry has to know about each item."""

    dimension: NDArray[np.int64]
    """Index of the item's own pole in ``DIMENSIONS``, -1 if neutral; shape ``(n,)``."""

    grade: NDArray[np.float64]
    """Human typicality in [0, 1], 0 if neutral; shape ``(n,)``."""

    group: NDArray[np.int64]
    """Number of the item's text group: same text, same number; shape ``(n,)``."""


def labels_of(items: "Items") -> Labels:
    """Return the labels of a set of items."""
    dimension = 2 * items.foundation.astype(np.int64) + (items.pole == "vice")
    dimension[items.pole == "neutral"] = -1
    group = group_numbers(np.asarray(items.table["text_group"].to_pylist()))
    return Labels(dimension, items.grade.astype(np.float64), group)


def typical_members(labels: Labels) -> NDArray[np.bool_]:
    """Tell which items make up each centre, bool ``(n, 10)``.

    Members of grade 1.0; where fewer than ``ENOUGH_TYPICAL`` texts have it, the highest grades that
    together give that many, or all members if there are not that many.
    """
    members = np.zeros((len(labels.grade), len(DIMENSIONS)), bool)
    for column in range(len(DIMENSIONS)):
        own = labels.dimension == column
        for grade in sorted({TYPICAL_GRADE, *labels.grade[own].tolist()}, reverse=True):
            members[:, column] = own & (labels.grade >= grade - 1e-6)
            if len(np.unique(labels.group[members[:, column]])) >= ENOUGH_TYPICAL:
                break
    return members
