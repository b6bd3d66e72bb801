"""An evaluation before it is there: start it, or say what it would take."""

import streamlit as st

from core.activations.study import Study
from core.evaluation.endpoint import EndpointJudge
from core.evaluation.jobs import evaluation, unreached
from core.evaluation.report import Evaluation
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
        st.caption(_cost(asked))
        progress.offer(st, one, "Answer and judge", type="primary")
    return None


def _cost(asked: Choice) -> str:
    arms, count = len(asked.spec.arms), len(asked.prompts)
    showings = 2 * (arms - 1) * count * len(asked.spec.questions)
    text = (
        f"{arms} arms answer {count} questions with up to {asked.spec.decoding.tokens} tokens; "
        f"{asked.judge.name} then sees {showings:,} pairs, each in both orders."
    )
    if isinstance(asked.judge, EndpointJudge):
        return f"{text} About {showings * 250 / 1e6:.1f} million tokens leave this machine."
    return f"{text} With small models some minutes on two cores; nothing leaves this machine."
