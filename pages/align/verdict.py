"""The verdict in a sentence, and the rule by which it was reached."""

import streamlit as st

from core.alignment.report import CARRIED
from pages.align.choice import Choice
from pages.align.found import Found


def show(found: Found, asked: Choice) -> None:
    """Draw it."""
    report = found.report
    with st.container(key="headline"):
        st.subheader(report.told(asked.target, asked.recipe), anchor="verdict")
    st.caption(
        f"{report.latents} latents of layer {report.layer}; {report.texts} test texts, looked at "
        f"before by other settings: {report.opened}. Brackets: 95 % intervals, texts and seeds.",
        help="The verdict was fixed before any was reached, each step on top of the one before: "
        "CKA at the edited layer above the untouched; above random latents; at the last layer "
        f"above the untouched and at least {CARRIED:.0%} of it; the read-out above all controls.",
    )
