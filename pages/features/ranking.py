"""A set taken apart by a dictionary and its latents ranked: kept, running, or offered."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.jobs import Ranked
from core.features.ranking import FeatureSpec
from core.features.scores import DEFINITION
from core.features.view import counts_table, headline
from core.sae.dictionary import Dictionary
from pages.features import results
from pages.shared import progress, reading
from pages.shared.bench import bench

SPEC = FeatureSpec()


def panel(study: Study, dictionary: Dictionary) -> Ranked | None:
    """Return what was found with the headline drawn; else show progress, or offer to look."""
    found = results.features(study, dictionary, SPEC)
    if found is not None:
        _summary(found)
        return found
    job = bench().runner.get(features_jobs.rank_key(study, dictionary, SPEC))
    small = len(study.plan.prompts) <= reading.UNASKED
    if job is None and small and study.card.spec.source == "packaged":
        job = features_jobs.rank(bench(), study, dictionary, SPEC)
    if job is not None and job.active:
        progress.watch(job.key)
        st.caption(
            "The model reads every text once more, token by token; then all latents are ranked at "
            "once. You may leave this page."
        )
        return None
    if job is not None:
        progress.ended(job)
    with st.container(border=True):
        st.markdown(f"**{dictionary.info.name}** has not taken these texts apart yet.")
        st.caption(
            f"{len(study.plan.prompts):,} texts, {dictionary.n_latents:,} latents, "
            f"{SPEC.permutations:,} permutations: a minute or two for a few thousand texts of "
            "a small model on two cores."
        )
        if st.button("Find the moral latents", type="primary", icon=":material/play_arrow:"):
            features_jobs.rank(bench(), study, dictionary, SPEC)
            st.rerun()
    return None


def _summary(found: Ranked) -> None:
    st.subheader(headline(found.scores), anchor="moral-latents")
    for note in found.scores.notes:
        st.caption(f":material/info: {note}")
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
