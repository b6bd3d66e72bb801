"""What people reach: how far two people who graded one text in one foundation agree.

No model can be expected to follow a grade further than the grades follow each other. Only a table
that keeps several annotations of a text can tell. Where it names people and situations, rows count
that different people gave one text in one situation; else the figures say what they may mix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.dataset.items import Items
from core.measures.cohort import Cohort
from core.measures.geometry import ranks_within
from core.measures.result import NOTHING, estimate
from core.statistics.bootstrap import Estimate, group_numbers

#: Fewer texts that several people graded say nothing.
MIN_PAIRS: Final = 20

#: What the figures rest on: (people named, situations named) -> sentence.
_BASIS: Final = {
    (True, True): "Each pair: one text in one situation, graded by two different people.",
    (True, False): "Each pair: one text graded by two different people, perhaps in different "
    "situations, which the table does not name: a lower bound.",
    (False, True): "Each pair: two rows of one text in one situation, perhaps by one person, whom "
    "the table does not name: an upper bound.",
    (False, False): "Each pair: two rows of one text, perhaps by one person (too high) or about "
    "different situations (too low): the table names neither, so this is no bound.",
}
#: A figure from how often each repeated text is drawn.
_Statistic = Callable[[NDArray[np.float64]], float]


class Graders(NamedTuple):
    """Who graded each row and in which situation, as far as a table tells."""

    person: NDArray[np.str_] | None = None
    """Shape ``(n,)``, empty where a row does not tell; None if no row does."""

    situation: NDArray[np.str_] | None = None
    """Shape ``(n,)``, empty where a row does not tell; None if no row does."""


def graders_of(items: Items) -> Graders:
    """Return who graded a set of items."""
    return Graders(items.person, items.situation)


@dataclass(frozen=True)
class Ceiling:
    """Agreement of people, each figure with its 95 % interval over texts, or NaN with a reason."""

    n_texts: int
    """Texts that several people graded in one foundation; of each situation anew if it is told."""

    n_rows: int
    """Their rows."""

    agreement: Estimate
    """Spearman's correlation of two people's signed grades of one text, in [-1, 1]."""

    typicality: Estimate
    """Correlation of two people's grades as percentiles within the pole that both chose.

    In [-1, 1]. Percentiles are among all items of the pole, as the gradient test takes them. It is
    what one more person would reach. A model that knew what people think on average could reach its
    square root, because it adds no noise of its own.
    """

    r2: Estimate
    """Share of the signed grade's variance that lies between texts, in [0, 1].

    The R² that the text's true mean would reach: the ceiling of a probe.
    """

    opposition: None = None
    """People have none: virtue and vice are separate columns of a moral vector by construction."""

    reason: str = ""
    """A sentence that says why a figure is NaN; empty if none is."""

    basis: str = ""
    """A sentence that says which rows are taken for two people's; empty without figures."""


def ceiling(cohort: Cohort, graders: Graders) -> Ceiling:
    """Measure how far people agree on the texts that several of them graded.

    Args:
        cohort: Items with their labels. A text counts once, whatever the number of its rows and
            foundations.
        graders: Who graded them. Rows that do not tell what others tell are left out, and of one
            person's rows of one text, situation and foundation all but the first. Resamples draw
            situations, or texts where no situation is told.
    """
    labels = cohort.labels
    graded = _graded(cohort, graders)
    cells = _cells(graded, cohort.foundation)
    n_texts, n_rows = len(cells.texts), len(cells.rows)
    if n_texts < MIN_PAIRS:
        return Ceiling(n_texts, n_rows, NOTHING, NOTHING, NOTHING, reason=_too_few(n_texts))
    signed = np.select([cohort.sign == 0, cohort.sign == 1], [labels.grade, -labels.grade], 0.0)
    level = group_numbers(signed[cells.rows])
    agreement = _measured(cells, cohort, lambda drawn: _rank_correlation(cells, level, drawn))
    values = signed[cells.rows]
    r2 = _measured(cells, cohort, lambda drawn: _between(cells, values, drawn))
    typicality, poles = _typicality(cohort, graded)
    reason = _reason(agreement, typicality, poles)
    basis = _BASIS[graders.person is not None, graders.situation is not None]
    return Ceiling(n_texts, n_rows, agreement, typicality, r2, reason=reason, basis=basis)


def _typicality(cohort: Cohort, graded: "_Graded") -> tuple[Estimate, int]:
    """Return the ceiling within poles, and the number of texts that it rests on."""
    labels = cohort.labels
    cells = _cells(graded, labels.dimension, among=labels.dimension >= 0)
    if len(cells.texts) < MIN_PAIRS:
        return NOTHING, len(cells.texts)
    grade = np.where(labels.dimension >= 0, labels.grade, np.nan)
    ranks = ranks_within(grade, labels)[cells.rows]
    value = _measured(cells, cohort, lambda drawn: _correlation(cells, ranks, drawn))
    return value, len(cells.texts)


def _too_few(n: int) -> str:
    if not n:
        return "No text of this set was graded by several people, so there is no human ceiling."
    texts = "1 text of this set was" if n == 1 else f"{n} texts of this set were"
    return f"Only {texts} graded by several people: too few for a human ceiling."


def _reason(agreement: Estimate, typicality: Estimate, poles: int) -> str:
    """Say why a figure is NaN although enough texts were graded by several people."""
    if np.isnan(agreement.value):
        return "People gave the texts that several of them graded one and the same grade."
    if poles < MIN_PAIRS:
        return (
            f"Several people chose the same pole for {poles} of the texts only: too few for a "
            "ceiling of typicality."
        )
    if np.isnan(typicality.value):
        return "Within a pole people gave the texts that several of them graded one grade only."
    return ""


# --- rows of one text ---


class _Graded(NamedTuple):
    """Rows that may be compared, what is compared, and what is drawn."""

    counted: NDArray[np.bool_]
    """Which rows of the cohort count, shape ``(n,)``."""

    text: NDArray[np.int64]
    """Number of each row's text, of each situation anew if it is told; shape ``(n,)``."""

    unit: NDArray[np.int64]
    """Number of what is drawn together: the situation, else the text; shape ``(n,)``."""


def _graded(cohort: Cohort, graders: Graders) -> _Graded:
    """Return which rows are grades of their own, and of what."""
    person, situation = graders
    counted, text, unit = np.ones(len(cohort), bool), cohort.text, cohort.text
    if situation is not None:
        counted &= situation != ""
        unit = group_numbers(situation)
        text = _numbered(text, unit)
    if person is not None:
        counted &= person != ""
        own = _numbered(text, cohort.foundation, group_numbers(person))
        first = np.zeros(len(cohort), bool)
        first[np.unique(own, return_index=True)[1]] = True
        counted &= first
    return _Graded(counted, text, unit)


def _numbered(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the different combinations of columns, shape ``(n,)``."""
    return np.unique(np.column_stack(columns), axis=0, return_inverse=True)[1].astype(np.int64)


class _Cells(NamedTuple):
    """Rows of texts that several people graded, cell by cell."""

    rows: NDArray[np.int64]
    """Rows of the cohort, shape ``(m,)``."""

    cell: NDArray[np.int64]
    """Cell of each row: same text, same foundation (or pole); shape ``(m,)``."""

    size: NDArray[np.float64]
    """Rows of each cell, at least 2; shape ``(n_cells,)``."""

    texts: NDArray[np.int64]
    """The different texts, shape ``(n_texts,)``."""

    text: NDArray[np.int64]
    """Place of each cell's text in ``texts``, shape ``(n_cells,)``."""

    unit: NDArray[np.int64]
    """Number of what each cell is drawn with, ``0 .. n_units - 1``; shape ``(n_cells,)``."""

    share: NDArray[np.float64]
    """What part of its text each cell is: texts count once; shape ``(n_cells,)``."""

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the sum of a value per row in each cell, shape ``(n_cells,)``."""
        return np.bincount(self.cell, values, len(self.size)).astype(np.float64)


def _cells(
    graded: _Graded, kind: NDArray[np.int64], among: NDArray[np.bool_] | None = None
) -> _Cells:
    """Return the rows that share text and kind with another row."""
    known = np.flatnonzero(graded.counted if among is None else graded.counted & among)
    number = _numbered(graded.text[known], kind[known])
    size = np.bincount(number)
    rows = known[size[number] > 1]
    first, cell, sizes = np.unique(
        number[size[number] > 1], return_index=True, return_inverse=True, return_counts=True
    )[1:]
    texts, text, count = np.unique(
        graded.text[rows[first]], return_inverse=True, return_counts=True
    )
    unit = group_numbers(graded.unit[rows[first]])
    return _Cells(rows, cell, sizes.astype(np.float64), texts, text, unit, 1 / count[text])


def _measured(cells: _Cells, cohort: Cohort, statistic: _Statistic) -> Estimate:
    """Return a statistic with its interval over resampled situations or texts."""
    value = statistic(cells.share)
    n_units = int(cells.unit.max()) + 1
    draws = np.random.default_rng([cohort.seed, 1]).multinomial(
        n_units, np.full(n_units, 1 / n_units), size=cohort.draws
    )
    drawn = draws[:, cells.unit] * cells.share
    return estimate(value, np.array([statistic(weight) for weight in drawn], np.float64))


# --- figures, each from the weight of every cell ---


def _rank_correlation(
    cells: _Cells, level: NDArray[np.int64], weight: NDArray[np.float64]
) -> float:
    """Return Spearman's correlation over all ordered pairs of rows of a cell.

    Args:
        cells: The rows.
        level: Number of each row's grade in ascending order, shape ``(m,)``.
        weight: How much each cell counts, shared by its pairs; shape ``(n_cells,)``.
    """
    own = (weight / cells.size)[cells.cell]
    mass = np.bincount(level, own)
    return _correlation(cells, (mass.cumsum() - mass / 2)[level], weight)


def _correlation(cells: _Cells, values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return Pearson's correlation over all ordered pairs of rows of a cell, NaN if constant.

    Both sides of the pairs have one distribution, so the sums over a cell are enough:
    the products of its pairs are the square of its sum less the sum of its squares.
    """
    own = (weight / cells.size)[cells.cell]
    if not own.any():
        return float("nan")
    off = values - np.average(values, weights=own)
    squares = cells.sums(off**2)
    pairs = (cells.sums(off) ** 2 - squares) / (cells.size * (cells.size - 1))
    variance = float(weight @ (squares / cells.size))
    scale = float(np.abs(values).max()) ** 2 * float(own.sum())
    return float(weight @ pairs) / variance if variance > 1e-12 * scale else float("nan")


def _between(cells: _Cells, values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    """Return the intraclass correlation ICC(1), not below 0; NaN if all values are the same.

    One-way random effects with groups of unequal size (Donner 1986): variance between texts over
    variance between and within.
    """
    rows = float(weight @ cells.size)
    groups = float(weight.sum())
    mean = cells.sums(values) / cells.size
    if groups <= 1:
        return float("nan")
    grand = float(weight @ (cells.size * mean)) / rows
    within = float(weight @ cells.sums((values - mean[cells.cell]) ** 2)) / (rows - groups)
    among = float(weight @ (cells.size * (mean - grand) ** 2)) / (groups - 1)
    typical = (rows - float(weight @ cells.size**2) / rows) / (groups - 1)
    between = max((among - within) / typical, 0.0)
    scale = 1e-12 * float(np.abs(values).max()) ** 2
    return between / (between + within) if between + within > scale else float("nan")
