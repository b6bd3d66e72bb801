"""Page: two to four readings of the same actions beside each other, and what differs."""

import streamlit as st

from core.maps import view as maps_view
from pages.parts import (
    bench,
    comparechoice,
    comparefiles,
    comparehead,
    compareitems,
    comparelayers,
    comparemaps,
    comparepanel,
    comparetests,
    comparetexts,
    frame,
    modelcard,
    reading,
    sidebar,
)

frame.heading(
    "Compare",
    "Two to four readings of the same actions beside each other: what differs, and how sure that "
    "is. The sidebar's model is A; the others are held against it.",
)
with frame.told():
    set_name = sidebar.set_name()
    maps_view.check_size(bench.items(set_name))
    frame.provenance_note(set_name)
    study = reading.study(set_name)
    if study is not None:
        modelcard.show(study)
        choice = comparechoice.ask(set_name, study)
        comparehead.legend(choice.sides)
        found = comparepanel.panel(choice) if len(choice.sides) > 1 else None
        if found is not None:
            comparehead.show(found, choice)
            charts = comparetests.show(found, choice)
            charts += comparemaps.show(set_name, found, choice)
            charts += comparelayers.show(found)
            table = compareitems.show(found)
            with frame.told():
                comparetexts.show(choice)
            comparefiles.show(found, choice, table, charts)
        elif len(choice.sides) < 2:
            st.info("Choose a model for B to compare with.", icon=":material/compare_arrows:")
