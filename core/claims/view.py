"""What the page of the claim court draws: a docket's table."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from core.claims.judge import Verdict, Weighed


def table_of(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return the table twin of a docket: a row per claim and model."""
    rows: list[dict[str, Any]] = []
    for one in verdicts:
        shared = {"claim": one.name, "verdict": one.word}
        shared["claimed"] = one.claim.told() if one.claim else ""
        if not one.models:
            figure = one.effect or {}
            cells = {name: figure.get(name) for name in ("value", "low", "high")}
            rows.append({**shared, "model": "", "for it": one.word, **cells, "why": one.why})
        for each in one.models:
            rows.append({**shared, **_cells(each)})
    return pd.DataFrame(rows)


def _cells(each: Weighed) -> dict[str, Any]:
    """Return one model's row."""
    cells: dict[str, Any] = {"model": each.witness.name, "for it": each.word}
    cells |= each.figure._asdict()
    cells["layer"] = each.decisive.layer if each.decisive else None
    for name, one in each.beside.items():
        cells |= {name: one.value, f"{name}, low": one.low, f"{name}, high": one.high}
    return {**cells, "rests on": each.witness.mark or "read here", "why": each.why}
