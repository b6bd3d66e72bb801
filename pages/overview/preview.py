"""A small live map: people's, drawn at once, and the model's, once it has read the actions."""

from typing import Any, Final

import numpy as np
import streamlit as st

from core import CoreError
from core.activations.jobs import reading
from core.activations.study import Study
from core.layers import layer_name
from core.maps import view as maps_view
from core.maps.view import Picture, ViewSpec
from pages.shared import bench, controls, maps, pictures, progress, sidebar

#: Of the box that stands where the model's map will be, in pixels.
_HEIGHT: Final = 300
_SPEC: Final = ViewSpec(method=controls.FIRST_METHOD)
_METHOD: Final = controls.METHODS[_SPEC.method]


def show() -> Any:
    """Draw people's map and the legend; return where the model's map belongs.

    Raises:
        CoreError: The set cannot be opened or is too large for a map.
    """
    set_name = sidebar.set_name()
    maps_view.check_size(bench.items(set_name))
    maps.legend(_look(set_name))
    left, right = st.columns(2)
    with left:
        people = pictures.human_picture(set_name, _SPEC)
        _map(set_name, "people", "People", people, f"{_METHOD} of people's moral vectors")
    return right


def model() -> None:
    """Draw the model's map, or offer to let it read; looking at a model may take seconds."""
    set_name = sidebar.set_name()
    study = _study(set_name)
    if study is not None:
        _model(set_name, study)


def _study(set_name: str) -> Study | None:
    try:
        return bench.study(set_name, *sidebar.model_choice())
    except CoreError:
        st.caption("The sidebar's model cannot be opened; the Map page says why.")
        return None


def _model(set_name: str, study: Study) -> None:
    pooling = study.plan.spec.poolings[0]
    spec = ViewSpec(study.anchor, pooling, method=_SPEC.method)
    made = reading(bench.workbench(), study)
    name = f"{study.card.name} · {layer_name(study.anchor, long=True)}"
    if made.has():
        how = f"{_METHOD} of states: {controls.POOLINGS[pooling].lower()}, {spec.scaling}"
        _map(set_name, "model", name, pictures.model_picture(study, spec), how)
    elif not progress.making(made, "Reading on this machine; you may walk on meanwhile."):
        st.markdown(f"**{study.card.name}**")
        with st.container(height=_HEIGHT, border=True, vertical_alignment="center"):
            st.caption(
                f"It has not read these {len(study.plan.prompts):,} actions yet. Nothing leaves "
                "this machine."
            )
            minutes = "about a minute" if study.card.spec.source == "packaged" else "takes a while"
            progress.offer(st, made, f"Let it read them ({minutes})", type="primary")


def _map(set_name: str, side: str, title: str, picture: Picture, how: str) -> None:
    maps.draw(side, title, picture, _look(set_name), subtitle=how, names=False, small=True)


def _look(set_name: str) -> maps.Look:
    items = bench.items(set_name)
    nothing = np.zeros(len(items), bool)
    colours = maps_view.colouring(items, "foundation", None)
    return maps.Look(items, pictures.facts(set_name, None, None), colours, nothing, nothing)
