"""Page: the human map and the model's map of the same actions, side by side."""

import streamlit as st

from core.layers import layer_name
from core.maps import view as maps_view
from pages.map import details, field, findings, paint, play, point, results, search, sentence
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
    with st.container(key="maps"):
        maps.legend(look)
        left, right = st.columns(2)
    with left, frame.told():
        people = pictures.human_picture(set_name, spec)
        how = f"{controls.METHODS[spec.method]} of people's moral vectors"
        charts.append(maps.draw("people", "People", people, look, subtitle=how))
    with right, frame.told():
        if study is not None and reading.panel(study) and seen is not None:
            placed = sentence.place(study, own, spec) if own else None
            star = sentence.star(study, placed, spec)
            title = f"{study.card.name} · {layer_name(spec.layer, long=True)}"
            picture = pictures.model_picture(study, spec)
            played = play.frames(study, spec)
            charts.append(
                maps.draw(
                    "model",
                    title,
                    picture,
                    look,
                    star,
                    subtitle=f"{controls.METHODS[spec.method]} of states: "
                    f"{controls.POOLINGS[spec.pooling].lower()}, {spec.scaling}",
                    frames=None if played is None else played[0],
                    on_frame=lambda number: play.open_frame(number, played[1] if played else []),
                )
            )
    st.caption(_FLAT if spec.dims == 2 else _DEEP)
    if clicked is not None:
        point.panel(items, clicked, study if seen else None, spec)
    if study is not None and seen is not None:
        field.show(study, spec, look)
        findings.show(results.findings(study, spec))
        if placed is not None:
            sentence.panel(study, placed, spec)
        reading.draw_ahead(study, spec)
    details.show(look)
    if played is not None:
        play.table(*played)
    details.files(look, charts)
