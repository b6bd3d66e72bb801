"""Page: steer the model by moral directions, read what it would say, let it write."""

import streamlit as st

from pages.shared import bench, frame, model_card, reading, sidebar
from pages.steer import choice as steer_choice
from pages.steer import (
    history,
    landing,
    live,
    off_target,
    open_model,
    restore,
    strength_sweep,
    texts,
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
        model_card.show(study)
        if reading.panel(study) and open_model.panel(study):
            with frame.told():
                restore.take(study)
            choice = steer_choice.ask(study)
            live.show(study, choice)
            run = texts.show(study, choice)
            if run is not None:
                with frame.told():
                    landing.show(study, run, set_name)
            left, right = st.columns([1, 1.15], gap="large")
            with left, frame.told():
                strength_sweep.show(study, choice)
            with right, frame.told():
                off_target.show(study, choice)
            with frame.told():
                history.show(study)
