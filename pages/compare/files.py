"""The table of paired differences, and everything on the page as files."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import exports
from core.comparison import receipt as comparison_receipt
from core.comparison import view as comparison_view
from core.comparison.jobs import Found
from core.comparison.sides import LETTERS
from pages.compare.choice import Choice


def show(found: Found, choice: Choice, items: Any, charts: Callable[[], list[Any]]) -> None:
    """Draw the table and offer the files; ``charts`` makes the figures that one of them holds."""
    st.subheader("All paired differences", anchor="differences")
    pairs = found.best if choice.best else found.shown
    named = [(f"{letter} − A", pair) for letter, pair in zip(LETTERS[1:], pairs, strict=False)]
    table = comparison_view.difference_table(named)
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        key="differences",
        column_config={
            name: number(format="%.3f") for name in table.columns if table[name].dtype == float
        },
        alt="Each test in both sides, the paired difference with its interval, and the verdict.",
    )

    def html() -> bytes:
        return exports.html_bytes(charts(), "Moralscope: models compared")

    def receipt() -> str:
        return comparison_receipt.receipt_json(found, choice.spec)

    row = st.container(horizontal=True, vertical_alignment="center")
    offered = (
        ("Differences (CSV)", lambda: exports.csv_bytes(table), "moralscope-differences.csv"),
        ("Actions (CSV)", lambda: exports.csv_bytes(items), "moralscope-compared.csv"),
        ("Actions (Parquet)", lambda: exports.parquet_bytes(items), "moralscope-compared.parquet"),
        ("Charts as HTML", html, "moralscope-compared.html"),
        ("Receipt (JSON)", receipt, "moralscope-compared.json"),
    )
    for label, make, name in offered:
        row.download_button(label, make, name, icon=":material/download:", on_click="ignore")
