"""Aligned dictionaries as edits: how one is named in a recipe, with what it was before."""

import re
from typing import TYPE_CHECKING, Final

from core.runtime.store import Store
from core.sae.dictionary import Dictionary, DictionaryError, check_fits
from core.sae.shelf import Shelved, open_dictionary
from core.steering.directions import DirectionError
from core.steering.latents import DIGITS

if TYPE_CHECKING:
    from core.models.card import ModelCard

#: Axis names that begin so mean a dictionary after and before: ``aligned:<after>:<before>``.
ALIGNED: Final = "aligned:"
_AXIS: Final = re.compile(rf"{ALIGNED}([0-9a-f]{{{DIGITS},64}}):([0-9a-f]{{{DIGITS},64}})")


def aligned_axis(after: Dictionary, before: Dictionary) -> str:
    """Return the name of an aligned dictionary in a recipe."""
    return f"{ALIGNED}{after.digest[:DIGITS]}:{before.digest[:DIGITS]}"


def shelved_axis(shelved: Shelved) -> str:
    """Return the name in a recipe of an aligned dictionary that lies on the shelf.

    Raises:
        DictionaryError: It is damaged, or does not say what it was before.
    """
    axis = f"{ALIGNED}{shelved.load().digest[:DIGITS]}:{shelved.before[:DIGITS]}"
    if not is_aligned(axis):
        raise DictionaryError(
            f"{shelved.name} does not say what it was before it was aligned. Align one here."
        )
    return axis


def is_aligned(axis: str) -> bool:
    """Tell whether a name has the form of an aligned dictionary's, with the usual digits."""
    named = _AXIS.fullmatch(axis)
    return named is not None and {len(one) for one in named.groups()} == {DIGITS}


def aligned_of(store: Store, card: "ModelCard", axis: str) -> tuple[Dictionary, Dictionary]:
    """Return the dictionary that an axis names, and what it was before.

    Raises:
        DirectionError: It names none.
        DictionaryError: One of the two is not at hand, belongs to another model, or to another
            layer than the other.
    """
    named = _AXIS.fullmatch(axis)
    if named is None:
        raise DirectionError(
            f"{axis[:80]!r} names no aligned dictionary. Write {ALIGNED}<digest after>:<before>."
        )
    after, before = (open_dictionary(store, card, one) for one in named.groups())
    for one in (after, before):
        check_fits(one, card)
    if after.info.layer != before.info.layer:
        raise DictionaryError(
            f"{after.info.name} belongs to layer {after.info.layer}, {before.info.name} to layer "
            f"{before.info.layer}: one cannot be the other before it was aligned."
        )
    return after, before
