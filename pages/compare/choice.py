"""What the comparison page is asked for: its sides and settings, each in the address."""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast, get_args

import streamlit as st

from core.activations.study import Study
from core.comparison.jobs import CompareSpec
from core.comparison.sides import Side
from core.maps.projection import LayoutSpec
from core.statistics.scaling import Scaling
from pages.compare import others
from pages.shared import controls
from pages.shared.address import bound

PAINTS: Final = {
    "foundation": "Foundation",
    "pole": "Pole",
    "grade": "Grade (people)",
    "moved": "How far it moved",
    "difference": "Difference in typicality",
}
METHODS: Final = {"pca": "PCA", "umap": "UMAP"}
PLACES: Final = {"best": "Each model's best layer", "shown": "The layers shown"}
#: Widgets further down the page, and of the Diagnosis page: default and possible values.
_LATER: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "drawn": ("pca", list(METHODS)),
    "paint": ("foundation", list(PAINTS)),
    "tests_at": ("best", list(PLACES)),
    "states": ("standardised", get_args(Scaling)),
}


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
    row = st.columns([3, 2, 2], vertical_alignment="bottom")
    layer = controls.layer_slider(row[0], study)
    pooling = controls.pooling_box(row[1], study)
    scaling = controls.scaling_box(row[2])
    first = Side(study, layer, pooling)
    sides = [first, *others.ask(set_name, first)]
    picked = {key: str(_early(key, *named)) for key, named in _LATER.items()}
    layout = LayoutSpec("umap" if picked["drawn"] == "umap" else "pca")
    spec = CompareSpec(scaling, cast("Scaling", picked["states"]), layout)
    return Choice(sides, spec, picked["paint"], picked["tests_at"] == "best")


def _early(key: str, default: str, options: Sequence[str]) -> object:
    """Return the value of a widget that is drawn further down, or on another page."""
    bound(key, default, options)
    return st.session_state[key]
