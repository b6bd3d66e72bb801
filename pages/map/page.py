"""Page: the human map and the model's map of the same actions, side by side."""

import streamlit as st

from core.maps import view as maps_view
from pages.map import (
    both,
    details,
    field,
    findings,
    paint,
    play,
    point,
    results,
    search,
    sentence,
)
from pages.shared import (
    bench,
    controls,
    frame,
    maps,
    pictures,
    reading,
    selection,
)
from pages.shared.opening import opened_study

_FLAT = (
    "Drag a box on either map (with Alt, draw around): the rest turns grey on both; Esc or a "
    "double click clears it. Ctrl and wheel zoom, Shift and drag move. Click a point to look at it "
    "closely."
)
_DEEP = "Drag to turn a map. To select with a box, choose 2-D."

with opened_study(
    "Map",
    "Left, how people grade actions; right, how one layer of the model lays out the same actions.",
) as (set_name, study):
    items = bench.items(set_name)
    maps_view.check_size(items)
    bar = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    spec, colour = controls.map_controls(bar, study)
    own = sentence.ask(bar)
    marked = search.box(bar, items)
    seen, placed, played, charts = None, None, None, []
    with frame.told():
        seen = reading.seen(study, spec)
    clicked, near = point.clicked(items), ()
    with frame.told():
        if study is not None and seen is not None:
            near = tuple(point.neighbours(study, spec, clicked).tolist())
    look = maps.Look(
        items,
        pictures.facts(set_name, study if seen else None, spec),
        paint.of(items, study, spec, colour, seen),
        selection.chosen(items),
        marked,
        clicked,
        near,
        lambda row: point.click(row, items),
    )
    fields = None
    with st.container(key="maps"):
        row = st.container(horizontal=True, vertical_alignment="center")
        legend = row.container()
        with frame.told():
            if study is not None and seen is not None and (asked := field.ask(row)):
                fields = field.found(study, spec, set_name, asked)
        left, right = st.columns(2)
    with left, frame.told():
        charts.append(both.people(set_name, spec, look, fields, legend))
    with right, frame.told():
        if study is not None and reading.panel(study) and seen is not None:
            placed = sentence.place(study, own, spec) if own else None
            star = sentence.star(study, placed, spec)
            played = play.frames(study, spec)
            charts.append(both.model(study, spec, look, fields, star, played))
    st.caption(_FLAT if spec.dims == 2 else _DEEP)
    if clicked is not None:
        point.panel(items, clicked, study if seen else None, spec)
    if study is not None and seen is not None:
        if fields is not None:
            charts += field.show(study, spec, look, fields)
        findings.show(results.findings(study, spec))
        if placed is not None:
            sentence.panel(study, placed, spec)
        reading.draw_ahead(study, spec)
    details.show(look)
    if played is not None:
        play.table(*played)
    details.files(look, charts)
