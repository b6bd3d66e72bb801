"""Typicality as a field over both maps: people's grade on the left, the model's on the right."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import streamlit as st

from core.activations.study import Study
from core.layers import layer_name
from core.maps.field import Field, Side, Sketch
from core.maps.field_view import (
    SIDES,
    field_arrows,
    field_items,
    field_lines,
    field_note,
    field_sentence,
    field_table,
)
from core.maps.graded import Pole
from core.maps.scene import Arrows, Line
from core.maps.view import Picture, ViewSpec
from pages.map import results
from pages.shared import maps, pictures
from pages.shared.address import bound

_OFF: Final = "off"
_POLES: Final = {_OFF: "Off", "virtue": "Virtue", "vice": "Vice"}


class Shown(NamedTuple):
    """The fields that are shown."""

    over_layer: Field
    """Over the layer's map, with what they say."""

    over_people: Sketch
    """Over people's map."""

    shuffled: bool
    """Whether those of shuffled labels are shown."""


class Over(NamedTuple):
    """A map with a field over it, or without."""

    picture: Picture
    """Where the items lie: those of the pole."""

    look: maps.Look
    """Grey: what is coloured is the field."""

    lines: Sequence[Line] = ()
    """Contours."""

    arrows: Sequence[Arrows] = ()
    """Slopes."""

    told: str = ""
    """What the field is, for the map's subtitle."""


def ask(row: Any) -> tuple[Pole, bool] | None:
    """Draw the choice; return whose field is asked for, and whether from shuffled labels."""
    row = row.container(horizontal=True, vertical_alignment="center", width="content")
    row.caption("Typicality", width="content")
    pole = row.segmented_control(
        "Typicality gradient",
        list(_POLES),
        required=True,
        format_func=_POLES.__getitem__,
        label_visibility="collapsed",
        help="Typicality gradient: where do actions of a pole become more typical, for people and "
        "for the model?",
        **bound("field", _OFF, list(_POLES)),
    )
    if pole == _OFF:
        return None
    shuffled = row.toggle(
        "Shuffled labels",
        help="The same from labels swapped among texts of the same pole and foundation: what "
        "smoothing alone makes of noise.",
        **bound("mixed", default=False),
    )
    return cast("Pole", pole), bool(shuffled)


def found(study: Study, spec: ViewSpec, set_name: str, asked: tuple[Pole, bool]) -> Shown:
    """Return the fields.

    Raises:
        CoreError: There can be none on this map; says why.
    """
    pole, shuffled = asked
    over_layer = results.field(study, spec, pole)
    return Shown(over_layer, results.people_sketch(study, spec, set_name, pole), shuffled)


def over(
    shown: Shown | None, side: Side, picture: Picture, look: maps.Look, frame: int | None = None
) -> Over:
    """Return one of the two maps with its side's field over it; as it is if none is shown.

    Args:
        shown: The fields.
        side: Whose map, and whose field.
        picture: The map.
        look: What both share.
        frame: At which of the map's frames the field holds.
    """
    if shown is None:
        return Over(picture, look)
    drawn = shown.over_people if side == "people" else shown.over_layer
    return _drawn(shown, drawn, side, picture, look, frame)


def _drawn(
    shown: Shown, drawn: Sketch, side: Side, picture: Picture, look: maps.Look, frame: int | None
) -> Over:
    mixed = shown.shuffled
    part, grey = field_items(look.items, picture, drawn.pole)
    told = f"contours: {SIDES[side].lower()}, {drawn.pole}{', labels shuffled' if mixed else ''}"
    return Over(
        part,
        replace(look, colours=grey),
        field_lines(drawn, side, shuffled=mixed, frame=frame),
        [field_arrows(drawn, side, shuffled=mixed, frame=frame)],
        told,
    )


def show(study: Study, spec: ViewSpec, look: maps.Look, shown: Shown) -> list[Callable[[], Any]]:
    """Say whether the fields agree, beside both controls; fold both away over one map.

    Returns:
        Functions that make the folded maps' figures, for files.
    """
    field, figures = shown.over_layer, []
    st.markdown(field_sentence(field))
    st.caption(
        "Dots: actions of this pole. Contours: typicality, as percentile within the pole; orange "
        "above the middle, purple below. Arrows: where it grows, longer where faster. Left it is "
        "people's grade over people's map, right the model's closeness over the layer's; whether "
        "they agree is measured over the layer's map alone."
    )
    with st.expander("Both fields over the layer's map, the figures as a table, how it is done"):
        picture = pictures.model_picture(study, spec)
        for side, column in zip(SIDES, st.columns(2), strict=True):
            one = _drawn(shown, field, side, picture, look, None)
            with column:
                figures.append(
                    maps.draw(
                        f"field-{side}",
                        SIDES[side],
                        one.picture,
                        one.look,
                        subtitle=f"{one.told}, over the map of {layer_name(spec.layer, long=True)}",
                        lines=one.lines,
                        arrows=one.arrows,
                        names=False,
                    )
                )
        st.caption(field_note(field))
        st.dataframe(
            field_table(field).round(3),
            hide_index=True,
            key="field-table",
            alt="Agreement of the two fields with interval, shuffled labels and moved values.",
        )
    return figures
