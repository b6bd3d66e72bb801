"""Where an axis lights up in a run's texts, token by token."""

from html import escape
from itertools import zip_longest

import streamlit as st

from core.activations.study import Study
from core.palette import tint
from core.steering.effects.text_diff import TokenProjection
from core.steering.history import Run
from pages.steer import pair, results


def show(study: Study, run: Run, axis: str) -> None:
    """Draw a run's texts, each token tinted."""
    plain, steered = results.projections(study, run, axis)
    for left, right in zip_longest(plain, steered):
        pair.show(_lit(left), _lit(right))
    towards, _, away = axis.partition("-")
    st.caption(
        f"Orange: the plain model's state at this token points towards {towards}; purple: "
        f"{f'towards {away}' if away else 'away from it'} (cosine, at layer "
        f"{run.recipe.layers[0]}, what all actions share taken off). Rest on a token for its value."
    )


def _lit(heat: TokenProjection | None) -> str:
    if heat is None:
        return ""
    return "".join(
        f"<span title='{value:+.2f}' style='background:{tint(2.7 * value)}'>{escape(token)}</span>"
        for token, value in zip(heat.tokens, heat.value.tolist(), strict=True)
    )
