"""A set of items on the screen: what was found, how it is spread, the actions themselves."""

import pandas as pd
import streamlit as st

from core import charts as core_charts
from core.dataset import archive
from core.dataset.items import Items
from core.foundations import FOUNDATIONS, GRADES
from core.maps import plots as maps_plots
from core.maps import view as maps_view

BROWSED = 2000


def summary(items: Items) -> None:
    """Say what was read, kept and dropped, and what may be said about the labels."""
    where = items.provenance
    st.subheader(where.name)
    if where.note:
        st.info(where.note, icon=":material/edit_note:" if where.authored else ":material/info:")
    counts = where.counts
    official = where.kind == "official" and not where.note
    row = st.columns(4)
    row[0].metric("Rows read", f"{counts.rows:,}")
    row[1].metric(
        "Annotations kept",
        f"{counts.annotations:,}",
        help="Rows that pass the filter: not flagged, one worker (several if asked for), no cell "
        "missing.",
        delta=_beside(counts.annotations, archive.PUBLISHED[0]) if official else None,
        delta_color="off",
    )
    row[2].metric(
        "Items",
        f"{counts.items:,}",
        help="An annotation counts once per foundation it touches.",
        delta=_beside(counts.items, archive.PUBLISHED[1]) if official else None,
        delta_color="off",
    )
    row[3].metric("Different texts", f"{counts.texts:,}")
    if counts.dropped:
        reasons = " · ".join(f"{reason}: {number:,}" for reason, number in counts.dropped.items())
        st.caption(f"Left out: {reasons}.")
    cite = f" · {where.citation}" if where.citation else ""
    st.caption(f"Licence: {where.licence}{cite} · fingerprint {items.digest[:12]}")


def _beside(found: int, expected: int) -> str:
    return "as published" if found == expected else f"published: {expected:,}"


def strata(items: Items) -> None:
    """Draw how many actions each foundation, pole and grade has."""
    st.markdown("**How the actions are spread**")
    counts = maps_view.strata_counts(items)
    st.plotly_chart(
        maps_plots.strata_figure(counts),
        key="strata",
        config=core_charts.CONFIG,
        alt="Number of actions per foundation and grade, vice to the left, virtue to the right.",
    )
    with st.expander("The same as a table"):
        st.dataframe(counts, key="strata-table", alt="Number of actions per foundation and grade.")
    st.caption(
        "Grade = |judgement| / 2 × agreement / 4; 1 is a typical member, and low grades are "
        "contested rather than mild. Care and harm are separate axes: an action has a share of "
        "one of them, never of both."
    )


def browse(items: Items) -> None:
    """Show the actions, filtered by foundation, pole and grade."""
    st.markdown("**The actions**")
    row = st.columns([2, 1.4, 1.4, 2])
    foundations = row[0].multiselect("Foundation", FOUNDATIONS, key="browse-foundation")
    poles = row[1].multiselect("Pole", ["virtue", "vice", "neutral"], key="browse-pole")
    grades = row[2].multiselect("Grade", GRADES, key="browse-grade")
    words = row[3].text_input("Words", key="browse-words", max_chars=100)
    table = maps_view.facts(items, None)
    keep = pd.Series(data=True, index=table.index)
    for column, wanted in (("foundation", foundations), ("pole", poles), ("grade", grades)):
        if wanted:
            keep &= table[column].isin(wanted)
    if words:
        keep &= maps_view.matching(items, words)
    shown = table[keep]
    st.dataframe(
        shown.head(BROWSED),
        hide_index=True,
        height=420,
        key="browse",
        column_config={"text": st.column_config.TextColumn("action", width="large")},
        alt="The actions with their labels and ten-dimensional moral vectors.",
    )
    more = f"; the first {BROWSED:,} are shown" if len(shown) > BROWSED else ""
    st.caption(f"{len(shown):,} of {len(items):,} items{more}.")
