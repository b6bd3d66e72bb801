"""Typicality gradients under shuffled labels: centres, closeness and ranks anew for each shuffle.

What ``core.gradients`` finds must stand out from these.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS, FOUNDATIONS
from core.measures.centroids import Shuffled, shuffled_centres, to_device
from core.measures.cohort import Cohort
from core.statistics.bootstrap import percentile_rank

if TYPE_CHECKING:
    import torch

#: Fewer texts have no correlation worth a number; Fisher's weight n - 3 needs four.
FEWEST_TEXTS: Final = 5
#: Shuffles behind the bands of the variants after the first; the headline has all of them.
SECOND_SHUFFLES: Final = 500
#: Cosines of equal states differ by rounding: what is nearer than this is tied.
_SAME: Final = 1e-9
#: The same in float32, as a share of the standard deviation and as the least.
_SAME_FLOAT32: Final = 1e-5
_ROUNDING_FLOAT32: Final = 2e-7


def unit_ranks(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return centred mid-ranks of unit length, None if all values are the same up to rounding."""
    order = np.argsort(values)
    step = np.empty(len(values))
    step[order] = np.cumsum(np.diff(values[order], prepend=values[order[:1]]) > _SAME)
    ranks = percentile_rank(step)
    ranks = ranks - ranks.mean()
    length = float(np.sqrt(ranks @ ranks))
    return ranks / length if length > 1e-9 else None


def null_correlations(
    states: NDArray[np.float32], cohort: Cohort, variants: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return each variant's correlation under shuffled labels, ``(variants, shuffles, 10)``.

    Variants after the first are NaN beyond ``SECOND_SHUFFLES``.
    """
    import torch

    null = np.full((len(variants), cohort.shuffles, len(DIMENSIONS)), np.nan, np.float32)
    if not cohort.shuffles:
        return null
    on = to_device(states)
    for foundation in range(len(FOUNDATIONS)):
        rows = np.flatnonzero(cohort.foundation == foundation)
        if not cohort.members[rows, 2 * foundation : 2 * foundation + 2].any():
            continue
        done = 0
        own = _Own.of(on[torch.tensor(rows)], cohort.text[rows])
        for block in shuffled_centres(own.states, cohort, rows, foundation):
            here = slice(done, done + len(block.takers))
            asked = [len(block.takers), *[max(0, SECOND_SHUFFLES - done)] * (len(variants) - 1)]
            several = dict(zip(variants, asked, strict=True))
            for pole, correlation in _shuffled(own, block, cohort, rows, foundation, several):
                null[:, here, pole] = correlation.cpu().numpy()
            done = here.stop
    return null


class _Own(NamedTuple):
    """A foundation's states, and which of its rows share a text."""

    states: "torch.Tensor"
    """Shape ``(n, d)``."""

    square: "torch.Tensor"
    """Squared length of each state, ``(n,)``."""

    first: "torch.Tensor"
    """Pairs of different rows of one text: the one row."""

    second: "torch.Tensor"
    """The other row."""

    product: "torch.Tensor"
    """Their inner product."""

    @classmethod
    def of(cls, states: "torch.Tensor", text: NDArray[np.int64]) -> "_Own":
        """Find the pairs."""
        import torch

        order = np.argsort(text, kind="stable")
        runs = np.split(order, np.flatnonzero(np.diff(text[order])) + 1)
        pairs = [(i, j) for run in runs if len(run) > 1 for i in run for j in run if i != j]
        index = torch.tensor(np.array(pairs, np.int64).reshape(-1, 2), device=states.device)
        first, second = index[:, 0], index[:, 1]
        product = (states[first] * states[second]).sum(dim=1)
        return cls(states, (states**2).sum(dim=1), first, second, product)

    def closeness(self, members: "torch.Tensor", sums: "torch.Tensor") -> "torch.Tensor":
        """Return the cosine of each row to each centre without the row's own text, ``(b, n)``.

        Args:
            members: Which rows make up the centre, ``(b, n)``.
            sums: The centre, ``(b, d)``.
        """
        import torch

        along = sums @ self.states.T
        own = members * self.square
        own.index_add_(1, self.first, members[:, self.second] * self.product)
        with_centre, with_own = members * along, members * own
        dot, length2 = with_centre.clone(), with_own.clone()
        dot.index_add_(1, self.first, with_centre[:, self.second])
        length2.index_add_(1, self.first, with_own[:, self.second])
        rest = (sums**2).sum(dim=1, keepdim=True) - 2 * dot + length2
        scale = torch.sqrt(torch.clamp(rest * self.square, min=1e-30))
        return (along - own) / scale


def _shuffled(
    own: _Own,
    block: Shuffled,
    cohort: Cohort,
    rows: NDArray[np.int64],
    foundation: int,
    variants: Mapping[str, int],
) -> "Iterator[tuple[int, torch.Tensor]]":
    """Yield the two poles' correlations in a block of shuffles, each ``(variants, b)``."""
    import torch

    dimension = cohort.labels.dimension[rows]
    takers = torch.tensor(block.takers.astype(np.int64), device=own.states.device)
    # Labels stay where they are and states move: slot s holds the state of the row that takes its
    # labels, so the grades of a pole are the same in each shuffle.
    close = [
        own.closeness(block.members[pole], block.sums[pole]).gather(1, takers) for pole in (0, 1)
    ]
    neutral = dimension < 0
    for pole in (0, 1):
        slots = dimension == 2 * foundation + pole
        if len(np.unique(cohort.text[rows[slots]])) < FEWEST_TEXTS:
            continue
        scores: dict[str, tuple[Any, NDArray[np.bool_]]] = {
            "typicality": (close[pole], slots),
            "typicality with neutrals": (close[pole], slots | neutral),
            "own minus opposed": (close[pole] - close[1 - pole], slots),
        }
        found = torch.full((len(variants), len(takers)), torch.nan, device=takers.device)
        for row, (name, most) in zip(found, variants.items(), strict=True):
            score, chosen = scores[name]
            row[:most] = _rank_correlation(score[:most], chosen, cohort, rows)
        yield 2 * foundation + pole, found


def _rank_correlation(
    score: "torch.Tensor", slots: NDArray[np.bool_], cohort: Cohort, rows: NDArray[np.int64]
) -> "torch.Tensor":
    """Return Spearman's correlation of each shuffle's scores with the slots' grades, ``(b,)``."""
    import torch

    grade = unit_ranks(cohort.labels.grade[rows[slots]])
    if grade is None:
        return torch.full((len(score),), float("nan"), device=score.device)
    value, order = score[:, torch.tensor(slots, device=score.device)].sort(dim=1)
    ranks = _mid_ranks(value)
    length2 = (ranks**2).sum(dim=1)
    along = (torch.tensor(grade.astype(np.float32), device=score.device)[order] * ranks).sum(dim=1)
    return torch.where(length2 > 0, along / torch.sqrt(length2), torch.nan)


def _mid_ranks(ordered: "torch.Tensor") -> "torch.Tensor":
    """Return centred ranks of ascending rows ``(b, m)``; what float32 hardly parts shares one."""
    import torch

    m = ordered.shape[1]
    least = (_SAME_FLOAT32 * ordered.std(dim=1, keepdim=True)).clamp(min=_ROUNDING_FLOAT32)
    place = torch.arange(m, device=ordered.device, dtype=ordered.dtype).expand_as(ordered)
    parted = ordered.diff(dim=1) > least
    first, last = place.clone(), place.clone()
    first[:, 1:].masked_fill_(~parted, 0)
    last[:, :-1].masked_fill_(~parted, m)
    first, last = first.cummax(dim=1).values, last.flip(1).cummin(dim=1).values.flip(1)
    return (first + last - (m - 1)) / 2
