"""What the steering page is asked for: one recipe, kept in widgets and in the address."""

from typing import Final, NamedTuple, cast, get_args

import streamlit as st

from core.directions import Method
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.prompts import Pooling
from core.recipes import Operation, Positions
from core.study import Study
from pages.parts.address import bound

AXES: Final = (*FOUNDATIONS, *DIMENSIONS)
#: Ends of the sliders, in per cent of the residual norm.
MOST: Final = 40
#: Layers in a row that can be steered together.
MOST_ROWS: Final = 6
DOSES: Final = range(-MOST, MOST + 1)
_POSITIONS: Final[dict[str, str]] = {
    "not first": "All but the first token",
    "all": "All tokens",
    "generated": "Only what it writes",
}
_OPERATIONS: Final[dict[str, str]] = {
    "add": "Add the direction",
    "project out": "Take its part away",
    "set": "Set its part",
}
_METHODS: Final[dict[str, str]] = {
    "means": "Difference of means",
    "probe": "Weights of a probe",
    "shuffled": "Shuffled labels (control)",
}


class Choice(NamedTuple):
    """Where and how the model is steered; strengths are in the sliders."""

    layers: tuple[int, ...]
    """Decoder layers."""

    positions: Positions
    """Which tokens."""

    operation: Operation
    """What is done with the direction."""

    method: Method
    """How directions are made."""

    pooling: Pooling
    """From which states."""


def ask(study: Study) -> Choice:
    """Draw where and how, and return it."""
    layers = list(range(study.card.n_layers))
    row = st.columns([2.4, 1.4, 1.4, 1.4], vertical_alignment="bottom")
    layer = row[0].select_slider(
        "Steer after layer",
        layers,
        help="Output of a decoder layer. Two thirds up, meaning is made and words are not yet.",
        **bound("at", round(2 * len(layers) / 3), layers),
    )
    positions = row[1].selectbox(
        "Which tokens",
        list(_POSITIONS),
        format_func=_POSITIONS.__getitem__,
        help="The first token is an attention sink: moving it does harm and nothing else.",
        **bound("where", "not first", list(_POSITIONS)),
    )
    method = row[2].selectbox(
        "Direction from",
        list(_METHODS),
        format_func=_METHODS.__getitem__,
        help="Typical virtue minus typical vice, on the training split.",
        **bound("how", "means", get_args(Method)),
    )
    with row[3].popover("More", icon=":material/settings:"):
        operation = st.selectbox(
            "What is done",
            list(_OPERATIONS),
            format_func=_OPERATIONS.__getitem__,
            **bound("op", "add", list(_OPERATIONS)),
        )
        rows = st.selectbox(
            "Layers in a row", range(1, MOST_ROWS + 1), **bound("rows", 1, range(1, MOST_ROWS + 1))
        )
        poolings = [one for one in ("last", "mean", "mean_all") if one in study.plan.spec.poolings]
        pooling = st.selectbox(
            "States behind the direction", poolings, **bound("from", poolings[0], poolings)
        )
    chosen = tuple(range(int(layer), min(int(layer) + int(rows), len(layers))))
    return Choice(
        chosen,
        cast("Positions", positions),
        cast("Operation", operation),
        cast("Method", method),
        cast("Pooling", pooling),
    )
