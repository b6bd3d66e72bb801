"""Effects of latents on the texts that report, with intervals for those that were selected."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.features.comparisons import CHANCE, Contrast, Effects, TextLabels, comparisons
from core.statistics.sparse_ranks import Floats, MidRanks, SortedCodes, centred

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

#: Latents whose correlations are resampled at once.
_LATENTS_AT_ONCE: Final = 64
#: A sum of squared deviations below this share of the sum of squares is rounding (float32).
_ROUNDING: Final = 1e-6


class Reported(NamedTuple):
    """Effects on the texts that report."""

    value: Effects
    """The effects of all latents."""

    low: Effects
    """Lower ends of 95 % intervals over texts; NaN if not selected or on too rarely."""

    high: Effects
    """Upper ends."""

    missed: Effects
    """Share of the resamples that do not lie above chance, in [0, 1]; NaN where no interval is."""


def reported_effects(
    codes: "csr_array",
    ordered: SortedCodes,
    labels: TextLabels,
    tokens: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    selected: NDArray[np.bool_],
    *,
    rare: int,
    draws: int,
    seed: int,
) -> Reported:
    """Return all effects among some texts, and intervals of those that were selected.

    Args:
        codes: Activations of all texts, shape ``(n_texts, n_latents)``.
        ordered: The same, sorted.
        labels: Labels of all texts.
        tokens: Length of all texts, shape ``(n_texts,)``.
        chosen: Texts that report, shape ``(n_texts,)``.
        selected: Which latents were selected for which dimension, ``(n_latents, 10)``.
        rare: All but the membership of latents that are on in fewer of the compared texts get no
            interval: two texts that happen to lie right come back in every resample. Membership
            does not need this: members are few among all texts, so its lower end errs on the
            cautious side.
        draws: Resamples of the texts.
        seed: Seed of the resamples.
    """
    found = Reported(*(Effects.nothing(len(selected)) for _ in range(4)))
    n = int(chosen.sum())
    rng = np.random.default_rng([seed, 8])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float32)
    for one in comparisons(labels, tokens, chosen):
        ranks = one.ranks(ordered)
        one.fill(found.value, one.effects(ranks))
        able = (ranks.fires >= rare) | (one.statistic == "membership")
        own = codes[one.texts].tocsc()
        drawn_texts = weights[:, one.texts[chosen]]
        for at, column in enumerate(one.columns):
            latents = np.flatnonzero(selected[:, column] & able)
            if one.statistic == "gradient":
                drawn = _correlation_draws(ranks, one, latents, drawn_texts)
            else:
                drawn = _auroc_draws(own[:, latents], one, at, drawn_texts)
            chance = CHANCE[one.statistic]
            ends = (*_ends(drawn), (~(drawn > chance)).mean(axis=0))
            for whole, end in zip((found.low, found.high, found.missed), ends, strict=True):
                getattr(whole, one.statistic)[latents, column] = end
    return found


def _correlation_draws(
    ranks: MidRanks, one: Contrast, latents: NDArray[np.int64], weights: NDArray[np.float32]
) -> Floats:
    """Return Spearman's correlation in each resample, ranks held fixed, ``(draws, n_latents)``."""
    found = [np.empty((len(weights), 0))]
    y = one.target[:, 0]
    n = np.maximum(weights.sum(axis=1), 1)[:, None]
    sum_y, sum_yy = (weights @ y**power for power in (1, 2))
    for start in range(0, len(latents), _LATENTS_AT_ONCE):
        some = ranks.ranks[:, latents[start : start + _LATENTS_AT_ONCE]].toarray()
        x = centred(one.stratum, some)
        sum_x, sum_xx, sum_xy = weights @ x, weights @ x**2, weights @ (x * y[:, None])
        left, right = sum_xx - sum_x**2 / n, (sum_yy - sum_y**2 / n[:, 0])[:, None]
        real = (left > _ROUNDING * sum_xx) & (right > _ROUNDING * sum_yy[:, None])
        size = np.sqrt(np.where(real, left * right, 1))
        found.append(np.where(real, (sum_xy - sum_x * sum_y[:, None] / n) / size, np.nan))
    return np.hstack(found)


def _auroc_draws(
    codes: "csc_array", one: Contrast, at: int, weights: NDArray[np.float32]
) -> Floats:
    """Return the effect in each resample of the compared texts, ``(draws, n_latents)``.

    Args:
        codes: Activations of the latents on the compared texts, shape ``(n, n_latents)``.
        one: The comparison.
        at: Which of its columns.
        weights: How often each draw has each compared text, shape ``(draws, n)``.
    """
    member = one.target[:, at] > 0
    strata = np.eye(int(one.stratum.max()) + 1, dtype=np.float32)[one.stratum]
    own, other = (weights[:, side] @ strata[side] for side in (member, ~member))
    # A stratum without texts in a draw weighs nothing there.
    share = 1 / np.maximum(own + other, 1)
    pairs = (own * other * share).sum(axis=1)
    found = np.empty((len(weights), codes.shape[1]))
    for latent in range(codes.shape[1]):
        on = slice(*codes.indptr[latent : latent + 2])
        rows, values = codes.indices[on], codes.data[on]
        rows, values = rows[values > 0], values[values > 0]
        above = _above(values, rows, member, one.stratum, weights)
        lit_own, lit_other = (
            weights[:, rows[side]] @ strata[rows[side]] for side in (member[rows], ~member[rows])
        )
        # Texts on which it is off all tie, and lie below those on which it is on.
        off = other - lit_other
        won = (above * share[:, one.stratum[rows[member[rows]]]]).sum(axis=1)
        won += ((lit_own * off + (own - lit_own) * off / 2) * share).sum(axis=1)
        found[:, latent] = won / np.where(pairs > 0, pairs, np.nan)
    return found - 0.5 + CHANCE[one.statistic]


def _above(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    member: NDArray[np.bool_],
    stratum: NDArray[np.int64],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return the weight of pairs that each member wins against others that are on, ties half.

    Args:
        values: A latent's activations above 0, shape ``(on,)``.
        rows: Their texts.
        member: Who is a member, shape ``(n,)``.
        stratum: Stratum of each text, shape ``(n,)``.
        weights: How often each draw has each text, shape ``(draws, n)``.

    Returns:
        Shape ``(draws, members on)``, in their order.
    """
    inside = member[rows]
    # One number that orders by stratum, then by value.
    level = np.unique(values, return_inverse=True)[1]
    bottom = stratum[rows] * (len(values) + 1)
    place = bottom + level
    order = np.argsort(place[~inside])
    others = place[~inside][order]
    drawn = weights[:, rows[~inside][order]]
    below = np.zeros((len(weights), len(others) + 1), np.float32)
    np.cumsum(drawn, axis=1, out=below[:, 1:])
    first, low = (np.searchsorted(others, one[inside]) for one in (bottom, place))
    high = np.searchsorted(others, place[inside], side="right")
    won: NDArray[np.float32] = below[:, low] + below[:, high] - 2 * below[:, first]
    return won * weights[:, rows[inside]] / np.float32(2)


def _ends(drawn: Floats) -> Floats:
    """Return the 2.5 % and 97.5 % quantiles of known draws ``(draws, m)``, shape ``(2, m)``."""
    ends = np.full((2, drawn.shape[1]), np.nan)
    known = np.isfinite(drawn).any(axis=0)
    if known.any():
        ends[:, known] = np.nanquantile(drawn[:, known], [0.025, 0.975], axis=0)
    return ends
