"""A latent's passport: what it is on for, what people say of that, what it says, what it causes."""

import streamlit as st

from core import featurejobs
from core.featurefigures import activation_figure, centres_figure, correlation_figure
from core.featurejobs import Ranked
from core.featureview import activation_table, passport_table, why
from core.figures import config
from core.sae import Dictionary
from core.study import Study
from pages.parts import featurebench as cached
from pages.parts import featureeffect, featureexamples, featurenear, featurewords

_PLAIN = {"displayModeBar": False, "scrollZoom": False}


def show(study: Study, dictionary: Dictionary, found: Ranked, latent: int) -> None:
    """Draw the passport."""
    st.subheader(f"Latent {latent}", anchor="passport")
    st.markdown(why(found.scores, latent))
    known = cached.passport(study, dictionary, found, latent)
    st.caption(f"On at {known.of_tokens:.2%} of tokens and in {known.of_texts:.1%} of texts.")
    featurenear.show(known)
    left, right = st.columns([1.15, 1], gap="large")
    with left:
        featureexamples.show(study, known)
        featurewords.show(study, dictionary, featurejobs.asked_latents(found.scores), latent)
        featureeffect.show(study, dictionary, found, latent)
    with right:
        st.markdown("**Does it follow people's labels?**")
        st.plotly_chart(
            correlation_figure(known),
            key="passport-labels",
            config=config("moralscope-latent-labels") | _PLAIN,
            alt="Rank correlation with each dimension, interval, band of shuffled labels; the "
            "table below holds the same.",
        )
        st.caption("Grey: shuffled labels. ● virtue, ✕ vice.")
        st.markdown("**Where does its direction point?**")
        st.plotly_chart(
            centres_figure(known),
            key="passport-centres",
            config=config("moralscope-latent-directions") | _PLAIN,
            alt="Cosine with the ten poles' directions beside all latents; the table below holds "
            "the same.",
        )
        st.caption("Grey: 95 % of all latents of this dictionary.")
        st.markdown("**How strongly is it on?**")
        st.plotly_chart(
            activation_figure(known),
            key="passport-activation",
            config=config("moralscope-latent-activation") | _PLAIN,
            alt="Histogram of its activation over tokens, with deciles; the "
            "table below holds the same.",
        )
        st.caption("Red ticks: deciles of its activations.")
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
