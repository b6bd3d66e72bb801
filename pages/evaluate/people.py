"""What people's verdicts say, how far judges agree, and verdicts from and to other machines."""

import streamlit as st

from core.evaluation.judging import Pair, VerdictLog, both_orders
from core.evaluation.person import Person, merge, said, verdict_file
from core.evaluation.report import Evaluation
from core.evaluation.verdicts import net_rate
from core.evaluation.view import NAMES, agreement_table, judged_pairs, judges
from core.wording import interval
from pages.shared.bench import workbench


def said_by(found: Evaluation, log: VerdictLog, person: Person) -> None:
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


def agreement(found: Evaluation) -> None:
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


def exchange(log: VerdictLog, person: Person, pairs: list[Pair]) -> None:
    """Offer the verdicts as a file, and take in another's."""
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
