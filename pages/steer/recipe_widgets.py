"""The values of the controls that give a recipe."""

from typing import Any

from core.layers import layers_text
from core.steering.aligned import is_aligned
from core.steering.direction_files import FILE
from core.steering.edits import SPLICES
from core.steering.latents import is_latent
from core.steering.recipes import Recipe, RecipeError
from pages.steer.advanced import OPERATIONS
from pages.steer.choice import AXES, DOSES, SHARES
from pages.steer.recipe import OWN, slider_of, zeros


def widgets(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the controls that give this recipe.

    Raises:
        RecipeError: No values do.
    """
    moral = {term.method for term in recipe.terms if not term.axis.startswith(OWN)} or {"means"}
    doses = {slider_of(term.axis): round(100 * term.strength) for term in recipe.terms}
    fits = (
        len(moral) == 1
        and recipe.operation in OPERATIONS
        and len(doses) == len(recipe.terms)
        and all(_has_slider(recipe, axis) for axis in doses)
        and all(dose in (SHARES if is_aligned(axis) else DOSES) for axis, dose in doses.items())
        and all(
            abs(term.strength * 100 - doses[slider_of(term.axis)]) < 1e-6 for term in recipe.terms
        )
    )
    if not fits:
        raise RecipeError(
            "This recipe steers in a way that this page has no controls for: other axes, or "
            "stronger than its sliders. Run it from Python."
        )
    return {
        "at": recipe.layers[0],
        "also": layers_text(recipe.layers[1:]),
        "where": recipe.positions,
        "op": recipe.operation,
        "how": moral.pop(),
        "from": recipe.pooling,
        **zeros(),
        **doses,
    }


def _has_slider(recipe: Recipe, axis: str) -> bool:
    """Tell whether the page has a slider for an axis, and uses it as the recipe does."""
    if recipe.operation in SPLICES:
        return is_aligned(axis)
    return axis in AXES or axis.startswith(FILE) or is_latent(axis)
