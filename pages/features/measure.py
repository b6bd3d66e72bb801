"""A dictionary from elsewhere is measured here: kept, running, or offered."""

import streamlit as st

from core.activations.study import Study
from core.features import jobs as features_jobs
from core.sae.dictionary import Dictionary
from core.sae.shelf import Shelved
from core.sae.training.foreign_report import ForeignReport
from pages.shared import progress
from pages.shared.bench import opened, workbench


def show(study: Study, shelved: Shelved, dictionary: Dictionary) -> ForeignReport | None:
    """Return what was measured; else show progress, or offer to measure."""
    made = features_jobs.foreign_report(workbench(), study, dictionary)
    worth = opened(made)
    if worth is not None or progress.making(made):
        return worth
    row = st.container(horizontal=True, vertical_alignment="center")
    progress.offer(row, made, "Measure it", icon=":material/straighten:", key="measure")
    row.caption(
        f"Brought from elsewhere: layer {shelved.layer}, {shelved.n_latents:,} latents. What it is "
        "worth on this set's held-out actions was not measured yet: a minute or two on two cores, "
        "once."
    )
    return None
