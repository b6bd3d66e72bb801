"""What the page is asked for: dictionary, divergence, size; each in the address."""

from typing import Final, NamedTuple, cast

import streamlit as st

from core.activations.study import Study
from core.alignment.spec import ARMS, KL_TARGETS, NEEDED, RECIPES, AlignSpec, Recipe
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from pages.features import choice as features_choice
from pages.features import results as features_results
from pages.shared import routes
from pages.shared.address import bound

_TARGETS: Final = [f"{target:g}" for target in KL_TARGETS]
_NAMES: Final[dict[Recipe, str]] = {"repaired": "Repaired", "paper": "As in the paper"}
_MOST_LATENTS: Final = 500
_MOST_SEEDS: Final = 10


class Choice(NamedTuple):
    """What is asked for."""

    shelved: Shelved
    """The dictionary before, as it lies on the shelf."""

    base: Dictionary
    """The same, opened."""

    spec: AlignSpec
    """How it is aligned."""

    recipe: Recipe
    """What the verdict is about."""

    target: float
    """Divergence at which arms are compared, nats per token."""


def ask(study: Study) -> Choice | None:
    """Draw the controls; None if there is no dictionary yet, which is said."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    shelved = features_choice.pick(bar, study)
    if shelved is None:
        st.info(
            f"No layer of {study.card.name} has been taken apart yet. Load or train a dictionary "
            "on the Features page; then its latents can be aligned here.",
            icon=":material/category:",
        )
        st.page_link(routes.page("features"), label="Features", icon=":material/category:")
        return None
    recipe = bar.segmented_control(
        "Recipe",
        RECIPES,
        required=True,
        format_func=_NAMES.__getitem__,
        help="Repaired: signed vectors, debiased CKA or RSA (validation texts choose), costs held "
        "down. As in the paper: its six losses, faults included.",
        **bound("aligned-by", RECIPES[0], RECIPES),
    )
    target = bar.segmented_control(
        "At a cost of",
        _TARGETS,
        required=True,
        format_func=lambda one: f"{one} nats",
        help="Every arm is given just so much of its change that it moves the model's next words "
        "on neutral sentences by this Kullback–Leibler divergence, in nats per token.",
        **bound("kl", "0.1", _TARGETS),
    )
    usual = AlignSpec()
    with bar.popover("More", icon=":material/settings:"):
        latents = st.number_input(
            "Latents per foundation",
            1,
            _MOST_LATENTS,
            step=1,
            help="Those that follow virtue minus vice most closely on training texts.",
            **bound("each", usual.latents, range(1, _MOST_LATENTS + 1)),
        )
        seeds = st.number_input(
            "Seeds",
            1,
            _MOST_SEEDS,
            step=1,
            help="Times that each arm is trained; seeds are drawn as ticks.",
            **bound("seeds", usual.seeds, range(1, _MOST_SEEDS + 1)),
        )
        everything = st.toggle(
            "All arms",
            help="Besides the controls that a verdict needs: "
            + ", ".join(arm for arm in ARMS if arm not in NEEDED)
            + ".",
            **bound("arms", default=False),
        )
    asked_for = cast("Recipe", recipe)
    arms = tuple(arm for arm in ARMS if everything or arm in (*NEEDED, asked_for))
    spec = AlignSpec(latents=int(latents), seeds=int(seeds), arms=arms)
    base = features_results.dictionary(shelved)
    return Choice(shelved, base, spec, asked_for, float(str(target)))
