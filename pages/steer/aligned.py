"""Aligned dictionaries as sliders: brought by a link of the Align page or of a run."""

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.steering.aligned import aligned_of
from pages.shared import routes
from pages.shared.bench import workbench
from pages.shared.labels import plain
from pages.steer import recipe, slider
from pages.steer.choice import SHARES


def show(study: Study) -> None:
    """Draw those that are here, or say where they come from."""
    slider.style()
    here = recipe.aligned_axes()
    for axis in here:
        try:
            after, _ = aligned_of(workbench().store, study.card, axis)
        except CoreError as error:
            st.warning(str(error))
            continue
        st.caption(plain(after.info.name))
        slider.show(axis, "Share of the change", ends=SHARES)
    if here:
        st.caption(
            "Share of what alignment changed, spliced in at the dictionary's own layer: 0 is the "
            "model as it is, byte for byte, 100 % as it was trained. One at a time."
        )
    else:
        st.info("No aligned dictionary is here. Align one, then choose 'Steer with it' there.")
    st.page_link(routes.page("align"), label="Align", icon=":material/straighten:")
