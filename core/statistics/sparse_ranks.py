"""Ranks of sparse activations: every latent's mid-ranks among any set of texts, zeros left out.

A latent is off for most texts, and all its zeros share one rank. Ranks are counted from that rank,
so that they are as sparse as the activations, and every rank statistic of all latents is one sparse
matrix product.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

Floats = NDArray[np.float64]


class MidRanks(NamedTuple):
    """The ranks of all latents among ``n`` texts, ties sharing their middle."""

    ranks: "csc_array"
    """Float64, shape ``(n, n_latents)``: rank minus the rank that a latent's zeros share."""

    fires: NDArray[np.int64]
    """Texts on which each latent is on, shape ``(n_latents,)``."""

    length: Floats
    """Length of each latent's ranks about their mean, shape ``(n_latents,)``; 0 if all tie."""

    def along(self, target: Floats) -> Floats:
        """Return the product of ranks and a centred target, shape ``(n_latents, k)``.

        Args:
            target: Shape ``(n, k)``, each column of mean 0, so that it does not matter from where
                ranks are counted.
        """
        product: Floats = self.ranks.T @ target
        return product


class SortedCodes(NamedTuple):
    """Activations sorted once: by latent, then by value."""

    row: NDArray[np.int64]
    """Text of each activation, shape ``(nnz,)``."""

    latent: NDArray[np.int64]
    """Latent of each activation, ascending, shape ``(nnz,)``."""

    value: NDArray[np.float32]
    """Activation, above 0, ascending within its latent, shape ``(nnz,)``."""

    shape: tuple[int, int]
    """Texts and latents."""

    @classmethod
    def of(cls, codes: "csr_array") -> "SortedCodes":
        """Sort.

        Args:
            codes: Activations, shape ``(n_texts, n_latents)``, none below 0.

        Raises:
            CoreError: An activation is not finite.
            ValueError: An activation is below 0.
        """
        table = codes.tocoo()
        if not np.isfinite(table.data).all():
            raise CoreError(
                "Some activations are not finite numbers, so latents cannot be ranked. Read the "
                "texts with dtype=float32; if they were, the model's weights hold NaN: fetch it "
                "again."
            )
        if (table.data < 0).any():
            raise ValueError("activations of a sparse autoencoder are never below 0")
        on = table.data > 0
        row, latent = (np.asarray(place, np.int64)[on] for place in table.coords)
        value = table.data[on].astype(np.float32)
        # By row last, so that equal values lie in one order whatever the order within a csr row.
        order = np.lexsort((row, value, latent))
        return cls(row[order], latent[order], value[order], codes.shape)

    def among(self, chosen: NDArray[np.bool_]) -> MidRanks:
        """Return the ranks among some texts, which are numbered anew in their order.

        Args:
            chosen: Shape ``(n_texts,)``.
        """
        from scipy.sparse import csc_array

        kept = chosen[self.row]
        row = (np.cumsum(chosen) - 1)[self.row[kept]]
        latent, value = self.latent[kept], self.value[kept]
        n, n_latents = int(chosen.sum()), self.shape[1]
        fires = np.bincount(latent, minlength=n_latents).astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(fires)])
        # A rank counts from the zeros' own, (n - fires + 1) / 2; the lowest that fires has the rank
        # n - fires + 1.
        rank = _middle(latent, value) - ends[latent] + (n - fires[latent] + 1) / 2
        ranks = csc_array((rank, row, ends), shape=(n, n_latents))
        once, twice = (_sums(rank**power, latent, n_latents) for power in (1, 2))
        spread = np.maximum(twice - once**2 / max(n, 1), 0)
        # Rounding of sums must not pass for spread where all texts tie.
        return MidRanks(ranks, fires, np.sqrt(np.where(spread > 1e-9 * twice, spread, 0)))


def _middle(latent: NDArray[np.int64], value: NDArray[np.float32]) -> Floats:
    """Return each activation's place in the whole list from 0, equal neighbours in their middle."""
    n = len(value)
    if not n:
        return np.zeros(0)
    new = np.r_[True, (np.diff(latent) != 0) | (np.diff(value) != 0)]
    first = np.flatnonzero(new)
    last = np.r_[first[1:], n] - 1
    middle: Floats = ((first + last) / 2)[np.cumsum(new) - 1]
    return middle


def _sums(values: Floats, latent: NDArray[np.int64], n_latents: int) -> Floats:
    return np.bincount(latent, values, n_latents).astype(np.float64)
