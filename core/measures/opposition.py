"""Categorical test: does a layer keep virtue and vice apart, or do their centres coincide?

Opposition is minus the cosine of the two centres of a foundation: 1 opposed, 0 unrelated (as in
people's vectors, where the poles are separate axes), -1 the same direction (arXiv 2603.15615,
categorical indifference; there the cosine itself is reported). Noise in a centre draws every cosine
to 0; what it would be without is estimated from the centres' reliability. As the topic that both
poles share draws it to -1, noise raises it, so the headline is another: the excess opposition.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS, FOUNDATIONS
from core.measures import excess_opposition
from core.measures.centroids import draw_blocks, resampled_centres, shuffled_centres, to_device
from core.measures.cohort import Cohort
from core.measures.excess_opposition import FEWEST_TEXTS, LEAST_RELIABLE
from core.measures.result import ALL, NOTHING, Measured, Measurement, band, estimate, recentred

if TYPE_CHECKING:
    import torch


def measure(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    """Measure what sets virtue and vice apart at one layer.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.

    Returns:
        The figures of ``excess_opposition.measure``, the headline first, then those of ``raw``.
    """
    beyond, plain = excess_opposition.measure(states, cohort), raw(states, cohort)
    return Measured((*beyond.figures, *plain.figures), beyond.draws, beyond.null)


def raw(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    """Measure the raw opposition of virtue and vice, the paper's figure, at one layer.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.

    Returns:
        ``opposition`` and ``corrected opposition`` of all foundations and of each, ``reliability``
        of each centre, ``cosine`` of each pair of centres; NaN where a centre has fewer than
        ``FEWEST_TEXTS`` texts. Only centres of at least ``LEAST_RELIABLE`` are corrected.
    """
    on = to_device(states)
    texts = _texts_per_centre(cohort)
    cosine = _cosines(_sums(states, cohort), texts)
    draws, reliable = _resampled(on, states, cohort, texts)
    reliability = _reliability(states, cohort, texts)
    moved = _recentred(cosine, draws, _stretch(reliability, texts))
    figures = _oppositions(cosine, moved, _null(on, cohort, texts), texts)
    corrected = _corrected(cosine, moved, reliability)
    rows = [
        *figures.figures,
        *corrected,
        *_reliabilities(reliability, reliable, texts),
        *_pairs(cosine, moved, texts),
    ]
    return Measured(tuple(rows), figures.draws, figures.null)


def cosine_matrix(states: NDArray[np.float32], cohort: Cohort) -> NDArray[np.float64]:
    """Return the cosine of each pair of centres, shape ``(10, 10)``; NaN without enough texts."""
    return _cosines(_sums(states, cohort), _texts_per_centre(cohort))


def _texts_per_centre(cohort: Cohort) -> NDArray[np.int64]:
    counts = [len(np.unique(cohort.text[own])) for own in cohort.members.T]
    return np.array(counts, np.int64)


def _sums(states: NDArray[np.float32], cohort: Cohort) -> NDArray[np.float64]:
    """Return each centre's sum of members in float64, ``(10, d)``: coordinates reach 88,000."""
    return np.stack([states[own].sum(axis=0, dtype=np.float64) for own in cohort.members.T])


def _cosines(sums: NDArray[np.float64], texts: NDArray[np.int64]) -> NDArray[np.float64]:
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    unit = sums / np.where(length > 0, length, 1)
    cosine: NDArray[np.float64] = np.clip(unit @ unit.T, -1, 1)
    nothing = (texts < FEWEST_TEXTS) | (length[:, 0] == 0)
    cosine[nothing] = np.nan
    cosine[:, nothing] = np.nan
    return cosine


def _resampled(
    on: "torch.Tensor",
    states: NDArray[np.float32],
    cohort: Cohort,
    texts: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosines ``(draws, 10, 10)`` and lengths² without noise ``(draws, 10)`` by resample."""
    import torch

    cosine = np.full((cohort.draws, 10, 10), np.nan, np.float32)
    clean = np.full((cohort.draws, 10), np.nan, np.float32)
    noise = [_text_noise(states, cohort, column) for column in range(10)]
    known = np.flatnonzero(texts >= FEWEST_TEXTS)
    for block in draw_blocks(cohort.draws, states.shape[1]):
        centres = torch.stack(
            [resampled_centres(on, cohort, column, block) for column in range(10)]
        )
        length2 = (centres**2).sum(dim=2).cpu().numpy().astype(np.float64)
        unit = torch.nn.functional.normalize(centres, dim=2)
        pairs = torch.einsum("cbd,kbd->bck", unit, unit).cpu().numpy()
        pairs[(length2 == 0).T] = np.nan  # none of its texts was drawn
        pairs.transpose(0, 2, 1)[(length2 == 0).T] = np.nan
        cosine[block, known[:, None], known] = pairs[:, known[:, None], known]
        for column in known:
            clean[block, column] = _clean_length(
                length2[column], cohort.weights[block].astype(np.float64), noise[column]
            )
    return cosine, clean


def _text_noise(
    states: NDArray[np.float32], cohort: Cohort, column: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the texts of a centre, their rows' number, and the squared length of their sum."""
    own = np.flatnonzero(cohort.members[:, column])
    texts, number = np.unique(cohort.text[own], return_inverse=True)
    sums = np.zeros((len(texts), states.shape[1]))
    np.add.at(sums, number, states[own])
    return texts, np.bincount(number).astype(np.float64), np.einsum("td,td->t", sums, sums)


def _clean_length(
    length2: NDArray[np.float64],
    weights: NDArray[np.float64],
    noise: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return the squared length of the mean that pairs of different texts agree on, ``(b,)``."""
    texts, rows, own = noise
    drawn = weights[:, texts]
    pairs = (drawn @ rows) ** 2 - drawn**2 @ rows**2
    with np.errstate(invalid="ignore", divide="ignore"):
        clean: NDArray[np.float64] = (length2 - drawn**2 @ own) / np.where(pairs > 0, pairs, np.nan)
    return clean


def _reliability(
    states: NDArray[np.float32], cohort: Cohort, texts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the reliability of each centre, ``(10,)``: clean over observed squared length.

    What two halves' cosine, stepped up by Spearman and Brown, tends to over all ways to halve the
    texts; at most 1, below 0 where halves disagree by chance.
    """
    result = np.full(10, np.nan)
    sums = _sums(states, cohort)
    for column in np.flatnonzero(texts >= FEWEST_TEXTS):
        noise = _text_noise(states, cohort, int(column))
        length2 = np.array([sums[column] @ sums[column]])
        clean = _clean_length(length2, np.ones((1, cohort.n_texts)), noise)
        observed = length2 / noise[1].sum() ** 2
        result[column] = clean[0] / observed[0] if observed[0] > 0 else np.nan
    return result


def _stretch(reliability: NDArray[np.float64], texts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how much wider a cosine of two centres spreads than its resamples, ``(10, 10)``.

    With noise alike in all directions, in units of the centres' squared lengths: the product of two
    centres of reliability r and s has variance 1 - rs. Resampling adds 2 (1 - r) (1 - s), because
    it perturbs centres that are noisy already, and then divides by squared lengths of 2 - r and
    2 - s. A resample of n texts besides has (n - 1) / n of their variance.
    """
    noise = 1 - np.clip(np.nan_to_num(reliability), 0, 1 - 1e-6)
    one, other = noise[:, None], noise[None]
    truth = one + other - one * other
    few = np.minimum(texts[:, None], texts[None])
    few = few / np.maximum(few - 1, 1)
    stretch: NDArray[np.float64] = np.sqrt(
        few * truth * (1 + one) * (1 + other) / (truth + 2 * one * other)
    )
    return stretch


def _recentred(
    cosine: NDArray[np.float64], draws: NDArray[np.float32], stretch: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the resamples of each pair's cosine moved onto it, ``(draws, 10, 10)``."""
    moved = np.empty_like(draws)
    for one, other in np.ndindex(cosine.shape):
        value, wider = float(cosine[one, other]), float(stretch[one, other])
        moved[:, one, other] = recentred(value, draws[:, one, other], wider)
    return moved


def _reliabilities(
    reliability: NDArray[np.float64], clean: NDArray[np.float32], texts: NDArray[np.int64]
) -> list[Measurement]:
    """Return each centre's reliability; the noise part of its length is held fixed in resamples."""
    figures = []
    for column, name in enumerate(DIMENSIONS):
        value = reliability[column]
        with np.errstate(invalid="ignore", divide="ignore"):
            scale = np.nanmean(clean[:, column]) if np.isfinite(clean[:, column]).any() else np.nan
            noise = scale * (1 / value - 1) if value > 0 else np.nan
            draws = np.clip(clean[:, column] / (clean[:, column] + noise), -1, 1)
        figures.append(
            Measurement(
                "categorical",
                "reliability",
                name,
                int(texts[column]),
                estimate(float(value), draws),
                NOTHING,
            )
        )
    return figures


def _null(on: "torch.Tensor", cohort: Cohort, texts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return each foundation's opposition under shuffled labels, ``(shuffles, 5)``."""
    import torch

    null = np.full((cohort.shuffles, len(FOUNDATIONS)), np.nan, np.float32)
    for foundation in range(len(FOUNDATIONS)):
        if texts[2 * foundation : 2 * foundation + 2].min() < FEWEST_TEXTS:
            continue
        rows = np.flatnonzero(cohort.foundation == foundation)
        done = 0
        for block in shuffled_centres(on[torch.tensor(rows)], cohort, rows, foundation):
            cosine = torch.nn.functional.cosine_similarity(block.sums[0], block.sums[1], dim=1)
            null[done : done + len(cosine), foundation] = -cosine.cpu().numpy()
            done += len(cosine)
    return null


def _oppositions(
    cosine: NDArray[np.float64],
    draws: NDArray[np.float32],
    null: NDArray[np.float32],
    texts: NDArray[np.int64],
) -> Measured:
    """Return the oppositions, of all foundations first."""
    pairs = np.arange(5) * 2
    values, moved = -cosine[pairs, pairs + 1], -draws[:, pairs, pairs + 1]
    known = np.isfinite(values)
    each = [
        Measurement(
            "categorical",
            "opposition",
            name,
            int(texts[2 * number : 2 * number + 2].sum()),
            estimate(values[number], moved[:, number]),
            band(null[:, number]) if known[number] else NOTHING,
        )
        for number, name in enumerate(FOUNDATIONS)
    ]
    if not known.any():
        none = np.full(0, np.nan, np.float32)
        whole = Measurement("categorical", "opposition", ALL, int(texts.sum()), NOTHING, NOTHING)
        return Measured((whole, *each), none, none)
    together, chance = moved[:, known].mean(axis=1), null[:, known].mean(axis=1)
    whole = Measurement(
        "categorical",
        "opposition",
        ALL,
        int(texts.sum()),
        estimate(float(values[known].mean()), together),
        band(chance),
    )
    return Measured((whole, *each), together.astype(np.float32), chance)


def _corrected(
    cosine: NDArray[np.float64],
    draws: NDArray[np.float32],
    reliability: NDArray[np.float64],
) -> list[Measurement]:
    """Return the oppositions corrected for attenuation: divided by the centres' reliability."""
    values, moved = np.full(5, np.nan), np.full((len(draws), 5), np.nan)
    for number in range(5):
        virtue, vice = 2 * number, 2 * number + 1
        if not min(reliability[virtue], reliability[vice]) >= LEAST_RELIABLE:
            continue
        scale = np.sqrt(reliability[virtue] * reliability[vice])
        observed = -cosine[virtue, vice]
        values[number] = observed / scale
        moved[:, number] = -draws[:, virtue, vice] / scale
    known = np.isfinite(values)
    rows = [
        Measurement("categorical", "corrected opposition", name, 0, estimate(value, one), NOTHING)
        for name, value, one in zip(FOUNDATIONS, values, moved.T, strict=True)
    ]
    whole = NOTHING
    if known.any():
        whole = estimate(float(values[known].mean()), moved[:, known].mean(axis=1))
    return [Measurement("categorical", "corrected opposition", ALL, 0, whole, NOTHING), *rows]


def _pairs(
    cosine: NDArray[np.float64], draws: NDArray[np.float32], texts: NDArray[np.int64]
) -> list[Measurement]:
    """Return the cosine of each pair of centres."""
    figures = []
    for one in range(10):
        for other in range(one + 1, 10):
            figures.append(
                Measurement(
                    "categorical",
                    "cosine",
                    f"{DIMENSIONS[one]}|{DIMENSIONS[other]}",
                    int(texts[[one, other]].sum()),
                    estimate(cosine[one, other], draws[:, one, other]),
                    NOTHING,
                )
            )
    return figures
