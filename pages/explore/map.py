"""Page: the human map and the model's map of the same actions, side by side."""

import numpy as np
import streamlit as st

from core import CoreError, view
from pages.parts import bench, controls, frame, maps, reading, selection, sentence
from pages.parts.address import bound

frame.heading(
    "Map",
    "Left, how people grade actions; right, how one layer of the model lays out the same actions. "
    "Drag a box on either map: the rest turns grey on both.",
)
try:
    choice = frame.choice()
    items = bench.items(choice.set_name)
    study = bench.study(choice.set_name, choice.model, choice.read)
    frame.provenance_note(choice.set_name)
    spec, colour = controls.map_controls(study)
    ready = bench.bench().is_read(study)
    seen = bench.reading(study, choice.key, spec) if ready else None
    colours = view.colouring(items, colour, seen)
    table = bench.facts(study if ready else None, choice.key, choice.set_name, spec)
    ask = st.columns(2)
    with ask[0]:
        words = st.text_input(
            "Search the actions",
            **bound("q", ""),
            max_chars=100,
            placeholder="a word, or several",
            help="Matches are ringed on both maps.",
        )
    with ask[1]:
        own = sentence.ask()
    chosen, marked = selection.chosen(items), view.matching(items, words or "")
    if words:
        st.caption(f"{int(marked.sum()):,} actions contain “{words}”.")
    placed = sentence.place(study, own, spec) if own and ready else None
    maps.legend(colours)
    left, right = st.columns(2)
    with left:
        human = maps.draw(
            "people",
            f"People · {items.provenance.name}",
            bench.human_picture(choice.set_name, spec),
            colours,
            items,
            table,
            chosen=chosen,
            marked=marked,
        )
    with right:
        if not reading.panel(study):
            st.stop()
        model = maps.draw(
            "model",
            f"{study.card.name} · {reading.layer_title(spec)}",
            bench.model_picture(study, choice.key, spec),
            colours,
            items,
            table,
            chosen=chosen,
            marked=marked,
            own=sentence.star(study, placed, spec),
        )
    maps.findings(bench.findings(study, choice.key, spec))
    if placed is not None:
        sentence.panel(study, placed, spec)
    maps.details(items, colours, colour, table, np.asarray(chosen))
    maps.files(table, chosen, [human, model])
    reading.draw_ahead(study, spec)
except CoreError as error:
    st.error(str(error))
