"""Everything on the page as files, and the command that makes the same."""

import json
import shlex
from collections.abc import Callable
from typing import Any

import streamlit as st

from core import exports
from core.activations.study import Study
from core.diagnosis.receipt import pinned, reading_options
from core.evaluation.jobs import about
from core.evaluation.report import Evaluation
from core.evaluation.view import markdown, whole_table
from pages.evaluate.choice import Choice
from pages.evaluate.run import made


def show(found: Evaluation, study: Study, asked: Choice, chart: Callable[[], Any]) -> None:
    """Offer tables, chart and receipt."""

    def receipt() -> str:
        key = made(study, asked).key
        return json.dumps(
            {
                "depends_on": dict(key),
                "spec": about(asked.spec),
                "judge": dict(asked.judge.key),
                "trust": found.trust._asdict(),
                "verdicts": {one: found.told(one) for one in found.questions},
            },
            indent=1,
            ensure_ascii=False,
        )

    def table() -> Any:
        return whole_table(found, found.questions)

    row = st.container(horizontal=True, vertical_alignment="center")
    for label, make, name in (
        ("Pairs (CSV)", lambda: exports.csv_bytes(table()), "pairs.csv"),
        ("Pairs (Parquet)", lambda: exports.parquet_bytes(table()), "pairs.parquet"),
        ("Report (Markdown)", lambda: markdown(found), "report.md"),
        ("Chart as HTML", lambda: exports.html_bytes([chart()], "Moralscope"), "chart.html"),
        ("Receipt (JSON)", receipt, "receipt.json"),
    ):
        row.download_button(
            label,
            make,
            f"moralscope-evaluate-{name}",
            icon=":material/download:",
            on_click="ignore",
        )
    if reading_options(study) is not None:
        st.caption("An evaluation with this cost and length from the command line, usual arms:")
        words = ["python", "-m", "core", "evaluate", pinned(study.card)]
        words += ["--tokens", str(asked.spec.decoding.tokens), "--kl", f"{asked.spec.kl or 0:g}"]
        words += ["--questions", *asked.spec.questions]
        st.code(shlex.join(words), language=None, wrap_lines=True)
