"""An alignment before it is there: start it, watch its losses, or say what it would cost."""

from dataclasses import replace

import streamlit as st

from core.activations.study import Study
from core.alignment import jobs as alignment_jobs
from core.alignment.report import AlignReport
from core.alignment.spec import ARMS, KL_TARGETS, AlignSpec
from core.runtime.made import Made
from pages.align import training
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared import progress
from pages.shared.bench import opened, workbench


def _made(
    study: Study, asked: Choice, spec: AlignSpec, targets: tuple[float, ...]
) -> Made[AlignReport]:
    return alignment_jobs.alignment(workbench(), study, asked.base, spec, targets, curve=[])


def panel(study: Study, asked: Choice) -> Found | None:
    """Return the report; while there is none, show its progress or offer it.

    One of all divergences, as the command makes it, serves each of them; one of all arms serves
    where fewer are asked for.
    """
    one = _made(study, asked, asked.spec, (asked.target,))
    for spec in dict.fromkeys((asked.spec, replace(asked.spec, arms=ARMS))):
        for targets in (KL_TARGETS, (asked.target,)):
            each = _made(study, asked, spec, targets)
            found = opened(each)
            if found is not None:
                return Found(found, each.key, spec)
    if study.card.packed:
        st.info(f"Nothing can be aligned here: {study.card.reason}.", icon=":material/inventory_2:")
        return None
    note = "You may leave this page: the work goes on. Cancel keeps all arms that are done."
    if progress.making(one, note):
        training.live(one)
        return None
    with st.container(border=True):
        st.markdown("**This dictionary has not been aligned with these settings yet.**")
        st.caption(
            f"{len(asked.spec.arms)} arms are trained on the training texts, with "
            f"{asked.spec.seeds} seed{'s' if asked.spec.seeds > 1 else ''} each; "
            "then every arm reads the test texts at the strength that costs "
            f"{asked.target:g} nats on neutral sentences. With the packaged model some five to "
            "ten minutes on two cores. Each look at the test texts is counted in the receipt."
        )
        progress.offer(st, one, "Align", type="primary")
    return None
