"""The name of a latent: shown at the head of its passport, and given by a person."""

import streamlit as st

from core import CoreError
from core.features import jobs as features_jobs
from core.sae.dictionary import Dictionary
from core.sae.latent_names import MOST_NAME, give_name
from pages.shared.bench import workbench
from pages.shared.labels import plain

_TOLD = "latent-name-told"


def show(dictionary: Dictionary, latent: int) -> None:
    """Draw the head of the passport, and the box in which it is named."""
    names = features_jobs.names(workbench(), dictionary)
    called = names.of(latent)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.subheader(f"Latent {latent}", anchor="passport")
    if called:
        row.markdown(f"**{plain(called)}**")
    key = f"latent-name-{dictionary.digest[:12]}-{latent}"
    row.text_input(
        "Your name for it",
        names.given.get(latent, ""),
        max_chars=MOST_NAME,
        key=key,
        width=260,
        placeholder=names.promoted.get(latent) or "such as: returning what was lost",
        help="Shown in tables, at the sliders of Steer, in exports and receipts, instead of the "
        "words that it promotes. Empty: these again.",
        on_change=_give,
        args=(dictionary, latent, key),
    )
    if told := st.session_state.pop(_TOLD, None):
        st.error(told)


def _give(dictionary: Dictionary, latent: int, key: str) -> None:
    """Keep the name that was typed (a callback)."""
    try:
        give_name(workbench().store, dictionary, latent, str(st.session_state[key] or ""))
    except CoreError as error:
        st.session_state[_TOLD] = str(error)
