"""What differs between two models that read the same items, and how sure that is.

All resamples are paired: the same texts are drawn for both models, so what an unlucky draw does to
both cancels out. "No difference beyond noise" is a result, and the usual one.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.measures.geometry import closeness, own_closeness, ranks_within
from core.measures.result import NOTHING, TESTS, Measured, Test, band
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import normalised

Level = Literal["nothing", "noise", "labels", "beyond", "taught"]
#: Chance that any of several intervals misses although nothing differs.
ERROR: Final = 0.05
#: Coverage of each of the four tests' intervals, so that together they hold with 95 %.
TOGETHER: Final = 1 - ERROR / len(TESTS)
#: How a verdict follows, in words for the page.
RULE: Final = (
    "Rule: the same texts are drawn for both models; “differs” only if the whole interval of the "
    "difference leaves out 0 and the band of differences with shuffled labels. The intervals of "
    "the four tests hold together with 95 % (each with 98.75 %)."
)


class Difference(NamedTuple):
    """A test's headline in two models."""

    test: Test
    """Which test."""

    first: Estimate
    """The first model's, 95 % interval."""

    second: Estimate
    """The second model's, 95 % interval."""

    difference: Estimate
    """Second minus first; with the other tests' intervals it holds with 95 %."""

    shuffled: Estimate
    """The same with labels shuffled: mean and 95 % band."""

    level: Level
    """Not computable; no difference beyond noise; none beyond shuffled labels; a difference; one
    of a model that was trained on labels of these items, which is no evidence."""


def paired_difference(test: Test, first: Measured, second: Measured) -> Difference:
    """Return the difference of a test's headline between two models.

    Args:
        test: Which test.
        first: Measured on a cohort.
        second: Measured on the same cohort, with the same resamples and shuffles.

    Raises:
        ValueError: The numbers of resamples or shuffles differ: they cannot be the same ones.
    """
    if len(first.draws) != len(second.draws) or len(first.null) != len(second.null):
        raise ValueError("both models must be measured with the same resamples and shuffles")
    one, other = first.headline.observed, second.headline.observed
    draws = second.draws.astype(np.float64) - first.draws
    value = other.value - one.value
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(known):
        return Difference(test, one, other, NOTHING, NOTHING, "nothing")
    low, high = np.quantile(known, [(1 - TOGETHER) / 2, (1 + TOGETHER) / 2])
    found = Estimate(value, float(low), float(high))
    shuffled = band(second.null.astype(np.float64) - first.null)
    return Difference(test, one, other, found, shuffled, level_of(found, shuffled))


def level_of(difference: Estimate, shuffled: Estimate) -> Level:
    """Return what may be said about a difference.

    Args:
        difference: With its interval.
        shuffled: The band with labels shuffled; NaN where there is none.
    """
    if np.isnan(difference).any():
        return "nothing"
    if difference.low <= 0 <= difference.high:
        return "noise"
    if difference.low <= shuffled.high and difference.high >= shuffled.low:
        return "labels"
    return "beyond"


def without_evidence(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences of a model that was trained on labels of these items."""
    return [one._replace(level="taught") if one.level == "beyond" else one for one in differences]


# --- single items ---


class ItemDifferences(NamedTuple):
    """How differently two models place each item within its own pole; neutral items are NaN."""

    first: NDArray[np.float64]
    """Typicality in the first model: percentile of closeness to the own centre, ``(n,)``."""

    second: NDArray[np.float64]
    """The same in the second model."""

    first_close: NDArray[np.float64]
    """Closeness to the own centre in the first model: cosine, own text left out, ``(n,)``."""

    second_close: NDArray[np.float64]
    """The same in the second model."""

    low: NDArray[np.float64]
    """Lower end of the 95 % interval of second minus first, over the texts, ``(n,)``."""

    high: NDArray[np.float64]
    """Upper end, ``(n,)``."""

    sure: NDArray[np.bool_]
    """Whether the difference is beyond noise even as one of ``n`` (Bonferroni), ``(n,)``."""

    @property
    def value(self) -> NDArray[np.float64]:
        """Second minus first, in (-1, 1), ``(n,)``."""
        return self.second - self.first


def item_differences(
    first: NDArray[np.float32], second: NDArray[np.float32], cohort: Cohort
) -> ItemDifferences:
    """Return how differently two models place each item, with paired intervals.

    A resample of texts moves the centre and the items that are ranked beside it; it is the same
    for both models.

    Args:
        first: Scaled states of one model, shape ``(n, d)``.
        second: Of the other, shape ``(n, d')``.
        cohort: Labels of the rows, and their resamples.
    """
    sides = []
    for states in (first, second):
        close = closeness(states, cohort.members, cohort.labels.group)
        own = own_closeness(close, cohort.labels)
        sides.append((own, ranks_within(own, cohort.labels)))
    (close_one, one), (close_other, other) = sides
    value = other - one
    spread, low, high = (np.full(len(cohort), np.nan) for _ in range(3))
    for column in range(len(DIMENSIONS)):
        rows = np.flatnonzero((cohort.labels.dimension == column) & ~np.isnan(value))
        if not len(rows) or not cohort.draws:
            continue
        drawn = resampled_ranks(second, cohort, column, rows)
        drawn -= resampled_ranks(first, cohort, column, rows)
        # A resampled centre is a noisier one: its draws tell the spread, not the place.
        drawn += value[rows] - drawn.mean(axis=0)
        spread[rows] = drawn.std(axis=0, ddof=1)
        ends = np.quantile(drawn, [ERROR / 2, 1 - ERROR / 2], axis=0)
        low[rows], high[rows] = np.clip(ends, -1, 1)
    return ItemDifferences(one, other, close_one, close_other, low, high, _sure(value, spread))


def _sure(value: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which differences are beyond noise although they are the largest of many."""
    from scipy.special import ndtri

    tests = max(int(np.isfinite(spread).sum()), 1)
    reach = -ndtri(ERROR / (2 * tests)) * spread
    sure: NDArray[np.bool_] = (np.abs(value) > reach) & (np.abs(value) > 0)
    return sure


def resampled_ranks(
    states: NDArray[np.float32], cohort: Cohort, column: int, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the typicality of a pole's items for each resample of texts, ``(draws, m)``.

    Args:
        states: Scaled states of all rows, shape ``(n, d)``.
        cohort: Their labels.
        column: Which pole.
        rows: The pole's items, shape ``(m,)``.
    """
    close = _resampled_closeness(states, cohort, column, rows)
    return _weighted_ranks(close, cohort.weights[:, cohort.text[rows]].astype(np.float64))


def _resampled_closeness(
    states: NDArray[np.float32],
    cohort: Cohort,
    column: int,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return cosines to the resampled centre, the item's own text left out, ``(draws, m)``."""
    members = np.flatnonzero(cohort.members[:, column])
    texts, number = np.unique(cohort.text[members], return_inverse=True)
    sums = np.zeros((len(texts), states.shape[1]))
    np.add.at(sums, number, states[members])
    along = normalised(states[rows]).astype(np.float64) @ sums.T  # (m, t)
    products = sums @ sums.T
    drawn = cohort.weights[:, texts].astype(np.float64)  # (draws, t)
    to_centre = drawn @ products
    length2 = np.einsum("dt,dt->d", to_centre, drawn)
    close: NDArray[np.float64] = drawn @ along.T
    length = np.repeat(length2[:, None], len(rows), axis=1)
    place = np.searchsorted(texts, cohort.text[rows])
    own = np.flatnonzero((place < len(texts)) & (texts[place % len(texts)] == cohort.text[rows]))
    mine = place[own]
    close[:, own] -= drawn[:, mine] * along[own, mine]
    length[:, own] += (
        drawn[:, mine] ** 2 * np.diagonal(products)[mine] - 2 * drawn[:, mine] * to_centre[:, mine]
    )
    close /= np.sqrt(np.maximum(length, 1e-30))
    return close


def _weighted_ranks(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return each value's mid-rank among values drawn so often, as a share; ``(draws, m)``."""
    order = np.argsort(values, axis=1, kind="stable")
    drawn = np.take_along_axis(weights, order, 1)
    below = np.cumsum(drawn, axis=1) - drawn / 2
    total = np.maximum(drawn.sum(axis=1, keepdims=True), 1)
    ranks = np.empty_like(values)
    np.put_along_axis(ranks, order, below / total, axis=1)
    return ranks


def most_different(differences: ItemDifferences, *, beyond: bool = False) -> NDArray[np.int64]:
    """Return the items with a difference, the largest first, shape ``(k,)``.

    Args:
        differences: Of all items.
        beyond: Only those beyond noise as one of all.
    """
    size = np.abs(differences.value)
    order = np.argsort(-np.nan_to_num(size, nan=-1.0), kind="stable")
    kept = differences.sure[order] if beyond else np.isfinite(size[order])
    return order[kept]
