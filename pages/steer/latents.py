"""Latents of dictionaries as sliders: brought by a link of the Features page, or by number."""

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.sae.latent_names import latent_names
from core.sae.shelf import Shelved, shelved
from core.steering.latents import latent_axis, latent_of
from pages.shared.bench import workbench
from pages.shared.labels import plain
from pages.steer import recipe, slider

_TOLD = "latent-told"


def show(study: Study) -> None:
    """Draw the latents that are here, and a way to another one."""
    here = recipe.latent_axes()
    known = shelved(workbench().store, study.card)
    if not known and not here:
        return
    with st.expander(f"Latents of a dictionary ({len(here)})", expanded=bool(here)):
        for axis in here:
            try:
                dictionary, latent = latent_of(workbench().store, study.card, axis)
            except CoreError as error:
                st.warning(str(error))
                continue
            called = latent_names(workbench().store, dictionary).of(latent)
            name = f"latent {latent} · {plain(called)}" if called else f"latent {latent}"
            slider.show(axis, f"{name} (layer {dictionary.info.layer})")
        if here and st.session_state.get("op") == "clamp":
            st.caption(
                "Each latent is set to this length, in units of the residual norm, and all else is "
                "kept; at 0 it is switched off. Under 'More' it can be added instead."
            )
        if known:
            _another(known)
        if st.session_state.get(_TOLD):
            st.error(st.session_state[_TOLD])


def _another(known: list[Shelved]) -> None:
    row = st.container(horizontal=True, vertical_alignment="bottom")
    one = row.selectbox(
        "Dictionary", known, format_func=lambda each: each.name, key="latent-dictionary"
    )
    latent = row.number_input(
        "Latent", 0, one.n_latents - 1, step=1, key="latent-number", width=140
    )
    row.button("Add", icon=":material/add:", key="latent-add", on_click=_add, args=(one, latent))


def _add(one: Shelved, latent: int) -> None:
    """Bring a latent here and go to its layer (a callback)."""
    st.session_state[_TOLD] = ""
    try:
        axis = latent_axis(one.load(), int(latent))
    except CoreError as error:
        st.session_state[_TOLD] = str(error)
        return
    st.session_state[axis] = 10
    st.session_state["at"] = one.layer
