"""The charts of a passport, each beside its control, and their table twins."""

from typing import Any

import streamlit as st

from core.charts import config
from core.features.dashboard import Dashboard
from core.features.plots import activation_figure, centres_figure, correlation_figure
from core.features.view import activation_table, passport_table


def show(known: Dashboard) -> None:
    """Draw labels, directions, activations and the tables."""
    _chart(
        "Does it follow people's labels?",
        correlation_figure(known),
        "labels",
        "Rank correlation with each dimension, interval, band of shuffled labels",
        "Grey: shuffled labels. ● virtue, ✕ vice.",
    )
    _chart(
        "Where does its direction point?",
        centres_figure(known),
        "centres",
        "Cosine with the ten poles' directions beside all latents",
        "Grey: 95 % of all latents of this dictionary.",
    )
    _chart(
        "How strongly is it on?",
        activation_figure(known),
        "activation",
        "Histogram of its activation over tokens, with deciles",
        "Red ticks: deciles of its activations.",
    )
    with st.expander("As tables"):
        st.dataframe(
            passport_table(known),
            hide_index=True,
            key="passport-table",
            alt="Correlation and cosine for each dimension with their controls.",
        )
        st.dataframe(
            activation_table(known),
            hide_index=True,
            key="activation-table",
            height=200,
            alt="Tokens by how strongly it is on.",
        )


def _chart(question: str, figure: Any, name: str, alt: str, legend: str) -> None:
    st.markdown(f"**{question}**")
    st.plotly_chart(
        figure,
        key=f"passport-{name}",
        config=config(f"moralscope-latent-{name}") | {"displayModeBar": False, "scrollZoom": False},
        alt=f"{alt}; the table below holds the same.",
    )
    st.caption(legend)
