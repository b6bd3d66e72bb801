"""A sentence of one's own: where it lands, its cosine to the ten centres, its nearest items."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from core import charts as core_charts
from core.activations.study import Study
from core.foundations import FOUNDATIONS
from core.maps import jobs as maps_jobs
from core.maps import plots as maps_plots
from core.maps.placing import Placed, nearest_items, sentence_bands
from core.maps.view import ViewSpec, place_on
from pages.shared import controls, progress
from pages.shared.address import bound
from pages.shared.bench import workbench

#: Longest sentence that is read.
MAX_CHARACTERS = 400
_PATIENCE = 6.0


def ask(bar: Any) -> str:
    """Draw the box into a toolbar and return the sentence, without outer blanks."""
    text = bar.text_input(
        "Your own sentence",
        **bound("say", ""),
        max_chars=MAX_CHARACTERS,
        placeholder="Returning a lost wallet with all the money in it",
        help="The model reads it in the same template, and it appears on the map as a star.",
    )
    return " ".join((text or "").split())


def place(study: Study, text: str, spec: ViewSpec) -> Placed | None:
    """Read the sentence; while the model is busy show why and return None."""
    job = maps_jobs.sentence(workbench(), study, text, spec.pooling, spec.scaling)
    with st.spinner("The model reads your sentence …"):
        job.wait(_PATIENCE)
    if job.active:
        progress.watch(job.key)
        return None
    progress.ended(job)
    placed: Placed | None = job.result
    return placed


def star(study: Study, placed: Placed | None, spec: ViewSpec) -> NDArray[np.floating] | None:
    """Return where the sentence lies on the model's map."""
    return None if placed is None else place_on(workbench().store, study, placed, spec)


def panel(study: Study, placed: Placed, spec: ViewSpec) -> None:
    """Show the sentence's figures at this layer and over all layers."""
    store = workbench().store
    bands = sentence_bands(store, study, placed, spec.layer, spec.pooling, spec.scaling)
    rows, cosine = nearest_items(
        store, study, placed.states[spec.layer + 1], spec.layer, spec.pooling, spec.scaling
    )
    left, middle, right = st.columns([1.1, 1.1, 1.2])
    with left:
        st.markdown("**Cosine to the ten centres, this layer**")
        st.plotly_chart(
            maps_plots.sentence_figure(bands),
            key="sentence-bands",
            config=core_charts.CONFIG,
            alt="Cosine of your sentence to each centre, with interval and chance band.",
        )
        st.caption("Inside the grey band a centre is no nearer than random items are.")
    with middle:
        st.markdown("**The same at every layer**")
        st.plotly_chart(
            maps_plots.layers_heatmap(placed.cosine, controls.layer_names(study)),
            key="sentence-layers",
            config=core_charts.CONFIG,
            alt="Heat map of the sentence's cosine to the ten centres over layers.",
        )
    with right:
        st.markdown("**Nearest actions, this layer**")
        items = study.items
        st.dataframe(
            pd.DataFrame(
                {
                    "action": np.array(items.texts(), object)[rows],
                    "foundation": np.array(FOUNDATIONS)[items.foundation[rows]],
                    "pole": items.pole[rows],
                    "cosine": cosine.round(3),
                }
            ),
            hide_index=True,
            height=340,
            key="sentence-near",
            alt="The ten actions whose states are nearest to your sentence.",
        )
