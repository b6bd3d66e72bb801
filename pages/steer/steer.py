"""Page: steer the model by moral directions, read what it would say, let it write."""

import streamlit as st

from pages.parts import (
    bench,
    frame,
    modelcard,
    reading,
    sidebar,
    steerchoice,
    steerdose,
    steerhistory,
    steerleak,
    steeropen,
    steerread,
    steertake,
    steertexts,
    steertrip,
)

frame.heading(
    "Steer",
    "Push the model's inner state towards a virtue or a vice and see at once what changes: its "
    "next word, then its text.",
)
with frame.told():
    set_name = sidebar.set_name()
    bench.items(set_name)
    frame.provenance_note(set_name)
    study = reading.study(set_name)
    if study is not None:
        modelcard.show(study)
        if reading.panel(study) and steeropen.panel(study):
            with frame.told():
                steertake.take(study)
            choice = steerchoice.ask(study)
            steerread.show(study, choice)
            run = steertexts.show(study, choice)
            if run is not None:
                with frame.told():
                    steertrip.show(study, run, set_name)
            left, right = st.columns([1, 1.15], gap="large")
            with left, frame.told():
                steerdose.show(study, choice)
            with right, frame.told():
                steerleak.show(study, choice)
            with frame.told():
                steerhistory.show(study)
