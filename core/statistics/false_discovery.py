"""Chance: p-values of rank statistics from permuted labels, and the false discovery rate.

A latent's rank statistic is standardised by its exact mean and variance under permutation, ties
included. What is left of its distribution depends on how many texts it fires on, and on little
else: latents of like density share their permutations, so that a thousand of them give p-values of
a millionth. Labels are permuted within the strata of the ranks only.

Latents that share permutations do not err independently, so how far the draws themselves move a
figure is not a matter of one p-value: permutations are counted in batches, and drawing batches
anew tells.
"""

from collections.abc import Iterator
from itertools import pairwise
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
#: Batches in which permutations are counted.
BATCHES: Final = 10
#: Standard deviations by which float32 may part what is tied; ties count against a latent.
_ROUNDING: Final = 1e-4


class Permutations(NamedTuple):
    """How chance is drawn."""

    draws: int
    """Permutations of the labels over texts, at least ``BATCHES``."""

    pools: int
    """Most groups of latents of like density."""

    seed: tuple[int, ...]
    """Seed of the permutations."""

    device: str
    """Where blocks are multiplied: ``cpu``, ``cuda``."""


class Counted(NamedTuple):
    """How often permuted statistics reached the observed ones."""

    reached: NDArray[np.float32]
    """In each batch of permutations, shape ``(BATCHES, n_latents, k)``; NaN if not judged."""

    drawn: NDArray[np.float32]
    """Permuted statistics of each batch that a latent is compared with, its own and those of
    latents of like density, shape ``(BATCHES, n_latents)``."""

    def p(self, times: NDArray[np.integer] | None = None) -> Floats:
        """Return the chance of a statistic at least as high, ``(n_latents, k)``.

        Args:
            times: How often each batch counts, shape ``(BATCHES,)``; None: once.

        Returns:
            One-sided: small where activations follow the target. NaN for latents not judged.
        """
        weight = np.ones(len(self.drawn)) if times is None else times.astype(np.float64)
        reached = np.tensordot(weight, self.reached, axes=1)
        whole = np.tensordot(weight, self.drawn, axes=1)
        result: Floats = (1 + reached) / (1 + whole[:, None])
        return result


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
        ranks: Ranks among ``n`` texts, within strata.
        target: Centred in each stratum, shape ``(n, k)``: an indicator for the rank sum test, ranks
            for Spearman.

    Returns:
        Mean 0 and variance 1 over all permutations of the target within strata, exactly, whatever
        the ties; NaN where all ranks or targets of each stratum tie.
    """
    deviation = ranks.deviation(target)
    known = deviation > 0
    return np.where(known, ranks.along(target) / np.where(known, deviation, 1), np.nan)


def permutation_counts(
    ranks: MidRanks, target: Floats, judged: NDArray[np.bool_], how: Permutations
) -> Counted:
    """Count statistics at least as high, over permutations of the target within strata.

    Permutations are drawn in blocks and counted at once: memory grows with texts times a block, and
    with latents, never with their product times permutations.

    Args:
        ranks: Ranks among ``n`` texts, within strata.
        target: Centred in each stratum, shape ``(n, k)``; all columns are permuted together.
        judged: Latents that are judged, shape ``(n_latents,)``.
        how: How chance is drawn.
    """
    observed = standardised(ranks, target)
    n_latents, k = observed.shape
    found = Counted(
        np.full((BATCHES, n_latents, k), np.nan, np.float32),
        np.zeros((BATCHES, n_latents), np.float32),
    )
    able = np.flatnonzero(judged & np.isfinite(observed).all(axis=1))
    if not len(able):
        return found
    by_density = able[np.argsort(ranks.fires[able], kind="stable")]
    count = min(how.pools, max(1, len(able) // _FEWEST_POOLED))
    length = np.linalg.norm(target, axis=0)
    scaled = ranks.deviation(target) / np.where(length > 0, length, 1)
    pools = [_Pool.of(ranks, observed, scaled, one) for one in np.array_split(by_density, count)]
    # Of two opposite targets one is enough: the other's chance lies at the other end.
    opposite = k == 2 and np.array_equal(target[:, 0], -target[:, 1])
    for batch, permuted in _permuted(target[:, : 1 if opposite else k], ranks.stratum, how):
        for pool in pools:
            pool.draw(permuted, found.reached[batch], found.drawn[batch])
    return found


def _permuted(
    target: Floats, stratum: NDArray[np.int64], how: Permutations
) -> "Iterator[tuple[int, torch.Tensor]]":
    """Yield batch numbers and permuted targets of length 1, each ``(k, block, n)``."""
    import torch

    n, k = target.shape
    rng = np.random.default_rng(how.seed)
    length = np.linalg.norm(target, axis=0)
    scaled = target / np.where(length > 0, length, 1)
    whole = torch.tensor(scaled.T, dtype=torch.float32, device=how.device)
    order = np.argsort(stratum, kind="stable")
    block = max(1, min(how.draws, _BLOCK_CELLS // max(n * k, 1)))
    ends = np.linspace(0, how.draws, BATCHES + 1).astype(int)
    for batch, (first, end) in enumerate(pairwise(ends.tolist())):
        for start in range(first, end, block):
            drawn = rng.random((min(block, end - start), n), np.float32)
            takers = np.empty(drawn.shape, np.int64)
            # Whole numbers keep strata together, fractions shuffle each: float64 keeps both apart.
            takers[:, order] = np.argsort(drawn + stratum.astype(np.float64), axis=1)
            yield batch, whole[:, torch.from_numpy(takers).to(how.device)]


class _Pool(NamedTuple):
    """Latents of like density and what they are compared with."""

    latents: NDArray[np.int64]
    """Their numbers, shape ``(m,)``."""

    ranks: "csc_array"
    """Their ranks, float32, shape ``(n, m)``."""

    deviation: NDArray[np.float32]
    """Standard deviation of their permuted statistics with targets of length 1, ``(k, m)``."""

    needed: NDArray[np.float32]
    """What a permuted statistic must reach to equal the observed one, ``(m, k)``."""

    @classmethod
    def of(
        cls, ranks: MidRanks, observed: Floats, deviation: Floats, latents: NDArray[np.int64]
    ) -> "_Pool":
        """Take some latents out of all, ``observed`` and ``deviation`` being ``(n_latents, k)``."""
        own = ranks.ranks[:, latents].tocsc().astype(np.float32)
        needed = (observed[latents] - _ROUNDING).astype(np.float32)
        return cls(latents, own, deviation[latents].T.astype(np.float32), needed)

    def draw(
        self, permuted: "torch.Tensor", reached: NDArray[np.float32], drawn: NDArray[np.float32]
    ) -> None:
        """Count a block of permuted statistics.

        Args:
            permuted: Targets, ``(k, block, n)``; one where there are two, if they are opposite.
            reached: Counts so far of all latents, ``(n_latents, k)``; those of the pool are raised.
            drawn: Statistics compared with so far, ``(n_latents,)``; the same.
        """
        import torch

        k, block, n = permuted.shape
        counted = np.zeros(self.needed.shape, np.int64)
        size = max(1, _BLOCK_CELLS // max(k * block, n))
        for start in range(0, len(self.latents), size):
            here = slice(start, start + size)
            dense = torch.from_numpy(self.ranks[:, here].toarray()).to(permuted.device)
            null = permuted @ dense
            null /= torch.from_numpy(self.deviation[:k, None, here]).to(permuted.device)
            for column, own in enumerate(null):
                ordered = _ascending(own.flatten())
                needed = self.needed[:, column]
                counted[:, column] += len(ordered) - np.searchsorted(ordered, needed)
            if k < self.needed.shape[1]:  # of two opposite targets the first was drawn
                counted[:, 1] += np.searchsorted(ordered, -self.needed[:, 1], side="right")
        reached[self.latents] = np.nan_to_num(reached[self.latents]) + counted
        drawn[self.latents] += block * len(self.latents)


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


def passing(p: Floats, fdr: float) -> NDArray[np.bool_]:
    """Return which p-values pass a false discovery rate: those whose q-value is at most ``fdr``.

    Cheaper than all q-values: only p-values that could pass are sorted.

    Args:
        p: Any shape, NaN where nothing was tested.
        fdr: False discovery rate, in (0, 1).
    """
    candidates = np.sort(p[p <= fdr])
    tests = np.isfinite(p).sum()
    enough = np.flatnonzero(candidates * tests <= fdr * np.arange(1, len(candidates) + 1))
    most = candidates[enough[-1]] if len(enough) else -1.0
    passes: NDArray[np.bool_] = p <= most
    return passes
