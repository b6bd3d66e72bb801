"""A dictionary that has just come to the shelf: a click takes it."""

import streamlit as st

#: Digits of a dictionary's name in the address.
_DIGITS = 12


def short(digest: str) -> str:
    """Return a dictionary's name in the address."""
    return digest[:_DIGITS]


def offer(digest: str, key: str) -> None:
    """Say that it is there, and offer to take it.

    Args:
        digest: Name of its artefact.
        key: Name of the button.
    """
    if st.session_state.get("dictionary") == short(digest):
        st.success("It is on the shelf and chosen above.", icon=":material/check:")
        return
    st.success("It is on the shelf.", icon=":material/check:")
    st.button(
        "Take it", key=key, icon=":material/arrow_upward:", on_click=_take, args=(short(digest),)
    )


def _take(name: str) -> None:
    st.session_state["dictionary"] = name
