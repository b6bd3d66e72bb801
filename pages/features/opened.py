"""Which latent's passport is open: told by a row, a point, a neighbour or the address."""

import streamlit as st

from pages.shared.address import is_told_anew

#: Name in the session and in the address.
_NAME = "latent"
_ELSEWHERE = "latent-elsewhere"
_OF = "latent-of"
_FIRST = "latent-first"


def number() -> int | None:
    """Return the latent whose passport is open; None before the first."""
    chosen = st.session_state.get(_NAME)
    return None if chosen is None else int(chosen)


def by_row(latent: int) -> None:
    """Open a latent that was selected in the table."""
    st.session_state[_NAME] = latent


def elsewhere(latent: int) -> None:
    """Open a latent by other means; the table, drawn anew, no longer marks another row."""
    st.session_state[_NAME] = latent
    st.session_state[_ELSEWHERE] = st.session_state.get(_ELSEWHERE, 0) + 1


def times_elsewhere() -> int:
    """Return how often a latent was opened by other means than the table."""
    return int(st.session_state.get(_ELSEWHERE, 0))


def begin(dictionary: str, n_latents: int, first: int | None) -> None:
    """Open the latent of the address, else the first of the table; anew for another dictionary."""
    before = st.session_state.get(_OF)
    told = is_told_anew(_NAME)
    if before == dictionary and _NAME in st.session_state and not told:
        return
    asked = st.query_params.get(_NAME, "") if before in (None, dictionary) else ""
    known = asked.isascii() and asked.isdigit() and int(asked) < n_latents
    st.session_state[_NAME] = int(asked) if known else first
    st.session_state[_OF] = dictionary
    st.session_state[_FIRST] = first


def to_address() -> None:
    """Write the open latent into the address, unless it is the one that opens by itself."""
    chosen = number()
    if chosen is None or chosen == st.session_state.get(_FIRST):
        st.query_params.pop(_NAME, None)
    elif st.query_params.get(_NAME) != str(chosen):
        st.query_params[_NAME] = str(chosen)
