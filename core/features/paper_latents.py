"""The paper's two ways to call a latent monosemantic, number for number, faults included.

After the released code of arXiv 2603.15615. Both rest on Pearson's correlation of activation and
moral vector over all rows, neutral ones included, a text as often as it has items. Neither has a
null model, so counts stand beside those of shuffled labels. They contradict each other:

* Typing, of which only counts were reported. A latent whose correlations all lie between 0.05 and
  0.1 counts as mono or poly by its two largest, although none of them is significant.
* The strict set, which is fine-tuned. Latents whose largest correlation is negative are in it.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.statistics.sparse_ranks import Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array

WEAK: Final = 0.05
SIGNIFICANT: Final = 0.1
#: The largest correlation of a strict latent exceeds the second this many times.
STRICT_RATIO: Final = 1.5
#: Latents per dimension, beside the strict ones, that are fine-tuned.
PER_DIMENSION: Final = 50
_CONSTANT: Final = 1e-8


class ItemSums(NamedTuple):
    """What Pearson's correlation over items needs of each text."""

    number: Floats
    """Items of the text, shape ``(n,)``."""

    once: Floats
    """Sum of their moral vectors, shape ``(n, 10)``."""

    squared: Floats
    """Sum of their squared moral vectors, shape ``(n, 10)``."""

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "ItemSums":
        """Return some of the texts."""
        return ItemSums(self.number[rows], self.once[rows], self.squared[rows])


def pearson(codes: "csr_array", items: ItemSums) -> NDArray[np.float32]:
    """Return the correlation of each latent and dimension over all items, ``(n_latents, 10)``.

    Args:
        codes: Activations, shape ``(n_texts, n_latents)``.
        items: Items of the same texts.

    Returns:
        In [-1, 1]; 0 where a latent or a dimension is constant, as in the released code.
    """
    n = max(items.number.sum(), 1)
    z = codes.astype(np.float64)
    mean, square = (power.T @ items.number / n for power in (z, z.power(2)))
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    target = items.once.sum(axis=0) / n
    spread = np.sqrt(np.maximum(items.squared.sum(axis=0) / n - target**2, 0))
    product = z.T @ items.once / n - np.outer(mean, target)
    known = np.outer(deviation > _CONSTANT, spread > _CONSTANT)
    value = np.where(known, product / np.where(known, np.outer(deviation, spread), 1), 0)
    return np.clip(value, -1, 1).astype(np.float32)


def paper_types(r: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return the type of each latent, definition A (``feature-identification.py``).

    Args:
        r: Correlations, shape ``(n_latents, 10)``.

    Returns:
        Shape ``(n_latents,)``. Sizes count, not signs. Weak: none reaches 0.05. Mono: just one
        exceeds 0.1, or at most two do and the two largest belong to one foundation. Else poly.
    """
    size = np.abs(r)
    above = (size > SIGNIFICANT).sum(axis=1)
    first, second = np.argsort(-size, axis=1, kind="stable")[:, :2].T
    mono = (above == 1) | ((above <= 2) & (first ^ 1 == second))
    return np.where(size.max(axis=1) < WEAK, "weak", np.where(mono, "mono", "poly"))


def below_significance(r: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which latents definition A types by correlations that it calls insignificant itself."""
    largest = np.abs(r).max(axis=1)
    below: NDArray[np.bool_] = (largest >= WEAK) & (largest <= SIGNIFICANT)
    return below


def paper_strict(r: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which latents are in the strict set, definition B (``sae-fine-tune.py``).

    Args:
        r: Correlations, shape ``(n_latents, 10)``.

    Returns:
        Whether the largest exceeds 0.1 and 1.5 times the second, signs aside; ``(n_latents,)``.
    """
    second, largest = np.sort(np.abs(r), axis=1)[:, -2:].T
    apart = (second < _CONSTANT) | (largest > STRICT_RATIO * second)
    strict: NDArray[np.bool_] = (largest > SIGNIFICANT) & apart
    return strict


def paper_trained(r: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell which latents the paper fine-tunes: strict ones and each dimension's 50 best above 0.1.

    Args:
        r: Correlations, shape ``(n_latents, 10)``.
    """
    trained = paper_strict(r)
    for column in r.T:
        best = np.argsort(-column, kind="stable")[:PER_DIMENSION]
        trained[best[column[best] > SIGNIFICANT]] = True
    return trained


def paper_counts(r: NDArray[np.float32]) -> dict[str, int]:
    """Return how many latents each definition finds, by name."""
    types, below, strict = paper_types(r), below_significance(r), paper_strict(r)
    negative = -r.min(axis=1) > r.max(axis=1)
    found = {f"paper {name}": types == name for name in ("weak", "mono", "poly")}
    found["paper mono, none significant"] = (types == "mono") & below
    found["paper poly, none significant"] = (types == "poly") & below
    found["paper strict"] = strict
    found["paper strict, negative"] = strict & negative
    found["paper fine-tuned"] = paper_trained(r)
    return {name: int(which.sum()) for name, which in found.items()}
