"""What the comparison page is asked for: its sides and settings, each in the address."""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast, get_args

import streamlit as st

from core.activations.study import Study
from core.comparison.jobs import CompareSpec
from core.comparison.sides import Side
from core.maps.projection import LayoutSpec
from core.statistics.scaling import Scaling
from pages.compare import others, paint
from pages.shared import controls
from pages.shared.address import bound

PLACES: Final = {"best": "Each model's best layer", "shown": "The layers shown"}


class Choice(NamedTuple):
    """What the page is asked for."""

    sides: list[Side]
    """A, then the others that can be looked at."""

    spec: CompareSpec
    """How they are compared."""

    paint: str
    """What colours the maps."""

    best: bool
    """Whether the tests are compared at each model's best layer, or at the layers shown."""


def ask(set_name: str, study: Study) -> Choice:
    """Draw the controls and return what they ask for; a side that cannot be says why."""
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    layer = controls.layer_slider(bar, study)
    beside = bar.container(horizontal=True, vertical_alignment="bottom", width="content")
    shown = paint.ask(bar)
    with bar.popover("More", icon=":material/settings:"):
        method = paint.method()
        pooling = controls.pooling_box(st, study)
        scaling = controls.scaling_box(st)
    controls.under_more(
        study, pooling, scaling, "" if method == controls.FIRST_METHOD else paint.METHODS[method]
    )
    first = Side(study, layer, pooling)
    sides = [first, *others.ask(beside, set_name, first)]
    best = str(_early("tests_at", "best", list(PLACES))) == "best"
    states = cast("Scaling", _early("states", "standardised", get_args(Scaling)))
    return Choice(sides, CompareSpec(scaling, states, LayoutSpec(method)), shown, best)


def _early(key: str, default: str, options: Sequence[str]) -> object:
    """Return the value of a widget that is drawn further down, or on another page."""
    bound(key, default, options)
    return st.session_state[key]
