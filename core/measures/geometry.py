"""Where moral categories lie among a layer's states: centres, closeness, typicality, residual.

A category's centre is the mean of its typical members after the layer's global mean is taken off
(arXiv 2603.15615, categorical test). Unlike the paper's, a centre never contains the text it is
compared with: leave-one-out by text, because a member is always near a centre it is part of.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.dataset.labels import Labels
from core.foundations import DIMENSIONS
from core.statistics.bootstrap import Estimate, chance, group_numbers, percentile_rank
from core.statistics.neighbours import BLOCK, normalised

if TYPE_CHECKING:
    pass

#: Cosines that Fisher's transformation takes without becoming infinite.
_INSIDE: Final = (-1 + 1e-12, 1 - 1e-12)


def centred(states: NDArray[np.floating]) -> NDArray[np.float32]:
    """Subtract the mean row, accumulated in float64: single coordinates reach 88,000."""
    shifted: NDArray[np.float64] = states - states.mean(axis=0, dtype=np.float64)
    return shifted.astype(np.float32)


def centres(states: NDArray[np.floating], members: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return each category's mean member, shape ``(10, d)``; NaN where there is no member.

    Args:
        states: Centred states, shape ``(n, d)``.
        members: Shape ``(n, 10)``.
    """
    weight = members.astype(np.float64)
    count = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float64] = (weight.T @ states) / count[:, None]
    return mean


def closeness(
    states: NDArray[np.floating],
    members: NDArray[np.bool_],
    group: NDArray[np.int64],
    of: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Return the cosine of each state to each centre, the state's own text left out of the centre.

    Args:
        states: Centred states, shape ``(n, d)``.
        members: Which items make up each centre, shape ``(n, 10)``.
        group: Text number of each item, shape ``(n,)``.
        of: States of the items that are compared, where they are not those of the centres: such as
            moved ones, shape ``(n, d)``.

    Returns:
        Shape ``(n, 10)``, in [-1, 1]; NaN where a centre has no other member.
    """
    of = states if of is None else of
    unit = np.empty(of.shape)
    for start in range(0, len(of), BLOCK):
        unit[start : start + BLOCK] = normalised(of[start : start + BLOCK])
    result = np.full((len(states), members.shape[1]), np.nan)
    for column in range(members.shape[1]):
        own = np.flatnonzero(members[:, column])
        if not len(own):
            continue
        total = states[own].sum(axis=0, dtype=np.float64)
        result[:, column] = unit @ _unit(total)
        for text in np.unique(group[own]):
            rows = np.flatnonzero(group == text)
            rest = total - states[own[group[own] == text]].sum(axis=0, dtype=np.float64)
            only = (group[own] == text).all()
            result[rows, column] = np.nan if only else unit[rows] @ _unit(rest)
    return result


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def own_closeness(close: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """Return each item's closeness to its own centre, shape ``(n,)``; NaN if neutral."""
    own = np.take_along_axis(close, np.maximum(labels.dimension, 0)[:, None], axis=1)[:, 0]
    return np.where(labels.dimension >= 0, own, np.nan)


def ranks_within(values: NDArray[np.float64], labels: Labels) -> NDArray[np.float64]:
    """Return each value's percentile among the items of its own pole, shape ``(n,)``.

    In (0, 1); NaN for neutral items and where the value is NaN. Ranks make human grades and model
    cosines comparable without assuming a common scale.
    """
    result = np.full(len(values), np.nan)
    for column in range(len(DIMENSIONS)):
        rows = np.flatnonzero((labels.dimension == column) & ~np.isnan(values))
        result[rows] = percentile_rank(values[rows])
    return result


class Typicality(NamedTuple):
    """Human and model typicality of each item, as percentiles within its own pole."""

    human: NDArray[np.float64]
    """Percentile of the human grade, shape ``(n,)``, NaN if neutral."""

    model: NDArray[np.float64]
    """Percentile of the closeness to the own centre, shape ``(n,)``, NaN if neutral."""

    nearest: NDArray[np.int64]
    """Index of the nearest of the ten centres, shape ``(n,)``; -1 if there is none."""

    @property
    def residual(self) -> NDArray[np.float64]:
        """Human minus model, in (-1, 1): above 0 the model finds the item less typical."""
        return self.human - self.model


def typicality(close: NDArray[np.float64], labels: Labels) -> Typicality:
    """Return how typical people and the model find each item of its own category.

    Args:
        close: Closeness to the ten centres, shape ``(n, 10)``.
        labels: Labels of the items.
    """
    filled = np.where(np.isnan(close), -np.inf, close)
    best = np.where(np.isneginf(filled).all(axis=1), -1, filled.argmax(axis=1))
    return Typicality(
        human=ranks_within(np.where(labels.dimension >= 0, labels.grade, np.nan), labels),
        model=ranks_within(own_closeness(close, labels), labels),
        nearest=best,
    )


def sentence_closeness(
    sentence: NDArray[np.floating],
    states: NDArray[np.floating],
    members: NDArray[np.bool_],
    *,
    group: NDArray[np.int64] | None = None,
    draws: int = 400,
    seed: int = 0,
) -> list[tuple[Estimate, Estimate]]:
    """Return a new sentence's cosine to each centre, with interval and chance band.

    Args:
        sentence: Its state minus the items' mean, shape ``(d,)``.
        states: Centred states of the items, shape ``(n, d)``.
        members: Which items make up each centre, shape ``(n, 10)``.
        group: Text number of each item, shape ``(n,)``; without it each item is its own text.
        draws: Centres made of random items.
        seed: Seed of the draws.

    Returns:
        For each dimension: the cosine with its interval over the centre's texts, and mean and band
        of its cosine to centres of equally many random items. NaN where there is no member.
    """
    rng = np.random.default_rng(seed)
    unit = _unit(np.asarray(sentence, np.float64))
    text = np.arange(len(states)) if group is None else group
    nothing = Estimate(np.nan, np.nan, np.nan)
    result = []
    for column in range(members.shape[1]):
        own = np.flatnonzero(members[:, column])
        if not len(own):
            result.append((nothing, nothing))
            continue
        random = np.stack(
            [states[rng.choice(len(states), len(own))].sum(axis=0) for _ in range(draws)]
        )
        null = normalised(random) @ unit
        result.append((_jackknifed(unit, states[own], group_numbers(text[own])), chance(null)))
    return result


def _jackknifed(
    unit: NDArray[np.float64], states: NDArray[np.floating], text: NDArray[np.int64]
) -> Estimate:
    """Return the cosine of a unit vector to the mean state, with a 95 % jackknife interval.

    Not a bootstrap: a resampled centre has twice the noise of the centre, so its cosine is nearer
    to 0, and in 640 dimensions the interval would miss its own figure. On Fisher's scale, where the
    interval stays within [-1, 1]. One text alone says nothing about the spread: [-1, 1].
    """
    from scipy.special import stdtrit

    sums = np.zeros((text.max() + 1, states.shape[1]))
    np.add.at(sums, text, states)
    total = sums.sum(axis=0)
    value = float(unit @ _unit(total))
    n = len(sums)
    if n == 1:
        return Estimate(value, -1.0, 1.0)
    rest = total - sums
    length = np.linalg.norm(rest, axis=1)
    without = np.arctanh(np.clip((rest @ unit) / np.where(length > 0, length, 1), *_INSIDE))
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    middle, reach = np.arctanh(np.clip(value, *_INSIDE)), stdtrit(n - 1, 0.975) * error
    return Estimate(value, float(np.tanh(middle - reach)), float(np.tanh(middle + reach)))
