"""The table twin of the diagnosis: every figure of every layer, and the files."""

from typing import Any

import streamlit as st

from core import exports
from core.diagnosis import plots as diagnosis_plots
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.receipt import as_json, receipt
from core.measures.result import ALL, HEADLINES, TESTS
from pages.diagnosis import results
from pages.shared.address import bound

_HEADLINES = "headlines"


def show(diagnosis: Diagnosis, untrained: Diagnosis | None, charts: list[Any]) -> None:
    """Draw the table with its filter, and offer everything as files."""
    st.subheader("All figures", anchor="figures")
    table = results.figure_table(diagnosis, untrained)
    chosen = st.segmented_control(
        "Test",
        [_HEADLINES, *TESTS],
        required=True,
        format_func=str.capitalize,
        **bound("figures", _HEADLINES, [_HEADLINES, *TESTS]),
    )
    if chosen == _HEADLINES:
        # What chose the layers has no interval; it stands under each test.
        some = table["name"].isin(HEADLINES.values()) & (table["texts"] != "first")
        shown = table[some & (table["part"] == ALL)]
    else:
        shown = table[table["test"] == chosen]
    st.dataframe(
        shown,
        hide_index=True,
        height=330,
        key="all-figures",
        column_config=_columns(),
        column_order=_order(table.columns),
        alt="Every figure of the diagnosis with interval and band of shuffled labels.",
    )
    st.caption(f"{len(shown):,} of {len(table):,} figures; the files hold all.")
    _files(table, diagnosis, untrained, charts)


def _order(columns: Any) -> list[str]:
    """Put the verdict beside the figure, where it is seen without scrolling."""
    names = [name for name in columns if name != "verdict"]
    place = names.index("high") + 1
    return [*names[:place], "verdict", *names[place:]]


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    names = ("value", "low", "high", "shuffled", "shuffled_low", "shuffled_high")
    return {name: number(name.replace("_", " "), format="%.3f") for name in names} | {
        "pooling": None,
        "states": st.column_config.TextColumn(help="The model, a control, or the untrained copy."),
        "layer": number(help="−1 is the embedding; controls without layers have none."),
        "n": number(help="Rows or texts that the figure rests on."),
        "texts": st.column_config.TextColumn(
            help="all; or the half that chose the layers (first) or reports them (second)."
        ),
    }


def _files(
    table: Any, diagnosis: Diagnosis, untrained: Diagnosis | None, charts: list[Any]
) -> None:
    def html() -> bytes:
        return exports.html_bytes(diagnosis_plots.with_legends(charts), "Moralscope diagnosis")

    row = st.container(horizontal=True, vertical_alignment="center")
    offered = (
        ("CSV", lambda: exports.csv_bytes(table), "moralscope-diagnosis.csv"),
        ("Parquet", lambda: exports.parquet_bytes(table), "moralscope-diagnosis.parquet"),
        ("Charts as HTML", html, "moralscope-diagnosis.html"),
        ("Receipt", lambda: as_json(receipt(diagnosis, untrained)), "moralscope-receipt.json"),
    )
    for label, make, name in offered:
        row.download_button(label, make, name, icon=":material/download:", on_click="ignore")
    row.caption("The receipt names all that the figures depend on, and their fingerprint.")
