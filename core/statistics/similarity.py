"""How alike two models' states of the same texts are, whatever their widths and axes.

Linear CKA (Kornblith et al. 2019, arXiv 1905.00414) compares which texts lie near which; it does
not change when the axes are turned or all coordinates are stretched alike. Its plain form grows
towards 1 with the width, even for noise, so the debiased one (Song et al. 2012; Nguyen et al. 2021,
arXiv 2010.15327) is used: about 0 where texts are paired at random. The second figure counts shared
nearest neighbours.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.runtime.progress import Report, silent
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.statistics.neighbours import overlap

Floats = NDArray[np.floating]
#: Gives a layer's states when they are needed, so that not all of them lie in memory.
Layer = Callable[[], Floats]

#: Similarities of all layers held at once, in float32 cells: 2**25 are 128 MB.
_CELLS: Final = 2**25
#: Rows whose products are added up in float32; the sums of these are float64.
_ROWS_AT_ONCE: Final = 8
#: Texts below which the debiased figure is not defined.
FEWEST: Final = 4


class CkaMatrix(NamedTuple):
    """Linear CKA of each layer of one model with each layer of another."""

    debiased: NDArray[np.float64]
    """About 0 by chance, 1 for the same states; shape ``(n_first, n_second)``, NaN where a layer
    has the same state for all texts."""

    plain: NDArray[np.float64]
    """In [0, 1], above 0 by chance; same shape."""


class Cka(NamedTuple):
    """Linear CKA of two layers."""

    observed: Estimate
    """Debiased, with a 95 % jackknife interval over texts."""

    shuffled: Estimate
    """The same with texts paired at random: mean and 95 % band."""

    plain: float
    """Not debiased."""


class Overlap(NamedTuple):
    """Neighbours that two models share."""

    share: NDArray[np.float64]
    """Of each text's neighbours in the first model, those in the second, too; ``(n,)``."""

    observed: Estimate
    """Mean share, 95 % interval over texts."""

    shuffled: Estimate
    """The same with texts paired at random: mean and 95 % band."""


# --- CKA ---


def cka_matrix(
    first: Sequence[Layer], second: Sequence[Layer], report: Report = silent
) -> CkaMatrix:
    """Return linear CKA of all pairs of layers, from blocks of rows of the similarities.

    Args:
        first: Layers of one model, each ``(n, d)``; row ``i`` is the same text in all of them.
        second: Layers of another, each ``(n, d')``.
        report: Told how many texts are compared.

    Raises:
        ValueError: There are fewer than ``FEWEST`` texts, or numbers of rows differ.
    """
    layers = [*first, *second]
    n = _rows_of(first[0], second[0])
    products = np.zeros((len(layers), len(layers)))
    diagonal, sums = np.zeros((len(layers), n)), np.zeros((len(layers), n))
    for block in _blocks(n, len(layers)):
        report(block.start, n, f"comparing layers · {block.start:,} of {n:,} texts")
        own = np.arange(n)[block]
        grams = np.empty((len(layers), len(own), n), np.float32)
        for number, layer in enumerate(layers):
            grams[number] = _gram(_unit(layer()), block)
        diagonal[:, block] = grams[:, np.arange(len(own)), own]
        grams[:, np.arange(len(own)), own] = 0
        sums[:, block] = grams.sum(axis=2, dtype=np.float64)
        for start in range(0, len(own), _ROWS_AT_ONCE):
            some = grams[:, start : start + _ROWS_AT_ONCE].reshape(len(layers), -1)
            # A copy: of an array and its own transpose numpy takes a routine 50 times slower here.
            products += some @ some.copy().T
    here, there = slice(0, len(first)), slice(len(first), len(layers))
    unbiased = _hsic(products, sums @ sums.T, sums.sum(axis=1), n)
    biased = products + diagonal @ diagonal.T
    return CkaMatrix(
        _normalised(unbiased)[here, there], np.clip(_normalised(biased)[here, there], 0, 1)
    )


def cka(first: Floats, second: Floats, *, shuffles: int = 100, seed: int = 0) -> Cka:
    """Return linear CKA of two layers with interval and control.

    Args:
        first: Shape ``(n, d)``.
        second: Shape ``(n, d')``, the same texts.
        shuffles: Random pairings of the texts.
        seed: Seed of the pairings.

    Raises:
        ValueError: There are fewer than ``FEWEST`` texts, or numbers of rows differ.
    """
    n = _rows_of(lambda: first, lambda: second)
    grams = [_gram(_unit(states), slice(0, n)) for states in (first, second)]
    tops = [np.diagonal(gram).astype(np.float64) for gram in grams]
    for gram in grams:
        np.fill_diagonal(gram, 0)
    one, other = grams
    parts = [_parts(one, other), _parts(one, one), _parts(other, other)]
    whole = [_hsic(part.product, part.sums, part.total, n) for part in parts]
    if min(whole[1:]) <= 0:
        nothing = Estimate(np.nan, np.nan, np.nan)
        return Cka(nothing, nothing, np.nan)
    length = np.sqrt(whole[1] * whole[2])
    value = float(whole[0] / length)
    biased = [
        part.product + a @ b
        for part, (a, b) in zip(
            parts, ((tops[0], tops[1]), (tops[0], tops[0]), (tops[1], tops[1])), strict=True
        )
    ]
    return Cka(
        _jackknifed(value, [part.without(n) for part in parts]),
        chance(_shuffled(one, other, shuffles, seed) / length),
        float(biased[0] / np.sqrt(biased[1] * biased[2])),
    )


def _rows_of(first: Layer, second: Layer) -> int:
    n, other = len(first()), len(second())
    if n != other:
        raise ValueError(f"rows must be the same texts, not {n} and {other}")
    if n < FEWEST:
        raise ValueError(f"CKA needs at least {FEWEST} texts, not {n}")
    return n


def _blocks(n: int, layers: int) -> Iterator[slice]:
    size = max(1, _CELLS // (layers * n))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _unit(states: Floats) -> NDArray[np.float32]:
    """Return states minus their mean, of mean squared length 1; zeros if they are all the same."""
    moved = states - states.mean(axis=0, dtype=np.float64)
    size = float(np.sqrt((moved**2).sum() / len(moved)))
    return np.asarray(moved / size if size > 0 else moved, np.float32)


def _gram(states: NDArray[np.float32], rows: slice) -> NDArray[np.float32]:
    gram: NDArray[np.float32] = states[rows] @ states.T
    return gram


def _hsic(product: Any, sums: Any, total: Any, n: int) -> Any:
    """Return the unbiased HSIC times ``n (n - 3)`` (Song et al. 2012, theorem 2).

    Args:
        product: Sum of the products of both similarities, diagonals left out.
        sums: Product of their row sums.
        total: Sum of each; a pair, or one per layer for a whole matrix.
        n: Number of texts.
    """
    totals = np.multiply(*total) if isinstance(total, tuple) else np.outer(total, total)
    return product - 2 / (n - 2) * sums + totals / ((n - 1) * (n - 2))


def _normalised(hsic: NDArray[np.float64]) -> NDArray[np.float64]:
    own = np.diagonal(hsic).copy()
    own[own <= 0] = np.nan
    result: NDArray[np.float64] = hsic / np.sqrt(np.outer(own, own))
    return result


class _Parts(NamedTuple):
    """What the HSIC of two similarities is made of."""

    product: float
    sums: float
    total: tuple[float, float]
    row_product: NDArray[np.float64]
    row_sums: tuple[NDArray[np.float64], NDArray[np.float64]]
    crossed: NDArray[np.float64]

    def without(self, n: int) -> NDArray[np.float64]:
        """Return the HSIC with each text left out, shape ``(n,)``, up to one common factor."""
        k, l = self.row_sums  # noqa: E741 - as in the paper
        sums = self.sums - k * l - self.crossed + self.row_product
        totals = (self.total[0] - 2 * k, self.total[1] - 2 * l)
        left: NDArray[np.float64] = _hsic(self.product - 2 * self.row_product, sums, totals, n - 1)
        return left


def _parts(one: NDArray[np.float32], other: NDArray[np.float32]) -> _Parts:
    k, l = (gram.sum(axis=1, dtype=np.float64) for gram in (one, other))  # noqa: E741
    rows = np.einsum("ij,ij->i", one, other).astype(np.float64)
    crossed = one @ l + other @ k
    return _Parts(
        float(rows.sum()), float(k @ l), (float(k.sum()), float(l.sum())), rows, (k, l), crossed
    )


def _jackknifed(value: float, left: Sequence[NDArray[np.float64]]) -> Estimate:
    """Return a figure with its 95 % jackknife interval, from the HSICs without each text.

    Not a bootstrap: a text drawn twice would be its own twin, which no two texts are.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        without = left[0] / np.sqrt(left[1] * left[2])
    n = len(without)
    reach = 1.96 * float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))
    return Estimate(value, value - reach, value + reach)


def _shuffled(
    one: NDArray[np.float32], other: NDArray[np.float32], shuffles: int, seed: int
) -> NDArray[np.float64]:
    """Return the HSIC with the second model's texts paired at random, shape ``(shuffles,)``."""
    rng, n = np.random.default_rng(seed), len(one)
    k, l = (gram.sum(axis=1, dtype=np.float64) for gram in (one, other))  # noqa: E741
    totals = (float(k.sum()), float(l.sum()))
    found = np.empty(shuffles)
    for number in range(shuffles):
        taken = rng.permutation(n)
        product = np.einsum("ij,ij->i", one, other[taken][:, taken]).sum(dtype=np.float64)
        found[number] = _hsic(product, k @ l[taken], totals, n)
    return found


# --- neighbours ---


def shared_neighbours(
    first: NDArray[np.int64], second: NDArray[np.int64], *, shuffles: int = 200, seed: int = 0
) -> Overlap:
    """Return which share of neighbours two models have in common, beside random pairings.

    Args:
        first: Nearest other texts in one model, shape ``(n, k)``.
        second: The same in another, shape ``(n, k)``.
        shuffles: Random pairings of the texts.
        seed: Seed of pairings and interval.
    """
    share = overlap(first, second)
    rng, n = np.random.default_rng(seed), len(first)
    found = np.empty(shuffles)
    for number in range(shuffles):
        taken = rng.permutation(n)
        place = np.argsort(taken)
        found[number] = overlap(first, place[second[taken]]).mean()
    return Overlap(share, bootstrap_mean(share, np.arange(n), seed=seed), chance(found))
