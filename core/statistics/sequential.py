"""Controls asked one after the other, until what they can say is decided.

A figure counts if at most a share ``alpha`` of its controls, itself counted as one of them, does as
much. So many controls above it decide against it, whatever the others would say: they need not be
asked. Stopped at the ``h``-th of them, after ``l`` controls, its p-value is ``h / l`` (Besag &
Clifford 1991, doi:10.1093/biomet/78.2.301): among exchangeable figures p is at most any ``a`` with
at most that chance.
"""

import math
from collections.abc import Sequence
from typing import Final

from core.statistics.false_discovery import counted_p

#: Rounding of a product of floats.
_ROUNDING: Final = 1e-9


def deciding(n: int, alpha: float) -> int:
    """Return how many of ``n`` controls above a figure decide against it, at least 1."""
    return max(math.floor(alpha * (1 + n) + _ROUNDING), 1)


def decided_after(above: Sequence[bool], n: int, alpha: float) -> int:
    """Return after how many controls the figure was decided against; 0 if it was not.

    Args:
        above: Whether each control did as much, in the order in which they were asked.
        n: Controls that would be asked at most.
        alpha: In (0, 1).
    """
    places = [number for number, one in enumerate(above, 1) if one]
    return places[deciding(n, alpha) - 1] if len(places) >= deciding(n, alpha) else 0


def least_p(n: int, alpha: float) -> float:
    """Return the least p-value that all ``n`` controls could give once it is decided."""
    return counted_p(deciding(n, alpha), n)


def stopped_p(after: int, n: int, alpha: float) -> float:
    """Return the p-value of a figure that was decided against before all controls were asked.

    That of Besag & Clifford, but never less than all controls could give: it is above ``alpha``, as
    theirs would be.

    Args:
        after: After how many controls it was decided.
        n: Controls that would have been asked at most.
        alpha: In (0, 1).
    """
    return max(deciding(n, alpha) / after, least_p(n, alpha))
