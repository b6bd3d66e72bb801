"""The words a latent promotes and suppresses."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from core import featurejobs
from core.sae import Dictionary
from core.study import Study
from pages.parts import featurebench as cached
from pages.parts import steerdose
from pages.parts.bench import bench


def show(study: Study, dictionary: Dictionary, latents: Sequence[int], latent: int) -> None:
    """Draw both ends, the running look-up, or an offer."""
    st.markdown("**What does it say?** Its direction through the final norm and the unembedding.")
    lens = cached.words(study, dictionary, latents)
    if lens is None:
        if not steerdose.watched(
            bench().runner.get(featurejobs.words_key(study, dictionary, latents))
        ) and st.button(
            f"Look up the words of {len(latents):,} latents",
            icon=":material/dictionary:",
            help="Once per dictionary: about a minute on two cores for 5,120 latents and 262,000 "
            "words.",
        ):
            featurejobs.words(bench(), study, dictionary, latents)
            st.rerun()
        return
    ends = lens.of(latent)
    if ends is None:
        st.caption("Of a dictionary this large only moral latents' words were looked up.")
        return
    for name, words in zip(("Promotes", "Suppresses"), ends, strict=True):
        listed = " ".join(
            f"<code>{escape(word)}</code><small> {z:+.1f}</small>" for word, z in words
        )
        st.html(f"<p style='line-height:1.9;margin:0'><b>{name}</b> {listed}</p>")
    st.caption(
        "In standard deviations of its logits over the vocabulary. A hint, no proof: the layers "
        "behind come between."
    )
