"""Which of the other sides is held against A, where only one can be shown at a time."""

from typing import Any

from core.comparison.sides import LETTERS
from pages.shared.address import bound


def ask(place: Any, key: str, sides: int) -> int:
    """Draw the choice if there is one, and return the place among the others.

    Args:
        place: Where.
        key: Name in the address.
        sides: Number of sides, A included.
    """
    letters = list(LETTERS[1:sides])
    if len(letters) == 1:
        return 0
    chosen = place.segmented_control(
        "Against A", letters, required=True, **bound(key, letters[0], letters)
    )
    return letters.index(str(chosen))
