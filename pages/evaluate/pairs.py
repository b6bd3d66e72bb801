"""The pairs themselves: filtered by arm, dimension and verdict, words that differ marked."""

from html import escape
from typing import Any, Final

import streamlit as st

from core.evaluation.judging import Question
from core.evaluation.report import AGAIN, Evaluation
from core.evaluation.view import BROKEN_MEANS, pair_table
from core.steering.effects.text_diff import differing
from pages.shared.address import bound
from pages.steer import pair

_ALL: Final = "all"
_VERDICTS: Final = (_ALL, "win", "tie", "loss", "missing", "broken")
_SHOWN: Final = 5
_ODD: Final = (
    "Perplexity under the plain model: {perplexity:,.1f}, of the plain answer "
    "{plain perplexity:,.1f}. " + BROKEN_MEANS
)


def show(found: Evaluation, question: Question) -> str:
    """Draw them; return the arm that is looked at."""
    st.subheader("The answers", anchor="answers")
    pair.style()
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    first = next((one for one in found.arms if one != AGAIN), found.arms[0])
    arm = str(bar.selectbox("Arm", found.arms, width=220, **bound("arm", first, found.arms)))
    dimensions = [_ALL, *found.prompts.dimensions]
    where = bar.selectbox(
        "Dimension", dimensions, width=200, **bound("dimension", _ALL, dimensions)
    )
    said = bar.segmented_control(
        "Verdict", _VERDICTS, required=True, **bound("said", _ALL, _VERDICTS)
    )
    table = pair_table(found, question, arm)
    kept = table[
        ((table["dimension"] == where) | (where == _ALL))
        & ((table["verdict"] == said) | (said == _ALL) | (table["broken"] & (said == "broken")))
    ].reset_index(drop=True)
    if kept.empty:
        st.info("No pair is like that. Choose another verdict or dimension.")
        return arm
    pages = -(-len(kept) // _SHOWN)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page, of {pages}", 1, pages, key="evaluate-page", width=150))
    for row in kept.iloc[(page - 1) * _SHOWN : page * _SHOWN].to_dict("records"):
        _pair(arm, row)
    return arm


def _pair(arm: str, row: dict[Any, Any]) -> None:
    mark = " · ⚠ broken text" if row["broken"] else ""
    st.markdown(f"**{row['dimension']}** · {row['verdict']}{mark}", help=_ODD.format(**row))
    st.text(row["prompt"])
    left, right = differing(row["plain answer"], row["arm's answer"])
    for column, name, pieces in zip(st.columns(2), ("plain", arm), (left, right), strict=True):
        with column.container(border=True, height="stretch"):
            st.caption(name)
            text = "".join(
                escape(one.text) if one.mark == "same" else f"<mark>{escape(one.text)}</mark>"
                for one in pieces
            )
            st.html(f"<p class='ms-text'>{text or '<i>nothing</i>'}</p>")
