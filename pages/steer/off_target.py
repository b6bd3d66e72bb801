"""Leakage: steer towards one pole, ask about all ten."""

import streamlit as st

from core.activations.study import Study
from core.charts import config
from core.steering import jobs as steering_jobs
from core.steering.effects.off_target import DRAWS
from core.steering.plots import leakage_figure
from core.steering.view import leakage_table
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import opened, workbench
from pages.steer.choice import Choice


def show(study: Study, choice: Choice) -> None:
    """Draw the matrix, its progress, or an offer to measure it."""
    st.subheader("What else does it move?", anchor="leakage")
    strengths = (5, 10, 20)
    percent = st.selectbox(
        "Strength",
        strengths,
        format_func=lambda one: f"{one} %",
        **bound("leak", 10, strengths),
    )
    asked = (choice.layers[0], percent / 100, choice.positions)
    made = steering_jobs.off_target(workbench(), study, *asked)
    found = opened(made)
    if found is None:
        if progress.making(made):
            return
        st.caption(
            f"Steers towards each of the ten poles, {DRAWS} random directions and {DRAWS} of "
            "shuffled labels, and asks about held-out actions of every pole: a minute or two, "
            "measured once."
        )
        progress.offer(st, made, "Measure the leakage", key="leak-start")
        return
    st.plotly_chart(
        leakage_figure(found),
        key="leak-chart",
        config=config("moralscope-leakage") | {"displayModeBar": False, "scrollZoom": False},
        alt="Heat map: shift of the read-out on each pole's actions, by pole steered towards; the "
        "table below holds the same.",
    )
    st.caption(
        "Change of the log odds of right against wrong. Orange: judged better; purple: worse. A "
        "row of one colour moves judgement as a whole, not its own pole. The two last rows: "
        f"colour, the mean, and 95 % of {DRAWS} control directions of equal length, drawn as the "
        "layer's states vary or made from shuffled labels. In brackets: actions."
    )
    with st.expander("As a table"):
        st.dataframe(
            leakage_table(found),
            hide_index=True,
            key="leak-table",
            alt="Shift of the read-out: steered pole by asked pole.",
        )
