"""People judge: two answers, sides drawn at random, by keyboard, with undo."""

from typing import Final

import streamlit as st

from core import CoreError
from core.evaluation.judging import QUESTIONS, VerdictLog
from core.evaluation.person import Blind, Person, queue, say, undo
from core.evaluation.report import Evaluation
from core.evaluation.verdicts import Label
from core.evaluation.view import pairs_for_people
from pages.evaluate import people
from pages.shared import frame
from pages.shared.address import bound
from pages.shared.bench import workbench

#: Begins the name in the session of what a person has just judged, so that it can be undone.
_SEEN: Final = "blind-seen"
#: Pairs after which an agreement says something.
_ENOUGH: Final = 50


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
            people.agreement(found)
            st.caption(
                "Type a name, then compare pairs: you see neither arms nor models, and sides are "
                "drawn at random. Keys: ← left, → right, ↓ tie, u undo."
            )
            return
        person = Person(str(called))
        pairs = pairs_for_people(found)
        log, blind = VerdictLog(workbench().store, person), queue(person, pairs)
        done = [one for one in blind if log.has(one.orders[0])]
        left = [one for one in blind if not log.has(one.orders[0])]
        st.progress(len(done) / max(len(blind), 1), text=f"{len(done)} of {len(blind)} pairs")
        if len(done) < _ENOUGH < len(blind):
            st.caption(f"Stop whenever you like; about {_ENOUGH} pairs tell how far you agree.")
        if left:
            _ask(log, left[0], f"{_SEEN}-{person.name}")
        else:
            st.success("All pairs are judged.")
        people.said_by(found, log, person)
        people.agreement(found)
        people.exchange(log, person, pairs)


def _ask(log: VerdictLog, one: Blind, seen: str) -> None:
    with st.container(key="blind-asked"):
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
