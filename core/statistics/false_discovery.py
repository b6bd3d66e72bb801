"""Chance: p-values of rank statistics from permuted labels, and the false discovery rate.

A latent's rank statistic is standardised by its exact mean and variance under permutation, ties
included. What is left of its distribution depends on how many texts it fires on, and on little
else: latents of like density share their permutations, so that a thousand of them give p-values of
a millionth.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.statistics.sparse_ranks import Floats, MidRanks

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csc_array

#: Cells of one dense block: 2**23 float32 cells are 34 MB.
_BLOCK_CELLS: Final = 2**23
#: Fewer latents than this are not parted further by density.
_FEWEST_POOLED: Final = 256
#: Standard deviations by which float32 may part what is tied; ties count against a latent.
_ROUNDING: Final = 1e-4


class Permutations(NamedTuple):
    """How chance is drawn."""

    draws: int
    """Permutations of the labels over texts."""

    pools: int
    """Most groups of latents of like density."""

    seed: tuple[int, ...]
    """Seed of the permutations."""

    device: str
    """Where blocks are multiplied: ``cpu``, ``cuda``."""


def pools_for(permutations: int, fdr: float, tests: int) -> int:
    """Return how many groups of like density still let one extraordinary latent pass alone.

    A group of ``n / pools`` latents has p-values down to ``pools / (n * permutations)``; the best
    of ``tests * n`` p-values passes Benjamini-Hochberg if it is at most ``fdr / (tests * n)``. A
    tenth is kept in reserve, because groups differ by one latent.

    Args:
        permutations: Permutations of the labels.
        fdr: False discovery rate.
        tests: Tests per latent.
    """
    return max(1, int(0.9 * permutations * fdr / tests))


def standardised(ranks: MidRanks, target: Floats) -> Floats:
    """Return rank statistics in standard deviations of their permutations, ``(n_latents, k)``.

    Args:
        ranks: Ranks among ``n`` texts.
        target: Centred, shape ``(n, k)``: an indicator for the rank sum test, ranks for Spearman.

    Returns:
        Mean 0 and variance 1 over all permutations of the target, exactly, whatever the ties
        (Hoeffding 1951, doi:10.1214/aoms/1177729545); NaN where all ranks or targets tie.
    """
    size = ranks.length[:, None] * np.linalg.norm(target, axis=0)
    known = size > 0
    scaled = np.sqrt(max(len(target) - 1, 0)) * ranks.along(target) / np.where(known, size, 1)
    return np.where(known, scaled, np.nan)


def permutation_p(
    ranks: MidRanks, target: Floats, judged: NDArray[np.bool_], how: Permutations
) -> Floats:
    """Return the chance of a statistic at least as high, ``(n_latents, k)``.

    Permutations are drawn in blocks and counted at once: memory grows with texts times a block, and
    with latents, never with their product times permutations.

    Args:
        ranks: Ranks among ``n`` texts.
        target: Centred, shape ``(n, k)``; all columns are permuted together.
        judged: Latents that are judged, shape ``(n_latents,)``.
        how: How chance is drawn.

    Returns:
        One-sided: small where activations follow the target. NaN for latents not judged.
    """
    observed = standardised(ranks, target)
    result = np.full(observed.shape, np.nan)
    able = np.flatnonzero(judged & np.isfinite(observed).all(axis=1))
    if not len(able) or not how.draws:
        return result
    by_density = able[np.argsort(ranks.fires[able], kind="stable")]
    count = min(how.pools, max(1, len(able) // _FEWEST_POOLED))
    pools = [_Pool.of(ranks, observed, one) for one in np.array_split(by_density, count)]
    for permuted in _permuted(target, how):
        for pool in pools:
            pool.draw(permuted)
    for pool in pools:
        result[pool.latents] = (1 + pool.reached) / (1 + how.draws * len(pool.latents))
    return result


def _permuted(target: Floats, how: Permutations) -> "Iterator[torch.Tensor]":
    """Yield permuted targets scaled to standard deviations, each ``(k, block, n)``."""
    import torch

    n, k = target.shape
    rng = np.random.default_rng(how.seed)
    scaled = target * np.sqrt(max(n - 1, 0)) / np.linalg.norm(target, axis=0)
    whole = torch.tensor(scaled.T, dtype=torch.float32, device=how.device)
    block = max(1, min(how.draws, _BLOCK_CELLS // max(n * k, 1)))
    for start in range(0, how.draws, block):
        size = min(block, how.draws - start)
        takers = np.argsort(rng.random((size, n), np.float32), axis=1)
        yield whole[:, torch.from_numpy(takers).to(how.device)]


class _Pool(NamedTuple):
    """Latents of like density and what chance made of them so far."""

    latents: NDArray[np.int64]
    """Their numbers, shape ``(m,)``."""

    unit: "csc_array"
    """Their ranks at length 1, float32, shape ``(n, m)``."""

    needed: NDArray[np.float32]
    """What a permuted statistic must reach to equal the observed one, ``(m, k)``."""

    reached: NDArray[np.int64]
    """How many permuted statistics of all these latents reached it, ``(m, k)``."""

    @classmethod
    def of(cls, ranks: MidRanks, observed: Floats, latents: NDArray[np.int64]) -> "_Pool":
        """Begin with nothing drawn."""
        unit = ranks.ranks[:, latents] / ranks.length[latents]
        needed = (observed[latents] - _ROUNDING).astype(np.float32)
        return cls(latents, unit.tocsc().astype(np.float32), needed, np.zeros(needed.shape, int))

    def draw(self, permuted: "torch.Tensor") -> None:
        """Count a block of permuted statistics; ``permuted`` is ``(k, block, n)``."""
        import torch

        k, block, n = permuted.shape
        size = max(1, _BLOCK_CELLS // max(k * block, n))
        for start in range(0, len(self.latents), size):
            dense = self.unit[:, start : start + size].toarray()
            null = permuted @ torch.from_numpy(dense).to(permuted.device)
            for column, own in enumerate(null):
                ordered = _ascending(own.flatten())
                below = np.searchsorted(ordered, self.needed[:, column])
                self.reached[:, column] += len(ordered) - below


def _ascending(values: "torch.Tensor") -> NDArray[np.float32]:
    if values.device.type != "cpu":
        values = values.sort().values.cpu()
    ordered: NDArray[np.float32] = values.numpy()
    ordered.sort()  # several times faster than torch on a CPU
    return ordered


def false_discovery(p: Floats) -> Floats:
    """Return q-values: the smallest false discovery rate at which each p-value passes.

    Args:
        p: Any shape, NaN where nothing was tested: those are left out of the count of tests.

    References:
        Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    from scipy.stats import false_discovery_control

    known = np.isfinite(p)
    q = np.full(p.shape, np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    return q


def counted_p(above: int, n: int) -> float:
    """Return the chance of a figure at least as large as that of ``above`` of ``n`` controls.

    The figure itself counts as one of its controls (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585): among exchangeable ones p is at most alpha with at most that
    chance. NaN without controls.
    """
    return (1 + above) / (1 + n) if n else float("nan")
