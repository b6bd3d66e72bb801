"""A run as an address."""

from typing import Final
from urllib.parse import urlencode

from core.activations.prompts import PRESETS
from core.steering.history import Run
from core.steering.recipes import Recipe
from core.workbench import BUILTIN
from pages.shared import bench

#: Query parameters of a recipe, and of the digest of the texts that it gave.
RECIPE: Final = "recipe"
TEXTS: Final = "texts"


def of(run: Run) -> str:
    """Return the address that opens a run again, from the question mark on."""
    recipe = run.recipe
    query = {"model": recipe.model}
    if recipe.items != bench.items(BUILTIN).digest:
        query["set"] = recipe.items[:12]
    if recipe.template != PRESETS["default"].template:
        query["template"] = recipe.template
    if (preset := _preset(recipe)) != "default":
        query["preset"] = preset
    if not run.stopped:
        query[TEXTS] = run.texts_digest
    return "?" + urlencode({**query, RECIPE: recipe.packed(), "prompt": run.prompt})


def _preset(recipe: Recipe) -> str:
    """Return the sidebar's name for how a recipe's items were read."""
    read = {name: (spec.strip, spec.max_tokens) for name, spec in PRESETS.items()}
    wanted = (recipe.strip, recipe.max_tokens)
    return next((name for name, one in read.items() if one == wanted), "default")
