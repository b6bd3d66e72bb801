"""The ten moral dimensions: names, order, poles, opposites. Written once, imported everywhere.

Five moral foundations (Graham et al. 2013, doi:10.1016/B978-0-12-407236-7.00002-4), each with a
virtue and a vice pole, in the column order of arXiv 2603.15615.
"""

from typing import Final, Literal, get_args

Dimension = Literal[
    "care",
    "harm",
    "fairness",
    "cheating",
    "loyalty",
    "betrayal",
    "authority",
    "subversion",
    "sanctity",
    "degradation",
]
Foundation = Literal[
    "care-harm",
    "fairness-cheating",
    "loyalty-betrayal",
    "authority-subversion",
    "sanctity-degradation",
]
Pole = Literal["virtue", "vice", "neutral"]

#: Column order of every moral vector in this project; even columns are virtues, odd ones vices.
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
#: Foundation ``d`` owns the columns ``2 d`` (virtue) and ``2 d + 1`` (vice).
FOUNDATIONS: Final[tuple[Foundation, ...]] = get_args(Foundation)
POLES: Final[tuple[Pole, ...]] = get_args(Pole)

#: Attainable grades ``|judgement| / 2 * agreement / 4`` above zero; 1.0 is a typical member.
GRADES: Final[tuple[float, ...]] = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0)
TYPICAL_GRADE: Final = 1.0


def opposite(dimension: Dimension) -> Dimension:
    """Return the other pole of the same foundation: ``care`` for ``harm``."""
    return DIMENSIONS[DIMENSIONS.index(dimension) ^ 1]
