"""What wrote the texts that are shown, and whether the controls still say the same."""

from dataclasses import replace
from html import escape
from typing import Any

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.layers import layers_text
from core.steering.history import Run
from core.steering.recipes import Recipe
from core.steering.view import doses_text
from pages.steer import decoding, writer
from pages.steer import recipe as steer_recipe
from pages.steer.choice import Choice

#: The container of a run's texts; they fade while what is said in ``place`` has the class.
KEY = "run-texts"
_PAST = "ms-past"
_STYLE = f"""<style>
[data-testid=stMain]:has(.{_PAST}) [class*=st-key-{KEY}] .ms-text {{opacity: .45}}
</style>"""


def style() -> None:
    """Add the rule that fades texts of other controls."""
    st.html(_STYLE)


def show(place: Any, study: Study, choice: Choice) -> None:
    """Say it, in place of what was said before.

    Sliders and texts are fragments of their own: whichever runs says it anew.

    Args:
        place: Made by ``st.empty`` outside of both.
        study: Items and model.
        choice: Where and how the controls steer.
    """
    run, now = st.session_state.get("run"), writer.job()
    if run is None or (now is not None and now.active):
        place.empty()
        return
    made = f"Written with {escape(_line(run.recipe))}."
    if _fits(run, study, choice):
        place.html(f"<p class='ms-note'>{made}</p>")
        return
    place.html(
        f"<p class='ms-note {_PAST}' role='status'>{made} <b>The controls say something else "
        "now: these are not their texts.</b> Press Write for those.</p>"
    )


def _line(recipe: Recipe) -> str:
    how = recipe.decoding
    said = [
        doses_text(recipe),
        f"after layer {layers_text(sorted(recipe.layers))}",
        f"{how.tokens} tokens",
        f"temperature {how.temperature:g}",
        f"seed {how.seed}",
    ]
    return " · ".join(said)


def _fits(run: Run, study: Study, choice: Choice) -> bool:
    """Tell whether the controls would write these texts again."""
    try:
        present = steer_recipe.recipe(study, choice, decoding.decoding())
    except CoreError:  # said where the controls are
        return False
    return run.prompt == steer_recipe.prompt() and _plain(run.recipe) == _plain(present)


def _plain(recipe: Recipe) -> Recipe:
    """Return a recipe in the form in which the controls write it."""
    terms = sorted(
        (replace(term, axis=steer_recipe.slider_of(term.axis)) for term in recipe.active),
        key=lambda term: term.axis,
    )
    return replace(recipe, terms=tuple(terms), layers=tuple(sorted(recipe.layers)))
