"""A finished run: the words that differ, how fluent both texts are, where an axis lights up."""

from html import escape
from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.steering.effects.text_diff import differing, repetition
from core.steering.history import Run
from core.steering.view import changed_text
from pages.shared import frame
from pages.shared.address import bound
from pages.steer import pair, token_projection
from pages.steer.choice import AXES

_NONE: Final = "none"


def show(study: Study, run: Run) -> None:
    """Draw a run's texts beside each other."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.markdown(f"{changed_text(run)} Words that only one text has are underlined.")
    axis = row.selectbox(
        "Colour tokens by",
        (_NONE, *AXES),
        format_func=lambda one: "differing words" if one == _NONE else one.replace("-", " – "),
        width=220,
        **bound("lit", _NONE, (_NONE, *AXES)),
    )
    if axis != _NONE and run.recipe.identity == study.plan.model:
        with frame.told():
            token_projection.show(study, run, axis)
        return
    for number, (plain, steered) in enumerate(zip(run.plain, run.steered, strict=True)):
        left, right = differing(plain, steered)
        pair.show(
            "".join(map(_marked, left)),
            "".join(map(_marked, right)),
            _judged(plain, run.receipt.get("plain_perplexity", []), number),
            _judged(steered, run.receipt.get("steered_perplexity", []), number),
        )
    st.caption("Repetition: share of three-word runs seen before. Perplexity: by the plain model.")


def _marked(piece: Any) -> str:
    text = escape(piece.text)
    return text if piece.mark == "same" else f"<mark>{text}</mark>"


def _judged(text: str, perplexities: list[float], number: int) -> str:
    share = repetition(text)
    said = [f"repetition {share:.0%}"] if share >= 0 else []
    if number < len(perplexities):
        said.append(f"perplexity {perplexities[number]:,.1f}")
    return " · ".join(said)
