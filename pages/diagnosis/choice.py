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
    row = st.columns([3, 2, 2, 2], vertical_alignment="bottom")
    layer = controls.layer_slider(row[0], study)
    pooling = controls.pooling_box(row[1], study)
    scaling = controls.scaling_box(row[2], "states")
    part = row[3].selectbox(
        "What is drawn",
        PARTS,
        format_func=lambda one: "Everything together" if one == ALL else one.replace("-", " – "),
        help="A foundation or a pole, in the curves of the tests that have it.",
        **bound("part", ALL, PARTS),
    )
    return Choice(layer, DiagnosisSpec(pooling=pooling, scaling=scaling), part)
