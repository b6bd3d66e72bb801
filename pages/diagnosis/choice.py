"""What the diagnosis page is asked for. Each value lives in the URL and comes back from it."""

from typing import NamedTuple

import streamlit as st

from core.activations.study import Study
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.view import PARTS
from core.measures.result import ALL
from pages.shared import controls
from pages.shared.address import bound


class Choice(NamedTuple):
    """What the page is asked for."""

    layer: int
    """Decoder layer, or ``EMBEDDING``."""

    spec: DiagnosisSpec
    """How layers are measured."""

    part: str
    """What the curves draw: one of ``PARTS``."""


def ask(study: Study) -> Choice:
    """Draw the controls and return what they ask for."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    layer = controls.layer_slider(bar, study)
    part = bar.selectbox(
        "The curves show",
        PARTS,
        format_func=lambda one: "All foundations" if one == ALL else one.replace("-", " – "),
        help="One foundation or one pole, in the curves of the tests that have it.",
        width=220,
        **bound("part", ALL, PARTS),
    )
    with bar.popover("More", icon=":material/settings:"):
        pooling = controls.pooling_box(st, study)
        scaling = controls.scaling_box(st, "states")
    controls.under_more(study, pooling, scaling)
    return Choice(layer, DiagnosisSpec(pooling=pooling, scaling=scaling), part)
