"""The verdicts: one line for all of them, a card for each, and the table twin."""

from html import escape
from typing import get_args

import streamlit as st

from core.claims import view as claims_view
from core.claims.docket import counted, reasons
from core.claims.judge import RULE, Verdict, Word
from pages.claims import strip
from pages.shared import routes
from pages.shared.address import bound
from pages.shared.frame import coloured

_ALL = "all"
_FIRST = ("claim", "model", "for it", "value", "low", "high", "layer")
#: How a reason that ends in a command goes on.
_COMMAND = "python -m core "


def lead(found: list[Verdict]) -> None:
    """Say how many claims got which verdict, and how verdicts follow."""
    st.subheader(f"{len(found)} {'claim' if len(found) == 1 else 'claims'}: {counted(found)}")
    st.caption(reasons(found))
    with st.expander("How a verdict follows"):
        st.markdown(RULE)
    if not any(each.decisive for one in found for each in one.models):
        with st.container(border=True):
            st.markdown("**No model that these claims speak of was measured on these actions.**")
            if st.button("Test this model", type="primary", icon=":material/stethoscope:"):
                routes.open_page("diagnosis")


def show(found: list[Verdict]) -> None:
    """Draw a card for each verdict; which, is asked."""
    words = [_ALL, *get_args(Word)]
    word = st.segmented_control(
        "Verdict",
        words,
        required=True,
        format_func=lambda one: one if one == _ALL else f"{claims_view.MARKS[one][0]} {one}",
        label_visibility="collapsed",
        **bound("verdict", _ALL, words),
    )
    strip.style()
    shown = claims_view.of_word(found, str(word))
    if not shown:
        st.caption("No claim of this docket has this verdict.")
    for one in shown:
        _card(one)


def _card(one: Verdict) -> None:
    sign, colour = claims_view.MARKS[one.word]
    with st.container(border=True):
        left, right = st.columns([5, 6], gap="medium")
        claim = one.claim
        told = [
            f"<p class='ms-verdict'>{coloured(sign, colour)} {one.word}</p>",
            f"<h4>{escape(one.name)}</h4>",
        ]
        if claim is not None:
            told.append(f"<p>{escape(claim.told())}</p>")
            words = " — ".join(text for text in (claim.says, claim.source) if text)
            told.append(f"<p class='ms-note'>{escape(words)}</p>" if words else "")
        left.html(f"<div class='ms-claim'>{''.join(told)}</div>")
        picture = claims_view.picture(one)
        if picture is not None:
            right.html(strip.drawn(picture))
        why, command, words = one.why.partition(_COMMAND)
        code = f"<code>{escape(command + words)}</code>" if command else ""
        right.html(f"<p class='ms-why'>{escape(why)}{code}</p>")


def table(found: list[Verdict]) -> None:
    """Draw every claim and model with figures and controls."""
    st.subheader("All figures", anchor="figures")
    rows = claims_view.table_of(found)
    number = st.column_config.NumberColumn(format="%.3f")
    st.dataframe(
        rows,
        hide_index=True,
        key="claims-table",
        column_order=[*_FIRST, *(name for name in rows.columns if name not in _FIRST)],
        column_config={
            **{name: number for name in rows.columns if rows[name].dtype == float},
            "layer": st.column_config.NumberColumn(format="%d"),
            "why": st.column_config.TextColumn(width="large"),
        },
        alt="One row per claim and model: verdict, figure, interval, controls, reason.",
    )
    st.caption("Intervals are widened to hold for all layers and models of a claim together.")
