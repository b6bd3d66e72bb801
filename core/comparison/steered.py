"""A study whose model is steered while it reads: the same items, other states under other keys.

Directions and the unit of a dose come from the plain study, which is read first. Below the lowest
edited layer the states are those of the plain study.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.extraction import Edits, Steered
from core.activations.study import Study
from core.comparison.sides import Side
from core.dataset.items import Items
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import layer_name, layers_text
from core.models.open_models import ModelError
from core.runtime.store import Store
from core.sae.dictionary import Dictionary, DictionaryError
from core.sae.shelf import find_shelved, open_dictionary, shelved
from core.steering.aligned import ALIGNED, aligned_axis, aligned_of
from core.steering.direction_files import FILE
from core.steering.directions import sides
from core.steering.edits import Steering, check_recipe, resolve
from core.steering.latents import LATENT
from core.steering.recipes import Recipe, Term, recipe_at, unpacked

if TYPE_CHECKING:
    import torch

#: Share of the layers below the one that is edited unless another is asked for: what the edit does
#: shows in the layers above it.
DEPTH: Final = 1 / 3
#: Names the aligned dictionary that was put on the shelf last.
NEWEST: Final = "newest"
#: Where an aligned dictionary says what it was before.
_BEFORE: Final = "before"
#: Where it says on which set it was aligned.
_ITEMS: Final = "items"
#: Letters of an axis that is no name of the items' own: the rest is digits of a digest.
_SHOWN: Final = 14


def steered(study: Study, recipe: Recipe) -> Study:
    """Return the study of the same model, steered while it reads; plain if nothing is done.

    Prompt and decoding of the recipe are not looked at: texts are read, none is written.

    Args:
        study: Items and model, plain.
        recipe: What is done.

    Raises:
        RecipeError: It names another model, other items, or a layer that there is not.
        ModelError: The model's weights are not here.
    """
    if study.card.packed or study.card.spec.elsewhere:
        raise ModelError(
            f"{study.card.name} cannot be steered: its weights are not here. Choose a model that "
            "runs on this machine."
        )
    check_recipe(study, recipe)
    if not recipe.active:
        return study
    read = replace(recipe, decoding=Decoding())
    plan = replace(study.plan, steered=Steered(read.digest, read.packed()))
    return replace(study, plan=plan, card=replace(study.card, name=_name(study, read)))


def plain(study: Study) -> Study:
    """Return the study of the same model as it is."""
    card = replace(study.card, name=study.card.spec.label)
    return replace(study, plan=replace(study.plan, steered=None), card=card)


def recipe_in(study: Study) -> Recipe | None:
    """Return by what recipe a study's model is steered; None if it is not."""
    return None if study.plan.steered is None else unpacked(study.plan.steered.word)


def axis_recipe(study: Study, axis: str, strength: float, layer: int | None = None) -> Recipe:
    """Return the recipe that moves all tokens but the first along one moral direction.

    Args:
        study: Items and model.
        axis: A foundation or a pole.
        strength: Dose in units of the residual norm; 0: nothing is done.
        layer: After which layer; None: ``DEPTH`` of the way up.

    Raises:
        RecipeError: The dose is too large.
        DirectionError: There is no such axis, or it has too few texts.
    """
    sides(study, axis)
    at = round(DEPTH * study.card.n_layers) if layer is None else layer
    return recipe_at(study, at, (Term(axis, strength),))


def with_aligned(store: Store, study: Study, name: str) -> Study:
    """Return the study of the same model, an aligned dictionary of its shelf spliced in.

    What the dictionary reconstructs more than before it was aligned is added at its layer, whole.

    Args:
        store: Where dictionaries lie.
        study: Items and model, plain.
        name: The dictionary's, as the shelf has it; its first digits are enough. ``NEWEST``: the
            aligned one that was put there last.

    Raises:
        DictionaryError: There is none of this name, it is not aligned, or what it was before is
            not at hand.
        ModelError: The model's weights are not here.
    """
    card, after = study.card, aligned_on_shelf(store, study, name)
    before = open_dictionary(store, card, str(after.info.training[_BEFORE]))
    term = Term(aligned_axis(after, before), 1.0)
    return steered(study, recipe_at(study, after.info.layer, (term,), "align"))


def aligned_on_shelf(store: Store, study: Study, name: str) -> Dictionary:
    """Return an aligned dictionary of a model's shelf; arguments and errors of ``with_aligned``."""
    card = study.card
    asked = shelved(store, card) if name == NEWEST else [find_shelved(store, card, name)]
    after = next((one for each in asked if _BEFORE in (one := each.load()).info.training), None)
    if after is None:
        raise DictionaryError(
            f"No dictionary {name!r} on the shelf of {card.name} was aligned here. Keep one with: "
            "python -m core align packaged --keep."
        )
    return after


def learned_from(after: Dictionary, items: Items, stored: Callable[[str], Items]) -> bool:
    """Tell whether an aligned dictionary was, or may have been, trained on texts of a set.

    Args:
        after: The dictionary.
        items: The set.
        stored: Gives the set of a digest; raises a ``CoreError`` where it is not here.
    """
    digest = str(after.info.training.get(_ITEMS, ""))
    if digest == items.digest:
        return True
    try:
        theirs = stored(digest)
    except CoreError:
        return True  # nobody can tell
    known = theirs.table["text_group"].to_pylist()
    return not set(known).isdisjoint(items.table["text_group"].to_pylist())


def was_taught(store: Store, study: Study, stored: Callable[[str], Items]) -> bool:
    """Tell whether a study's model is steered by what was, or may have been, trained on its texts.

    Args:
        store: Where dictionaries lie.
        study: Items and model.
        stored: Gives the set of a digest; raises a ``CoreError`` where it is not here.
    """
    recipe = recipe_in(study)
    axes = [] if recipe is None else [term.axis for term in recipe.active]
    try:
        after = [
            aligned_of(store, study.card, axis)[0] for axis in axes if axis.startswith(ALIGNED)
        ]
    except CoreError:
        return True  # nobody can tell
    return any(learned_from(one, study.items, stored) for one in after)


def edits_of(store: Store, study: Study) -> Edits | None:
    """Return what is done to each batch that a steered study reads; None for a plain one.

    Raises:
        DirectionError: A direction cannot be made.
        CoreError: The plain study was not read.
    """
    recipe = recipe_in(study)
    if recipe is None:
        return None
    made, positions = resolve(store, plain(study), recipe), recipe.positions

    def edits(
        mask: "torch.Tensor",
    ) -> "Mapping[int, Callable[[torch.Tensor], torch.Tensor]]":
        rows = mask.any(dim=1)
        steering = Steering.of(made, positions, rows, mask.device)
        steering.aim(mask, prompt=True)
        return steering.editors

    return edits


def told(letter: str, side: Side) -> str:
    """Say where a steered side can differ from the plain one; empty for a plain side."""
    recipe = recipe_in(side.study)
    if recipe is None:
        return ""
    lowest = min(recipe.layers)
    text = (
        f"{letter} is steered while it reads, after layer {layers_text(recipe.layers)}. Below "
        f"layer {lowest} it is the plain model, layer for layer."
    )
    if recipe.operation == "add":
        text += f" At layer {lowest} all states move alike, which centring takes away."
    if any(not term.axis.startswith((FILE, LATENT, ALIGNED)) for term in recipe.active):
        text += " The direction comes from the training split of these actions."
    if any(term.axis.startswith(ALIGNED) for term in recipe.active):
        text += (
            " An aligned dictionary was trained on people's labels: on actions that it learned "
            "from, a difference is no evidence. The Align page asks others."
        )
    # What is no push moves each text its own way: it shows at the edited layer already.
    if side.layer < lowest or (side.layer == lowest and recipe.operation == "add"):
        text += f" The layer shown, {layer_name(side.layer)}, is not above it: choose a higher one."
    return text


def _name(study: Study, recipe: Recipe) -> str:
    terms = " and ".join(f"{_axis(term.axis)} {term.strength:+.0%}" for term in recipe.active)
    how = "" if recipe.operation == "add" else f" ({recipe.operation})"
    layers = layers_text(recipe.layers)
    several = "s" if len(recipe.layers) > 1 else ""
    return f"{study.card.name}, {terms}{how} after layer{several} {layers}"


def _axis(axis: str) -> str:
    if axis.startswith(ALIGNED):
        return "aligned dictionary"
    return axis if axis in (*FOUNDATIONS, *DIMENSIONS) else axis[:_SHOWN]
