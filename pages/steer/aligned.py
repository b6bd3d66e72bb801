"""Aligned dictionaries as sliders: brought by a link of the Align page or of a run."""

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.sae.dictionary import Dictionary
from pages.shared import routes
from pages.shared.labels import plain
from pages.steer import recipe, results, slider
from pages.steer.choice import SHARES
from pages.steer.stage import sliders


def show(study: Study, *, staged: bool) -> None:
    """Draw those that are here, or say where they come from.

    Args:
        study: Items and model.
        staged: With the sliders that the stage's map follows.
    """
    here = {}
    for axis in recipe.aligned_axes():
        try:
            here[axis] = results.aligned(study, axis)[0].info.name
        except CoreError as error:
            st.warning(str(error))
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
        st.info("No aligned dictionary is here. Align one, then choose 'Steer with it' there.")
    st.page_link(routes.page("align"), label="Align", icon=":material/straighten:")


def chosen(study: Study) -> tuple[str, Dictionary, Dictionary] | None:
    """Return the one that is on, else the first that is here, and what it was; None without one."""
    axes = recipe.aligned_axes()
    for axis in sorted(axes, key=lambda one: not st.session_state.get(one)):
        try:
            return axis, *results.aligned(study, axis)
        except CoreError:  # said where the sliders stand
            continue
    return None
