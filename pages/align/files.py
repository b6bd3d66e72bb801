"""Everything on the page as files."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core import exports
from core.activations.study import Study
from core.alignment.off_target import off_target, off_target_table
from core.alignment.receipt import command, receipt_json
from core.alignment.view import all_table
from pages.align.choice import Choice
from pages.align.found import Found


def show(study: Study, found: Found, asked: Choice, charts: Sequence[Callable[[], Any]]) -> None:
    """Offer table, charts and receipt; say which command makes the same."""
    report, targets = found.report, tuple(found.key["targets"])

    def html() -> bytes:
        return exports.html_bytes(
            [make() for make in charts], f"Moralscope: {report.told(asked.target, asked.recipe)}"
        )

    def receipt() -> str:
        return receipt_json(
            report, found.key, study, found.spec, asked.recipe, asked.shelved.digest
        )

    row = st.container(horizontal=True, vertical_alignment="center")
    offered = (
        (
            "Figures (CSV)",
            lambda: exports.csv_bytes(all_table(report, targets, asked.recipe)),
            "figures.csv",
        ),
        (
            "Off-target (CSV)",
            lambda: exports.csv_bytes(off_target_table(off_target(report, asked.target))),
            "off-target.csv",
        ),
        ("Charts as HTML", html, "charts.html"),
        ("Receipt (JSON)", receipt, "receipt.json"),
    )
    for label, make, name in offered:
        row.download_button(
            label, make, f"moralscope-align-{name}", icon=":material/download:", on_click="ignore"
        )
    typed = command(study, found.spec, asked.recipe, targets, asked.shelved.digest[:12])
    if typed is not None:
        st.caption("The same from the command line:")
        st.code(typed, language=None, wrap_lines=True)
