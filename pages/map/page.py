"""Page: the human map and the model's map of the same actions, side by side."""

import streamlit as st

from core.layers import layer_name
from core.maps import view as maps_view
from pages.map import details, field, findings, paint, results, search, sentence
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
    "Drag a box on either map: the rest turns grey on both. Esc or a double click clears the "
    "selection."
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
    seen, placed, charts = None, None, []
    with frame.told():
        seen = reading.seen(study, spec)
    look = maps.Look(
        items,
        pictures.facts(set_name, study if seen else None, spec),
        paint.of(items, study, spec, colour, seen),
        selection.chosen(items),
        marked,
    )
    with st.container(key="maps"):
        maps.legend(look)
        left, right = st.columns(2)
    with left, frame.told():
        people = pictures.human_picture(set_name, spec)
        charts.append(maps.draw("people", "People", people, look))
    with right, frame.told():
        if study is not None and reading.panel(study) and seen is not None:
            placed = sentence.place(study, own, spec) if own else None
            star = sentence.star(study, placed, spec)
            title = f"{study.card.name} · {layer_name(spec.layer, long=True)}"
            picture = pictures.model_picture(study, spec)
            charts.append(maps.draw("model", title, picture, look, star))
    st.caption(_FLAT if spec.dims == 2 else _DEEP)
    if study is not None and seen is not None:
        field.show(study, spec, look)
        findings.show(results.findings(study, spec))
        if placed is not None:
            sentence.panel(study, placed, spec)
        reading.draw_ahead(study, spec)
    details.show(look)
    details.files(look, charts)
