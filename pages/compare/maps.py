"""Maps of all sides beside each other: turned onto A's, one scale, one selection, one colour."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import streamlit as st

from core.comparison import plots as comparison_plots
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS, side_names
from core.maps import view as maps_view
from core.maps.scene import Arrows
from core.maps.view import Picture
from core.palette import CONTROL
from pages.compare import paint as compare_paint
from pages.compare.choice import Choice
from pages.shared import bench, maps, pictures, selection

#: Items of a selection that are joined with their place in A.
_TRAILED: Final = 40


def show(set_name: str, found: Found, choice: Choice) -> list[Callable[[], Any]]:
    """Draw the maps; return functions that make their figures."""
    items = bench.items(set_name)
    look = maps.Look(
        items,
        pictures.facts(set_name, None, None),
        maps_view.colouring(items, "foundation", None),
        selection.chosen(items),
        np.zeros(len(items), bool),
    )
    paints = [compare_paint.of(found, choice.paint, n, items) for n in range(len(found.sides))]
    looks = [replace(look, colours=paint) for paint in paints]
    maps.legend(looks[0])
    limits = comparison_plots.limits_of([one.points for one in found.maps])
    names = side_names(found.sides)
    method = compare_paint.METHODS[choice.spec.layout.method]
    how = f"{method} of states ({choice.spec.scaling}), turned onto A"
    drawn, in_row = [], 3 if len(names) == 3 else 2
    for start in range(0, len(names), in_row):
        for place, column in enumerate(st.columns(in_row), start):
            if place < len(names):
                with column:
                    drawn.append(_draw(found, place, names[place], looks[place], limits, how))
    st.caption(
        "Each map is turned (never stretched) onto A's by the texts that all have read. A box or "
        "lasso (with Alt) selects on all; up to 40 selected actions are joined with their place "
        "in A."
    )
    return drawn


def _draw(
    found: Found, place: int, name: str, look: maps.Look, limits: Any, how: str
) -> Callable[[], Any]:
    one, first, letter = found.maps[place], found.maps[0], LETTERS[place]
    rows = np.flatnonzero(look.chosen)
    trailed = bool(place and 0 < len(rows) <= _TRAILED)
    ends = (first.points[rows], one.points[rows])
    make = maps.draw(
        letter.lower(),
        f"{letter} · {name}",
        Picture(one.points, one.trust, one.explained, None),
        look,
        subtitle=how,
        limits=limits,
        arrows=[Arrows(*ends, CONTROL, "Trails", rows, heads=False)] if trailed else (),
        told=comparison_view.moved_sentence(one) if place else "",
    )

    return lambda: comparison_plots.with_range(make(), limits)
