"""The words a latent promotes and suppresses."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.sae.dictionary import Dictionary
from pages.shared import progress
from pages.shared.bench import opened, workbench

#: A word of any script stands in its own frame, so that none runs into the next one's figure.
_STYLE = """<style>
.ms-words {line-height: 2.1; margin: 0}
.ms-words span {border: 1px solid rgba(128,128,128,.35); border-radius: 5px; padding: .1rem .35rem;
    white-space: nowrap; display: inline-block; line-height: 1.5; max-width: 100%; overflow: hidden;
    vertical-align: middle; margin: .08rem 0}
.ms-words small {opacity: .7}
</style>"""


def show(study: Study, dictionary: Dictionary, latents: Sequence[int], latent: int) -> None:
    """Draw both ends, the running look-up, or an offer."""
    st.markdown("**What does it say?** Its direction through the final norm and the unembedding.")
    made = features_jobs.words(workbench(), study, dictionary, latents)
    lens = opened(made)
    if lens is None:
        if not progress.making(made):
            progress.offer(
                st,
                made,
                f"Look up the words of {len(latents):,} latents",
                icon=":material/dictionary:",
                help="Once per dictionary: about a minute on two cores for 5,120 latents and "
                "262,000 words.",
            )
        return
    features_jobs.names(workbench(), dictionary, lens, study.items.texts())
    ends = lens.of(latent)
    if ends is None:
        st.caption("Of a dictionary this large only moral latents' words were looked up.")
        return
    for name, words in zip(("Promotes", "Suppresses"), ends, strict=True):
        listed = " ".join(
            f"<span><bdi>{escape(word)}</bdi> <small>{z:+.1f}</small></span>" for word, z in words
        )
        st.html(f"{_STYLE}<p class='ms-words'><b>{name}</b> {listed}</p>")
    st.caption(
        "In standard deviations of its logits over the vocabulary. A hint, no proof: the layers "
        "behind come between."
    )
