"""Typicality as a field over the layer's map: people's on the left, the model's on the right."""

from dataclasses import replace
from typing import Final, cast

import streamlit as st

from core.activations.study import Study
from core.layers import layer_name
from core.maps.field import Pole
from core.maps.field_view import (
    SIDES,
    field_arrows,
    field_items,
    field_lines,
    field_note,
    field_sentence,
    field_table,
)
from core.maps.view import ViewSpec
from pages.map import results
from pages.shared import frame, maps, pictures
from pages.shared.address import bound

_OFF: Final = "off"
_POLES: Final = {_OFF: "Off", "virtue": "Virtue", "vice": "Vice"}


def show(study: Study, spec: ViewSpec, look: maps.Look) -> None:
    """Draw the choice and, if a pole is chosen, both fields and what they say."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.subheader("Typicality gradient", anchor="field")
    pole = row.segmented_control(
        "Field",
        list(_POLES),
        required=True,
        format_func=_POLES.__getitem__,
        label_visibility="collapsed",
        **bound("field", _OFF, list(_POLES)),
    )
    if pole == _OFF:
        st.caption(
            "Where on this layer's map do actions become more typical: for people, and for the "
            "model? Choose a pole."
        )
        return
    shuffled = row.toggle(
        "Shuffled labels",
        help="The same from labels swapped among texts of the same pole and foundation: what "
        "smoothing alone makes of noise.",
        **bound("mixed", default=False),
    )
    with frame.told():
        _drawn(study, spec, look, cast("Pole", pole), shuffled=bool(shuffled))


def _drawn(study: Study, spec: ViewSpec, look: maps.Look, pole: Pole, *, shuffled: bool) -> None:
    field = results.field(study, spec, pole)
    picture, grey = field_items(look.items, pictures.model_picture(study, spec), pole)
    faded = replace(look, colours=grey)
    st.markdown(field_sentence(field))
    for side, column in zip(SIDES, st.columns(2), strict=True):
        with column:
            maps.draw(
                f"field-{side}",
                f"{SIDES[side]} · {pole}{' · labels shuffled' if shuffled else ''}",
                picture,
                faded,
                subtitle=f"typicality over the map of {layer_name(spec.layer, long=True)}",
                lines=field_lines(field, side, shuffled=shuffled),
                arrows=[field_arrows(field, side, shuffled=shuffled)],
                names=False,
            )
    st.caption(
        "Dots: actions of this pole. Contours: typicality, as percentile within the pole; orange "
        "above the middle, purple below. Arrows: where it grows, longer where faster."
    )
    with st.expander("The figures as a table, and how they are made"):
        st.caption(field_note(field))
        st.dataframe(
            field_table(field).round(3),
            hide_index=True,
            key="field-table",
            alt="Agreement of the two fields with interval, shuffled labels and moved values.",
        )
