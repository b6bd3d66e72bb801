"""A latent's passport: what it is on for, what people say of that, what it says, what it causes."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.jobs import MoralLatents
from core.features.view import why
from core.sae.dictionary import Dictionary
from pages.features import charts, effect, examples, name, neighbours, results, words


def show(study: Study, dictionary: Dictionary, found: MoralLatents, latent: int) -> None:
    """Draw the passport."""
    name.show(dictionary, latent)
    st.markdown(why(found.scores, latent))
    known = results.passport(study, dictionary, found, latent)
    st.caption(f"On at {known.of_tokens:.2%} of tokens and in {known.of_texts:.1%} of texts.")
    neighbours.show(known)
    left, right = st.columns([1.15, 1], gap="large")
    with left:
        examples.show(study, known)
        words.show(study, dictionary, features_jobs.asked_latents(found.scores), latent)
        effect.show(study, dictionary, found, latent)
    with right:
        charts.show(known)
