"""Files from finished results: tables as CSV and Parquet, figures as one HTML page."""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

#: What a spreadsheet may run: begins like a formula (full-width signs too) and is no plain number.
_FORMULA: Final = re.compile(
    r"(?!-[\d.]+(?:[eE][+-]?\d+)?$)(?:[\t\r\n]|\s*[-=+@\uff0d\uff1d\uff0b\uff20])"
)


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as CSV, UTF-8; cells that a spreadsheet would run begin with an apostrophe.

    Every text is in quotes: a bare carriage return or semicolon inside one would begin a new cell.
    """
    safe = table.rename(columns=_harmless)
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].astype(object).map(_harmless)
    data: bytes = safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()
    return data


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


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
