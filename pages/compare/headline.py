"""The top of the comparison: who is who, and in a sentence what differs and how sure that is."""

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from core.comparison import steered
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS, Side
from core.layers import layer_name
from core.palette import SIDE_COLOURS
from pages.compare.choice import Choice
from pages.shared.frame import coloured

_SIGNS = ("●", "◆", "■", "▲")


def legend(sides: Sequence[Side]) -> None:
    """Name the sides with their colours, shapes and layers."""
    several = len({side.pooling for side in sides}) > 1
    parts = [
        f"<span>{coloured(sign, colour)} <strong>{letter}</strong> "
        f"{escape(side.study.card.name)} · {layer_name(side.layer, long=True)}"
        f"{f' · {side.pooling} state' if several else ''}</span>"
        for letter, sign, colour, side in zip(LETTERS, _SIGNS, SIDE_COLOURS, sides, strict=False)
    ]
    st.html(f"<div class='ms-legend'>{''.join(parts)}</div>")
    for letter, side in zip(LETTERS, sides, strict=False):
        if told := steered.told(letter, side):
            st.caption(told)


def show(found: Found, choice: Choice) -> None:
    """Say in a sentence what differs from A, for each other side."""
    with st.container(key="headline", gap=None):
        for letter, differences in zip(LETTERS[1:], _pairs(found, choice), strict=False):
            st.subheader(
                comparison_view.headline(differences, "A", letter),
                anchor=f"differs-{letter.lower()}",
            )


def figures(found: Found, choice: Choice) -> None:
    """List the figures behind the sentences."""
    pairs = _pairs(found, choice)
    for letter, made, differences in zip(LETTERS[1:], found.comparisons, pairs, strict=False):
        told = {
            "Differs": comparison_view.sure_sentence(differences),
            "Does not": comparison_view.unsure_sentence(differences),
            "How alike": comparison_view.alike_sentence(made),
            "Single actions": comparison_view.items_sentence(made),
        }
        lines = [f"- **{name}:** {text}" for name, text in told.items() if text]
        st.markdown("\n".join([f"**{letter} beside A**", "", *lines]))


def _pairs(found: Found, choice: Choice) -> Any:
    return found.best if choice.best else found.shown
