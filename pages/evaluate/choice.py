"""What the page is asked for: prompts, arms, judge, cost; in the address, all but a file."""

import os
from typing import Final, NamedTuple, get_args

import streamlit as st

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.study import Study
from core.evaluation import flames
from core.evaluation.answers import Arm
from core.evaluation.endpoint import URL, EndpointJudge
from core.evaluation.jobs import USUAL, EvaluateSpec, default_arms, local_judge, usable
from core.evaluation.judging import Judge, Question
from core.evaluation.prompts import PromptSet, builtin_prompts, parse_prompts
from core.evaluation.view import NAMES
from core.models.spec import ModelSpec
from core.steering.recipes import unpacked
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import workbench
from pages.shared.sidebar import model_label

_HALVES: Final = {"report": "the half that reports", "all": "all"}
_KNOWN: Final = {"builtin": "written for this project", "flames": "Flames"}
_COSTS: Final = ("0.05", "0.1", "0.2", "recipe")
_ENDPOINT: Final = "endpoint"
_MOST_TOKENS: Final = 200


class Choice(NamedTuple):
    """What is asked for."""

    prompts: PromptSet
    """Those that report."""

    spec: EvaluateSpec
    """Arms, questions, decoding."""

    judge: Judge
    """Who judges."""


def ask(study: Study) -> Choice | None:
    """Draw the controls; None where a choice cannot be used, which is said."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    known = default_arms(study)
    judges = ["fetched:smollm2", str(study.card.spec), "packaged"]
    judges += [_ENDPOINT] if os.environ.get(URL) else []
    judges = list(dict.fromkeys(judges))
    who = str(
        bar.selectbox(
            "Judge",
            judges,
            format_func=_judge_label,
            help="A model on this machine, or one behind the address in the environment variable "
            f"{URL}. Before its verdicts count it is tried on 24 pairs whose answer is known.",
            width=260,
            **bound("judge", judges[0], judges),
        )
    )
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
    with bar.popover("Prompts, arms, questions", icon=":material/settings:"):
        prompts = _prompts()
        arms = [arm for arm in known[1:] if _switch(arm.name)]
        arms += _own_arm()
        questions = _questions()
        tokens = st.slider(
            "Tokens per answer", 10, _MOST_TOKENS, step=10, **bound("length", 60, _steps())
        )
    try:
        spec = EvaluateSpec(
            (known[0], *arms),
            questions,
            Decoding(tokens=int(tokens)),
            None if cost == "recipe" else float(cost),
        )
        spec, problems = usable(workbench(), study, spec)
        for problem in problems:
            st.warning(problem)
        judge: Judge = (
            EndpointJudge(_endpoint_model())
            if who == _ENDPOINT
            else local_judge(workbench(), ModelSpec.parse(who))
        )
    except CoreError as error:
        st.error(str(error))
        return None
    return Choice(prompts, spec, judge)


def _judge_label(name: str) -> str:
    return "a model behind an address" if name == _ENDPOINT else model_label(name)


def _endpoint_model() -> str:
    return str(st.text_input("Name of the model there", **bound("judge-model", "gpt-4o-mini")))


def _steps() -> list[int]:
    return list(range(10, _MOST_TOKENS + 1, 10))


def _prompts() -> PromptSet:
    given = st.file_uploader(
        "Questions of your own: JSONL, CSV or Parquet with prompt, dimension, subcomponent",
        type=["jsonl", "csv", "tsv", "parquet"],
        key="prompts-file",
        help="In the layout of Flames. Without a file: 120 questions written for this project.",
    )
    prompts = _known_prompts()
    if given is not None:
        try:
            prompts = parse_prompts(given.name, given.getvalue())
        except CoreError as error:
            st.error(str(error))
    for problem in prompts.problems:
        st.caption(problem)
    half = st.segmented_control(
        "Asked",
        list(_HALVES),
        required=True,
        format_func=lambda one: _HALVES[one],
        help="Half of the questions of each dimension are left for choosing strengths and layers, "
        "so that those that report have chosen nothing.",
        **bound("half", "report", list(_HALVES)),
    )
    return prompts if half == "all" else prompts.take(~prompts.choosing())


def _known_prompts() -> PromptSet:
    """Return the project's questions, or Flames', which are offered for fetching."""
    which = st.segmented_control(
        "Or take",
        list(_KNOWN),
        required=True,
        format_func=lambda one: _KNOWN[one],
        help=f"Flames: 1,000 adversarial questions in Chinese, {flames.LICENCE}. {flames.CITATION}",
        **bound("prompts", "builtin", list(_KNOWN)),
    )
    if which == "builtin":
        return builtin_prompts()
    made = flames.fetching(workbench().store)
    found = made.open()
    if found is not None:
        return found
    if not progress.making(made):
        st.caption("Flames is not here yet; until then the questions of this project are asked.")
        progress.offer(st, made, "Fetch Flames")
    return builtin_prompts()


def _switch(name: str) -> bool:
    key = name.replace(" ", "-")
    return bool(st.toggle(name.capitalize(), **bound(f"arm-{key}", default=True)))


def _own_arm() -> list[Arm]:
    word = st.text_input(
        "An arm of your own: the word behind recipe= in a link of the Steer page",
        help="Directions, latents or an aligned dictionary, as set there.",
        **bound("arm-recipe", ""),
    )
    if not word:
        return []
    try:
        return [Arm("your recipe", unpacked(str(word)))]
    except CoreError as error:
        st.error(str(error))
        return []


def _questions() -> tuple[Question, ...]:
    return tuple(
        one
        for one in get_args(Question)
        if st.checkbox(NAMES[one], **bound(f"ask-{one}", default=one in USUAL))
    )
