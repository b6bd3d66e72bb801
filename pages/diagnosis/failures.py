"""Where a layer fails: opposite actions it holds for the same, and those furthest from people."""

from typing import Any

import streamlit as st

from core.activations.study import Study
from core.diagnosis import view as diagnosis_view
from core.maps.view import ViewSpec
from pages.diagnosis import results
from pages.diagnosis.choice import Choice
from pages.shared import pictures

_PAIRS: Any = {
    "virtue": st.column_config.TextColumn(width=280),
    "vice": st.column_config.TextColumn(width=280),
    "virtue_grade": st.column_config.NumberColumn("grade", format="%.3g"),
    "vice_grade": st.column_config.NumberColumn("grade ", format="%.3g"),
    "cosine": st.column_config.NumberColumn(format="%.2f"),
    "closer_than": st.column_config.NumberColumn(
        "closer than",
        format="percent",
        help="Share of this foundation's pairs on the same side that are less alike.",
    ),
}
_FURTHEST: Any = {
    "text": st.column_config.TextColumn("action", width="large"),
    "grade": st.column_config.NumberColumn(format="%.3g"),
    "model_typicality": st.column_config.NumberColumn("model typicality", format="%.2f"),
    "residual": st.column_config.NumberColumn(
        format="%.2f", help="People's percentile minus the model's."
    ),
    "nearest_centre": "nearest centre",
}


def show(study: Study, choice: Choice, set_name: str) -> None:
    """Show opposite actions held for the same, and actions most unlike people's."""
    spec = choice.spec
    pairs = results.confusions(study, spec, choice.layer)
    st.markdown("**The model does not see the difference between these two**")
    st.dataframe(
        diagnosis_view.confusion_table(study.items, pairs),
        hide_index=True,
        height=300,
        key="confusions",
        column_config=_PAIRS,
        alt="Pairs of a virtue and a vice of one foundation whose states are most alike.",
    )
    look = ViewSpec(layer=choice.layer, pooling=spec.pooling, scaling=spec.scaling)
    st.markdown("**Furthest from people**")
    st.dataframe(
        diagnosis_view.furthest_table(pictures.facts(set_name, study, look)),
        hide_index=True,
        height=300,
        key="furthest",
        column_config=_FURTHEST,
        alt="Actions whose typicality people and model see most differently.",
    )
