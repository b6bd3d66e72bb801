"""What the alignment did elsewhere: the four tests, a set it never saw, another concept."""

from typing import Any, Final

import streamlit as st

from core.activations.study import Study
from core.alignment import further
from core.alignment.jobs import Divergence
from core.alignment.left_out import left_out
from core.alignment.second_set import second_report
from core.alignment.view import transfer_table
from core.comparison.differences import RULE
from core.dataset.sets import stored_sets
from core.workbench import BUILTIN
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared import bench, progress
from pages.shared.address import bound
from pages.shared.bench import opened, workbench

_NONE: Final = "none"
_NUMBER: Final = st.column_config.NumberColumn
_COLUMNS: Final[dict[str, Any]] = {
    name: _NUMBER(format="%+.3f")
    for name in (
        *("difference", "low", "high", "shuffled low", "shuffled high"),
        *("change", "whole change", "whole low", "whole high"),
    )
}


def show(study: Study, found: Found, asked: Choice) -> None:
    """Draw it, or offer it."""
    st.subheader("Elsewhere", anchor="elsewhere")
    st.caption(
        "The four tests of the Diagnosis page with each arm's dictionary spliced in, on this set's "
        "test texts, on a set that is not trained on, and on the pleasantness of plain things: "
        "what moves all of them alike is no moral geometry."
    )
    second = _second(study)
    targets = tuple(found.key["targets"])
    at = Divergence(workbench(), study, asked.base, found.spec, targets, asked.target)
    one = further.four_tests(at, second)
    rows = opened(one)
    if rows is None:
        if not progress.making(one, "You may leave this page: the work goes on."):
            progress.offer(st, one, "Run the four tests")
    else:
        st.markdown(f"**{further.told(rows)}**", help=RULE)
        st.dataframe(
            further.table(rows),
            hide_index=True,
            key="further-table",
            column_config=_COLUMNS,
            alt="Differences of the four tests between arms, by set and layer, with 98.75 % "
            "intervals and the band with labels shuffled.",
            placeholder="–",
        )
    if second is not None:
        _report(at, asked, second)
    _left_out(at)


def _second(study: Study) -> Study | None:
    """Return how the model reads the set that is chosen; None where none is."""
    names = {_NONE: "none", BUILTIN: "Everyday actions (built in)"}
    for one in stored_sets(workbench().store):
        if one.provenance.kind != "builtin":
            names.setdefault(one.digest[:12], one.provenance.name)
    own = BUILTIN if study.items.provenance.kind == "builtin" else study.items.digest[:12]
    names.pop(own, None)
    chosen = st.selectbox(
        "A set that is not trained on",
        list(names),
        format_func=lambda one: names[one],
        width=360,
        help="Texts that the alignment learned from or chose by are left out of it. Add a set on "
        "the Data page.",
        **bound("second", _NONE, list(names)),
    )
    if chosen == _NONE:
        return None
    return bench.study(str(chosen), str(study.card.spec), study.plan.spec)


def _report(at: Divergence, asked: Choice, second: Study) -> None:
    """Draw the same arms on the second set, or offer them."""
    name = second.items.provenance.name
    made = second_report(at, second)
    report = opened(made)
    if report is None:
        if not progress.making(made):
            progress.offer(st, made, f"Read {name} with every arm")
        return
    st.markdown(f"**On {name}**, {report.texts:,} texts: {report.told(asked.target, asked.recipe)}")


def _left_out(at: Divergence) -> None:
    """Draw what training on four foundations did to the fifth, or offer it."""
    made = left_out(at)
    rows = opened(made)
    if rows is None:
        if not progress.making(made):
            row = st.container(horizontal=True, vertical_alignment="center")
            progress.offer(row, made, "Leave out each foundation")
            row.caption("Trained on four foundations, judged on the fifth, for each of the five.")
        return
    st.markdown("**Each foundation's test texts after training without it**")
    st.dataframe(
        transfer_table(rows),
        hide_index=True,
        key="left-out-table",
        column_config=_COLUMNS,
        placeholder="–",
        alt="Opposing cosine and pole AUC of each foundation, untouched, trained without it, and "
        "with all five; changes with 95 % intervals.",
    )
