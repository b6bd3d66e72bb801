"""What an edit moves besides: each foundation's texts along every foundation's moral direction.

A change that moves only what it should parts virtue from vice of each foundation along its own
direction, and no further along the other four.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.alignment.figures import Figure, difference
from core.alignment.report import UNTOUCHED, AlignReport, Run
from core.foundations import FOUNDATIONS
from core.statistics.bootstrap import Estimate
from core.wording import interval

_SIDE: Final = len(FOUNDATIONS)
_OWN: Final = np.eye(_SIDE, dtype=bool).ravel()


class OffTarget(NamedTuple):
    """What one arm does at one divergence, minus the untouched; in sd of training texts."""

    arm: str
    """Which."""

    cells: tuple[Estimate, ...]
    """How much further virtue lies from vice: a row per foundation of the texts, five directions
    each; NaN where test texts lack a pole."""

    own: Estimate
    """Mean of the texts' own directions."""

    others: Estimate
    """Mean of the other directions."""

    beyond: Estimate
    """The first minus the second, with the interval of their difference."""


def off_target(report: AlignReport, target: float) -> list[OffTarget]:
    """Return what each arm that reaches a divergence does, in the report's order."""
    [plain] = report.of(UNTOUCHED, target)
    known = np.isfinite([one.value for one in plain.outcome.poles])
    found = []
    for arm in report.arms:
        runs = report.of(arm, target)
        if arm == UNTOUCHED or not runs:
            continue
        cells = [
            difference([run.outcome.poles[at] for run in runs], [plain.outcome.poles[at]])
            for at in range(_SIDE**2)
        ]
        own, others = (
            difference([_mean(run, rows & known) for run in runs], [_mean(plain, rows & known)])
            for rows in (_OWN, ~_OWN)
        )
        beyond = difference([_apart(run, known) for run in runs], [_apart(plain, known)])
        found.append(OffTarget(arm, tuple(cells), own, others, beyond))
    return found


def _mean(run: Run, cells: NDArray[np.bool_]) -> Figure:
    """Return the mean of some cells of a run as one figure."""
    chosen = [run.outcome.poles[at] for at in np.flatnonzero(cells)]
    if not chosen:
        return Figure(np.nan, np.full(len(run.outcome.poles[0].without), np.nan))
    return Figure(
        float(np.mean([one.value for one in chosen])),
        np.mean([one.without for one in chosen], axis=0),
    )


def _apart(run: Run, known: NDArray[np.bool_]) -> Figure:
    own, others = _mean(run, _OWN & known), _mean(run, ~_OWN & known)
    return Figure(own.value - others.value, own.without - others.without)


def told(one: OffTarget) -> str:
    """Say by the intervals whether an arm moves texts along their own direction alone."""
    if not one.own.low > 0:
        said = "texts do not move along their own direction beyond noise"
    elif not one.others.low > 0:
        said = "texts move along their own direction, along the others not beyond noise"
    elif one.beyond.low > 0:
        said = "texts move along the others' directions, too, but further along their own"
    else:
        said = (
            "texts move along the others' directions, too, along their own no further beyond noise"
        )
    own, others, beyond = _intervals(one)
    ends = f"{own} along the own, {others} along the others, difference {beyond}"
    return f"**{one.arm}**: {said}: {ends}"


def widest(found: Sequence[OffTarget]) -> float:
    """Return the largest change of any cell, the common end of their colour scales."""
    sizes = [abs(cell.value) for one in found for cell in one.cells if np.isfinite(cell.value)]
    return max(sizes, default=0.0) or 1.0


def off_target_table(found: Sequence[OffTarget]) -> pd.DataFrame:
    """Return all cells as a table; columns: arm, texts of, along, change, low, high."""
    rows = [
        (one.arm, FOUNDATIONS[at // _SIDE], FOUNDATIONS[at % _SIDE], *cell)
        for one in found
        for at, cell in enumerate(one.cells)
    ]
    return pd.DataFrame(rows, columns=["arm", "texts of", "along", "change", "low", "high"])


def summary_table(found: Sequence[OffTarget]) -> pd.DataFrame:
    """Return the means as a table; columns: arm, own direction, others, own minus others."""
    rows = [(one.arm, *_intervals(one)) for one in found]
    return pd.DataFrame(rows, columns=["arm", "own direction", "others", "own minus others"])


def _intervals(one: OffTarget) -> list[str]:
    return [interval(part, signed=True) for part in (one.own, one.others, one.beyond)]
