"""A sentence of one's own, token by token: which latents are on where."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.feature_activations import TokenFeatures
from core.features.jobs import MoralLatents
from core.foundations import DIMENSIONS
from core.sae.dictionary import Dictionary
from core.sae.latent_names import LatentNames
from core.steering import jobs as steering_jobs
from pages.features import examples, opened, results
from pages.shared import progress
from pages.shared.address import bound
from pages.shared.bench import workbench
from pages.shared.labels import plain

#: Longest sentence.
_MOST = 500
_ROWS = 10


def show(study: Study, dictionary: Dictionary, found: MoralLatents) -> None:
    """Draw the box and what it lights up."""
    st.subheader("Try a sentence", anchor="live")
    text = st.text_input(
        "A sentence",
        max_chars=_MOST,
        label_visibility="collapsed",
        placeholder="Type one, and see which latents are on at which word",
        **bound("sentence", ""),
    )
    if not text.strip():
        st.caption("Latents that are related to a moral topic stand first.")
        return
    if not workbench().shelf.is_open(study.card.spec):
        job = steering_jobs.open_model(workbench(), study)
        if progress.watched(job):
            return
    names = features_jobs.names(workbench(), dictionary)
    _drawn(results.light(study, dictionary, text), found, names)


def _drawn(lit: TokenFeatures, found: MoralLatents, names: LatentNames) -> None:
    on = lit.strongest(200)
    shown = found.scores.decided
    related = [int(one) for one in on if shown.related[one].any()]
    rest = [int(one) for one in on if not shown.related[one].any()]
    if not len(on):
        st.info("No latent is on in this sentence.")
        return
    rows = [*related[:_ROWS], *rest[: max(0, _ROWS - len(related))]]
    for latent in rows:
        heat = lit.codes[:, [latent]].toarray().ravel().tolist()
        kind = str(shown.kind[latent])
        best = int(found.scores.best[latent])
        named = f"{latent} · {plain(called)}" if (called := names.of(latent)) else str(latent)
        name = f"{named} · {kind}" + (f" · {DIMENSIONS[best]}" if latent in related else "")
        column = st.columns([1, 2.6], vertical_alignment="center")
        column[0].button(
            name,
            key=f"open-{latent}",
            icon=":material/badge:",
            width="stretch",
            help="Open its passport",
            on_click=opened.elsewhere,
            args=(latent,),
        )
        column[1].html(f"<p class='ms-lit'>{examples.lit(lit.words, heat, max(heat))}</p>")
    st.caption(
        f"{len(on)} latents are on somewhere; {len(related)} of them are related to a moral topic. "
        "Each row is tinted by its own strongest token."
    )
