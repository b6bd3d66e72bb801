"""What a link, or a run of the history, puts into the controls."""

from dataclasses import replace
from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.steering.direction_files import FILE
from core.steering.edits import check_recipe
from core.steering.history import Run, open_run
from core.steering.recipes import Recipe, RecipeError, unpacked
from pages.shared.bench import workbench
from pages.steer import decoding, link, recipe_widgets, writer
from pages.steer import recipe as steer_recipe

_WROTE: Final = "link-wrote"
_LOADED: Final = "link-loaded"


def take(study: Study) -> None:
    """Bring back the run that the address names, once; before any control is drawn.

    Raises:
        CoreError: The recipe is damaged or newer, or belongs to another model or set.
    """
    word = st.query_params.get(link.RECIPE)
    if not word:
        return
    recipe = unpacked(word)
    check_recipe(study, recipe, repeated=True)
    known = steer_recipe.own_axes(study)
    missing = [term.axis for term in recipe.terms if term.axis.startswith(FILE)]
    missing = [axis for axis in missing if steer_recipe.slider_of(axis) not in known]
    if missing:
        raise RecipeError(
            f"This link steers along {missing[0]}, a direction from a file that is not on this "
            "machine. Load its file under 'Directions from files'."
        )
    prompt = st.query_params.get("prompt") or steer_recipe.prompt()
    st.session_state[_WROTE] = st.query_params.pop(link.TEXTS, "")
    load(recipe, prompt)
    st.query_params.pop(link.RECIPE, None)
    if st.session_state["run"] is None:  # of another machine: written again here
        writer.start(study, recipe, prompt)


def compared(run: Run) -> str:
    """Say whether a run wrote what the link says that it wrote; nothing without a link."""
    wrote = st.session_state.get(_WROTE)
    if not wrote or run.name != st.session_state.get(_LOADED):
        return ""
    if wrote == run.texts_digest:
        return "The same texts as those behind the link, byte for byte."
    return (
        "Other texts than those behind the link: its machine had other versions of torch, "
        "another number format or another kind of processor."
    )


def load(recipe: Recipe, prompt: str, parent: str = "") -> None:
    """Set every control as a recipe and a prompt say (in a callback or before they are drawn).

    Raises:
        CoreError: The page has no control for something in the recipe.
    """
    values: dict[str, Any] = recipe_widgets.widgets(recipe) | decoding.widgets(recipe.decoding)
    for key, value in {**values, "prompt": prompt}.items():
        st.session_state[key] = value
    st.session_state["parent"] = parent
    run = Run(recipe, prompt, (), (), 0, 0)
    names = (run.name, replace(run, stopped=True).name)
    kept = [open_run(workbench().store, name) for name in names]
    st.session_state["run"] = next(filter(None, kept), None)
    st.session_state[_LOADED] = run.name
