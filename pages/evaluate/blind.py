"""A person judges: two answers, sides drawn at random, by keyboard, with undo and agreement."""

from typing import Final

import streamlit as st

from core import CoreError
from core.evaluation.judging import QUESTIONS, Pair, VerdictLog, both_orders
from core.evaluation.person import Blind, Person, merge, queue, said, say, undo, verdict_file
from core.evaluation.report import AGAIN, Evaluation
from core.evaluation.verdicts import Label, agreement
from core.evaluation.view import NAMES
from core.wording import interval
from pages.shared import frame
from pages.shared.address import bound
from pages.shared.bench import workbench

#: Begins the name in the session of what a person has just judged, so that it can be undone.
_SEEN: Final = "blind-seen"


@st.fragment
def show(found: Evaluation) -> None:
    """Draw the pair that comes next, and how far this person agrees with the judge."""
    with frame.told(), st.expander("Judge yourself, blind", icon=":material/visibility_off:"):
        called = st.text_input(
            "Your name or sign",
            help="Verdicts are kept on this machine under it; nobody is asked for more.",
            **bound("who", ""),
        )
        if not str(called).strip():
            st.caption(
                "Type a name, then compare pairs: you see neither arms nor models, and sides are "
                "drawn at random. Keys: ← left, → right, ↓ tie, u undo."
            )
            return
        person = Person(str(called))
        pairs = _pairs(found)
        log, blind = VerdictLog(workbench().store, person), queue(person, pairs)
        done = [one for one in blind if log.has(one.orders[0])]
        left = [one for one in blind if not log.has(one.orders[0])]
        st.progress(len(done) / max(len(blind), 1), text=f"{len(done)} of {len(blind)} pairs")
        if left:
            _ask(log, left[0], f"{_SEEN}-{person.name}")
        else:
            st.success("All pairs are judged.")
        _agreement(found, log, person)
        _file(log, person, pairs)


def _pairs(found: Evaluation) -> list[Pair]:
    """Return all pairs but those of A/A, which a person need not see."""
    arms = [arm for arm in found.arms if arm != AGAIN] or found.arms
    return [
        pair for question in found.questions for arm in arms for pair in found.pairs(question, arm)
    ]


def _ask(log: VerdictLog, one: Blind, seen: str) -> None:
    st.markdown(f"**{QUESTIONS[one.question]}**")
    st.text(one.prompt)
    for column, text in zip(st.columns(2), (one.left, one.right), strict=True):
        with column.container(border=True, height="stretch"):
            st.text(text or "(nothing)")
    row = st.container(horizontal=True, horizontal_alignment="center")
    sides: tuple[tuple[str, Label, str], ...] = (
        ("Left is better", "first", "left"),
        ("Tie", "tie", "down"),
        ("Right is better", "second", "right"),
    )
    for label, side, key in sides:
        row.button(
            label, key=f"blind-{side}", shortcut=key, on_click=_say, args=(log, one, side, seen)
        )
    row.button(
        "Undo",
        key="blind-undo",
        shortcut="u",
        type="tertiary",
        disabled=not st.session_state.get(seen),
        on_click=_undo,
        args=(log, seen),
    )


def _say(log: VerdictLog, one: Blind, side: Label, seen: str) -> None:
    try:
        say(log, one, side)
    except CoreError as error:
        st.error(str(error))
        return
    st.session_state.setdefault(seen, []).append(one)


def _undo(log: VerdictLog, seen: str) -> None:
    undo(log, st.session_state[seen].pop())


def _agreement(found: Evaluation, log: VerdictLog, person: Person) -> None:
    """Say what the person's verdicts add up to, and how far the judge agrees."""
    told = {
        (question, arm): said(log, found.pairs(question, arm))
        for question in found.questions
        for arm in found.arms
        if arm != AGAIN
    }
    judged = [one for showings in told.values() for one in showings if one.verdict != "missing"]
    if len(judged) < 2:
        return
    mine = found.by(told, person.name)
    rows = []
    for question, arm in told:
        one = mine.standing(question, arm)
        if one.wins + one.ties + one.losses:
            kappa = agreement(
                [showing.verdict for showing in told[question, arm]],
                [showing.verdict for showing in found.of(question, arm)],
            )
            rows.append(
                {
                    "question": NAMES[question],
                    "arm": arm,
                    "judged": one.wins + one.ties + one.losses,
                    "net win rate": interval(one.net),
                    f"agreement with {found.judge} (κ)": interval(kappa),
                }
            )
    st.dataframe(rows, hide_index=True, key="blind-table", alt="What this person's verdicts say.")


def _file(log: VerdictLog, person: Person, pairs: list[Pair]) -> None:
    row = st.container(horizontal=True, vertical_alignment="bottom")
    row.download_button(
        "Verdicts (JSONL)",
        verdict_file(log),
        "moralscope-verdicts.jsonl",
        icon=":material/download:",
        on_click="ignore",
        help="Neither texts nor arms: showings by digest. It can be merged where the same pairs "
        "were judged.",
    )
    given = st.file_uploader("Take in another file of verdicts", type=["jsonl"], key="blind-file")
    if given is not None:
        known = [one for pair in pairs for one in both_orders(*pair)]
        try:
            taken = merge(workbench().store, person, given.getvalue(), known)
        except CoreError as error:
            st.error(str(error))
            return
        st.caption(f"{taken // 2} verdicts of that file are about these pairs.")
