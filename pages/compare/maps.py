"""Maps of all sides beside each other: turned onto A's, one scale, one selection, one colour."""

from typing import Any, Final

import numpy as np
import streamlit as st

from core import charts as core_charts
from core.comparison import plots as comparison_plots
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS, side_names
from core.maps import plots as maps_plots
from core.maps import view as maps_view
from core.maps.view import Colouring, Picture
from pages.compare import paint as compare_paint
from pages.compare.choice import Choice
from pages.shared import bench, frame, maps, pictures, selection

#: Items of a selection that are joined with their place in A.
_TRAILED: Final = 40


def show(set_name: str, found: Found, choice: Choice) -> list[Any]:
    """Draw the maps; return their figures."""
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.subheader("The same actions in each", anchor="maps")
    compare_paint.ask(row)
    items = bench.items(set_name)
    look = maps.Look(
        items,
        pictures.facts(set_name, None, None),
        maps_view.colouring(items, "foundation", None),
        selection.chosen(items),
        np.zeros(len(items), bool),
    )
    paints = [compare_paint.of(found, choice.paint, n, items) for n in range(len(found.sides))]
    frame.legend(paints[0])
    limits = comparison_plots.limits_of([one.points for one in found.maps])
    names = side_names(found.sides)
    drawn, in_row = [], 3 if len(names) == 3 else 2
    for start in range(0, len(names), in_row):
        for place, column in enumerate(st.columns(in_row), start):
            if place < len(names):
                with column:
                    drawn.append(_draw(found, place, names[place], look, paints[place], limits))
    st.caption(
        "Each map is turned (never stretched) onto A's by the texts that all have read. A box or "
        "lasso selects on all; up to 40 selected actions are joined with their place in A."
    )
    return drawn


def _draw(
    found: Found, place: int, name: str, look: maps.Look, paint: Colouring, limits: Any
) -> Any:
    one, letter = found.maps[place], LETTERS[place]
    picture = Picture(one.points, one.trust, one.explained, None)
    key = f"chart-{letter.lower()}"
    st.markdown(f"**{letter} · {name}**")
    figure = maps_plots.map_figure(
        picture,
        paint,
        look.items.pole,
        maps_plots.hover_texts(look.table),
        chosen=look.chosen,
        scale=place == len(found.sides) - 1,
        name=key,
    )
    comparison_plots.with_range(figure, limits)
    if place and 0 < look.chosen.sum() <= _TRAILED:
        rows = np.flatnonzero(look.chosen)
        comparison_plots.with_trails(figure, found.maps[0].points[rows], one.points[rows])
    st.plotly_chart(
        figure,
        key=key,
        on_select=lambda: selection.from_chart(key, look.items),
        selection_mode=("points", "box", "lasso"),
        config=core_charts.config(f"moralscope-{letter}"),
        alt=f"{letter}, {name}: scatter of {len(look.items)} actions, turned onto the map of A; "
        "the table of differences below holds how far each moved.",
    )
    told = f" {comparison_view.moved_sentence(one)}" if place else ""
    st.caption(maps.trust_line(picture) + told)
    return figure
