"""What each model answered: read-outs in a sentence each, texts beside each other, a table."""

from html import escape

import streamlit as st

from core.comparison import texts as comparison_texts
from core.comparison.sides import LETTERS
from core.comparison.texts import Answer
from pages.compare.choice import Choice


def show(told: dict[str, Answer], choice: Choice) -> None:
    """Draw the answers; sides of one model have one answer."""
    once: dict[str, list[str]] = {}
    for letter, one in told.items():
        once.setdefault(one.recipe.identity, []).append(letter)
    answers = {" and ".join(letters): told[letters[0]] for letters in once.values()}
    said = [comparison_texts.told_sentence(letters, one) for letters, one in answers.items()]
    st.markdown("  \n".join(said))
    st.caption(
        "Log odds of a right against a wrong next word, mean over the prompt and held-out actions."
    )
    for column, (letters, one) in zip(st.columns(len(answers)), answers.items(), strict=True):
        with column.container(border=True, height="stretch"):
            name = choice.sides[LETTERS.index(letters[0])].study.card.name
            st.markdown(f"**{letters}** · {name}")
            _texts(one)
    with st.expander("Every prompt as a table"):
        _table(answers)


def _texts(one: Answer) -> None:
    for name, text in (("Plain", one.plain), ("Steered", one.steered)):
        st.caption(name)
        st.html(
            "<p style='white-space:pre-wrap;overflow-wrap:anywhere;margin:0'>"
            f"{escape(text.strip()) or '<i>nothing</i>'}</p>"
        )
    st.caption(f"{one.changed_tokens} tokens differ.")


def _table(answers: dict[str, Answer]) -> None:
    number = st.column_config.NumberColumn
    st.dataframe(
        comparison_texts.told_table(answers),
        hide_index=True,
        key="told",
        column_config={
            "text": st.column_config.TextColumn("what is asked", width="large"),
            "own": None,
            "mass": number(
                format="percent", help="Chance that the plain next word is one of the words."
            ),
            **{name: number(format="%+.2f") for name in ("plain", "steered", "change")},
            "random": number("change, random direction", format="%+.2f"),
        },
        alt="Log odds of a right against a wrong next word in each model, plain and steered.",
    )
