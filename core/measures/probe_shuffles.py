"""The probe's control: refitted for every shuffle of the labels.

A shuffle changes only the right side of the equations, so a thousand refits are two matrix
products.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from core.foundations import DIMENSIONS
from core.measures.cohort import Cohort
from core.measures.probes import Probe, fold_of

if TYPE_CHECKING:
    import torch

#: Shuffles refitted at once, and the most cells of one array of theirs (float32: 34 MB).
_BLOCK: Final = 50
_BLOCK_CELLS: Final = 2**23


class Shuffled(NamedTuple):
    """A block of shuffles: each one's labels and what a probe fitted to them predicts."""

    takers: "torch.Tensor"
    """The row that takes each row's labels, shape ``(b, n)``."""

    targets: "torch.Tensor"
    """Shuffled moral vectors, shape ``(n, b, 10)``, the shuffles side by side; float32."""

    prediction: "torch.Tensor"
    """Out-of-sample predictions of these, alike."""


class _Taught(NamedTuple):
    """Rows of a block that teach some dimensions alone, however labels are shuffled."""

    rows: "torch.Tensor"
    """The block's rows of texts that stand in one foundation, or in several: shuffles stay so."""

    columns: slice
    """Dimensions that such rows have."""

    states: "torch.Tensor"
    """Their states, shape ``(d, rows)``."""


def refitted(probe: Probe, cohort: Cohort) -> Iterator[Shuffled]:
    """Refit the probe for every shuffle of the labels, in blocks of bounded memory."""
    import torch

    place = probe.blocks[0].device
    vectors, taught = torch.tensor(cohort.vectors, device=place), _taught(probe, cohort)
    member = torch.zeros(len(probe.blocks), len(cohort), device=place)
    for own, rows in zip(member, probe.blocks, strict=True):
        own[rows] = 1
    cells = len(cohort) * len(DIMENSIONS)
    for start in range(0, cohort.shuffles, size := min(_BLOCK, max(1, _BLOCK_CELLS // cells))):
        takers = torch.as_tensor(cohort.takers[start : start + size], device=place).long()
        giver = torch.empty_like(takers)
        giver.scatter_(1, takers, torch.arange(len(cohort), device=place).expand_as(takers))
        targets = vectors[giver.T].transpose(1, 2).contiguous()
        flat = targets.flatten(1)
        prediction = torch.empty_like(flat)
        rights = [_right(probe, parts, targets) for parts in taught]
        for k, predicted in enumerate(_predicted(probe, flat, member @ flat, rights)):
            prediction[fold_of(probe.blocks, k).test] = predicted
        yield Shuffled(takers, targets.transpose(1, 2), prediction.view_as(targets).transpose(1, 2))


def _taught(probe: Probe, cohort: Cohort) -> list[list[_Taught]]:
    """Return what teaches what in each block; nothing in the dual form."""
    import torch

    if probe.states is None:
        return []
    pairs = np.unique(np.stack([cohort.text, cohort.foundation]), axis=1)
    alone = (np.bincount(pairs[0], minlength=cohort.n_texts) == 1)[cohort.text]
    kind, parts = np.where(alone, cohort.foundation, -1), []
    for one in np.unique(kind):
        own = kind == one
        columns = np.flatnonzero((cohort.vectors[own] != 0).any(axis=0))
        if len(columns):
            parts.append((own, slice(int(columns[0]), int(columns[-1]) + 1)))
    found = []
    for block in range(len(probe.blocks)):
        rows = [np.flatnonzero(own & (cohort.blocks == block)) for own, _ in parts]
        index = [torch.as_tensor(one, device=probe.states.device) for one in rows]
        found.append(
            [
                _Taught(one, columns, probe.states[one].T.contiguous())
                for one, (_, columns) in zip(index, parts, strict=True)
            ]
        )
    return found


def _right(probe: Probe, taught: Sequence[_Taught], targets: "torch.Tensor") -> "torch.Tensor":
    """Return ``states.T @ targets`` over a block's rows, shape ``(d, 10 * b)``.

    Eight in ten targets are 0: rows of a foundation are multiplied with its own dimensions alone.

    Args:
        probe: Not in the dual form.
        taught: The block's rows.
        targets: Shuffled vectors, shape ``(n, 10, b)``.
    """
    b, wide = targets.shape[2], 0 if probe.states is None else probe.states.shape[1]
    right = targets.new_zeros(wide, targets[0].numel())
    for rows, columns, states in taught:
        own = targets[:, columns][rows].flatten(1)
        right[:, columns.start * b : columns.stop * b].addmm_(states, own)
    return right


def _predicted(
    probe: Probe,
    targets: "torch.Tensor",
    sums: "torch.Tensor",
    rights: Sequence["torch.Tensor"],
) -> Iterator["torch.Tensor"]:
    """Yield each fold's test predictions ``(n_test, m)`` for other targets ``(n, m)``.

    Each block's sum of targets ``(10, m)`` and of ``states.T @ targets`` is added up over the
    fold's training blocks.
    """
    import torch

    total = torch.stack(list(rights)).sum(dim=0) if rights else None
    for k, (operator, offset, _) in enumerate(probe.refits):
        away = [2 * k, 2 * k + 1, (2 * k + 2) % 10]
        train = fold_of(probe.blocks, k).train
        middle = (sums.sum(dim=0) - sums[away].sum(dim=0)) / max(len(train), 1)
        right = targets[train] if total is None else total - sum(rights[one] for one in away)
        yield torch.addr(operator @ right, offset, middle)
