"""A layer's findings, each beside its controls and with the rule that gives the verdict."""

import streamlit as st

from core.diagnosis.evidence import RULE, Finding
from core.wording import interval


def show(rows: list[Finding]) -> None:
    """Draw a card per finding."""
    for column, row in zip(st.columns(3), rows, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{row.name}** · {interval(row.observed)}")
            st.caption(row.meaning + ".")
            st.markdown(
                f"shuffled labels {interval(row.shuffled)}  \nword counts {interval(row.words)}"
            )
            good = row.verdict.startswith("beyond")
            # Signs, no icons: the name of an icon would be read aloud.
            st.badge(f"{'✓' if good else '○'} {row.verdict}", color="green" if good else "gray")
    st.caption(RULE)
