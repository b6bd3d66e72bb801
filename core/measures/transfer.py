"""Is the direction from vice to virtue that of another concept? Does it part the other's poles?

Two concepts may both stand out in a layer and have nothing to do with each other. So the poles of
each set are told apart (AUROC) along the direction of its own means, and along that of the other
set. What foundations or domains differ in is taken off before.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures.cohort import Cohort
from core.measures.result import estimate
from core.statistics.bootstrap import Estimate

Floats = NDArray[np.float64]


class Transfer(NamedTuple):
    """How well one set's poles are told apart: 1 always right, .5 by chance."""

    own: Estimate
    """AUROC along the own direction, made of other texts; the interval holds it fixed."""

    crossed: Estimate
    """AUROC along the other set's direction, which is resampled as well."""

    difference: Estimate
    """Own minus crossed, on the same resamples of the own texts."""


def measure(
    states: NDArray[np.float32], cohort: Cohort, other: NDArray[np.float32], others: Cohort
) -> Transfer:
    """Tell a set's poles apart along its own direction and along another set's.

    Args:
        states: Scaled, shape ``(n, d)``.
        cohort: Their poles and texts, of which each of ten blocks is left out in turn.
        other: The other set's states, scaled alike, shape ``(m, d)``.
        others: Their poles and texts; as many resamples as ``cohort`` has.

    Returns:
        NaN where a pole has no text.
    """
    mine, theirs = _without_topics(states, cohort), _without_topics(other, others)
    own = np.full(len(cohort), np.nan)
    for block in range(10):
        out = cohort.blocks == block
        own[out] = mine[out] @ _direction(mine, cohort, (~out).astype(np.float64))[0]
    crossed = _direction(theirs, others, np.ones((1, len(others))))[0]
    # Only the poles are scored.
    poles = np.flatnonzero((cohort.sign < 2) & np.isfinite(own))
    virtue, score = cohort.sign[poles] == 0, mine[poles]
    drawn = _direction(theirs, others, others.weights[:, others.text].astype(np.float64))
    weights = cohort.weights[:, cohort.text[poles]].astype(np.float64)
    once = np.ones(len(poles))
    values = _auroc(own[poles], virtue, once), _auroc(score @ crossed, virtue, once)
    first = np.array([_auroc(own[poles], virtue, row) for row in weights])
    second = np.array(
        [_auroc(score @ way, virtue, row) for way, row in zip(drawn, weights, strict=True)]
    )
    # A resampled direction is noisier than the direction itself, so its figure is nearer to .5.
    second = np.clip(second - second.mean() + values[1], 0, 1) if len(second) else second
    return Transfer(
        estimate(values[0], first),
        estimate(values[1], second),
        estimate(values[0] - values[1], first - second),
    )


def _without_topics(states: NDArray[np.float32], cohort: Cohort) -> Floats:
    rows = states.astype(np.float64)
    for foundation in np.unique(cohort.foundation):
        own = cohort.foundation == foundation
        rows[own] -= rows[own].mean(axis=0)
    return rows


def _direction(states: Floats, cohort: Cohort, weights: Floats) -> Floats:
    """Return the mean of virtue minus that of vice for each row of weights, ``(b, d)``."""
    means = []
    for sign in (0, 1):
        own = np.atleast_2d(weights) * (cohort.sign == sign)
        count = own.sum(axis=1, keepdims=True)
        means.append(np.where(count > 0, own @ states / np.where(count > 0, count, 1), np.nan))
    return means[0] - means[1]


def _auroc(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> float:
    """Return the weighted chance that a positive row scores higher than another; ties half."""
    if not np.isfinite(score).all():
        return float("nan")
    place = np.unique(score, return_inverse=True)[1]
    yes = np.bincount(place, weight * positive)
    no = np.bincount(place, weight * ~positive)
    pairs = yes.sum() * no.sum()
    return float((yes * (np.cumsum(no) - no / 2)).sum() / pairs) if pairs else float("nan")
