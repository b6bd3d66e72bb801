"""What the comparison page is asked for: its sides and settings, each in the address."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast, get_args

import streamlit as st

from core import CoreError
from core.comparejobs import CompareSpec
from core.modelspec import KNOWN, ModelSpec
from core.projection import LayoutSpec
from core.scaling import Scaling
from core.sides import LETTERS, Side, same_depth
from core.study import Study
from pages.parts import bench, controls, sidebar
from pages.parts.address import bound

COPY, ITSELF, NOBODY = "copy", "itself", "nobody"
SAME = "same"
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
    "states": ("centred", get_args(Scaling)),
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
    sides = [first, *_others(set_name, first)]
    picked = {key: str(_early(key, *named)) for key, named in _LATER.items()}
    layout = LayoutSpec("umap" if picked["drawn"] == "umap" else "pca")
    spec = CompareSpec(scaling, cast("Scaling", picked["states"]), layout)
    return Choice(sides, spec, picked["paint"], picked["tests_at"] == "best")


def _early(key: str, default: str, options: Sequence[str]) -> object:
    """Return the value of a widget that is drawn further down, or on another page."""
    bound(key, default, options)
    return st.session_state[key]


def _others(set_name: str, first: Side) -> list[Side]:
    sides = []
    for place, column in enumerate(st.columns(len(LETTERS) - 1), 1):
        letter = LETTERS[place]
        try:
            side = _ask_side(column, letter, set_name, first)
        except CoreError as error:
            column.error(str(error))
            continue
        sides += [side] if side is not None else []
    return sides


def _ask_side(column: Any, letter: str, set_name: str, first: Side) -> Side | None:
    key = letter.lower()
    copy = "Untrained copy of A" if first.study.card.spec.untrained_seed is None else "A, trained"
    told = {NOBODY: "Nobody", COPY: copy, ITSELF: "A itself, other layer or state"}
    names = [NOBODY, COPY, ITSELF, *(str(known.spec) for known in KNOWN)]
    named = bound(key, COPY if letter == "B" else NOBODY)
    if st.session_state[key] not in names:
        names.append(st.session_state[key])
    row = column.container(horizontal=True, vertical_alignment="bottom")
    model = row.selectbox(
        f"{letter}",
        names,
        format_func=lambda one: told.get(one) or sidebar.model_label(one),
        accept_new_options=True,
        help="Or type hub:owner/name@revision, folder:/path, gguf:/path/x.gguf.",
        **named,
    )
    if model == NOBODY:
        return None
    study = _study(str(model), set_name, first)
    with row.popover("", icon=":material/tune:", help=f"Layer and state of {letter}"):
        return _placed(letter, study, first)


def _study(model: str, set_name: str, first: Side) -> Study:
    own = first.study
    if model == ITSELF:
        return own
    spec = own.card.spec
    if model == COPY:
        other = ModelSpec.parse(str(spec).split("?untrained=")[0])
        text = str(spec.untrained()) if spec.untrained_seed is None else str(other)
    else:
        text = model
    return bench.study(set_name, text, own.plan.spec)


def _placed(letter: str, study: Study, first: Side) -> Side:
    key = letter.lower()
    layers = [SAME, *controls.layer_names(study)]
    layer = st.selectbox(
        f"Layer of {letter}",
        layers,
        format_func=lambda one: "At the depth of A's" if one == SAME else one,
        **bound(f"{key}-layer", SAME, layers),
    )
    poolings = [SAME, *study.plan.spec.poolings]
    pooling = st.selectbox(
        f"State of a text in {letter}",
        poolings,
        format_func=lambda one: "As in A" if one == SAME else controls.POOLINGS[one],
        **bound(f"{key}-state", SAME, poolings),
    )
    at = same_depth(first.layer, first.study, study) if layer == SAME else controls.layer_of(layer)
    return Side(study, at, first.pooling if pooling == SAME else pooling)
