"""What the read-out asks about: held-out actions and two sets of words; and its table."""

from typing import Any

import streamlit as st

from core.steering.effects.controls import ASKED, EACH
from core.steering.effects.readout import GOOD, WRONG, WordSets
from pages.shared.address import bound

_COLUMNS: Any = {
    "text": st.column_config.TextColumn("what is asked", width="large"),
    "own": None,
    "mass": st.column_config.NumberColumn(
        format="percent", help="Chance that the plain next word is one of these words at all."
    ),
    "kl": st.column_config.NumberColumn("KL, nats", format="%.2f"),
    "random": st.column_config.NumberColumn("change, random direction", format="%.2f"),
    **{
        name: st.column_config.NumberColumn(format="%.2f") for name in ("before", "after", "change")
    },
}


def ask(place: Any) -> tuple[str, WordSets]:
    """Draw the choice behind a popover; return which actions, and the words."""
    with place.popover("Which actions and words", icon=":material/fact_check:"):
        which = st.selectbox(
            "Held-out actions",
            ASKED,
            format_func=lambda one: one.replace("-", " – "),
            help="Of the test split: no direction was made from them.",
            **bound("asked", EACH, ASKED),
        )
        good = st.text_input("Words for right", **bound("good", ", ".join(GOOD)))
        wrong = st.text_input("Words for wrong", **bound("wrong", ", ".join(WRONG)))
    return which, WordSets(_split(good), _split(wrong))


def _split(words: str) -> tuple[str, ...]:
    return tuple(one for one in (part.strip() for part in (words or "").split(",")) if one)


def table(place: Any, rows: Any) -> None:
    """Draw the table twin of the read-out."""
    with place.expander("As a table"):
        st.dataframe(
            rows,
            hide_index=True,
            key="answer-table",
            column_config=_COLUMNS,
            alt="Log odds of a right against a wrong next word, before and after steering.",
        )
