"""The verdicts as files: figures and receipts as JSON, the table as CSV, the docket itself."""

import streamlit as st

from core import exports
from core.claims.docket import json_text
from core.claims.judge import Verdict
from core.claims.view import table_of
from pages.claims.docket import Docket


def show(found: list[Verdict], asked: Docket) -> None:
    """Offer them."""
    row = st.container(horizontal=True, vertical_alignment="center")
    for label, make, name in (
        ("Verdicts with receipts", lambda: json_text(found), "moralscope-verdicts.json"),
        ("CSV", lambda: exports.csv_bytes(table_of(found)), "moralscope-claims.csv"),
        ("Docket", lambda: asked.content, "docket.toml"),
    ):
        row.download_button(label, make, name, icon=":material/download:", on_click="ignore")
    row.caption("The same without a browser: python -m core claim FILE --out verdicts.json")
