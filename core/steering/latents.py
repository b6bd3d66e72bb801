"""Latents as steering axes: how one is named in a recipe, and the direction it steers along."""

import re
from typing import TYPE_CHECKING, Final

from core.runtime.store import Store
from core.sae.dictionary import Dictionary, check_fits
from core.sae.latent_names import latent_names
from core.sae.shelf import open_dictionary
from core.steering.directions import Direction, DirectionError
from core.steering.recipes import Recipe

if TYPE_CHECKING:
    from core.models.card import ModelCard


#: Axis names that begin so mean a latent: ``latent:<dictionary>:<number>``.
LATENT: Final = "latent:"


#: Digits of a dictionary's digest in such a name.
DIGITS: Final = 16


_AXIS: Final = re.compile(rf"{LATENT}([0-9a-f]{{{DIGITS},64}}):([0-9]{{1,9}})")


def latent_axis(dictionary: Dictionary, latent: int) -> str:
    """Return the name of a latent in a recipe."""
    return f"{LATENT}{dictionary.digest[:DIGITS]}:{latent}"


def is_latent(axis: str) -> bool:
    """Tell whether a name has the form of a latent's axis, with the usual digits of its digest."""
    named = _AXIS.fullmatch(axis)
    return named is not None and len(named[1]) == DIGITS


def latent_of(store: Store, card: "ModelCard", axis: str) -> tuple[Dictionary, int]:
    """Return the dictionary and the latent that an axis names.

    Raises:
        DirectionError: It names none.
        DictionaryError: The dictionary is not at hand, belongs to another model, or has no such
            latent.
    """
    named = _AXIS.fullmatch(axis)
    if named is None:
        raise DirectionError(
            f"{axis[:60]!r} names no latent. Write {LATENT}<digest of the dictionary>:<number>."
        )
    dictionary, latent = open_dictionary(store, card, named[1]), int(named[2])
    check_fits(dictionary, card)
    dictionary.direction(latent)
    return dictionary, latent


def latent_direction(store: Store, card: "ModelCard", axis: str) -> Direction:
    """Return a latent's direction.

    Raises:
        DirectionError, DictionaryError: As ``latent_of``.
    """
    dictionary, latent = latent_of(store, card, axis)
    return Direction(
        f"latent {latent}",
        dictionary.direction(latent),
        card.identity,
        dictionary.info.layer,
        f"latent {latent} of {dictionary.info.name} ({dictionary.digest[:DIGITS]})",
    )


def recipe_names(store: Store, card: "ModelCard", recipe: Recipe) -> dict[str, str]:
    """Return what the latents of a recipe are called, by axis; those without a name are left out.

    Raises:
        CoreError: A dictionary is not at hand.
    """
    names = {}
    for term in recipe.terms:
        if term.axis.startswith(LATENT):
            dictionary, latent = latent_of(store, card, term.axis)
            names[term.axis] = latent_names(store, dictionary).of(latent)
    return {axis: name for axis, name in names.items() if name}
