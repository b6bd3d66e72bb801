"""Text side by side: the same prompt, plain and steered, through each model."""

from typing import Final

import streamlit as st

from core.comparison import jobs as comparison_jobs
from core.comparison.texts import Question
from core.runtime.runner import Job
from core.steering.effects.controls import EACH
from pages.compare import answers
from pages.compare.choice import Choice
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import workbench
from pages.steer import recipe
from pages.steer.choice import AXES, DOSES

_DOSE: Final = 10


def show(choice: Choice) -> None:
    """Draw the question, and every model's answer once it is asked."""
    st.subheader("The same prompt through each", anchor="texts")
    row = st.columns([4, 2, 2.4, 1.2], vertical_alignment="bottom")
    prompt = row[0].text_input("Prompt", **bound("prompt", recipe.PROMPT))
    axis = row[1].selectbox(
        "Steer along",
        AXES,
        format_func=lambda one: one.replace("-", " – "),
        **bound("along", AXES[0], AXES),
    )
    dose = row[2].slider(
        "Strength, %",
        DOSES[0],
        DOSES[-1],
        help="In per cent of each model's own residual norm, at two thirds of its depth.",
        **bound("dose", _DOSE, DOSES),
    )
    question = Question(" ".join((prompt or "").split()), str(axis), int(dose) / 100, EACH)
    key = comparison_jobs.ask_key(choice.sides, question)
    job = workbench().runner.get(key)
    if row[3].button("Ask", type="primary", icon=":material/forum:", width="stretch"):
        job = comparison_jobs.ask_all(workbench(), choice.sides, question)
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
        answers.show(job.result, choice)
