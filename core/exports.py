"""Files from finished results: tables as CSV and Parquet, figures as one HTML page."""

import io
from collections.abc import Sequence
from typing import Any

import pandas as pd


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV, UTF-8; cells that a spreadsheet would run as a formula are quoted."""
    safe = table.copy()
    for name in safe.columns[[str(kind) in ("object", "str", "string") for kind in safe.dtypes]]:
        risky = safe[name].astype(str).str.match(r"[=+@\t\r]|-(?![\d.])")
        safe.loc[risky, name] = "'" + safe.loc[risky, name].astype(str)
    data: bytes = safe.to_csv(index=False).encode()
    return data


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def html_bytes(figures: Sequence[Any], heading: str) -> bytes:
    """Return figures as one page that needs no network.

    Args:
        figures: Plotly figures.
        heading: Title of the page.
    """
    from html import escape

    parts = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures)
    ]
    title = escape(heading)
    return (
        f"<!doctype html><meta charset='utf-8'><title>{title}</title><h1>{title}</h1>"
        + "".join(parts)
    ).encode()
