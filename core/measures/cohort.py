"""Items that are measured together, and how they are resampled and shuffled.

Texts are the unit of both: rows that share a text are drawn together and swap their labels
together. Where a set tells situations, texts of one are drawn together, too, and stand in one block
and half. Shuffles stay within a foundation, so that the topic, which words give away, stays where
it is and only pole and grade move.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.dataset.items import Items
from core.dataset.labels import Labels, labels_of, typical_members
from core.statistics.bootstrap import group_numbers

#: Resamples and shuffles of a diagnosis.
DRAWS: Final = 1000


@dataclass(frozen=True, eq=False)
class Cohort:
    """Rows with their labels. All random choices follow from ``seed``."""

    labels: Labels
    """Pole, grade and text of each row."""

    foundation: NDArray[np.int64]
    """Index into ``FOUNDATIONS``, shape ``(n,)``."""

    vectors: NDArray[np.float32]
    """Moral vectors, shape ``(n, 10)``."""

    members: NDArray[np.bool_]
    """Which rows make up each centre, shape ``(n, 10)``."""

    rows: NDArray[np.int64]
    """Each row's place in the whole set, shape ``(n,)``."""

    draws: int = DRAWS
    """Resamples of texts; 0: figures get no interval."""

    shuffles: int = DRAWS
    """Shuffles of labels; 0: figures get no band."""

    seed: int = 0
    """Seed of everything random."""

    unit: NDArray[np.int64] | None = None
    """Number of what each row is drawn with, one for each text, shape ``(n,)``; None: its text."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def text(self) -> NDArray[np.int64]:
        """Number of each row's text, ``0 .. n_texts - 1``, shape ``(n,)``."""
        return group_numbers(self.labels.group)

    @property
    def n_texts(self) -> int:
        """Number of different texts."""
        return int(self.text.max()) + 1 if len(self) else 0

    @cached_property
    def _unit_of_text(self) -> NDArray[np.int64]:
        """Number of each text's unit, ``0 .. n_units - 1``, shape ``(n_texts,)``."""
        if self.unit is None:
            return np.arange(self.n_texts)
        return group_numbers(self.unit[np.unique(self.text, return_index=True)[1]])

    @property
    def _n_units(self) -> int:
        return int(self._unit_of_text.max()) + 1 if len(self) else 0

    @cached_property
    def sign(self) -> NDArray[np.int64]:
        """0 virtue, 1 vice, 2 neutral; shape ``(n,)``."""
        return np.where(self.labels.dimension < 0, 2, self.labels.dimension % 2)

    @cached_property
    def weights(self) -> NDArray[np.uint8]:
        """How often each text is drawn in each resample, shape ``(draws, n_texts)``."""
        rng = np.random.default_rng([self.seed, 1])
        if not len(self):
            return np.zeros((self.draws, 0), np.uint8)
        share = np.full(self._n_units, 1 / self._n_units)
        drawn = rng.multinomial(self._n_units, share, size=self.draws).astype(np.uint8)
        return drawn if self.unit is None else drawn[:, self._unit_of_text]

    @cached_property
    def takers(self) -> NDArray[np.int32]:
        """Shuffles within a foundation: the row that takes each row's labels, ``(shuffles, n)``.

        A text swaps all its labels with another text that has rows in the same foundations. A text
        whose combination of foundations no other has keeps its own: the control errs on the
        cautious side.
        """
        return self._shuffled(self.foundation, 2)

    @cached_property
    def takers_anywhere(self) -> NDArray[np.int32]:
        """Shuffles among all texts of as many rows, whatever the foundation, ``(shuffles, n)``."""
        return self._shuffled(np.zeros_like(self.foundation), 3)

    def _shuffled(self, kept: NDArray[np.int64], stream: int) -> NDArray[np.int32]:
        rng = np.random.default_rng([self.seed, stream])
        takers = np.tile(np.arange(len(self), dtype=np.int32), (self.shuffles, 1))
        for rows in alike(self.text, kept):
            order = np.argsort(rng.random((self.shuffles, len(rows)), np.float32), axis=1)
            takers[:, rows.ravel()] = rows[order].reshape(self.shuffles, rows.size)
        return takers

    @cached_property
    def blocks(self) -> NDArray[np.int64]:
        """One of ten blocks for each row, shape ``(n,)``: no text or unit stands in two."""
        order = np.random.default_rng([self.seed, 4]).permutation(self._n_units)
        return (order % 10)[self._unit_of_text][self.text]

    @cached_property
    def first_half(self) -> NDArray[np.bool_]:
        """Rows of the half of the texts on which layers are chosen, shape ``(n,)``."""
        order = np.random.default_rng([self.seed, 5]).permutation(self._n_units)
        return (order < self._n_units // 2)[self._unit_of_text][self.text]

    @cached_property
    def second_half(self) -> "Cohort":
        """The half of the texts on which the chosen layer is reported, as a cohort."""
        return self.take(~self.first_half)

    @cached_property
    def plain(self) -> "Cohort":
        """The same rows without intervals and bands, for figures that only choose."""
        return replace(self, draws=0, shuffles=0)

    def prepare(self) -> "Cohort":
        """Draw everything random now, so that threads share it; return the cohort itself."""
        for one in (self, self.second_half, self.plain, self.plain.take(self.first_half)):
            for name in ("text", "weights", "takers", "takers_anywhere", "blocks", "first_half"):
                getattr(one, name)
        return self

    def take(self, rows: NDArray[np.bool_], **changes: Any) -> "Cohort":
        """Return some of the rows as a cohort of their own; other fields as ``changes`` says."""
        return replace(
            self,
            labels=Labels(
                self.labels.dimension[rows], self.labels.grade[rows], self.labels.group[rows]
            ),
            foundation=self.foundation[rows],
            vectors=self.vectors[rows],
            members=self.members[rows],
            rows=self.rows[rows],
            unit=None if self.unit is None else self.unit[rows],
            **changes,
        )


def cohort_of(items: Items, *, draws: int = DRAWS, shuffles: int = DRAWS, seed: int = 0) -> Cohort:
    """Return all items of a set as one cohort."""
    labels = labels_of(items)
    return Cohort(
        labels,
        items.foundation.astype(np.int64),
        items.vectors(),
        typical_members(labels),
        np.arange(len(items)),
        draws,
        shuffles,
        seed,
        items.unit,
    )


def alike(text: NDArray[np.int64], kept: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of texts that may swap labels: arrays ``(texts, rows)``, none of one text.

    Args:
        text: Text of each row, shape ``(n,)``.
        kept: What a row's new labels must agree in, shape ``(n,)``: the rows of two texts are
            matched in the order of this.
    """
    order = np.lexsort((kept, text))
    starts = np.flatnonzero(np.r_[True, np.diff(text[order]) > 0]) if len(order) else order
    classes: dict[tuple[int, ...], list[NDArray[np.int64]]] = {}
    for rows in np.split(order, starts[1:]):
        classes.setdefault(tuple(kept[rows].tolist()), []).append(rows)
    return [np.stack(same) for same in classes.values() if len(same) > 1]
