"""How far virtue and vice lie apart within their foundation, whatever the topic both share.

The raw opposition, minus the cosine of two centres, rewards noise: all that both poles share is the
topic, which draws it to -1, and noise draws it back to 0. So it is held against what it would be if
the two centres were one point: minus the root of the product of their reliabilities, which is also
what labels shuffled within the foundation give. What is left, the excess, is 0 where the poles
coincide, 1 where they are unrelated and 2 where they are opposed; noise takes from it and never
adds (Spearman 1904 on attenuation; squared lengths without noise come from pairs of different
texts, as in a cross-validated distance, Walther et al. 2016,
https://doi.org/10.1016/j.neuroimage.2015.12.012). Divided by that root it is the corrected excess,
which noise leaves where it is.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import FOUNDATIONS
from core.measures.centroids import draw_blocks, shuffled_centres, to_device
from core.measures.cohort import Cohort
from core.measures.result import ALL, NOTHING, Measured, Measurement, band, estimate, moved

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]

#: A centre of fewer texts says nothing about its category.
FEWEST_TEXTS: Final = 3
#: Centres less reliable than this are not corrected: dividing by nearly nothing tells nothing.
LEAST_RELIABLE: Final = 0.3
NAME: Final = "excess opposition"
CORRECTED: Final = "corrected excess opposition"
#: How far a resample goes from the sample, its spread being enlarged in turn: with a dozen texts
#: whole resamples spread by terms of third order, too (calibrated on made data,
#: ``tests/benchmarks/bench_coverage.py``).
_STEP: Final = 0.75
#: Least share of a noisy squared length that is taken to be clean where noise rules.
_LEAST_CLEAN: Final = 0.05
#: Cells of one array of pairs of rows that share a text.
_PAIR_CELLS: Final = 2**22


class _Rows(NamedTuple):
    """The rows of one foundation."""

    states: "torch.Tensor"
    """Float32 ``(n, d)``."""

    squared: "torch.Tensor"
    """Squared length of each row, float32 ``(n,)``."""

    one: "torch.Tensor"
    """First rows of the pairs of rows that share a text, ``(pairs,)``."""

    other: "torch.Tensor"
    """Second rows of these pairs."""

    product: "torch.Tensor"
    """Inner product of each pair, float32 ``(pairs,)``."""


class _Lengths(NamedTuple):
    """Squared lengths of two centres and their inner product, each ``(b,)`` or ``(2, b)``."""

    clean: Floats
    """Without noise: from pairs of different texts, ``(2, b)``."""

    noisy: Floats
    """As they are, ``(2, b)``."""

    product: Floats
    """Inner product of the two, from pairs of different texts, ``(b,)``."""


def measure(states: NDArray[np.float32], cohort: Cohort) -> Measured:
    """Measure the excess opposition of virtue and vice at one layer.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.

    Returns:
        ``excess opposition`` of all foundations and of each, in about [0, 2], with intervals and
        bands; ``corrected excess opposition`` where both centres have a reliability of at least
        ``LEAST_RELIABLE``. NaN where a centre has fewer than ``FEWEST_TEXTS`` texts.
    """
    values, corrected = np.full(5, np.nan), np.full(5, np.nan)
    draws, fixed = np.full((2, cohort.draws, 5), np.nan)
    null = np.full((cohort.shuffles, 5), np.nan)
    count = np.zeros(5, np.int64)
    for number in range(len(FOUNDATIONS)):
        rows = np.flatnonzero(cohort.foundation == number)
        poles = cohort.members[:, 2 * number : 2 * number + 2]
        texts = [len(np.unique(cohort.text[own])) for own in poles.T]
        count[number] = sum(texts)
        if min(texts) < FEWEST_TEXTS:
            continue
        taken = _rows(states, cohort, rows)
        found = _lengths(taken, poles[rows].T[:, None].astype(np.float32))
        root = _root(found)
        if not (found.noisy > 0).all():
            continue
        values[number] = _excess(found)[0]
        stretch = _stretch(taken, found, poles[rows].T, cohort.text[rows])
        again = _resampled(taken, found, poles[rows].T, cohort, rows)
        draws[:, number] = moved(values[number], _excess(again), stretch)
        null[:, number] = _shuffled(taken, cohort, rows, number)
        reliable = found.clean[:, 0] / found.noisy[:, 0]
        if reliable.min() >= LEAST_RELIABLE:
            corrected[number] = values[number] / root[0]
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = _excess(again) / _root(again)
            ratio[~np.isfinite(ratio)] = np.nan
            fixed[:, number] = moved(corrected[number], ratio, stretch)
    head = _figures(NAME, values, draws, null, count)
    rest = _figures(CORRECTED, corrected, fixed, None, count)
    known = np.isfinite(values)
    none = np.full(0, np.nan, np.float32)
    return Measured(
        (*head, *rest),
        draws[:, known].mean(axis=1).astype(np.float32) if known.any() else none,
        null[:, known].mean(axis=1).astype(np.float32) if known.any() else none,
    )


def _rows(states: NDArray[np.float32], cohort: Cohort, rows: NDArray[np.int64]) -> _Rows:
    import torch

    own = to_device(states[rows])
    one, other = _same_text(cohort.text[rows])
    first, second = (torch.tensor(side, device=own.device) for side in (one, other))
    return _Rows(own, (own**2).sum(dim=1), first, second, (own[first] * own[second]).sum(dim=1))


def _same_text(text: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of different rows that share a text."""
    order = np.argsort(text, kind="stable")
    ones, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rows in np.split(order, np.flatnonzero(np.diff(text[order])) + 1):
        if len(rows) > 1:
            first, second = np.triu_indices(len(rows), 1)
            ones.append(rows[first])
            others.append(rows[second])
    return np.concatenate(ones), np.concatenate(others)


def _lengths(
    taken: _Rows, weights: "NDArray[np.float32] | torch.Tensor", sums: "torch.Tensor | None" = None
) -> _Lengths:
    """Return what centres of weighted rows are, noise apart.

    Args:
        taken: The rows.
        weights: How often each row counts in the virtue and in the vice centre, ``(2, b, n)``;
            rows of one text count alike.
        sums: ``weights @ states`` if it is at hand, ``(2, b, d)``.
    """
    import torch

    weight = torch.as_tensor(weights, device=taken.states.device)
    sums = weight @ taken.states if sums is None else sums
    squares = (weight**2) @ taken.squared
    square_counts = (weight**2).sum(dim=2)
    cross = (weight[0] * weight[1]) @ taken.squared
    cross_counts = (weight[0] * weight[1]).sum(dim=1)
    step = max(1, _PAIR_CELLS // max(1, weight.shape[1]))
    for start in range(0, len(taken.one), step):
        one, other = taken.one[start : start + step], taken.other[start : start + step]
        product = taken.product[start : start + step]
        both = weight[:, :, one] * weight[:, :, other]
        squares += 2 * (both @ product)
        square_counts += 2 * both.sum(dim=2)
        mixed = weight[0][:, one] * weight[1][:, other] + weight[0][:, other] * weight[1][:, one]
        cross += mixed @ product
        cross_counts += mixed.sum(dim=1)
    total = weight.sum(dim=2)
    numbers = (
        (sums**2).sum(dim=2),
        squares,
        total,
        square_counts,
        (sums[0] * sums[1]).sum(dim=1),
        cross,
        cross_counts,
    )
    length2, own, rows, pairs, inner, shared, shared_rows = (
        one.cpu().numpy().astype(np.float64) for one in numbers
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return _Lengths(
            (length2 - own) / _above0(rows**2 - pairs),
            length2 / _above0(rows**2),
            (inner - shared) / _above0(rows[0] * rows[1] - shared_rows),
        )


def _above0(count: Floats) -> Floats:
    return np.where(count > 0, count, np.nan)


def _root(found: _Lengths) -> Floats:
    """Return the root of the product of both reliabilities, ``(b,)``; 0 where one has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        reliable = np.clip(found.clean / found.noisy, 0, 1)
    root: Floats = np.sqrt(reliable[0] * reliable[1])
    return root


def _stretch(
    taken: _Rows, found: _Lengths, poles: NDArray[np.bool_], text: NDArray[np.int64]
) -> float:
    """Return how much wider the figure spreads than its resamples, which go ``_STEP`` far.

    With both centres brought to one length, the figure is half the squared length of their
    difference D, noise taken off. With S the covariance of D's noise, its variance is of first
    order D'SD and of second q = tr(S²) / 2. Resampling adds noise to centres that are noisy
    already: a resample that goes s far has D'SD + (2 + s²) q, where D'SD without noise is what the
    noisy D gives, less 2 q. A resample of n texts besides has (n - 1) / n of the variance. With ten
    texts to a pole and no topic that both share, intervals cover 92 or 93 % instead of 95 %.

    Args:
        taken: The foundation's rows.
        found: Lengths of the centres as they are.
        poles: Members of both centres, ``(2, n)``.
        text: Text of each row, ``(n,)``.
    """
    import torch

    clean = np.maximum(found.clean[:, 0], _LEAST_CLEAN * found.noisy[:, 0])
    shares, noises, texts = [], [], []
    for own, share in zip(poles, (clean[1] / clean[0]) ** np.array([0.25, -0.25]), strict=True):
        members = np.flatnonzero(own)
        numbers, place = np.unique(text[members], return_inverse=True)
        rows = taken.states[torch.as_tensor(members, device=taken.states.device)].double() * share
        centre = rows.mean(dim=0)
        off = rows.new_zeros(len(numbers), rows.shape[1])
        off.index_add_(0, torch.as_tensor(place, device=rows.device), rows - centre)
        texts.append(len(numbers))
        shares.append(centre)
        noises.append(off * float(np.sqrt(len(numbers) / (len(numbers) - 1)) / len(members)))
    apart = shares[0] - shares[1]
    along = sum(float((one @ apart).square().sum()) for one in noises)
    second = sum(_trace_of_square(one) for one in noises) / 2 + _cross(*noises)
    share = (along - second) / max(along + _STEP**2 * second, 1e-300)
    fewest = min(texts)
    return float(np.sqrt(fewest / (fewest - 1) * max(share, 1 / (2 + _STEP**2)))) / _STEP


def _trace_of_square(noise: "torch.Tensor") -> float:
    """Return tr(S²) of the covariance that rows ``(n, d)`` estimate as S = noise' noise, unbiased.

    Of few rows a covariance is too long by (tr S)² / (n - 1) (Gaussian; Srivastava 2005).
    """
    free = len(noise) - 1
    square = float(_gram(noise).square().sum())
    bias = float(noise.square().sum()) ** 2 / free
    return max(free**2 / ((free + 2) * (free - 1)) * (square - bias), 0.0)


def _cross(one: "torch.Tensor", other: "torch.Tensor") -> float:
    """Return tr(S T) of two covariances, each as the rows whose products it sums."""
    if len(one) * len(other) <= one.shape[1] ** 2:
        return float((one @ other.T).square().sum())
    return float(((one.T @ one) * (other.T @ other)).sum())


def _gram(noise: "torch.Tensor") -> "torch.Tensor":
    """Return the products of rows, or of columns where these are fewer: squares sum to the same."""
    return noise @ noise.T if len(noise) < noise.shape[1] else noise.T @ noise


def _excess(found: _Lengths) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = found.product / np.sqrt(found.noisy[0] * found.noisy[1])
    excess: Floats = _root(found) - cosine
    return excess


def _resampled(
    taken: _Rows,
    found: _Lengths,
    poles: NDArray[np.bool_],
    cohort: Cohort,
    rows: NDArray[np.int64],
) -> _Lengths:
    """Return the lengths ``_STEP`` of the way to each resample of texts.

    Resampling adds noise to centres that are noisy already. What it adds to their lengths is known,
    so the noise of a length is held at its own.
    """
    noise = found.noisy - found.clean
    parts = []
    for block in draw_blocks(cohort.draws, taken.states.shape[1] + len(rows), centres=2):
        drawn = cohort.weights[block][:, cohort.text[rows]].astype(np.float32)
        near = 1 + _STEP * (drawn - 1)
        parts.append(_lengths(taken, poles[:, None] * near[None]))
    if not parts:
        return _Lengths(np.empty((2, 0)), np.empty((2, 0)), np.empty(0))
    clean = np.concatenate([one.clean for one in parts], axis=1)
    product = np.concatenate([one.product for one in parts])
    return _Lengths(clean, np.maximum(clean, 0) + noise, product)


def _shuffled(taken: _Rows, cohort: Cohort, rows: NDArray[np.int64], number: int) -> Floats:
    found = [
        _excess(_lengths(taken, block.members, block.sums))
        for block in shuffled_centres(taken.states, cohort, rows, number)
    ]
    return np.concatenate([np.empty(0), *found])


def _figures(
    name: str, values: Floats, draws: Floats, null: Floats | None, count: NDArray[np.int64]
) -> list[Measurement]:
    """Return a figure of all foundations together and of each."""
    known = np.isfinite(values)
    each = [
        Measurement(
            "categorical",
            name,
            foundation,
            int(count[column]),
            estimate(values[column], draws[:, column]),
            band(null[:, column]) if null is not None and known[column] else NOTHING,
        )
        for column, foundation in enumerate(FOUNDATIONS)
    ]
    whole, chance = NOTHING, NOTHING
    if known.any():
        whole = estimate(float(values[known].mean()), draws[:, known].mean(axis=1))
        chance = NOTHING if null is None else band(null[:, known].mean(axis=1))
    return [Measurement("categorical", name, ALL, int(count.sum()), whole, chance), *each]
