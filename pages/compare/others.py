"""The sides beside A: which model, at which layer, in which state; each in the address."""

from dataclasses import replace
from typing import Any, Final

import streamlit as st

from core import CoreError
from core.activations.study import Study
from core.comparison.sides import LETTERS, Side, same_depth
from pages.compare import steered
from pages.compare.picker import COPY, ITSELF, NOBODY, STEERED, pick
from pages.shared import bench, controls
from pages.shared.address import bound

_SAME: Final = "same"


def ask(bar: Any, set_name: str, first: Side) -> list[Side]:
    """Draw a picker for each into a toolbar and return the sides; one that cannot be says why."""
    sides = []
    for letter in LETTERS[1:]:
        try:
            side = _ask_side(bar, letter, set_name, first)
        except CoreError as error:
            st.error(f"{error} {letter} is left out; those behind it move up a letter.")
            continue
        sides += [side] if side is not None else []
    return sides


def _ask_side(bar: Any, letter: str, set_name: str, first: Side) -> Side | None:
    model = pick(bar, letter, first)
    if model == NOBODY:
        return None
    name = "Steering" if model == STEERED else "Layer"
    with bar.popover(name, icon=":material/tune:", help=f"How {letter} is read"):
        return _placed(letter, _study(model, letter, set_name, first), first)


def _study(model: str, letter: str, set_name: str, first: Side) -> Study:
    if model == STEERED:
        return steered.ask(letter, first)
    if steered.is_recipe(model):
        return steered.by_recipe(first, model)
    own = first.study.card.spec
    trained = replace(own, untrained_seed=None)
    named = {COPY: str(own.untrained() if own == trained else trained), ITSELF: str(own)}
    return bench.study(set_name, named.get(model, model), first.study.plan.spec)


def _placed(letter: str, study: Study, first: Side) -> Side:
    key = letter.lower()
    layers = [_SAME, *controls.layer_names(study)]
    layer = st.selectbox(
        f"Layer of {letter}",
        layers,
        format_func=lambda one: "At the depth of A's" if one == _SAME else one,
        **bound(f"{key}-layer", _SAME, layers),
    )
    poolings = [_SAME, *study.plan.spec.poolings]
    pooling = st.selectbox(
        f"What stands for a text in {letter}",
        poolings,
        format_func=lambda one: "As in A" if one == _SAME else controls.POOLINGS[one],
        **bound(f"{key}-state", _SAME, poolings),
    )
    at = same_depth(first.layer, first.study, study) if layer == _SAME else controls.layer_of(layer)
    return Side(study, at, first.pooling if pooling == _SAME else pooling)
