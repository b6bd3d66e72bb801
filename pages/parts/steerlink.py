"""A run as an address: what a link sets on the page, and the link of a run."""

from typing import Any, Final
from urllib.parse import urlencode

import streamlit as st

from core.history import Run, open_run
from core.prompts import PRESETS
from core.recipes import Recipe, RecipeError, unpacked
from core.steeredrun import check_recipe
from core.study import Study
from core.workbench import BUILTIN
from pages.parts import bench as cached
from pages.parts import steerrecipe, steerwriting
from pages.parts.bench import bench

_PARAM: Final = "recipe"


def take(study: Study) -> None:
    """Bring back the run that the address names, once; before any control is drawn.

    Raises:
        CoreError: The recipe is damaged or newer, or belongs to another model or set.
    """
    word = st.query_params.get(_PARAM)
    if not word:
        return
    recipe = unpacked(word)
    check_recipe(study, recipe)
    if recipe.identity and recipe.identity != study.plan.model:
        raise RecipeError(
            f"This link was made with {recipe.model}; the sidebar has {study.card.name}. Choose "
            "the same model and revision."
        )
    load(recipe, st.query_params.get("prompt") or steerrecipe.prompt())
    st.query_params.pop(_PARAM, None)


def load(recipe: Recipe, prompt: str, parent: str = "") -> None:
    """Set every control as a recipe and a prompt say (in a callback or before they are drawn).

    Raises:
        CoreError: The page has no control for something in the recipe.
    """
    values: dict[str, Any] = steerrecipe.widgets(recipe) | steerwriting.widgets(recipe.decoding)
    for key, value in {**values, "prompt": prompt}.items():
        st.session_state[key] = value
    st.session_state["parent"] = parent
    run = Run(recipe, prompt, (), (), 0, 0)
    st.session_state["run"] = open_run(bench().store, run.name)


def of(run: Run) -> str:
    """Return the address that opens a run again, from the question mark on."""
    recipe = run.recipe
    query = {"model": recipe.model}
    if recipe.items != cached.items(BUILTIN).digest:
        query["set"] = recipe.items[:12]
    if recipe.template != PRESETS["default"].template:
        query["template"] = recipe.template
    return "?" + urlencode({**query, _PARAM: recipe.packed(), "prompt": run.prompt})
