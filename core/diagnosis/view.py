"""What the diagnosis page shows: curves over layers, grids of one layer, tables with texts."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.study import Study, layer_states
from core.dataset.items import Items
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.verdicts import Score, controls_of, verdict
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.measures.ceiling import Ceiling
from core.measures.cohort import cohort_of
from core.measures.confusions import Confusion, confusions
from core.measures.result import ALL, HEADLINES, NOTHING, Measurement, Test
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from core.wording import interval

#: What may be asked for: everything together, a foundation, a pole.
PARTS: Final[tuple[str, ...]] = (ALL, *FOUNDATIONS, *DIMENSIONS)
#: Figures that each pole has: title, test, name.
POLE_FIGURES: Final[tuple[tuple[str, Test, str], ...]] = (
    ("typicality", "gradient", "typicality"),
    ("own − opposed", "gradient", "own minus opposed"),
    ("R²", "dimensional", "R²"),
    ("rank corr.", "dimensional", "rank correlation"),
    ("AUROC", "dimensional", "AUROC"),
    ("reliability", "categorical", "reliability"),
)
#: What a labelling holds clusters against.
_LABELLINGS: Final = {ALL: "15 classes", "foundations": "5 foundations", "polarity": "3 polarities"}
_COVERAGE: Final = "coverage of HDBSCAN"


# --- curves ---


class Point(NamedTuple):
    """One test at one layer, beside all it must exceed."""

    layer: int
    """Decoder layer or ``EMBEDDING``."""

    observed: Estimate
    """The model's."""

    shuffled: Estimate
    """Mean and band with labels shuffled."""

    controls: dict[str, Estimate]
    """Some of ``verdicts.CONTROLS``, as they are at this layer."""

    verdict: str
    """What may be said, on all texts."""


class Curve(NamedTuple):
    """One test over all layers."""

    test: Test
    """Which test."""

    name: str
    """What is drawn."""

    part: str
    """What it speaks of."""

    points: list[Point]
    """The embedding first."""

    highest: float
    """Upper end of the band of the highest of all layers, labels shuffled; NaN if not known."""

    chosen: int | None
    """Layer that the other half of the texts chose; None if there is none."""


def part_of(test: Test, part: str) -> str:
    """Return the part that a test shows where a part is asked for: its own, or all."""
    if test == "categorical" and part in DIMENSIONS:
        return FOUNDATIONS[[str(one) for one in DIMENSIONS].index(part) // 2]
    if test == "categorical":
        return part
    return part if test != "structural" and part in DIMENSIONS else ALL


def curve(diagnosis: Diagnosis, test: Test, part: str, untrained: Diagnosis | None = None) -> Curve:
    """Return a test over all layers.

    Args:
        diagnosis: The model's.
        test: Which test.
        part: One of ``PARTS``; a test without it shows what ``part_of`` says.
        untrained: The untrained copy's, if it is measured.
    """
    part = part_of(test, part)
    points = [_point(diagnosis, test, part, layer, untrained) for layer in diagnosis.layers]
    whole = part == ALL
    return Curve(
        test,
        HEADLINES[test],
        part,
        points,
        diagnosis.highest_by_chance(test).high if whole else float("nan"),
        diagnosis.chosen.get(test) if whole else None,
    )


def _point(
    diagnosis: Diagnosis, test: Test, part: str, layer: int, untrained: Diagnosis | None
) -> Point:
    sides = controls_of(diagnosis, layer, untrained)
    own = figure_of(diagnosis.layers[layer], test, HEADLINES[test], part)
    controls = {
        name: figure_of(one, test, HEADLINES[test], part).observed for name, one in sides.items()
    }
    said = verdict(own.observed, own.shuffled, controls)
    return Point(layer, own.observed, own.shuffled, controls, said.words)


def figure_of(one: LayerDiagnosis, test: Test, name: str, part: str) -> Measurement:
    """Return a figure of a layer; NaN throughout if it was not measured."""
    if test in one.whole:
        for figure in one.whole[test].figures:
            if (figure.name, figure.part) == (name, part):
                return figure
    return Measurement(test, name, part, 0, NOTHING, NOTHING)


def summary(scores: Sequence[Score]) -> str:
    """Return in one sentence how many tests a model passes, and which."""
    passed = [score for score in scores if score.verdict.level in ("beyond", "partly")]
    if not passed:
        return "No test of the four shows moral structure beyond every control."
    which = ", ".join(score.test for score in passed)
    if any(score.verdict.level == "partly" for score in passed):
        return (
            f"{len(passed)} of 4 tests lie beyond chance and words ({which}); the untrained copy "
            "is still to be compared."
        )
    verb = "shows" if len(passed) == 1 else "show"
    ran = all("sentence" in score.controls for score in passed)
    beyond = "every control" if ran else "the controls that ran"
    return f"{len(passed)} of 4 tests {verb} moral structure beyond {beyond}: {which}."


def ceiling_text(found: Ceiling) -> str:
    """Return in a few sentences what people themselves reach, and what that rests on."""
    if np.isnan(found.agreement.value):
        return f"Human ceiling: {found.reason}"
    told = (
        f"Human ceiling, from {found.n_texts:,} texts that were graded several times: one more "
        f"person reaches a typicality of {interval(found.typicality)}, the texts' true means an "
        f"R² of {interval(found.r2)}."
    )
    return " ".join(part for part in (told, found.basis, found.reason) if part)


# --- one layer ---


def pole_grid(one: LayerDiagnosis) -> dict[str, list[Measurement]]:
    """Return the figures of the ten poles at a layer: title -> ten figures."""
    return {
        title: [figure_of(one, test, name, pole) for pole in DIMENSIONS]
        for title, test, name in POLE_FIGURES
    }


def cosine_grid(one: LayerDiagnosis) -> NDArray[np.float64]:
    """Return the cosines of the ten centres with intervals, ``(10, 10, 3)``: value, low, high.

    The diagonal is 1; NaN where a centre has too few texts.
    """
    grid = np.full((10, 10, 3), np.nan)
    pairs = one.whole["categorical"].figures if "categorical" in one.whole else ()
    place = {str(name): number for number, name in enumerate(DIMENSIONS)}
    for figure in pairs:
        if figure.name == "cosine":
            first, second = (place[name] for name in figure.part.split("|"))
            grid[first, second] = grid[second, first] = figure.observed
    known = np.isfinite(grid[:, :, 0]).any(axis=1)
    grid[known, known] = 1
    return grid


def structure_table(one: LayerDiagnosis) -> pd.DataFrame:
    """Return the scores of clusters and neighbourhoods at a layer, one row each.

    Columns: labels, clusters, score, value, low, high, chance_low, chance_high, coverage (share of
    actions inside HDBSCAN's clusters).
    """
    figures = one.whole["structural"].figures if "structural" in one.whole else ()
    coverage = figure_of(one, "structural", _COVERAGE, ALL).observed.value
    rows = []
    for figure in figures:
        if figure.name.endswith("of HDBSCAN") and figure.name.startswith(("coverage", "clusters")):
            continue
        score, _, clusters = figure.name.partition(" of ")
        if figure.name == "ARI without noise":
            clusters = "HDBSCAN"
        rows.append(
            {
                "labels": _LABELLINGS.get(figure.part, figure.part),
                "clusters": clusters or "none",
                "score": score,
                "value": figure.observed.value,
                "low": figure.observed.low,
                "high": figure.observed.high,
                "chance_low": figure.shuffled.low,
                "chance_high": figure.shuffled.high,
                "coverage": coverage if clusters == "HDBSCAN" else np.nan,
            }
        )
    return pd.DataFrame(rows)


def layer_confusions(
    store: Store, study: Study, spec: DiagnosisSpec, layer: int
) -> list[Confusion]:
    """Return the pairs of opposite actions that a layer tells apart least.

    Raises:
        CoreError: The layer's states are not stored, or are the same for every text.
    """
    states = layer_states(store, study, layer, spec.pooling, spec.scaling).states[study.plan.rows]
    cohort = cohort_of(study.items, draws=0, shuffles=0, seed=spec.seed)
    return confusions(states, cohort)


def confusion_table(items: Items, pairs: Sequence[Confusion]) -> pd.DataFrame:
    """Return confusions with their texts.

    Columns: foundation, virtue, virtue_grade, vice, vice_grade, cosine, closer_than (share in
    [0, 1] of pairs of the same side that are less alike).
    """
    texts, grade = items.texts(), items.grade
    columns = ["foundation", "virtue", "virtue_grade", "vice", "vice_grade", "cosine"]
    rows = [
        (
            FOUNDATIONS[one.foundation],
            texts[one.virtue],
            float(grade[one.virtue]),
            texts[one.vice],
            float(grade[one.vice]),
            one.cosine,
            one.closer_than,
        )
        for one in pairs
    ]
    return pd.DataFrame(rows, columns=[*columns, "closer_than"])


def furthest_table(facts: pd.DataFrame, n: int = 20) -> pd.DataFrame:
    """Return the items whose typicality people and model see most differently.

    Args:
        facts: As ``view.facts`` returns them with a reading.
        n: How many.
    """
    order = facts["residual"].abs().sort_values(ascending=False, kind="stable", na_position="last")
    some = facts.loc[order.index[:n]]
    return some.loc[
        some["residual"].notna(),
        ["text", "foundation", "pole", "grade", "model_typicality", "residual", "nearest_centre"],
    ]
