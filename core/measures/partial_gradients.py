"""Typicality at equal length, negation and form: what is left when these are held fixed.

People's grades follow a text's length a little, and so may closeness to a centre. Here ranks of
both are regressed on what the surface of the text tells, within each pole, and what is left of them
is correlated: Spearman's partial correlation.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.measures.gradients import fisher_mean
from core.measures.result import NOTHING, estimate, recentred
from core.measures.shuffled_gradients import FEWEST_TEXTS
from core.statistics.bootstrap import Estimate, percentile_rank

Floats = NDArray[np.float64]

#: Cosines that differ by less are tied: of equal states they differ by rounding.
_PLACES: Final = 9
#: Variance left below this share of all is rounding: nothing is left to correlate.
_ROUNDING: Final = 1e-9
_DRAWS_AT_ONCE: Final = 256


class Partial(NamedTuple):
    """Typicality as it is and with covariates held fixed, all poles together."""

    plain: Estimate
    """Spearman's correlation, Fisher's mean over poles, as ``gradients`` has it."""

    partial: Estimate
    """The same of what the covariates leave."""

    difference: Estimate
    """Partial minus plain, on the same resamples."""


def measure(states: NDArray[np.float32], cohort: Cohort, covariates: Floats) -> Partial:
    """Measure the typicality gradient with and without covariates held fixed.

    Every resample of texts has centres, cosines, ranks and regressions of its own, and is moved
    onto the figure: its centres are noisier than the figure's own.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.
        covariates: Shape ``(n, k)``; ranked within each pole. A constant one changes nothing.

    Returns:
        Over the poles that have ``FEWEST_TEXTS`` more texts than covariates that vary among them;
        NaN throughout where there is none.
    """
    values = np.full((2, len(DIMENSIONS)), np.nan)
    draws = np.full((2, cohort.draws, len(DIMENSIONS)), np.nan)
    weights = np.zeros(len(DIMENSIONS))
    for column in range(len(DIMENSIONS)):
        rows = np.flatnonzero(cohort.labels.dimension == column)
        texts = len(np.unique(cohort.text[rows]))
        members = np.flatnonzero(cohort.members[:, column])
        # A centre of one text alone leaves nothing to compare that text with.
        several = len(np.unique(cohort.text[members])) > 1
        held = (
            covariates[rows][:, np.ptp(covariates[rows], axis=0) > 0] if len(rows) else covariates
        )
        if texts < FEWEST_TEXTS + held.shape[1] or not several:
            continue
        found = _pole(states, cohort, held, rows, members)
        if np.isfinite(found[:, 0]).all():
            weights[column], values[:, column] = texts - 3, found[:, 0]
            for kind in (0, 1):
                draws[kind, :, column] = recentred(found[kind, 0], found[kind, 1:])
    known = weights > 0
    if not known.any():
        return Partial(NOTHING, NOTHING, NOTHING)
    plain, partial = (fisher_mean(one[None, known], weights[known])[0] for one in values)
    drawn, left = (fisher_mean(one[:, known], weights[known]) for one in draws)
    return Partial(
        estimate(float(plain), drawn),
        estimate(float(partial), left),
        estimate(float(partial - plain), left - drawn),
    )


def _pole(
    states: NDArray[np.float32],
    cohort: Cohort,
    covariates: Floats,
    rows: NDArray[np.int64],
    members: NDArray[np.int64],
) -> Floats:
    """Return plain and partial correlation of one pole: as it is, then of each resample.

    Args:
        states: Scaled states of all rows, shape ``(n, d)``.
        cohort: Their texts and grades.
        covariates: Of the pole's rows, shape ``(m, k)``.
        rows: The pole's rows, shape ``(m,)``.
        members: The rows that make up its centre.

    Returns:
        Shape ``(2, 1 + draws)``; NaN where grade or closeness is constant, or nothing is left of
        them.
    """
    grade = percentile_rank(cohort.labels.grade[rows])
    ranked = [percentile_rank(column) for column in covariates.T]
    held = np.column_stack([np.ones(len(rows)), *ranked])
    drawn = np.insert(cohort.weights, 0, 1, axis=0)
    found = []
    for start in range(0, len(drawn), _DRAWS_AT_ONCE):
        weights = drawn[start : start + _DRAWS_AT_ONCE].astype(np.float64)
        score = _ranks(_closeness(states, cohort, weights, rows, members))
        own = weights[:, cohort.text[rows]]
        plain = _correlations(own, grade, score, held[:, :1])
        found.append(np.stack([plain, _correlations(own, grade, score, held)]))
    return np.concatenate(found, axis=1)


def _closeness(
    states: NDArray[np.float32],
    cohort: Cohort,
    weights: Floats,
    rows: NDArray[np.int64],
    members: NDArray[np.int64],
) -> Floats:
    """Return each row's cosine to each resample's centre without the row's own text, ``(b, m)``."""
    centre = weights[:, cohort.text[members]] @ states[members].astype(np.float64)
    own = np.zeros((cohort.n_texts, states.shape[1]))
    np.add.at(own, cohort.text[members], states[members])
    mine, some = own[cohort.text[rows]], states[rows].astype(np.float64)
    times = weights[:, cohort.text[rows]]
    along = centre @ some.T - times * (mine * some).sum(axis=1)
    length = (centre**2).sum(axis=1, keepdims=True) - 2 * times * (centre @ mine.T)
    length = np.maximum(length + times**2 * (mine**2).sum(axis=1), 0)
    scale = np.sqrt(length * (some**2).sum(axis=1))
    return np.where(scale > 0, along / np.where(scale > 0, scale, 1), 0.0)


def _ranks(close: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks: Floats = rankdata(np.round(close, _PLACES), axis=1) / close.shape[1]
    return ranks


def _correlations(weights: Floats, grade: Floats, score: Floats, held: Floats) -> Floats:
    """Return weighted correlations of what regressions on ``held`` leave of grade and score.

    Args:
        weights: How often each row is drawn, shape ``(b, m)``.
        grade: Shape ``(m,)``.
        score: One for each resample, shape ``(b, m)``.
        held: What is held fixed, its first column 1; shape ``(m, k)``.
    """
    count, k = held.shape
    square = (weights @ (held[:, :, None] * held[:, None]).reshape(count, -1)).reshape(-1, k, k)
    inverse = np.linalg.pinv(square, rcond=1e-10, hermitian=True)
    sides = np.stack([np.broadcast_to(grade, score.shape), score])
    explained = np.einsum("bm,sbm,mk->sbk", weights, sides, held, optimize=True)
    whole = np.einsum("bm,sbm,tbm->stb", weights, sides, sides, optimize=True)
    left = whole - np.einsum("sbk,bkl,tbl->stb", explained, inverse, explained, optimize=True)
    spread = left[0, 0] * left[1, 1]
    real = (left[0, 0] > _ROUNDING * whole[0, 0]) & (left[1, 1] > _ROUNDING * whole[1, 1])
    value = left[0, 1] / np.sqrt(np.where(real, spread, 1))
    return np.where(real, np.clip(value, -1, 1), np.nan)
