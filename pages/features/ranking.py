"""A set taken apart by a dictionary and its latents ranked: kept, running, or offered."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.features.jobs import MoralLatents
from core.features.kinds import DEFINITION
from core.features.ranking import FeatureSpec
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
            f"{DEFINITION} What is compared is the chance that a text's activation exceeds "
            f"another's (AUROC). The false discovery rate is {found.scores.spec.fdr:.0%} among all "
            f"latents and dimensions, against {found.scores.spec.permutations:,} permutations of "
            "the labels among texts of like length (for moral: and of the same foundations); "
            "confirmed is what has a 95 % interval above chance on held-out texts. Each foundation "
            "has few of those, so the number of moral latents is a floor. ± is how far other "
            "permutations and resamples would move a number; the column after it is the same with "
            "labels shuffled once."
        )
        st.dataframe(
            counts_table(found.scores),
            hide_index=True,
            key="kinds",
            height="content",
            alt="Number of latents of each kind, its Monte-Carlo error, and with shuffled labels.",
        )
