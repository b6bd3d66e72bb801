"""Gradient test: are items that people find more typical of a category nearer to its centre?

The figure is Spearman's correlation of the human grade with the cosine to the own centre, within a
pole, the item's own text left out of the centre (arXiv 2603.15615, gradient indifference; there a
typical item is part of the centre it is compared with, which alone gives a correlation).
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.measures.geometry import closeness
from core.measures.result import ALL, NOTHING, Measured, Measurement, band, estimate, recentred
from core.measures.shuffled_gradients import FEWEST_TEXTS, null_correlations, unit_ranks
from core.statistics.neighbours import normalised

#: A handful of texts easily correlates perfectly and, infinite on Fisher's scale, would outweigh
#: hundreds: a mean takes no correlation beyond this.
HIGHEST: Final = 0.99
_TEXTS_AT_ONCE: Final = 512
_DRAWS_AT_ONCE: Final = 256
#: Most that centres may add to a correlation's spread, in units of its spread from ranks alone.
_MOST_PULL: Final = 2.0
#: Share of a centre's pull that is kept where it looks like noise: members are compared with each
#: other, and resampling them as rows alone would count their noise once instead of twice.
_LEAST_SIGNAL: Final = 1 / 8
#: What is correlated with the grade, the headline first.
VARIANTS: Final = ("typicality", "typicality with neutrals", "own minus opposed")
_NONE: Final = np.full(0, np.nan)


class Graded(NamedTuple):
    """Items of one pole and what is correlated among them."""

    rows: NDArray[np.int64]
    """Rows of the cohort, shape ``(m,)``."""

    grade: NDArray[np.float64]
    """Mid-ranks of the human grade, centred, of unit length, ``(m,)``."""

    score: NDArray[np.float64]
    """Mid-ranks of the model's score, centred, of unit length, ``(m,)``."""

    texts: int
    """Different texts among them."""

    pull: NDArray[np.float64]
    """How much a text of the cohort that is drawn once more moves the correlation by moving the
    centre, ``(n_texts,)``."""

    @property
    def value(self) -> float:
        """Spearman's correlation."""
        return float(self.grade @ self.score)


def measure(
    states: NDArray[np.float32], cohort: Cohort, *, variants: tuple[str, ...] = VARIANTS
) -> Measured:
    """Measure the typicality gradient at one layer.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.
        variants: Which of ``VARIANTS``.

    Returns:
        Each variant for all poles together (mean on Fisher's scale, weights n - 3) and for each;
        NaN where fewer than ``FEWEST_TEXTS`` texts remain, or grade or closeness is constant. In
        resamples the ranks are held fixed, and the centres move the correlation to first order.
    """
    close = closeness(states, cohort.members, cohort.labels.group)
    null = null_correlations(states, cohort, variants)
    figures: list[Measurement] = []
    headline: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    for number, name in enumerate(variants):
        graded = [_graded(close, cohort, column, name, states) for column in range(len(DIMENSIONS))]
        draws = _draws(graded, cohort)
        rows, together, chance = _figures(name, graded, draws, null[number])
        headline = headline or (together, chance)
        figures.extend(rows)
    return Measured(
        tuple(figures), *(samples.astype(np.float32) for samples in headline or (_NONE, _NONE))
    )


class ByPole(NamedTuple):
    """A variant's correlation for each pole."""

    values: NDArray[np.float64]
    """Spearman's correlation, shape ``(10,)``; NaN where it cannot be computed."""

    draws: NDArray[np.float64]
    """The same for each resample of texts, shape ``(draws, 10)``."""

    weights: NDArray[np.float64]
    """Fisher's weights for their mean: texts - 3, shape ``(10,)``; 0 where there is no value."""


def by_pole(
    close: NDArray[np.float64],
    cohort: Cohort,
    variant: str,
    states: NDArray[np.float32] | None = None,
) -> ByPole:
    """Return a variant's correlation for each pole from closeness measured in any way.

    Args:
        close: Closeness of each row to the ten centres, shape ``(n, 10)``.
        cohort: Labels of the rows.
        variant: One of ``VARIANTS``.
        states: The states whose members make the centres, shape ``(n, d)``; without them resamples
            hold the centres fixed, and spread too little.
    """
    graded = [_graded(close, cohort, column, variant, states) for column in range(len(DIMENSIONS))]
    return ByPole(
        np.array([np.nan if one is None else one.value for one in graded]),
        _draws(graded, cohort),
        np.array([0.0 if one is None else max(one.texts - 3, 1) for one in graded]),
    )


def _graded(
    close: NDArray[np.float64],
    cohort: Cohort,
    column: int,
    variant: str,
    states: NDArray[np.float32] | None,
) -> Graded | None:
    """Return what is correlated for one pole; None if nothing can be."""
    own = cohort.labels.dimension == column
    score, centres = close[:, column], {column: 1.0}
    if variant == "typicality with neutrals":
        own = own | ((cohort.labels.dimension < 0) & (cohort.foundation == column // 2))
    elif variant == "own minus opposed":
        score = score - close[:, column ^ 1]
        centres[column ^ 1] = -1.0
    rows = np.flatnonzero(own & np.isfinite(score))
    texts = len(np.unique(cohort.text[rows]))
    if texts < FEWEST_TEXTS:
        return None
    grade, ranked = unit_ranks(cohort.labels.grade[rows]), unit_ranks(score[rows])
    if grade is None or ranked is None:
        return None
    middle = score[rows] - score[rows].mean()
    slope = float(ranked @ middle / (middle @ middle))
    away = slope * (grade - float(grade @ ranked) * ranked)
    pull = np.zeros(cohort.n_texts)
    if states is not None:
        for centre, share in centres.items():
            pull += share * _pull(states, close[:, centre], cohort, centre, rows, away)
    # Where a centre is nearly nothing the derivative explodes and says nothing any more: centres
    # recomputed in each resample never spread the figure by more than this.
    length, most = float(np.linalg.norm(pull)), _MOST_PULL * float(1 - (grade @ ranked) ** 2)
    pull *= min(1.0, most / np.sqrt(texts) / max(length, 1e-12))
    return Graded(rows, grade, ranked, texts, pull)


def _pull(
    states: NDArray[np.float32],
    close: NDArray[np.float64],
    cohort: Cohort,
    column: int,
    rows: NDArray[np.int64],
    away: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what one more draw of each text adds to a correlation through a centre.

    The derivative by the text's weight in the centre, shrunk to the part that the noise of single
    rows does not explain: that noise is in the resampled ranks already. The text's own rows are not
    compared with it.

    Args:
        states: Scaled states, shape ``(n, d)``.
        close: Cosine of all rows to the centre, ``(n,)``.
        cohort: Members and texts.
        column: Whose centre.
        rows: The rows that are correlated, ``(m,)``.
        away: What a closer row adds to the correlation, ``(m,)``.
    """
    members = np.flatnonzero(cohort.members[:, column])
    texts, number = np.unique(cohort.text[members], return_inverse=True)
    moves = np.zeros((len(texts), states.shape[1]))
    np.add.at(moves, number, states[members])
    total = moves.sum(axis=0)
    length = float(np.linalg.norm(total))
    pull = np.zeros(cohort.n_texts)
    if length == 0:
        return pull
    unit, noise = normalised(states[rows]), 0.0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = slice(start, start + _TEXTS_AT_ONCE)
        each = unit @ moves[some].T.astype(np.float32) - close[rows, None] * (
            moves[some] @ total / length
        )
        each *= away[:, None] / length
        each[cohort.text[rows, None] == texts[some]] = 0
        pull[texts[some]] = each.sum(axis=0)
        noise += float((each**2).sum())
    square = float(pull @ pull)
    if square > 0:
        pull *= np.sqrt(max(1 - noise / square, _LEAST_SIGNAL))
    return pull


def _draws(graded: "list[Graded | None]", cohort: Cohort) -> NDArray[np.float64]:
    """Return each pole's correlation in each resample of texts, ``(draws, poles)``.

    Moved onto the figure on Fisher's scale, where a correlation of n texts has a variance of
    1 / (n - 3), and resampled ranks only of 1 / n.
    """
    sums = np.zeros((cohort.n_texts, len(graded), 7))
    for column, one in enumerate(graded):
        if one is not None:
            x, y = one.grade, one.score
            for place, moment in enumerate([np.ones_like(x), x, y, x * x, y * y, x * y]):
                sums[:, column, place] = np.bincount(cohort.text[one.rows], moment, cohort.n_texts)
            sums[:, column, 6] = one.pull
    found = [np.empty((0, len(graded)))]
    for start in range(0, cohort.draws, _DRAWS_AT_ONCE):
        weights = cohort.weights[start : start + _DRAWS_AT_ONCE].astype(np.float64)
        drawn = (weights @ sums.reshape(cohort.n_texts, -1)).reshape(len(weights), *sums.shape[1:])
        found.append(_correlations(drawn, sums[..., 6].sum(axis=0)))
    draws = np.vstack(found)
    for column, one in enumerate(graded):
        if one is not None:
            wider = float(np.sqrt(one.texts / (one.texts - 3)))
            near = np.clip(draws[:, column], -HIGHEST, HIGHEST)
            draws[:, column] = recentred(one.value, near, wider)
    return draws


def _correlations(drawn: NDArray[np.float64], still: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return correlations from drawn moments and pulls ``(b, poles, 7)``, NaN if constant."""
    n, mx, my, xx, yy, xy, pull = np.moveaxis(drawn, 2, 0)
    n = np.maximum(n, 1)
    mx, my, xx, yy, xy = mx / n, my / n, xx / n, yy / n, xy / n
    spread = (xx - mx**2) * (yy - my**2)
    real = spread > 1e-18
    value = (xy - mx * my) / np.sqrt(np.where(real, spread, 1)) + pull - still
    return np.where(real, np.clip(value, -1, 1), np.nan)


def _figures(
    name: str,
    graded: "list[Graded | None]",
    draws: NDArray[np.float64],
    null: NDArray[np.float32],
) -> tuple[list[Measurement], NDArray[np.float64], NDArray[np.float64]]:
    """Return a variant's figures, all poles first, with resamples and shuffles of the first."""
    known = [column for column, one in enumerate(graded) if one is not None]
    each = [
        Measurement(
            "gradient",
            name,
            DIMENSIONS[column],
            0 if one is None else len(one.rows),
            NOTHING if one is None else estimate(one.value, draws[:, column]),
            NOTHING if one is None else band(null[:, column]),
        )
        for column, one in enumerate(graded)
    ]
    if not known:
        return [Measurement("gradient", name, ALL, 0, NOTHING, NOTHING), *each], _NONE, _NONE
    some = [one for one in graded if one is not None]
    weight = np.array([max(one.texts - 3, 1) for one in some], np.float64)
    value = fisher_mean(np.array([[one.value for one in some]]), weight)[0]
    together, chance = fisher_mean(draws[:, known], weight), fisher_mean(null[:, known], weight)
    whole = Measurement(
        "gradient",
        name,
        ALL,
        sum(len(one.rows) for one in some),
        estimate(float(value), together),
        band(chance),
    )
    return [whole, *each], together, chance


def fisher_mean(
    correlations: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return weighted means of correlations on Fisher's scale.

    Args:
        correlations: Shape ``(b, k)``, in [-1, 1]; NaN ones are left out, and none counts for more
            than ``HIGHEST``.
        weights: Shape ``(k,)``, above 0.

    Returns:
        Shape ``(b,)``; NaN if none is left.
    """
    z = np.arctanh(np.clip(np.asarray(correlations, np.float64), -HIGHEST, HIGHEST))
    share = np.where(np.isnan(z), 0.0, weights)
    total = share.sum(axis=1)
    mean = (np.nan_to_num(z) * share).sum(axis=1) / np.where(total > 0, total, np.nan)
    return np.asarray(np.tanh(mean), np.float64)
