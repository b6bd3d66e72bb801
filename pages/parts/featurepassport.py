"""A latent's passport: what it is on for, what people say of that, what it says, what it causes."""

import streamlit as st

from core import featurejobs
from core.featurejobs import Ranked
from core.featureview import why
from core.sae import Dictionary
from core.study import Study
from pages.parts import featurebench as cached
from pages.parts import featurecharts, featureeffect, featureexamples, featurenear, featurewords


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
        featurecharts.show(known)
