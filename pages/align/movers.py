"""Who moved most, how far, towards which pole; and whether controls do the same."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import streamlit as st

from core import exports
from core.activations.study import Study
from core.alignment.moves import moves
from core.alignment.report import Run
from core.alignment.spec import Arm
from core.maps.view import ViewSpec
from core.runtime.made import Made
from core.wording import interval
from pages.align import results
from pages.align.choice import Choice
from pages.align.found import Found
from pages.shared import reading, selection
from pages.shared.bench import opened, workbench

_NUMBER: Final = st.column_config.NumberColumn
_COLUMNS: Final[dict[str, Any]] = {
    "text": st.column_config.TextColumn(width=210),
    "moved": _NUMBER(format="%.2f", help="In lengths of the text's own plain state."),
    "towards": st.column_config.TextColumn(help="Whose centre it comes nearer to most."),
    "nearer": _NUMBER(format="%+.3f", help="By how much: cosine after minus before."),
    "own": _NUMBER(
        format="%+.3f", help="To its own pole's centre, less to the opposed one's; cosines."
    ),
    "grade": _NUMBER(format="%.2f"),
}


def show(
    study: Study,
    found: Found,
    asked: Choice,
    runs: Mapping[Arm, Run],
    arm: Arm,
    spec: ViewSpec,
) -> None:
    """Draw the sentence beside its controls, and the table."""
    made = {
        name: moves(workbench(), study, asked.base, found.spec, name, run.digest)
        for name, run in runs.items()
    }
    st.markdown("**Who moves, and where to**")
    told = _controls(study, asked, runs, made, spec)
    _table(study, spec, made[arm], arm, runs[arm].outcome.share if arm in told else 1.0)


def _controls(
    study: Study,
    asked: Choice,
    runs: Mapping[Arm, Run],
    made: Mapping[Arm, Made[Any]],
    spec: ViewSpec,
) -> list[Arm]:
    """Say of each arm how much nearer it brings texts; return the arms that are told."""
    told, waiting = dict[Arm, str](), []
    for name, run in runs.items():
        if reading.is_cheap(study) and workbench().runner.of(made[name]) is None:
            workbench().runner.ensure(made[name])
        if not np.isfinite(run.outcome.share):
            continue
        if opened(made[name]) is None:
            waiting.append(name)
            continue
        figure = results.moved(study, spec, made[name], run.outcome.share).nearer
        told[name] = f"- {name} **{interval(figure, 3, signed=True)}**"
    if told:
        st.markdown(
            f"At {asked.target:g} nats, test texts come nearer to their own pole's centre than to "
            "the opposed one's by\n" + "\n".join(told.values()),
            help="Cosine after minus before, own pole less opposed pole; mean over graded test "
            "texts with 95 % interval. Seed 0 of each arm.",
        )
    if waiting:
        st.caption(
            f"No claim without its controls: {', '.join(waiting)} are read in the background, or "
            "when they are chosen on the left, and stand here the next time the page runs."
        )
    return list(told)


def _table(study: Study, spec: ViewSpec, made: Made[Any], arm: Arm, share: float) -> None:
    """Draw the test texts of one arm, those that move furthest first."""
    table = results.moved(study, spec, made, share).table
    st.dataframe(
        table,
        hide_index=True,
        key="movers-table",
        height=420,
        column_order=["text", "moved", "towards", "own", "pole", "grade", "nearer", "foundation"],
        column_config=_COLUMNS,
        placeholder="–",
        alt="Test texts, those that move furthest first, with the pole they come nearer to.",
    )
    row = st.container(horizontal=True, vertical_alignment="center")
    row.download_button(
        "Moves (CSV)",
        lambda: exports.csv_bytes(table),
        "moralscope-align-moves.csv",
        icon=":material/download:",
        on_click="ignore",
    )
    row.button(
        "Show the first 20 on the map",
        icon=":material/my_location:",
        on_click=selection.choose,
        args=(table["item"].head(20).astype(str).tolist(),),
    )
    if selection.chosen(study.items).any():
        with row:
            selection.clear_button()
    row.caption(f"Test texts alone, {arm}, at a share of {share:.2f}; training texts were taught.")
