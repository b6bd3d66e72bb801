"""A finished run: the words that differ, how fluent both texts are, where an axis lights up."""

from html import escape
from itertools import zip_longest
from typing import Any, Final

import streamlit as st

from core.history import Run
from core.steerview import changed_text
from core.study import Study
from core.textcompare import Heat, differing, repetition
from pages.parts import bench, frame
from pages.parts.address import bound
from pages.parts.steerchoice import AXES

_STYLE: Final = """<style>
.ms-text {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.6; margin: 0}
.ms-text mark {color: inherit; background: rgba(230,0,122,.14); text-decoration: underline;
  text-decoration-color: #E6007A; text-decoration-thickness: 2px; text-underline-offset: 3px}
.ms-text span {border-radius: 2px}
</style>"""
_NONE: Final = "none"


def style() -> None:
    """Add the rules for texts."""
    st.html(_STYLE)


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
            _heat(study, run, axis)
        return
    for number, (plain, steered) in enumerate(zip(run.plain, run.steered, strict=True)):
        left, right = differing(plain, steered)
        pair(
            "".join(map(_marked, left)),
            "".join(map(_marked, right)),
            _judged(plain, run.receipt.get("plain_perplexity", []), number),
            _judged(steered, run.receipt.get("steered_perplexity", []), number),
        )
    st.caption("Repetition: share of three-word runs seen before. Perplexity: by the plain model.")


def _heat(study: Study, run: Run, axis: str) -> None:
    plain, steered = bench.heats(study, run, axis)
    for left, right in zip_longest(plain, steered):
        pair(_lit(left), _lit(right))
    towards, _, away = axis.partition("-")
    st.caption(
        f"Orange: the plain model's state at this token points towards {towards}; purple: "
        f"{f'towards {away}' if away else 'away from it'} (cosine, at layer "
        f"{run.recipe.layers[0]}, what all actions share taken off). Rest on a token for its value."
    )


def _lit(heat: Heat | None) -> str:
    if heat is None:
        return ""
    return "".join(
        f"<span title='{value:+.2f}' style='background:{_tint(value)}'>{escape(token)}</span>"
        for token, value in zip(heat.tokens, heat.value.tolist(), strict=True)
    )


def _tint(value: float) -> str:
    colour = "224,130,20" if value > 0 else "123,50,148"
    return f"rgba({colour},{min(abs(value) * 2, 0.75):.2f})"


def _marked(piece: Any) -> str:
    text = escape(piece.text)
    return text if piece.mark == "same" else f"<mark>{text}</mark>"


def _judged(text: str, perplexities: list[float], number: int) -> str:
    share = repetition(text)
    said = [f"repetition {share:.0%}"] if share >= 0 else []
    if number < len(perplexities):
        said.append(f"perplexity {perplexities[number]:,.1f}")
    return " · ".join(said)


def pair(left: str, right: str, below_left: str = "", below_right: str = "") -> None:
    """Draw two texts (HTML) beside each other."""
    for column, name, text, below in zip(
        st.columns(2), ("Plain", "Steered"), (left, right), (below_left, below_right), strict=True
    ):
        with column.container(border=True, height="stretch"):
            st.caption(name + (f" · {below}" if below else ""))
            st.html(f"<p class='ms-text'>{text or '<i>nothing</i>'}</p>")
