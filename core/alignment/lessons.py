"""What each arm learns: the repaired recipe and its kin, reconstruction alone, triplets.

All are told by the same figures on validation texts, whatever they minimise.
"""

from abc import abstractmethod
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from core.alignment.data import AlignData, as_tensor, signed, strata
from core.alignment.losses import (
    debiased_cka,
    distance_similarity,
    divergence,
    order_loss,
    triplet_loss,
    unit_rows,
)
from core.alignment.spec import AlignSpec
from core.alignment.splice import Change, Spliced, mean_changes, tokens_of
from core.alignment.train import AlignStep, Course, Lesson

#: Changes are compared at this size or below, in units of the states' variance.
COMPARED_SIZE: Final = 0.02
#: Of the triplets, after arXiv 2609.04022: least difference of people's distances, triplets of
#: each anchor in a batch, weight of the divergence.
GAP, PER_ANCHOR, PRESERVED = 0.2, 8, 0.1
#: A coordinate that varies less than this share of the widest is not stretched further.
_CONSTANT: Final = 1e-4
_LEAST: Final = 1e-9


class Texts:
    """A split's texts with all that a step needs of them, on the device of what is trained."""

    def __init__(self, changed: Change, data: AlignData, split: str) -> None:
        """Prepare them."""
        rows, self._device, self.split = data.of(split), changed.device, split
        where, _ = tokens_of(data.starts, rows.tolist())
        self._tokens = changed.prepare(as_tensor(data.states[where], self._device))
        counts = np.diff(data.starts)[rows]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._counts = as_tensor(counts, self._device)
        self.means = as_tensor(data.means[rows], self._device)
        self.membership, self.foundation = data.membership[rows], data.foundation[rows]
        weights = 1 / np.bincount(kind := strata(data, rows))[kind]
        self._share = weights / weights.sum()
        states = self._tokens.states
        self.variance = float((states - states.mean(dim=0)).square().sum() / len(states))
        """Mean squared distance of a token's state from their mean."""

    def __len__(self) -> int:
        return len(self.membership)

    @property
    def every(self) -> NDArray[np.int64]:
        """All of them."""
        return np.arange(len(self))

    def balanced(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw different texts, those of rare strata as often as those of frequent ones."""
        return rng.choice(len(self), min(count, len(self)), replace=False, p=self._share)

    def take(self, rows: NDArray[np.int64]) -> tuple[Spliced, torch.Tensor, torch.Tensor]:
        """Return some texts' tokens, the text of each token, and how many each text has."""
        where, owner = tokens_of(self._starts, rows.tolist())
        on = partial(torch.as_tensor, device=self._device)
        return self._tokens.take(on(where)), on(owner), self._counts[on(rows)]


class Taught(Lesson):
    """Learning from texts, with figures of geometry, order, size and divergence."""

    def __init__(self, changed: Change, data: AlignData, spec: AlignSpec) -> None:
        """Prepare.

        Args:
            changed: What is trained.
            data: What it is trained on.
            spec: How.
        """
        self.changed, self.spec = changed, spec
        self.course = Course(
            spec.steps,
            spec.check,
            spec.patience,
            spec.gain,
            partial(torch.optim.Adam, lr=spec.rate * changed.pace),
        )
        device = changed.device
        train = data.means[data.of("train")]
        spread = train.std(axis=0, dtype=np.float64)
        self._spread = as_tensor(np.maximum(spread, _CONSTANT * spread.max()), device)
        self._neutral = changed.prepare(as_tensor(data.neutral.states, device))
        self._scores = as_tensor(data.neutral.scores, device)
        self._owner = torch.from_numpy(data.neutral.owner).to(device)
        self.train, self.validation = (
            Texts(changed, data, name) for name in ("train", "validation")
        )

    @abstractmethod
    def cost(
        self, texts: Texts, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> torch.Tensor:
        """Return what is minimised.

        Args:
            texts: Of a split.
            rows: Which of them.
            rng: For what is drawn; None: nothing is, all is taken.
        """

    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss on a balanced batch."""
        return self.cost(self.train, self.train.balanced(rng, self.spec.batch), rng)

    def check(self, step: int, rng: np.random.Generator) -> AlignStep:
        """Return what validation texts say now."""
        del rng  # nothing is drawn
        return self.told(step, float(self.cost(self.validation, self.validation.every, None)))

    def told(self, step: int, loss: float) -> AlignStep:
        """Return a check with the figures that all arms are told by."""
        texts = self.validation
        change, states, target, membership = self.moved(texts, texts.every)
        cka, rsa = debiased_cka(states, target), distance_similarity(states, target)
        order, size = order_loss(states, membership), self.size(texts, change)
        share = min(1.0, float((COMPARED_SIZE / size.clamp_min(_LEAST)).sqrt()))
        some = self.moved(texts, texts.every, share)[1]
        told = (
            float(one) for one in (cka, order, size, self.apart(), rsa, debiased_cka(some, target))
        )
        return AlignStep._make((step, loss, *told, ()))

    def moved(
        self, texts: Texts, rows: NDArray[np.int64], share: float = 1.0
    ) -> tuple[torch.Tensor, ...]:
        """Return the change of some texts' tokens, their states after it, signed vectors, grades.

        Args:
            texts: Of a split.
            rows: Which of them.
            share: Of the change.
        """
        tokens, owner, counts = texts.take(rows)
        change = self.changed.change(tokens)
        means = texts.means[torch.as_tensor(rows, device=self.changed.device)]
        states = unit_rows(means + share * mean_changes(change, owner, counts), self._spread)
        membership = texts.membership[rows]
        labels = (as_tensor(one, self.changed.device) for one in (signed(membership), membership))
        return change, states, *labels

    def size(self, texts: Texts, change: torch.Tensor) -> torch.Tensor:
        """Return the squared change, relative to the states' variance, a scalar."""
        return change.square().sum() / texts.variance / len(change)

    def apart(self) -> torch.Tensor:
        """Return the estimated divergence on neutral text, nats per token."""
        return divergence(self.changed.change(self._neutral), self._scores, self._owner)


class Repaired(Taught):
    """People's signed vectors, order of grades, and what the change costs."""

    def cost(
        self, texts: Texts, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> torch.Tensor:
        """Return what is minimised."""
        del rng
        spec = self.spec
        change, states, target, membership = self.moved(texts, rows)
        follow = distance_similarity if spec.objective == "rsa" else debiased_cka
        order, size, apart = order_loss(states, membership), self.size(texts, change), self.apart()
        # The divergence counts as a share of the size, whatever the units of both.
        scale = (size.detach() / apart.detach().clamp_min(_LEAST)).clamp_max(1e3)
        return (
            (1 - follow(states, target))
            + spec.order * order
            + spec.edit * (size + spec.divergence * scale * apart)
            + spec.stay * self.changed.strayed()
        )


class ReconstructionOnly(Taught):
    """The variance of tokens' states that the dictionary misses, in [0, inf)."""

    def __init__(self, changed: Change, data: AlignData, spec: AlignSpec) -> None:
        """Prepare: it is small to begin with, so every gain counts."""
        super().__init__(changed, data, spec)
        self.course = replace(self.course, gain=0.0)

    def cost(
        self, texts: Texts, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> torch.Tensor:
        """Return the fraction of variance unexplained."""
        del rng
        tokens, _, _ = texts.take(rows)
        return self.size(texts, tokens.missed - self.changed.change(tokens))


class Triplets(Taught):
    """Within a foundation whoever people place nearer shall lie nearer; divergence is held down."""

    def cost(
        self, texts: Texts, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> torch.Tensor:
        """Return the loss of triplets, and of the divergence on neutral text."""
        states = self.moved(texts, rows)[1]
        found = triplets_of(texts.membership[rows], texts.foundation[rows], rng)
        triplets = torch.from_numpy(found).to(states.device)
        return triplet_loss(states, triplets) + PRESERVED * self.apart()


def triplets_of(
    membership: NDArray[np.float64],
    foundation: NDArray[np.int64],
    rng: np.random.Generator | None,
    *,
    gap: float = GAP,
    most: int = PER_ANCHOR,
) -> NDArray[np.int64]:
    """Return triplets of a foundation whose second lies nearer to the first than the third does.

    Args:
        membership: People's grades, ``(n, 10)``; distances are Euclidean.
        foundation: Of each text, ``(n,)``.
        rng: Draws ``most`` triplets of each first text; None: all are taken.
        gap: Least difference of the two distances.
        most: Of each first text.

    Returns:
        Rows, ``(t, 3)``.
    """
    found = [np.empty((0, 3), np.int64)]
    for number in np.unique(foundation):
        rows = np.flatnonzero(foundation == number)
        own = membership[rows]
        far = np.linalg.norm(own[:, None] - own[None], axis=2)
        fits = far[:, None, :] - far[:, :, None] >= gap  # anchor, near, far
        here = np.arange(len(rows))
        fits[here, here] = fits[here, :, here] = False
        which = np.argwhere(fits)
        if rng is not None:
            which = which[rng.permutation(len(which))]
            which = which[np.argsort(which[:, 0], kind="stable")]
            first = np.searchsorted(which[:, 0], which[:, 0])
            which = which[np.arange(len(which)) - first < most]
        found.append(rows[which])
    return np.concatenate(found)
