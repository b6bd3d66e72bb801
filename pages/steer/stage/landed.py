"""What was written, where the plain model finds it on the stage's map."""

import pandas as pd
import streamlit as st

from core.activations.study import Study
from core.maps.view import ViewSpec
from core.steering.effects.landing import parts_of
from core.steering.history import Run
from core.steering.view import landed_places, landed_table
from pages.shared.bench import workbench
from pages.steer import results


def table(study: Study, run: Run | None, spec: ViewSpec) -> pd.DataFrame | None:
    """Return where a run's texts and their sentences lie; None if there is none to place.

    Args:
        study: Items and model.
        run: What was written.
        spec: The map.
    """
    if run is None or run.recipe.identity != study.plan.model:
        return None
    parts = parts_of(run.plain, run.steered)
    if not parts:
        return None
    texts = tuple(one.text for one in parts)
    found = results.landed(study, texts, spec.layer, spec.pooling, spec.scaling)
    return landed_table(parts, landed_places(workbench().store, study, found, spec))


def twin(rows: pd.DataFrame) -> None:
    """Draw the places as a table."""
    st.dataframe(
        rows,
        hide_index=True,
        key="landed-table",
        column_config={
            name: st.column_config.NumberColumn(format="%.3f", help="On the map's own scale.")
            for name in ("x", "y")
        },
        alt="Where each written text and each of its sentences lies on the map.",
    )
    st.caption(
        "Whole texts (sentence 0) and their sentences, each read by the plain model alone as it "
        "read the actions: they lie on the map without steering, the grey points, and do not move "
        "with the sliders."
    )
