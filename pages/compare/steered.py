"""A side that is A steered while it reads: along which axis, how far, after which layer."""

import streamlit as st

from core.activations.study import Study
from core.comparison.receipt import RECIPE
from core.comparison.sides import Side
from core.comparison.steered import DEPTH, axis_recipe, steered
from core.steering.recipes import unpacked
from pages.shared.address import bound
from pages.steer.choice import AXES, DOSES

_DOSE = 10


def is_recipe(text: str) -> bool:
    """Tell whether a recipe was typed."""
    return text.startswith(RECIPE)


def by_recipe(first: Side, text: str) -> Study:
    """Return A's study, steered by a typed recipe."""
    return steered(first.study, unpacked(text.removeprefix(RECIPE)))


def ask(letter: str, first: Side) -> Study:
    """Draw how A is steered and return its study; with a strength of 0 it is A's own."""
    key, study = letter.lower(), first.study
    axis = st.selectbox(
        f"Steer {letter} along",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound(f"{key}-along", AXES[0], AXES),
    )
    dose = st.slider(
        "Strength, %",
        DOSES[0],
        DOSES[-1],
        help="In per cent of A's residual norm there. The direction comes from the training split.",
        **bound(f"{key}-dose", _DOSE, DOSES),
    )
    layers = list(range(study.card.n_layers))
    at = st.select_slider(
        "After layer",
        layers,
        help="Below it nothing changes; at it all states move alike; what follows shows above.",
        **bound(f"{key}-at", round(DEPTH * len(layers)), layers),
    )
    return steered(study, axis_recipe(study, str(axis), int(dose) / 100, int(at)))
