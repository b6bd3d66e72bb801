"""What may be said, and whether the judge may be believed."""

import streamlit as st

from core.evaluation.judging import QUESTIONS, Question
from core.evaluation.report import Evaluation
from core.evaluation.view import NAMES
from core.wording import interval
from pages.shared.address import bound


def show(found: Evaluation) -> Question:
    """Draw it; return the question that is looked at."""
    several = found.questions
    chosen = st.segmented_control(
        "Question",
        several,
        required=True,
        label_visibility="collapsed",
        format_func=lambda one: NAMES[one],
        **bound("question", several[0], several),
    )
    question: Question = several[0] if chosen is None else chosen
    with st.container(key="headline"):
        st.subheader(found.told(question), anchor="verdict")
    trust = found.trust
    st.caption(
        f"Judge: {found.judge}. Of {trust.pairs} pairs whose better answer is known it names it in "
        f"{interval(trust.accuracy)} (coin: .5; both orders right beside a coin: p = "
        f"{trust.p:.3f}); of equal answers it takes the first in {interval(trust.first)}, and the "
        f"longer one over its own half in {interval(trust.longer)}.",
        help=f"Asked: {QUESTIONS[question]} Each pair is shown in both orders; a verdict counts if "
        "it names the same answer twice. Brackets: 95 % intervals. An arm is said to differ only "
        "if its interval leaves out one half and A/A's: the plain model over itself with other "
        "random numbers.",
    )
    return question
