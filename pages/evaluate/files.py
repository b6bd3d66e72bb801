"""Everything on the page as files, and the command that makes the same."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from core import exports
from core.activations.study import Study
from core.evaluation.export import as_json, command, markdown, receipt, record
from core.evaluation.prompts import BUILTIN
from core.evaluation.report import Evaluation
from core.evaluation.view import whole_table
from pages.evaluate.choice import Choice
from pages.evaluate.run import made


def show(found: Evaluation, study: Study, asked: Choice, chart: Callable[[], Any]) -> None:
    """Offer tables, chart and receipt."""

    def told() -> str:
        return as_json(receipt(found, asked.spec, asked.judge, made(study, asked).key))

    def table() -> Any:
        return whole_table(found, found.questions)

    row = st.container(horizontal=True, vertical_alignment="center")
    for label, make, name in (
        ("Pairs (CSV)", lambda: exports.csv_bytes(table()), "pairs.csv"),
        ("Pairs (Parquet)", lambda: exports.parquet_bytes(table()), "pairs.parquet"),
        ("Report (Markdown)", lambda: markdown(found), "report.md"),
        ("Report (JSON)", lambda: as_json(record(found, asked.spec)), "report.json"),
        ("Chart as HTML", lambda: exports.html_bytes([chart()], "Moralscope"), "chart.html"),
        ("Receipt (JSON)", told, "receipt.json"),
    ):
        row.download_button(
            label,
            make,
            f"moralscope-evaluate-{name}",
            icon=":material/download:",
            on_click="ignore",
        )
    words = command(study, asked.prompts, asked.half, asked.spec, asked.judge)
    if words is not None:
        where = "" if asked.prompts.word == BUILTIN else " where your file of questions lies"
        st.caption(f"The same from the command line{where}:")
        st.code(words, language=None, wrap_lines=True)
