"""Page: steer the model by moral directions, read what it would say, let it write."""

import streamlit as st

from pages.shared import frame, reading
from pages.shared.opening import opened_study
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

with opened_study(
    "Steer",
    "Push the model's inner state towards a virtue or a vice and see at once what changes: its "
    "next word, then its text.",
) as (_, study):
    if study is not None and reading.panel(study) and open_model.panel(study):
        with frame.told():
            restore.take(study)
        texts.begin()
        sliders, below = st.container(), st.container()
        with below:
            st.subheader("What it writes", anchor="texts")
            told = st.empty()
        with sliders:
            choice = live.show(study, told, [])
        with below:
            if live.is_staged():
                texts.compared(study)
            else:
                texts.show(study, choice, told)
        run = texts.shown()
        if run is not None:
            with frame.told():
                landing.show(study, run)
        left, right = st.columns([1, 1.15], gap="large")
        with left, frame.told():
            strength_sweep.show(study, choice)
        with right, frame.told():
            off_target.show(study, choice)
        with frame.told():
            history.show(study)
