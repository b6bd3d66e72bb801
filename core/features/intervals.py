"""Effects of latents on the texts that report, with intervals for those that were selected."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.features.comparisons import CHANCE, Contrast, Effects, TextLabels, comparisons
from core.statistics.scores import auroc_draws, correlation_draws
from core.statistics.sparse_ranks import Floats, SortedCodes

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

#: Latents whose correlations are resampled at once.
_LATENTS_AT_ONCE: Final = 64


class Reported(NamedTuple):
    """Effects on the texts that report."""

    value: Effects
    """The effects of all latents."""

    low: Effects
    """Lower ends of 95 % intervals over texts; NaN if not selected or on too rarely."""

    high: Effects
    """Upper ends."""


def reported_effects(
    codes: "csr_array",
    ordered: SortedCodes,
    labels: TextLabels,
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
        chosen: Texts that report, shape ``(n_texts,)``.
        selected: Which latents were selected for which dimension, ``(n_latents, 10)``.
        rare: Contrasts and gradients of latents that are on in fewer of the compared texts get no
            interval: two texts that happen to lie right come back in every resample. Membership
            does not need this, its lower end errs on the cautious side.
        draws: Resamples of the texts.
        seed: Seed of the resamples.
    """
    found = Reported(*(Effects.nothing(len(selected)) for _ in range(3)))
    n = int(chosen.sum())
    rng = np.random.default_rng([seed, 8])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.int32)
    for one in comparisons(labels, chosen):
        ranks = ordered.among(one.texts)
        one.fill(found.value, one.effects(ranks))
        able = (ranks.fires >= rare) | (one.statistic == "membership")
        own = codes[one.texts].tocsc()
        drawn_texts = weights[:, one.texts[chosen]]
        for at, column in enumerate(one.columns):
            latents = np.flatnonzero(selected[:, column] & able)
            ends = _ends(_draws(one, at, own[:, latents], drawn_texts))
            for whole, end in zip((found.low, found.high), ends, strict=True):
                getattr(whole, one.statistic)[latents, column] = end
    return found


def _draws(one: Contrast, at: int, codes: "csc_array", weights: NDArray[np.int32]) -> Floats:
    """Return the effect in each resample of the compared texts, ``(draws, n_latents)``."""
    n_latents = codes.shape[1]
    found = [np.empty((len(weights), 0))]
    if one.statistic != "gradient":
        member = one.target[:, at] > 0
        sides = np.stack([weights[:, side].sum(axis=1) for side in (member, ~member)], axis=1)
        for latent in range(n_latents):
            on = slice(*codes.indptr[latent : latent + 2])
            auroc = _auroc_draws(codes.data[on], codes.indices[on], member, weights, sides)
            found.append(auroc - 0.5 + CHANCE[one.statistic])
        return np.hstack(found)
    text = np.arange(len(one.target))
    for start in range(0, n_latents, _LATENTS_AT_ONCE):
        part = codes[:, start : start + _LATENTS_AT_ONCE].toarray().astype(np.float64)
        # Only rows above 0 are correlated there: here all are members.
        grades = np.tile(one.target[:, at, None] + 2, part.shape[1])
        found.append(correlation_draws(part, grades, text, weights.astype(np.uint8)))
    return np.hstack(found)


def _auroc_draws(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    member: NDArray[np.bool_],
    weights: NDArray[np.int32],
    sides: NDArray[np.int32],
) -> Floats:
    """Return one latent's AUROC in each resample, ``(draws, 1)``.

    Texts on which it is off all tie: each side's are one row that counts as often as they together.

    Args:
        values: Its activations above 0.
        rows: Their texts.
        member: Who is a member, shape ``(n,)``.
        weights: How often each draw has each text, shape ``(draws, n)``.
        sides: How often it has members and others, shape ``(draws, 2)``.
    """
    import torch

    on, own = weights[:, rows], member[rows]
    off = sides - np.stack([on[:, side].sum(axis=1) for side in (own, ~own)], axis=1)
    prediction = torch.from_numpy(np.r_[values, 0, 0].astype(np.float32)[:, None])
    target = torch.from_numpy(np.r_[own, True, False].astype(np.float32)[:, None])
    return auroc_draws(prediction, target, torch.arange(len(target)), np.hstack([on, off]))


def _ends(drawn: Floats) -> Floats:
    """Return the 2.5 % and 97.5 % quantiles of known draws ``(draws, m)``, shape ``(2, m)``."""
    ends = np.full((2, drawn.shape[1]), np.nan)
    known = np.isfinite(drawn).any(axis=0)
    if known.any():
        ends[:, known] = np.nanquantile(drawn[:, known], [0.025, 0.975], axis=0)
    return ends
