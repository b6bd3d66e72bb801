"""Nobody stands beside A yet: a click puts its untrained copy there."""

import streamlit as st

from pages.compare.picker import COPY
from pages.shared import routes


def offer() -> None:
    """Say that there is nobody to compare with, and offer the untrained copy."""
    st.info("Nobody stands beside A yet.", icon=":material/compare_arrows:")
    st.button(
        "Compare with its untrained copy",
        type="primary",
        on_click=routes.set_widgets,
        args=({"b": COPY},),
    )
