"""Where and how the model is steered: kept in widgets and in the address."""

from typing import Final, NamedTuple, cast

import streamlit as st

from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import layers_text
from core.steering.directions import Method
from core.steering.recipes import Operation, Positions
from pages.shared.address import bound
from pages.steer import advanced

AXES: Final = (*FOUNDATIONS, *DIMENSIONS)
#: Ends of the sliders, in per cent of the residual norm.
MOST: Final = 40
DOSES: Final = range(-MOST, MOST + 1)
#: Of what an aligned dictionary changes, in per cent: 100 is as it was trained.
SHARES: Final = range(151)
POSITIONS: Final[dict[str, str]] = {
    "not first": "All but the first token",
    "all": "All tokens",
    "generated": "Only what it writes",
}


class Choice(NamedTuple):
    """Where and how the model is steered; strengths are in the sliders."""

    layers: tuple[int, ...]
    """Decoder layers; dose, leakage and landing take the first."""

    positions: Positions
    """Which tokens."""

    operation: Operation
    """What is done with the direction."""

    method: Method
    """How directions are made."""

    pooling: Pooling
    """From which states."""


def ask(study: Study, *, narrow: bool = False) -> Choice:
    """Draw where and how, in one row or, narrow, in two; return it."""
    if narrow:
        row = [st.container(), *st.columns([1.7, 1], vertical_alignment="bottom")]
    else:
        row = [*st.columns([2.6, 2, 1.1], vertical_alignment="bottom")]
    layers = list(range(study.card.n_layers))
    layer = row[0].select_slider(
        "Steer after layer",
        layers,
        help="Output of a decoder layer. Two thirds up, meaning is made and words are not yet.",
        **bound("at", round(2 * len(layers) / 3), layers),
    )
    positions = row[1].selectbox(
        "Which tokens",
        list(POSITIONS),
        format_func=POSITIONS.__getitem__,
        help="The first token is an attention sink: moving it does harm and nothing else.",
        **bound("where", "not first", list(POSITIONS)),
    )
    with row[2].popover("More", icon=":material/settings:", width="stretch"):
        method, operation, pooling, others = advanced.ask(study)
    chosen = tuple(dict.fromkeys((int(layer), *others)))
    if len(chosen) > 1:
        st.caption(f"Steered after layers {layers_text(sorted(chosen))}, the same at each.")
    return Choice(
        chosen,
        cast("Positions", positions),
        cast("Operation", operation),
        cast("Method", method),
        cast("Pooling", pooling),
    )
