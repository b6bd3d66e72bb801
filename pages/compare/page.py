"""Page: two to four readings of the same actions beside each other, and what differs."""

import streamlit as st

from core.diagnosis import plots as diagnosis_plots
from core.maps import view as maps_view
from pages.compare import choice as compare_choice
from pages.compare import (
    files,
    headline,
    items,
    joint,
    layers,
    maps,
    nobody,
    run,
    tests,
    texts,
)
from pages.shared import bench, frame
from pages.shared.opening import opened_study

with opened_study(
    "Compare",
    "The same actions as two to four models read them: what differs, and how sure is that? A is "
    "the sidebar's model.",
) as (set_name, study):
    if study is not None:
        maps_view.check_size(bench.items(set_name))
        choice = compare_choice.ask(set_name, study)
        headline.legend(choice.sides)
        found = run.panel(choice) if len(choice.sides) > 1 else None
        if found is not None:
            headline.show(found, choice)
            with st.container(key="maps"):
                drawn = maps.show(set_name, found, choice)
        if found is not None and found.comparisons:
            with frame.told():
                drawn += joint.show(set_name, found, choice)
            charts = tests.show(found, choice)
            further = layers.show(found)
            table = items.show(found)
            with frame.told():
                texts.show(choice)
            measured = [*charts, *further]
            files.show(
                found,
                choice,
                table,
                lambda: [*(make() for make in drawn), *diagnosis_plots.with_legends(measured)],
            )
            run.draw_ahead(choice)
        elif len(choice.sides) < 2:
            nobody.offer()
