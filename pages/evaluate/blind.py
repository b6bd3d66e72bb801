"""People judge: two answers, sides drawn at random, by keyboard, with undo; do they agree?"""

from typing import Final

import streamlit as st

from core import CoreError
from core.evaluation.judging import QUESTIONS, Pair, VerdictLog, both_orders
from core.evaluation.person import Blind, Person, merge, queue, said, say, undo, verdict_file
from core.evaluation.report import Evaluation
from core.evaluation.verdicts import Label, net_rate
from core.evaluation.view import NAMES, agreement_table, judged_pairs, judges, pairs_for_people
from core.wording import interval
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
            _agreement(found)
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
        _said(found, log, person)
        _agreement(found)
        _file(log, person, pairs)


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


def _said(found: Evaluation, log: VerdictLog, person: Person) -> None:
    """Say what the person's verdicts add up to."""
    told = {which: said(log, found.pairs(*which)) for which in judged_pairs(found)}
    mine, rows = found.by(told, person.name), []
    for (question, arm), showings in told.items():
        judged = sum(one.verdict != "missing" for one in showings)
        if judged > 1:
            rows.append(
                {
                    "question": NAMES[question],
                    "arm": arm,
                    "judged": judged,
                    "net win rate": interval(net_rate(showings)),
                    "without broken answers": interval(mine.sound(question, arm)),
                }
            )
    if rows:
        alt = "What this person's verdicts say."
        st.dataframe(rows, hide_index=True, key="blind-table", alt=alt)


def _agreement(found: Evaluation) -> None:
    """Say how far all who judged these pairs agree."""
    everyone = judges(workbench().store, found)
    if len(everyone) < 2:
        return
    figure = st.column_config.NumberColumn(format="%.2f")
    st.markdown(
        "**Judges beside each other**",
        help="Cohen's κ of each two over the pairs that both decided: 0 as by chance, 1 always the "
        "same. α is Krippendorff's, of all of them. Intervals of 95 % draw questions.",
    )
    st.dataframe(
        agreement_table(found, everyone),
        hide_index=True,
        key="blind-agreement",
        column_config={
            "same": st.column_config.NumberColumn("say the same", format="percent"),
            "kappa": st.column_config.NumberColumn("κ", format="%.2f"),
            "kappa low": figure,
            "kappa high": figure,
        },
        alt="How far each two judges agree on the same pairs.",
        placeholder="–",
    )


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
    given = st.file_uploader("Another file of verdicts", type=["jsonl"], key="blind-file")
    if given is None:
        return
    whose = st.text_input(
        "Whose verdicts are these?",
        key="blind-whose",
        placeholder=person.name,
        help="A name or sign for the one who judged. Your own name: you go on with what you said "
        "on another machine.",
    )
    if st.button("Take them in", icon=":material/group_add:"):
        known = [one for pair in pairs for one in both_orders(*pair)]
        whom = Person(whose or person.name)
        taken = merge(workbench().store, whom, given.getvalue(), known)
        st.toast(f"{taken // 2} verdicts by {whom.name} are about these pairs.")
        st.rerun(scope="fragment")
