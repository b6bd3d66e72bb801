"""The leaderboard: which runs there are, and which of them are asked for."""

from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from core import CoreError
from core.dataset.items import Items
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.jobs import keep_standing
from core.leaderboard import view as leaderboard_view
from core.leaderboard.view import GROUPS
from core.measures.result import TESTS, Test
from pages.shared import bench as shared_bench
from pages.shared import routes, sidebar
from pages.shared.address import bound
from pages.shared.bench import workbench


class Choice(NamedTuple):
    """What the page is asked for."""

    test: Test
    """Which test is drawn."""

    group: leaderboard_view.Group
    """By what models are grouped."""

    rows: pd.DataFrame
    """The rows measured in the chosen way."""


def board(items: Items, set_name: str) -> pd.DataFrame:
    """Return all rows on a set; the sidebar's model is put there if it was diagnosed."""
    found = leaderboard_rows.leaderboard(workbench().store, items.digest)
    try:
        study = shared_bench.study(set_name, *sidebar.model_choice())
    except CoreError:  # the other pages say what is wrong with it
        return found
    spec = DiagnosisSpec()
    if leaderboard_rows.run_of(study, spec) in set(found["run"]):
        return found
    keep_standing(workbench(), study, spec)
    return leaderboard_rows.leaderboard(workbench().store, items.digest)


def told_of_earlier() -> None:
    """Say that runs of an earlier version are kept and not shown, if there are any."""
    count = leaderboard_rows.earlier(workbench().store)
    if count:
        st.caption(
            f"{count} {'run' if count == 1 else 'runs'} of an earlier version "
            f"{'is' if count == 1 else 'are'} kept but not shown: what its tests called opposition "
            "rewarded noise. Diagnose again to put the model here; what it read is still there."
        )


def nothing() -> None:
    """Say that no model was diagnosed on this set, and offer what does it."""
    with st.container(border=True):
        st.markdown("**No model has been tested on these actions yet.**")
        st.caption("The four tests of the sidebar's model take some minutes, once.")
        if st.button("Test this model", type="primary", icon=":material/stethoscope:"):
            routes.open_page("diagnosis")
    with st.expander("Many models at once"):
        st.caption(
            "The command line reads and tests one after the other: "
            "`python -m core sweep models.toml`; `sweep paper` takes the 23 models of the paper."
        )


def ask(found: pd.DataFrame) -> Choice:
    """Draw the controls and return what they ask for."""
    ways = leaderboard_view.settings(found)
    row = st.container(horizontal=True, vertical_alignment="bottom", key="toolbar")
    test: Any = row.selectbox(
        "Test", TESTS, format_func=str.capitalize, width=220, **bound("test", "gradient", TESTS)
    )
    group: Any = row.selectbox(
        "Group by",
        GROUPS,
        format_func=str.capitalize,
        width=220,
        help="Family, size and training are what the list of a sweep says.",
        **bound("group", "training", GROUPS),
    )
    with row.popover("More", icon=":material/settings:"):
        how = st.selectbox(
            "How models were read and tested",
            ways,
            help="Only runs with the same template, pooling, scaling and draws may be compared.",
            **bound("alike", ways[0], ways),
        )
    if how != ways[0]:
        st.caption(f"Under More: {how}")
    return Choice(test, group, leaderboard_view.measured_so(found, how, group))
