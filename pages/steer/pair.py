"""Two texts beside each other."""

from typing import Final

import streamlit as st

_STYLE: Final = """<style>
.ms-text {white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.6; margin: 0}
.ms-text mark {color: inherit; background: rgba(230,0,122,.14); text-decoration: underline;
  text-decoration-color: #E6007A; text-decoration-thickness: 2px; text-underline-offset: 3px}
.ms-text span {border-radius: 2px}
</style>"""


def style() -> None:
    """Add the rules for texts."""
    st.html(_STYLE)


def show(left: str, right: str, below_left: str = "", below_right: str = "") -> None:
    """Draw two texts (HTML) beside each other."""
    for column, name, text, below in zip(
        st.columns(2), ("Plain", "Steered"), (left, right), (below_left, below_right), strict=True
    ):
        with column.container(border=True, height="stretch"):
            st.caption(name + (f" · {below}" if below else ""))
            st.html(f"<p class='ms-text'>{text or '<i>nothing</i>'}</p>")
