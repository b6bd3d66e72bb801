"""Centres of many shuffled or resampled cohorts at once: matrix products instead of loops.

A centre is used as the sum of its members: cosines do not ask for its length.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures.cohort import Cohort
from core.runtime.torch_device import working_device

if TYPE_CHECKING:
    import torch

#: Bytes of float32 that one block of centres may take.
_BLOCK_BYTES: Final = 2**26


class Shuffled(NamedTuple):
    """The two centres of one foundation in a block of shuffles."""

    takers: NDArray[np.int32]
    """Row of the foundation that takes each row's labels, ``(b, n)``."""

    members: "torch.Tensor"
    """Which rows make up virtue and vice centre, float32 ``(2, b, n)``."""

    sums: "torch.Tensor"
    """Sum of the members, float32 ``(2, b, d)``."""


def to_device(states: NDArray[np.floating]) -> "torch.Tensor":
    """Return states as float32 where large products run."""
    import torch

    return torch.tensor(np.asarray(states, np.float32), device=working_device())


def shuffled_centres(
    states: "torch.Tensor", cohort: Cohort, rows: NDArray[np.int64], foundation: int
) -> Iterator[Shuffled]:
    """Yield a foundation's two centres under shuffled labels, block by block.

    Args:
        states: States of the foundation's rows, shape ``(n, d)``.
        cohort: The cohort; its shuffles stay within the foundation.
        rows: The foundation's rows in the cohort, ascending, shape ``(n,)``.
        foundation: Index into ``FOUNDATIONS``.
    """
    import torch

    place = np.zeros(len(cohort), np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    takers = place[cohort.takers[:, rows]]
    poles = cohort.members[rows, 2 * foundation : 2 * foundation + 2]
    step = max(1, _BLOCK_BYTES // (8 * (len(rows) + states.shape[1])))
    for start in range(0, len(takers), step):
        block = takers[start : start + step]
        members = torch.zeros((2, *block.shape), device=states.device)
        for pole in (0, 1):
            taken = torch.tensor(block[:, poles[:, pole]].astype(np.int64), device=states.device)
            members[pole].scatter_(1, taken, 1.0)
        yield Shuffled(block, members, members @ states)


def resampled_centres(
    states: "torch.Tensor", cohort: Cohort, column: int, draws: slice
) -> "torch.Tensor":
    """Return one category's centre for some resamples of texts, float32 ``(b, d)``.

    Args:
        states: States of the cohort, shape ``(n, d)``.
        cohort: The cohort.
        column: Index into ``DIMENSIONS``.
        draws: Which resamples.
    """
    import torch

    own = np.flatnonzero(cohort.members[:, column])
    weights = cohort.weights[draws][:, cohort.text[own]].astype(np.float32)
    return torch.tensor(weights, device=states.device) @ states[torch.tensor(own)]


def draw_blocks(n_draws: int, d_model: int, centres: int = 10) -> Iterator[slice]:
    """Yield slices of resamples whose centres fit into one block."""
    step = max(1, _BLOCK_BYTES // (4 * d_model * centres))
    for start in range(0, n_draws, step):
        yield slice(start, min(start + step, n_draws))
