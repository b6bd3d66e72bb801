"""Ranks of sparse activations: every latent's mid-ranks among any set of texts, zeros left out.

A latent is off for most texts, and all its zeros share one rank. Ranks are counted from that rank,
so that they are as sparse as the activations, and every rank statistic of all latents is one sparse
matrix product. Texts can be ranked within strata, each among its like only: what parts the strata
then has no part in any statistic.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

Floats = NDArray[np.float64]


class MidRanks(NamedTuple):
    """The ranks of all latents among ``n`` texts, within strata, ties sharing their middle."""

    ranks: "csc_array"
    """Float64, shape ``(n, n_latents)``: rank minus the rank that a latent's zeros share, as a
    share of the stratum's texts."""

    fires: NDArray[np.int64]
    """Texts on which each latent is on, shape ``(n_latents,)``."""

    spread: Floats
    """Sum of squares of a latent's ranks about their mean in each stratum, shape
    ``(n_strata, n_latents)``; 0 if all tie."""

    stratum: NDArray[np.int64]
    """Stratum of each text, from 0, shape ``(n,)``."""

    def along(self, target: Floats) -> Floats:
        """Return the product of ranks and a centred target, shape ``(n_latents, k)``.

        Args:
            target: Shape ``(n, k)``, each column of mean 0 in each stratum, so that it does not
                matter from where ranks are counted.
        """
        product: Floats = self.ranks.T @ target
        return product

    def deviation(self, target: Floats) -> Floats:
        """Return the product's standard deviation over permutations within strata, same shape.

        Exact, whatever the ties (Hoeffding 1951, doi:10.1214/aoms/1177729545; strata are
        independent, so their variances add); the mean over permutations is 0.
        """
        size = np.bincount(self.stratum, minlength=len(self.spread))
        square = within(self.stratum, target**2, len(self.spread))
        return np.sqrt(self.spread.T @ (square / np.maximum(size - 1, 1)[:, None]))


def within(stratum: NDArray[np.int64], values: Floats, n_strata: int) -> Floats:
    """Return the sums of each stratum's rows, ``(n, k) -> (n_strata, k)``."""
    sums = [np.bincount(stratum, column, n_strata) for column in values.T]
    return np.stack(sums, axis=1).astype(np.float64)


def centred(stratum: NDArray[np.int64], values: Floats) -> Floats:
    """Return columns with each stratum's mean taken off, shape ``(n, k)``."""
    n_strata = int(stratum.max(initial=-1)) + 1
    size = np.maximum(np.bincount(stratum, minlength=n_strata), 1)
    result: Floats = values - (within(stratum, values, n_strata) / size[:, None])[stratum]
    return result


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

    def among(
        self, chosen: NDArray[np.bool_], stratum: NDArray[np.int64] | None = None
    ) -> MidRanks:
        """Return the ranks among some texts, which are numbered anew in their order.

        Args:
            chosen: Shape ``(n_texts,)``.
            stratum: Stratum of each chosen text, numbered from 0; None: all are one.
        """
        from scipy.sparse import csc_array

        n, n_latents = int(chosen.sum()), self.shape[1]
        stratum = np.zeros(n, np.int64) if stratum is None else stratum
        size = np.bincount(stratum, minlength=1)
        kept = chosen[self.row]
        row = (np.cumsum(chosen) - 1)[self.row[kept]]
        latent, value = self.latent[kept], self.value[kept]
        group = latent * len(size) + stratum[row]
        order = np.argsort(group, kind="stable")  # by value within a group, as it was
        row, latent, value, group = row[order], latent[order], value[order], group[order]
        on = np.bincount(group, minlength=n_latents * len(size))
        fires = on.reshape(n_latents, len(size)).sum(axis=1).astype(np.int64)
        # A rank counts from the zeros' own, (n - on + 1) / 2; the lowest that is on has the rank
        # n - on + 1.
        whole = size[stratum[row]]
        first = np.concatenate([[0], np.cumsum(on)])[group]
        rank = (_middle(group, value) - first + (whole - on[group] + 1) / 2) / whole
        ends = np.concatenate([[0], np.cumsum(fires)])
        ranks = csc_array((rank, row, ends), shape=(n, n_latents))
        once, twice = (
            _sums(rank**power, group, len(on)).reshape(n_latents, -1).T for power in (1, 2)
        )
        spread = np.maximum(twice - once**2 / np.maximum(size, 1)[:, None], 0)
        # Rounding of sums must not pass for spread where all texts tie.
        return MidRanks(ranks, fires, np.where(spread > 1e-9 * twice, spread, 0), stratum)


def _middle(group: NDArray[np.int64], value: NDArray[np.float32]) -> Floats:
    """Return each activation's place in the whole list from 0, equal neighbours in their middle."""
    n = len(value)
    if not n:
        return np.zeros(0)
    new = np.r_[True, (np.diff(group) != 0) | (np.diff(value) != 0)]
    first = np.flatnonzero(new)
    last = np.r_[first[1:], n] - 1
    middle: Floats = ((first + last) / 2)[np.cumsum(new) - 1]
    return middle


def _sums(values: Floats, group: NDArray[np.int64], n_groups: int) -> Floats:
    return np.bincount(group, values, n_groups).astype(np.float64)
