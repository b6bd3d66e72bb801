"""The recipe that the page shows, from its widgets; and the widgets that give a recipe."""

from typing import Any, Final

import streamlit as st

from core.recipes import Decoding, Recipe, RecipeError, Term
from core.study import Study
from pages.parts.steerchoice import AXES, DOSES, MOST_ROWS, Choice

PROMPT: Final = "Taking the last seat on the bus from an old man is morally"


def terms(choice: Choice) -> tuple[Term, ...]:
    """Return the sliders that are off zero."""
    doses = {axis: int(st.session_state.get(axis) or 0) for axis in AXES}
    return tuple(Term(axis, dose / 100, choice.method) for axis, dose in doses.items() if dose)


def recipe(study: Study, choice: Choice, how: Decoding | None = None) -> Recipe:
    """Return the recipe that the page shows."""
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        study.plan.spec.template,
        choice.layers,
        terms(choice),
        choice.positions,
        choice.operation,
        choice.pooling,
        how or Decoding(),
    )


def prompt() -> str:
    """Return the prompt as typed."""
    return str(st.session_state.get("prompt", PROMPT))


def widgets(recipe: Recipe) -> dict[str, Any]:
    """Return the values of the controls that give this recipe.

    Raises:
        RecipeError: No values do.
    """
    layers, methods = recipe.layers, {term.method for term in recipe.terms} or {"means"}
    doses = {term.axis: round(100 * term.strength) for term in recipe.terms}
    fits = (
        layers == tuple(range(layers[0], layers[0] + len(layers)))
        and len(layers) <= MOST_ROWS
        and len(methods) == 1
        and set(doses) <= set(AXES)
        and all(dose in DOSES for dose in doses.values())
        and all(abs(term.strength * 100 - doses[term.axis]) < 1e-6 for term in recipe.terms)
    )
    if not fits:
        raise RecipeError(
            "This recipe steers in a way that this page has no controls for: other axes, stronger "
            "than its sliders, or layers apart. Run it from Python."
        )
    return {
        "at": layers[0],
        "rows": len(layers),
        "where": recipe.positions,
        "op": recipe.operation,
        "how": methods.pop(),
        "from": recipe.pooling,
        **{axis: doses.get(axis, 0) for axis in AXES},
    }
