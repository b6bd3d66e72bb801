"""What the page is asked for: questions, arms, judge, cost; in the address, all but a file."""

import os
from typing import Final, NamedTuple, get_args

import streamlit as st

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.study import Study
from core.evaluation.answers import Arm
from core.evaluation.endpoint import MOST_PER_MINUTE, URL, Prices
from core.evaluation.judging import Judge, Question
from core.evaluation.prompts import PromptSet
from core.evaluation.request import ENDPOINT, Half, judge_named, offered_arms, recipe_arms
from core.evaluation.spec import USUAL, EvaluateSpec, usable
from core.evaluation.view import NAMES
from pages.evaluate import questions
from pages.shared.address import bound
from pages.shared.bench import workbench
from pages.shared.sidebar import model_label

_COSTS: Final = ("0.05", "0.1", "0.2", "recipe")
_BEHIND: Final = "endpoint"
_LENGTHS: Final = list(range(10, 201, 10))


class Choice(NamedTuple):
    """What is asked for."""

    prompts: PromptSet
    """Those that are asked."""

    half: Half
    """Which part of all they are."""

    spec: EvaluateSpec
    """Arms, questions, decoding."""

    judge: Judge
    """Who judges."""

    prices: Prices | None
    """What tokens behind an address cost, if it was said."""


def ask(study: Study) -> Choice | None:
    """Draw the controls; None where a choice cannot be used, which is said."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    who, per_minute, prices = _judge(bar, study), None, None
    if who == _BEHIND:
        who, per_minute, prices = _terms()
    cost = str(
        bar.segmented_control(
            "Steered arms cost",
            _COSTS,
            required=True,
            format_func=lambda one: "as set" if one == "recipe" else f"{one} nats",
            help="Every steered arm is given just the strength that moves next words on neutral "
            "sentences by this divergence, in nats per token.",
            **bound("cost", "0.1", _COSTS),
        )
    )
    plain, *offered = offered_arms(workbench(), study)
    with bar.popover("Prompts, arms, questions", icon=":material/settings:"):
        prompts, half = questions.ask()
        arms = [arm for arm in offered if _switch(arm.name)] + _own_arms()
        asked = tuple(one for one in get_args(Question) if _tick(one))
        tokens = st.slider("Tokens per answer", 10, 200, step=10, **bound("length", 60, _LENGTHS))
    try:
        decoding = Decoding(tokens=int(tokens))
        spec = EvaluateSpec(
            (plain, *arms), asked, decoding, None if cost == "recipe" else float(cost)
        )
        spec, problems = usable(workbench(), study, spec)
        for problem in problems:
            st.warning(problem)
        judge = judge_named(workbench(), who, per_minute)
        return Choice(prompts, half, spec, judge, prices)
    except CoreError as error:
        st.error(str(error))
        return None


def _judge(bar: st.delta_generator.DeltaGenerator, study: Study) -> str:
    """Draw the judges; return the word of the chosen one."""
    judges = list(dict.fromkeys(["fetched:smollm2", str(study.card.spec), "packaged"]))
    judges += [_BEHIND] if os.environ.get(URL) else []
    who = bar.selectbox(
        "Judge",
        judges,
        format_func=lambda one: "a model behind an address" if one == _BEHIND else model_label(one),
        help="A model on this machine, or one behind the address in the environment variable "
        f"{URL}. Before its verdicts count it is tried on 24 pairs whose answer is known.",
        width=260,
        **bound("judge", judges[0], judges),
    )
    return str(who)


def _terms() -> tuple[str, int | None, Prices | None]:
    """Draw who is asked behind the address, and what it allows and costs.

    Returns:
        The judge's word, requests per minute, and prices.
    """
    row = st.container(horizontal=True, vertical_alignment="bottom")
    name = row.text_input("Name of the model there", **bound("judge-model", "gpt-4o-mini"))
    rate = row.number_input(
        "Requests per minute at most",
        0,
        MOST_PER_MINUTE,
        help="0: one after the other. What the address itself asks for is always kept to.",
        **bound("per-minute", 0, range(MOST_PER_MINUTE + 1)),
    )
    read, written = (
        row.number_input(f"Price of a million tokens {way}", 0.0, key=f"price-{way}", step=0.1)
        for way in ("sent", "back")
    )
    prices = Prices(read, written) if read or written else None
    return f"{ENDPOINT}{name}", int(rate) or None, prices


def _switch(name: str) -> bool:
    key = name.replace(",", "").replace(" ", "-")
    return bool(st.toggle(name.capitalize(), **bound(f"arm-{key}", default=True)))


def _own_arms() -> list[Arm]:
    words = st.text_input(
        "Arms of your own: the word behind recipe= in a link of the Steer page",
        help="Directions, latents or an aligned dictionary, as set there. Several words: a blank "
        "between two.",
        **bound("arm-recipe", ""),
    )
    try:
        return recipe_arms(str(words).split())
    except CoreError as error:
        st.error(str(error))
        return []


def _tick(one: Question) -> bool:
    return st.checkbox(NAMES[one], **bound(f"ask-{one}", default=one in USUAL))
