"""Prompt, sliders and the read-out that answers them without a word being written."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import streamlit as st

from core.dose import DoseSpec
from core.dosefile import open_dose
from core.figures import config
from core.readout import ReadOut
from core.recipes import Recipe
from core.steerfigures import answer_figure
from core.steerview import answer_sentence, answer_table
from core.study import Study
from pages.parts import bench as cached
from pages.parts import frame, steerasked, steerpresets, steerrecipe, steersliders
from pages.parts.address import bound
from pages.parts.bench import bench
from pages.parts.steerchoice import AXES, Choice


@st.fragment
def show(study: Study, choice: Choice) -> None:
    """Draw prompt and sliders, and beside them what the model would say next."""
    left, right = st.columns([1, 1.1], gap="large")
    with left:
        st.text_area("Prompt", height=80, **bound("prompt", steerrecipe.PROMPT))
        steerpresets.examples()
        st.markdown("**Steer towards**", help="In per cent of the layer's residual norm.")
        with frame.told():
            steersliders.show(study, _doses(study, choice))
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
    st.html(_LEGEND)
    place, said, below = st.empty(), st.empty(), st.container()
    which, words = steerasked.ask(below)
    recipe = steerrecipe.recipe(study, choice)
    prompt = " ".join(steerrecipe.prompt().split())
    asked = cached.asked(study, which)
    parts = ((prompt,), asked.prompts) if prompt else (asked.prompts,)
    texts = (prompt, *asked.texts) if prompt else asked.texts
    nothing = replace(recipe, terms=())

    def ask(how: Recipe, *, control: bool = False) -> Iterator[ReadOut]:
        for part in parts:  # the person's own prompt is answered first
            yield cached.answer(study, how, part, words, control=control)

    plain, steered = list(ask(nothing)), []
    asked_at = time.monotonic()
    for found in ask(recipe):
        steered.append(found)
        table = answer_table(texts, plain, steered, own=bool(prompt))
        if time.monotonic() - asked_at > _KEPT:  # what is kept is drawn once, at the end
            _draw(place, table, f"answer-{len(steered)}")
    if recipe.active:
        said.markdown(answer_sentence(table, active=True))
        control = list(ask(recipe, control=True))
        table = answer_table(texts, plain, steered, control, own=bool(prompt))
    _draw(place, table, "answer")
    said.markdown(answer_sentence(table, active=bool(recipe.active)))
    steerasked.table(below, table)


def _draw(place: Any, table: Any, key: str) -> None:
    place.plotly_chart(
        answer_figure(table),
        key=key,
        config=config("moralscope-answer") | {"displayModeBar": False, "scrollZoom": False},
        alt="Log odds of right against wrong as the next word, before and after steering, for the "
        "prompt and held-out actions; the table below holds the same.",
    )


#: Seconds within which an answer must have been kept from before.
_KEPT: Final = 0.03
_LEGEND = (
    "<div class='ms-legend'><span>○ plain</span><span>● steered (your prompt in pink)</span>"
    "<span>◇ random direction, same strength</span></div>"
)
