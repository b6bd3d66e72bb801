"""What the page of the claim court draws: marks, pictures in numbers, a docket's table."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from core.claims.evidence import COPY, SHUFFLED
from core.claims.judge import OPEN, REFUTED, SUPPORTED, Verdict, Weighed, Word
from core.palette import CONTROL, CONTROL_COLOURS, MODEL, POLE_COLOURS
from core.statistics.bootstrap import Estimate
from core.wording import interval

#: Verdict -> its sign and colour; no meaning rests on colour alone.
MARKS: Final[dict[Word, tuple[str, str]]] = {
    SUPPORTED: ("●", POLE_COLOURS["virtue"]),
    REFUTED: ("✕", POLE_COLOURS["vice"]),
    OPEN: ("◇", CONTROL),
}
#: Models whose figures are drawn in one picture; all stand in the table.
MOST_DRAWN: Final = 6
_OWN: Final = ("●", MODEL)
_ITSELF: Final = ("○", MODEL)
_NULL: Final = ("◆", CONTROL_COLOURS["words"])
_BESIDE: Final = {
    SHUFFLED: ("■", CONTROL),
    COPY: ("▼", CONTROL_COLOURS["untrained"]),
}


class Bar(NamedTuple):
    """One line of a verdict's picture."""

    name: str
    """What it is."""

    sign: str
    """Shape of its marker, as a letter."""

    colour: str
    """Of marker and whisker."""

    figure: Estimate
    """Where it lies."""


class Picture(NamedTuple):
    """A verdict's figures beside their controls and the bound."""

    bars: list[Bar]
    """The judged figures, each with what stands beside it."""

    low: float
    """Left end of the axis."""

    high: float
    """Right end."""

    claimed: tuple[float, float]
    """Where the claimed side begins and ends on the axis."""

    bounds: tuple[float, ...]
    """The bound; of an equivalence both."""


def picture(verdict: Verdict) -> Picture | None:
    """Return what is drawn of a verdict; None if no figure is known."""
    claim = verdict.claim
    bars = [bar for each in verdict.models[:MOST_DRAWN] for bar in _bars(each)]
    if verdict.effect is not None:
        figure = Estimate(*(float(verdict.effect[name]) for name in Estimate._fields))
        by_chance = Estimate(float(verdict.effect["chance"]), np.nan, np.nan)
        bars = [
            Bar("over models", *_OWN, figure),
            Bar("models in another order", *_BESIDE[SHUFFLED], by_chance),
        ]
    bars = [one for one in bars if not np.isnan(one.figure.value)]
    if claim is None or not bars:
        return None
    bound = claim.threshold
    bounds = (-bound, bound) if claim.direction == "within" else (bound,)
    ends = [end for one in bars for end in one.figure if not np.isnan(end)]
    low, high = min(*ends, *bounds), max(*ends, *bounds)
    pad = 0.08 * (high - low or 1.0)
    low, high = low - pad, high + pad
    claimed = {"above": (bound, high), "below": (low, bound), "within": (-bound, bound)}
    return Picture(bars, low, high, claimed[claim.direction], bounds)


def _bars(each: Weighed) -> list[Bar]:
    found = each.decisive
    where = "" if found is None or found.layer is None else f", layer {found.layer}"
    minus = f" minus {each.null}" if each.null else ""
    bars = [Bar(f"{each.witness.name}{where}{minus}", *_OWN, each.figure)]
    for name, one in each.beside.items():
        sign = _NULL if name == each.null else _BESIDE.get(name, _ITSELF)
        bars.append(Bar(name, *sign, one))
    return bars


def spoken(shown: Picture) -> str:
    """Return a picture as text, for those who do not see it."""
    bounds = " and ".join(f"{one:g}" for one in shown.bounds)
    told = "; ".join(f"{one.name} {interval(one.figure)}" for one in shown.bars)
    return f"Bound at {bounds}. {told}."


def of_word(verdicts: Sequence[Verdict], word: str) -> list[Verdict]:
    """Return the verdicts of one word, all of them if it is none."""
    return [one for one in verdicts if one.word == word] if word in MARKS else list(verdicts)


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
