"""A set taken apart by a dictionary and its latents ranked: kept, running, or offered."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.jobs import MoralLatents
from core.features.ranking import FeatureSpec
from core.features.scores import DEFINITION
from core.features.view import counts_table, headline
from core.sae.dictionary import Dictionary
from pages.shared import progress, reading
from pages.shared.bench import opened, workbench

SPEC = FeatureSpec()


def panel(study: Study, dictionary: Dictionary) -> MoralLatents | None:
    """Return what was found with the headline drawn; else show progress, or offer to look."""
    made = features_jobs.ranked(workbench(), study, dictionary, SPEC)
    found = opened(made)
    if found is not None:
        _summary(found)
        return found
    if progress.making(
        made,
        "The model reads every text once more, token by token; then all latents are ranked at "
        "once. You may leave this page.",
        unasked=reading.is_cheap(study),
    ):
        return None
    with st.container(border=True):
        st.markdown(f"**{dictionary.info.name}** has not taken these texts apart yet.")
        st.caption(
            f"{len(study.plan.prompts):,} texts, {dictionary.n_latents:,} latents, "
            f"{SPEC.permutations:,} permutations: a minute or two for a few thousand texts of "
            "a small model on two cores."
        )
        progress.offer(st, made, "Find the moral latents", type="primary")
    return None


def _summary(found: MoralLatents) -> None:
    st.subheader(headline(found.scores), anchor="moral-latents")
    for note in found.scores.notes:
        st.caption(note)
    with st.expander("How they are judged, and how many of each kind"):
        st.markdown(
            f"{DEFINITION} Membership is the chance that a member's activation exceeds another "
            f"text's (AUROC). Latents are selected on training texts at a false discovery rate of "
            f"{found.scores.spec.fdr:.0%} among all latents and dimensions, against "
            f"{found.scores.spec.permutations:,} permutations of the labels, and confirmed if the "
            "95 % interval on held-out texts excludes chance. The last column is the same with "
            "labels shuffled once."
        )
        st.dataframe(
            counts_table(found.scores),
            hide_index=True,
            key="kinds",
            height="content",
            alt="Number of latents of each kind, beside the same with shuffled labels.",
        )
