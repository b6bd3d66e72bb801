"""Text side by side: the same prompt, plain and steered, through each model."""

from html import escape
from typing import Final

import streamlit as st

from core import comparejobs, sidetexts
from core.jobs import Job
from core.sides import LETTERS, side_names
from core.sidetexts import Question, Told
from core.steerview import EACH
from pages.parts import progress, steerrecipe
from pages.parts.address import bound
from pages.parts.bench import bench
from pages.parts.comparechoice import Choice
from pages.parts.steerchoice import AXES, DOSES

_DOSE: Final = 10


def show(choice: Choice) -> None:
    """Draw the question, and every model's answer once it is asked."""
    st.subheader("The same prompt through each", anchor="texts")
    row = st.columns([4, 2, 2.4, 1.2], vertical_alignment="bottom")
    prompt = row[0].text_input("Prompt", **bound("prompt", steerrecipe.PROMPT))
    axis = row[1].selectbox(
        "Steer along",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound("along", AXES[0], AXES),
    )
    dose = row[2].slider(
        "Strength, % of each model's residual norm",
        DOSES[0],
        DOSES[-1],
        **bound("dose", _DOSE, DOSES),
    )
    question = Question(" ".join((prompt or "").split()), str(axis), int(dose) / 100, EACH)
    key = comparejobs.ask_key(choice.sides, question)
    job = bench().runner.get(key)
    if row[3].button("Ask", type="primary", icon=":material/forum:", width="stretch"):
        job = comparejobs.ask_all(bench(), choice.sides, question)
    _answer(job, choice)


def _answer(job: Job | None, choice: Choice) -> None:
    if job is None:
        st.caption(
            "Each model is opened in turn, asked for its next word, plain and steered at two "
            "thirds of its depth, and writes a few words on."
        )
        return
    if job.active:
        progress.watch(job.key)
        return
    progress.ended(job)
    if job.state == "done":
        _told(job.result, choice)


def _told(told: dict[str, Told], choice: Choice) -> None:
    st.markdown("  \n".join(sidetexts.told_sentence(letter, one) for letter, one in told.items()))
    st.caption("Log odds of a right against a wrong next word, mean over the prompts asked.")
    names = side_names(choice.sides)
    for column, (letter, one) in zip(st.columns(len(told)), told.items(), strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{letter}** · {names[LETTERS.index(letter)]}")
            for name, text in (("Plain", one.plain), ("Steered", one.steered)):
                st.caption(name)
                st.html(
                    "<p style='white-space:pre-wrap;overflow-wrap:anywhere;margin:0'>"
                    f"{escape(text.strip()) or '<i>nothing</i>'}</p>"
                )
            st.caption(f"{one.changed_tokens} tokens differ.")
    with st.expander("Every prompt as a table"):
        number = st.column_config.NumberColumn
        st.dataframe(
            sidetexts.told_table(told),
            hide_index=True,
            key="told",
            column_config={
                "text": st.column_config.TextColumn("what is asked", width="large"),
                "own": None,
                "mass": number(format="percent"),
                **{name: number(format="%+.2f") for name in ("plain", "steered", "change")},
                "random": number("random direction", format="%+.2f"),
            },
            alt="Log odds of a right against a wrong next word in each model, plain and steered.",
        )
