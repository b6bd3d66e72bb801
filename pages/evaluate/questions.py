"""Which questions are asked: the project's, Flames' or a file's, and which half of them."""

from typing import Final, cast, get_args

import streamlit as st

from core import CoreError
from core.evaluation import flames
from core.evaluation.prompts import BUILTIN, PromptSet, builtin_prompts, parse_prompts
from core.evaluation.request import Half, halved
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import workbench

_HALVES: Final = {
    "report": "the half that reports",
    "choose": "the half that chooses",
    "all": "all",
}
_KNOWN: Final = {BUILTIN: "written for this project", flames.NAME: "Flames"}


def ask() -> tuple[PromptSet, Half]:
    """Draw the controls; return the questions that are asked, and which half they are."""
    given = st.file_uploader(
        "Questions of your own: JSONL, CSV or Parquet with prompt, dimension, subcomponent",
        type=["jsonl", "csv", "tsv", "parquet"],
        key="prompts-file",
        help="In the layout of Flames. Without a file: 120 questions written for this project.",
    )
    prompts = _known()
    if given is not None:
        try:
            prompts = parse_prompts(given.name, given.getvalue())
        except CoreError as error:
            st.error(str(error))
    for problem in prompts.problems:
        st.caption(problem)
    half = st.segmented_control(
        "Asked",
        get_args(Half),
        required=True,
        format_func=lambda one: _HALVES[one],
        help="Half of the questions of each dimension are left for choosing strengths and layers, "
        "so that those that report have chosen nothing.",
        **bound("half", "report", get_args(Half)),
    )
    return halved(prompts, cast("Half", half)), cast("Half", half)


def _known() -> PromptSet:
    """Return the project's questions, or Flames', which are offered for fetching."""
    which = st.segmented_control(
        "Or take",
        list(_KNOWN),
        required=True,
        format_func=lambda one: _KNOWN[one],
        help=f"Flames: 1,000 adversarial questions in Chinese, {flames.LICENCE}. {flames.CITATION}",
        **bound("prompts", BUILTIN, list(_KNOWN)),
    )
    if which == BUILTIN:
        return builtin_prompts()
    made = flames.fetching(workbench().store)
    found = made.open()
    if found is not None:
        return found
    if not progress.making(made):
        st.caption("Flames is not here yet; until then the questions of this project are asked.")
        progress.offer(st, made, "Fetch Flames")
    return builtin_prompts()
