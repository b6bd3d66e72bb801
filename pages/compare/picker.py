"""Who stands beside A: a model, A itself, or what can be made of A."""

from typing import Any

import streamlit as st

from core.comparison.sides import Side
from core.models.spec import KNOWN
from pages.compare import steered as compare_steered
from pages.shared import sidebar
from pages.shared.address import bound

COPY, ITSELF, STEERED, NOBODY = "copy", "itself", "steered", "nobody"


def pick(place: Any, letter: str, first: Side) -> str:
    """Draw the picker of one side and return what stands in the address."""
    copy = "Untrained copy of A" if first.study.card.spec.untrained_seed is None else "A, trained"
    told = {
        NOBODY: "Nobody",
        COPY: copy,
        ITSELF: "A itself, other layer or state",
        STEERED: "A, steered",
    }
    key = letter.lower()
    names = [*told, *(str(known.spec) for known in KNOWN)]
    named = bound(key, COPY if letter == "B" else NOBODY)
    if st.session_state[key] not in names:
        names.append(st.session_state[key])
    model = place.selectbox(
        f"{letter}",
        names,
        format_func=lambda one: told.get(one) or _label(one),
        accept_new_options=True,
        width=175 if letter == "B" else 130,
        help="Or type hub:owner/name@revision, folder:/path, gguf:/path/x.gguf, or recipe: and "
        "the word behind recipe= in a link of the Steer page.",
        **named,
    )
    return str(model)


def _label(text: str) -> str:
    steered = compare_steered.is_recipe(text)
    return "A, steered by a recipe" if steered else sidebar.model_label(text)
