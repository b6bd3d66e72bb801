"""A layer's findings, each beside its controls and with the rule that gives the verdict."""

import numpy as np
import streamlit as st

from core.diagnosis.evidence import RULE, Finding
from core.statistics.bootstrap import Estimate


def show(rows: list[Finding]) -> None:
    """Draw a card per finding."""
    for column, row in zip(st.columns(3), rows, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{row.name}** · {_span(row.observed)}")
            st.caption(row.meaning + ".")
            st.markdown(f"shuffled labels {_span(row.shuffled)}  \nword counts {_span(row.words)}")
            good = row.verdict.startswith("beyond")
            st.badge(
                row.verdict,
                icon=":material/check:" if good else ":material/block:",
                color="green" if good else "gray",
            )
    st.caption(RULE)


def _span(figure: Estimate) -> str:
    if np.isnan(figure.value):
        return "not computable"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"
