"""Aligned dictionaries as sliders: brought by a link of the Align page or of a run."""

from typing import Final

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved, shelved
from core.steering.aligned import shelved_axis
from pages.shared import routes
from pages.shared.bench import workbench
from pages.shared.labels import plain
from pages.steer import recipe, results, slider
from pages.steer.choice import SHARES
from pages.steer.stage import sliders

_TOLD: Final = "aligned-told"


def show(study: Study, *, staged: bool) -> None:
    """Draw those that are here, or offer those on the shelf, or say where they come from.

    Args:
        study: Items and model.
        staged: With the sliders that the stage's map follows.
    """
    here = _here(study)
    if staged and here:
        sliders.shares(here)
    elif here:
        slider.style()
    for axis, name in here.items():
        st.caption(plain(name))
        if not staged:
            slider.show(axis, "Share of the change", ends=SHARES)
    if here:
        st.caption(
            "Share of what alignment changed, spliced in at the dictionary's own layer: 0 is the "
            "model as it is, byte for byte, 100 % as it was trained. One at a time."
        )
    else:
        _offer(study)
    st.page_link(routes.page("align"), label="Align", icon=":material/straighten:")


def _here(study: Study) -> dict[str, str]:
    """Return what those that can be used are called, by axis; say of others why they cannot."""
    here = {}
    for axis in recipe.aligned_axes():
        try:
            here[axis] = results.aligned(study, axis)[0].info.name
        except CoreError as error:
            st.warning(str(error))
    return here


def _offer(study: Study) -> None:
    """Draw the choice of those on the shelf."""
    known = [one for one in shelved(workbench().store, study.card) if one.before]
    if known:
        one = st.selectbox(
            "Aligned dictionary on the shelf",
            known,
            format_func=_label,
            key="aligned-shelf",
        )
        st.button("Take it", icon=":material/add:", on_click=_take, args=(one,))
    else:
        st.info("No aligned dictionary is here. Align one, then choose 'Steer with it' there.")
    if told := st.session_state.get(_TOLD):
        st.error(told)


def _label(one: Shelved) -> str:
    """Return what tells one from another: their names begin alike and the box is narrow."""
    return (
        f"Layer {one.layer}: {one.name.rpartition(', aligned ')[2].strip('()')} · {one.digest[:6]}"
    )


def _take(one: Shelved) -> None:
    """Bring a dictionary here as it was trained and go to its layer (a callback)."""
    st.session_state[_TOLD] = ""
    try:
        axis = shelved_axis(one)
    except CoreError as error:
        st.session_state[_TOLD] = str(error)
        return
    st.session_state.update({axis: SHARES[100], "at": one.layer, "also": ""})


def chosen(study: Study) -> tuple[str, Dictionary, Dictionary] | None:
    """Return the one that is on, else the first that is here, and what it was; None without one."""
    axes = recipe.aligned_axes()
    for axis in sorted(axes, key=lambda one: not st.session_state.get(one)):
        try:
            return axis, *results.aligned(study, axis)
        except CoreError:  # said where the sliders stand
            continue
    return None
