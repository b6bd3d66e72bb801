"""The recipe that the page shows, from its widgets."""

from typing import Final

import streamlit as st

from core.activations.decoding import Decoding
from core.activations.study import Study
from core.steering.aligned import ALIGNED, is_aligned
from core.steering.direction_files import DIGITS, FILE, axis_of, kept_directions
from core.steering.directions import Method
from core.steering.edits import SPLICES
from core.steering.latents import LATENT, is_latent
from core.steering.recipes import Recipe, Term
from pages.shared.address import bound
from pages.shared.bench import workbench
from pages.steer.choice import AXES, DOSES, SHARES, Choice

#: Axis names that begin so were brought here: they are not made from the items.
OWN: Final = (FILE, LATENT, ALIGNED)
PROMPT: Final = "Taking the last seat on the bus from an old man is morally"


def own_axes(study: Study) -> list[str]:
    """Return the axes of loaded directions that fit the model, in one order on every machine."""
    return sorted(axis_of(one) for one in kept_directions(workbench().store, study.card))


def latent_axes() -> list[str]:
    """Return the latents that the address or the page has brought here."""
    return sorted(filter(is_latent, _named()))


def aligned_axes() -> list[str]:
    """Return the aligned dictionaries that the address or the page has brought here."""
    return sorted(filter(is_aligned, _named()))


def _named() -> set[str]:
    return {*map(str, st.session_state), *st.query_params}


def bind(study: Study) -> None:
    """Take prompt and strengths from the address, before any of their widgets is drawn."""
    bound("prompt", PROMPT)
    for axis in (*AXES, *own_axes(study), *latent_axes()):
        bound(axis, 0, DOSES)
    for axis in aligned_axes():
        bound(axis, 0, SHARES)


def zeros() -> dict[str, int]:
    """Return every slider at zero."""
    own = [key for key in map(str, st.session_state) if key.startswith(OWN)]
    return dict.fromkeys((*AXES, *own), 0)


def slider_of(axis: str) -> str:
    """Return the name of an axis's slider: a recipe may name a direction by its whole digest."""
    if axis.startswith(ALIGNED):
        both = axis.removeprefix(ALIGNED).split(":")
        return ALIGNED + ":".join(one[:DIGITS] for one in both)
    if axis.startswith(LATENT):
        digest, _, latent = axis.removeprefix(LATENT).partition(":")
        return f"{LATENT}{digest[:DIGITS]}:{latent}"
    return axis[: len(FILE) + DIGITS] if axis.startswith(FILE) else axis


def terms(study: Study, choice: Choice) -> tuple[Term, ...]:
    """Return the sliders that are off zero."""
    axes: dict[str, Method] = dict.fromkeys(AXES, choice.method)
    axes |= dict.fromkeys((*own_axes(study), *latent_axes()), "means")
    if choice.operation in SPLICES:
        axes = dict.fromkeys(aligned_axes(), "means")
    doses = {axis: int(st.session_state.get(axis) or 0) for axis in axes}
    # A latent that is set to 0 is switched off: that is something, too.
    kept = latent_axes() if choice.operation == "clamp" else []
    return tuple(
        Term(axis, dose / 100, axes[axis]) for axis, dose in doses.items() if dose or axis in kept
    )


def recipe(study: Study, choice: Choice, how: Decoding | None = None) -> Recipe:
    """Return the recipe that the page shows."""
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        study.plan.spec.template,
        choice.layers,
        terms(study, choice),
        choice.positions,
        choice.operation,
        choice.pooling,
        how or Decoding(),
        study.plan.spec.strip,
        study.plan.spec.max_tokens,
    )


def prompt() -> str:
    """Return the prompt as typed."""
    return str(st.session_state.get("prompt", PROMPT))
