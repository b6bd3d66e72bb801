"""Prompt, sliders and the read-out that answers them without a word being written."""

from typing import Any

import streamlit as st

from core.dose import DoseSpec
from core.dosefile import open_dose
from core.figures import config
from core.readout import GOOD, WRONG, WordSets
from core.steerfigures import answer_figure
from core.steerview import ASKED, EACH, answer_sentence, answer_table
from core.study import Study
from pages.parts import bench as cached
from pages.parts import frame, steerchoice, steersliders
from pages.parts.address import bound
from pages.parts.bench import bench
from pages.parts.steerchoice import AXES, Choice

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


@st.fragment
def show(study: Study, choice: Choice) -> None:
    """Draw prompt and sliders, and beside them what the model would say next."""
    left, right = st.columns([1, 1.1], gap="large")
    with left:
        st.text_area("Prompt", height=80, **bound("prompt", steerchoice.PROMPT))
        steersliders.examples()
        st.markdown("**Steer towards**", help="In per cent of the layer's residual norm.")
        with frame.told():
            steersliders.show(_doses(study, choice))
    with right:
        st.markdown("**What it would say next: right or wrong?**")
        with frame.told():
            _answer(study, choice)


def _doses(study: Study, choice: Choice) -> dict[str, Any]:
    specs = {
        axis: DoseSpec(axis, choice.layers[0], choice.method, choice.pooling, choice.positions)
        for axis in AXES
    }
    found = {axis: open_dose(bench().store, study, spec) for axis, spec in specs.items()}
    return {axis: dose for axis, dose in found.items() if dose is not None}


def _answer(study: Study, choice: Choice) -> None:
    which, words = _settings()
    recipe = steerchoice.recipe(study, choice)
    prompt = " ".join(steerchoice.prompt().split())
    asked = cached.asked(study, which)
    prompts = tuple(one for one in (prompt, *asked.prompts) if one)
    texts = (prompt, *asked.texts) if prompt else asked.texts
    place, said = st.empty(), st.empty()
    plain = cached.answer(study, recipe, prompts, words, control=False)
    active = bool(recipe.active)
    table = answer_table(texts, plain, None)
    if active:  # the answer first, its control when it is there
        _draw(place, table, "answer-first")
        control = cached.answer(study, recipe, prompts, words, control=True)
        table = answer_table(texts, plain, control)
    _draw(place, table, "answer")
    said.markdown(answer_sentence(table, active=active))
    st.html(_LEGEND)
    with st.expander("As a table"):
        st.dataframe(
            table,
            hide_index=True,
            key="answer-table",
            column_config=_COLUMNS,
            alt="Log odds of a right against a wrong next word, before and after steering.",
        )


def _draw(place: Any, table: Any, key: str) -> None:
    place.plotly_chart(
        answer_figure(table),
        key=key,
        config=config("moralscope-answer") | {"displayModeBar": False, "scrollZoom": False},
        alt="Log odds of right against wrong as the next word, before and after steering, for the "
        "prompt and held-out actions; the table below holds the same.",
    )


_LEGEND = (
    "<div class='ms-legend'><span>○ plain</span><span>● steered (your prompt in pink)</span>"
    "<span>◇ random direction, same strength</span></div>"
)


def _settings() -> tuple[str, WordSets]:
    with st.popover("Which actions and words", icon=":material/fact_check:"):
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
