"""What the page of an alignment shows: arms beside each other, gains over the layers, tables.

Figures are those of ``shown``; arms are those of the report, whatever their names.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from core.alignment.left_out import Transfer
from core.alignment.report import MEANS, UNTOUCHED, AlignReport, Kind
from core.alignment.shown import FIGURES, LAYERED, Shown
from core.alignment.spec import MEANINGS, Recipe
from core.alignment.train import AlignStep
from core.statistics.bootstrap import Estimate

_MEANINGS: Final[dict[str, str]] = {
    **{str(arm): told for arm, told in MEANINGS.items()},
    UNTOUCHED: "the model as it is",
    MEANS: "a push along the mean moral direction",
}


class ArmRow(NamedTuple):
    """One arm at a divergence, beside the untouched and beside the recipe."""

    arm: str
    """Which."""

    seeds: tuple[float, ...]
    """Each seed minus the untouched; empty if the divergence is not reached."""

    over: Estimate
    """Its mean minus the untouched, with interval."""

    behind: Estimate
    """The recipe that is asked about minus this one; NaN for itself."""

    why: str = ""
    """Why there are no seeds."""


def arm_rows(
    report: AlignReport, target: float, figure: Shown, recipe: Recipe = "repaired"
) -> list[ArmRow]:
    """Return all arms but the untouched, the recipe that is asked about first."""
    rows, nothing = [], Estimate(np.nan, np.nan, np.nan)
    asked = (target, figure.kind, figure.at)
    [plain] = report.figures(UNTOUCHED, *asked)
    for arm in sorted(report.arms, key=lambda one: one != recipe):
        if arm == UNTOUCHED:
            continue
        seeds = tuple(one.value - plain.value for one in report.figures(arm, *asked))
        behind = nothing if arm == recipe else report.gain(recipe, arm, *asked)
        missed = "changed nothing" if report.unchanged(arm) else f"does not reach {target:g} nats"
        over = report.gain(arm, UNTOUCHED, *asked)
        rows.append(ArmRow(arm, seeds, over, behind, "" if seeds else missed))
    return rows


def arm_table(
    report: AlignReport, target: float, figure: Shown, recipe: Recipe = "repaired"
) -> pd.DataFrame:
    """Return the arms as a table: the twin of their chart.

    Columns: arm, what it is, share and KL (means over seeds), value, low, high (over the
    untouched), minus, minus low, minus high (the recipe minus it), FVU, latents on, dead (of its
    dictionary on test texts), seeds.
    """
    rows = []
    for row in arm_rows(report, target, figure, recipe):
        runs = report.of(row.arm, target)
        dose = [[run.outcome.share, run.outcome.kl] for run in runs] or [[np.nan, np.nan]]
        own = [one.value for one in report.figures(row.arm, target, figure.kind, figure.at)]
        rows.append(
            (
                row.arm,
                meaning(row.arm),
                *np.mean(dose, axis=0),
                float(np.mean(own)) if own else np.nan,
                *row.over,
                *row.behind,
                *_fit(report, row.arm),
                len(row.seeds),
            )
        )
    [plain] = report.figures(UNTOUCHED, target, figure.kind, figure.at)
    zero = (0.0, 0.0, plain.value, *[np.nan] * 3)
    behind = report.gain(recipe, UNTOUCHED, target, figure.kind, figure.at)
    rows.append((UNTOUCHED, meaning(UNTOUCHED), *zero, *behind, *_fit(report, UNTOUCHED), 1))
    return pd.DataFrame(
        rows,
        columns=[
            *("arm", "what it is", "share", "KL", "value", "over", "low", "high"),
            *("minus", "minus low", "minus high", "FVU", "latents on", "dead", "seeds"),
        ],
    )


def _fit(report: AlignReport, arm: str) -> tuple[float, float, float]:
    """Return variance missed, latents on and share of dead ones, means over an arm's seeds."""
    runs = {run.seed: run for run in report.runs if run.arm == arm and run.fit is not None}
    found = [(run.fit.fvu.value, run.fit.l0.value, run.dead) for run in runs.values() if run.fit]
    if not found:
        return np.nan, np.nan, np.nan
    fvu, on, dead = (float(np.mean(column)) for column in zip(*found, strict=True))
    return fvu, on, dead


def meaning(arm: str) -> str:
    """Return what an arm is, in a few words; its name where nothing is known of it."""
    return _MEANINGS.get(arm, arm)


def layers_of(report: AlignReport, kind: Kind) -> list[int]:
    """Return the layers at which a figure is known; none for a figure of no layers."""
    found = getattr(report.runs[0].outcome, kind) if kind in LAYERED else ()
    return [report.layer + at for at in range(len(found))]


def over_layers(
    report: AlignReport, target: float, kind: Kind, recipe: Recipe = "repaired"
) -> dict[str, list[Estimate]]:
    """Return each arm's gain over the untouched at every layer from the edited one on.

    Arms that do not reach the divergence have none.
    """
    places = range(len(layers_of(report, kind)))
    arms = sorted(report.arms, key=lambda one: one != recipe)
    return {
        arm: [report.gain(arm, UNTOUCHED, target, kind, at) for at in places if reached]
        for arm, reached in ((one, bool(report.of(one, target))) for one in arms)
        if arm != UNTOUCHED
    }


def layer_table(report: AlignReport, target: float, kind: Kind) -> pd.DataFrame:
    """Return gains over the untouched as a table; columns: arm, layer, over, low, high."""
    layers = layers_of(report, kind)
    rows = [
        (arm, layer, *gain)
        for arm, gains in over_layers(report, target, kind).items()
        for layer, gain in zip(layers, gains, strict=False)
    ]
    return pd.DataFrame(rows, columns=["arm", "layer", "over", "low", "high"])


def all_table(
    report: AlignReport, targets: tuple[float, ...], recipe: Recipe = "repaired"
) -> pd.DataFrame:
    """Return every figure of every arm at every divergence, for files."""
    parts = [
        arm_table(report, target, one, recipe).assign(figure=one.name, target=target)
        for target in targets
        for one in FIGURES
    ]
    return pd.concat(parts, ignore_index=True)


def step_table(curve: tuple[AlignStep, ...]) -> pd.DataFrame:
    """Return how a training went, a row per check on validation texts; terms stand apart."""
    return pd.DataFrame(curve, columns=list(AlignStep._fields)).drop(columns="terms")


def transfer_table(rows: Sequence[Transfer]) -> pd.DataFrame:
    """Return what training on four foundations did to the fifth, one row each.

    Columns: left out, texts, figure, untouched, without, change, low, high, whole change, whole
    low, whole high.
    """
    told = [
        (*row[:3], row.untouched.value, row.without.value, *row.gain, *row.whole_gain)
        for row in rows
    ]
    return pd.DataFrame(
        told,
        columns=[
            *("left out", "texts", "figure", "untouched", "without", "change", "low", "high"),
            *("whole change", "whole low", "whole high"),
        ],
    )
