"""An evaluation before it is there: start it, or say what it would take."""

import streamlit as st

from core.activations.study import Study
from core.evaluation.doses import unreached
from core.evaluation.jobs import evaluation
from core.evaluation.report import Evaluation
from core.evaluation.request import effort
from core.runtime.made import Made
from pages.evaluate.choice import Choice
from pages.shared import progress
from pages.shared.bench import opened, workbench


def made(study: Study, asked: Choice) -> Made[Evaluation]:
    """Return the evaluation."""
    return evaluation(workbench(), study, asked.prompts, asked.spec, asked.judge)


def panel(study: Study, asked: Choice) -> Evaluation | None:
    """Return the evaluation; while there is none, show its progress or offer it."""
    one = made(study, asked)
    found = opened(one)
    if found is not None:
        for name in unreached(workbench(), study, asked.spec):
            st.caption(f"{name} does not reach this cost and is left out.")
        return found
    if study.card.packed:
        st.info(f"Nothing can be asked here: {study.card.reason}.", icon=":material/inventory_2:")
        return None
    if progress.making(one, "You may leave this page. Cancel keeps all answers and verdicts."):
        return None
    with st.container(border=True):
        st.markdown("**These arms have not been compared by this judge yet.**")
        st.caption(effort(workbench(), study, asked.prompts, asked.spec, asked.judge, asked.prices))
        progress.offer(st, one, "Answer and judge", type="primary")
    return None
