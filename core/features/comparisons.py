"""Comparisons of texts that tell what a latent stands for: topic, morals, polarity, grade.

Each is one target among some of the texts, so that one product of ranks and targets answers it for
all latents. A long text lights up more latents than a short one, and more strongly where its tokens
are pooled by maximum; labels are not of one length. So texts are ranked, permuted and compared only
among texts of like length: within strata. (Taking length off the ranks by regression would do for
effects, but permutations of what is left are not exact, and the length need not work in a line.)
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.features.paper_latents import ItemSums
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.statistics.bootstrap import group_numbers, percentile_rank
from core.statistics.sparse_ranks import Floats, MidRanks, SortedCodes, centred

Statistic = Literal["membership", "within", "contrast", "gradient"]
STATISTICS: Final[tuple[Statistic, ...]] = get_args(Statistic)
#: Fewer texts on one side are no category to compare with.
FEWEST_TEXTS: Final = 5
#: Texts of a length that are a stratum of their own; fewer are put together with the next longer.
FEWEST_ALIKE: Final = 10
#: Strata of one kind of text at most, about.
MOST_STRATA: Final = 32
_POLES: Final = len(DIMENSIONS)


class TextLabels(NamedTuple):
    """What people say of each text, its items merged."""

    membership: Floats
    """Highest grade that an item of the text has in each dimension, ``(n_texts, 10)``, in [0, 1].
    A text with grades in several dimensions is a member of each."""

    about: NDArray[np.bool_]
    """Foundations that a text has an item of, a neutral one too, ``(n_texts, 5)``."""

    items: ItemSums
    """Sums over the text's items."""

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        foundation: NDArray[np.integer],
        rows: NDArray[np.int64],
        n: int,
    ) -> "TextLabels":
        """Merge items by text.

        Args:
            vectors: Moral vectors, shape ``(n_items, 10)``.
            foundation: Index into ``FOUNDATIONS``, shape ``(n_items,)``.
            rows: Text of each item, shape ``(n_items,)``.
            n: Number of texts.
        """
        highest, once, squared = (np.zeros((n, _POLES)) for _ in range(3))
        np.maximum.at(highest, rows, vectors)
        np.add.at(once, rows, vectors)
        np.add.at(squared, rows, vectors.astype(np.float64) ** 2)
        count = np.bincount(rows, minlength=n).astype(np.float64)
        about = (highest > 0).reshape(n, len(FOUNDATIONS), 2).sum(axis=2) > 0
        about[rows, foundation] = True
        return cls(highest, about, ItemSums(count, once, squared))

    def take(self, rows: NDArray[np.int64]) -> "TextLabels":
        """Return the labels of some texts, or the same labels in another order."""
        return TextLabels(self.membership[rows], self.about[rows], self.items.take(rows))


class Split(NamedTuple):
    """Which texts select and which report."""

    train: NDArray[np.bool_]
    """Shape ``(n_texts,)``."""

    test: NDArray[np.bool_]
    """Shape ``(n_texts,)``; none of ``train``."""

    def shuffled(self, labels: TextLabels, seed: int) -> TextLabels:
        """Return labels dealt out anew among the texts of each part."""
        rng = np.random.default_rng([seed, 9])
        taker = np.arange(len(self.train))
        for chosen in self:
            rows = np.flatnonzero(chosen)
            taker[rows] = rng.permutation(rows)
        return labels.take(taker)


class Effects(NamedTuple):
    """What one part of the texts says, each ``(n_latents, 10)``; NaN where nothing can be said."""

    membership: NDArray[np.float32]
    """AUROC in [0, 1]: chance that a member's activation exceeds that of another text of like
    length, ties half. Members stand in their topic, too: this shows a topic, no morals yet."""

    within: NDArray[np.float32]
    """The same among texts of one foundation, minus 0.5: in [-0.5, 0.5]. The topic is the same for
    all of them, and the other foundations that a text has are the same for those compared."""

    contrast: NDArray[np.float32]
    """The same against the opposite pole's members only, minus 0.5: in [-0.5, 0.5]. Texts that are
    members of both poles are left out."""

    gradient: NDArray[np.float32]
    """Spearman's correlation of activation and grade among members of like length, in [-1, 1]."""

    @classmethod
    def nothing(cls, n_latents: int) -> "Effects":
        """Return arrays of NaN to be filled."""
        return cls(
            *(np.full((n_latents, _POLES), np.nan, np.float32) for _ in range(len(STATISTICS)))
        )


#: What an effect is if there is none.
CHANCE: Final[dict[Statistic, float]] = {
    "membership": 0.5,
    "within": 0.0,
    "contrast": 0.0,
    "gradient": 0.0,
}


class Contrast(NamedTuple):
    """One comparison of texts, for one dimension or several."""

    statistic: Statistic
    """What is asked."""

    columns: list[int]
    """Dimensions it is asked for."""

    texts: NDArray[np.bool_]
    """Texts that are compared, shape ``(n_texts,)``."""

    stratum: NDArray[np.int64]
    """Which of them are alike, numbered from 0, shape ``(compared,)``."""

    target: Floats
    """Who is a member, or mid-ranks of the grade; centred in each stratum, shape
    ``(compared, columns)``."""

    @property
    def name(self) -> str:
        """What is compared, for people."""
        return f"{self.statistic} of {', '.join(DIMENSIONS[one] for one in self.columns)}"

    def fill(self, whole: Effects, values: Floats) -> None:
        """Write this comparison's columns, ``(n_latents, columns)``."""
        getattr(whole, self.statistic)[:, self.columns] = values

    def ranks(self, ordered: SortedCodes) -> MidRanks:
        """Return the ranks of all latents among the compared texts, within strata."""
        return ordered.among(self.texts, self.stratum)

    def effects(self, ranks: MidRanks) -> Floats:
        """Return AUROC, contrast or correlation, ``(n_latents, columns)``.

        An AUROC is the mean of those of all strata, each weighted by members times others over
        texts: by how sure it is (van Elteren 1960).
        """
        along, square = ranks.along(self.target), (self.target**2).sum(axis=0)
        size = square
        if self.statistic == "gradient":
            size = np.sqrt(ranks.spread.sum(axis=0)[:, None] * square)
        # In a stratum members times others over texts is the centred indicator's squared length.
        known = np.broadcast_to(size, along.shape) > 0
        return np.where(known, along / np.where(known, size, 1) + CHANCE[self.statistic], np.nan)


def comparisons(
    labels: TextLabels, tokens: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> Iterator[Contrast]:
    """Yield every comparison that these texts allow.

    Membership: a dimension's members, of any grade above 0, against all other texts. Within:
    against all other texts of the same foundation. Contrast: against members of the opposite pole
    only. Gradient: among members only.

    Args:
        labels: Labels of all texts.
        tokens: Length of all texts, shape ``(n_texts,)``.
        chosen: Texts that are compared, shape ``(n_texts,)``.
    """
    member = labels.membership > 0
    alone = np.zeros(len(tokens), np.int64)
    combination = group_numbers(labels.about @ 2 ** np.arange(len(FOUNDATIONS)))
    every = list(range(_POLES))
    yield from _comparison("membership", every, chosen, member, strata(alone, tokens, chosen))
    for foundation in range(len(FOUNDATIONS)):
        poles = [2 * foundation, 2 * foundation + 1]
        about = chosen & labels.about[:, foundation]
        one = chosen & (member[:, poles].sum(axis=1) == 1)
        yield from _comparison("within", poles, about, member, strata(combination, tokens, about))
        yield from _comparison("contrast", poles, one, member, strata(combination, tokens, one))
    for column in range(_POLES):
        texts = chosen & member[:, column]
        yield from _gradient(labels, column, texts, strata(alone, tokens, texts))


def strata(
    kind: NDArray[np.int64], tokens: NDArray[np.int64], texts: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return which texts are alike: of one kind, and of one length or of neighbouring lengths.

    A length is a stratum if it has texts enough (``FEWEST_ALIKE``, of many texts one of
    ``MOST_STRATA``); else it is put together with the next longer, the longest with those before.

    Args:
        kind: Kind of all texts, shape ``(n_texts,)``.
        tokens: Length of all texts, same shape.
        texts: Which are asked, same shape.

    Returns:
        Numbered from 0, shape ``(asked,)``.
    """
    kind, tokens = kind[texts], tokens[texts]
    result = np.zeros(len(kind), np.int64)
    number = 0
    for one in np.unique(kind):
        rows = np.flatnonzero(kind == one)
        lengths, counts = np.unique(tokens[rows], return_counts=True)
        least = max(FEWEST_ALIKE, len(rows) // MOST_STRATA)
        starts: list[int] = []
        size = least
        for length, count, left in zip(lengths, counts, np.cumsum(counts[::-1])[::-1], strict=True):
            if not starts or (size >= least and left >= least):
                starts.append(int(length))
                size = 0
            size += count
        result[rows] = number + np.searchsorted(starts, tokens[rows], side="right") - 1
        number += len(starts)
    return result


def _comparison(
    statistic: Statistic,
    columns: list[int],
    texts: NDArray[np.bool_],
    member: NDArray[np.bool_],
    stratum: NDArray[np.int64],
) -> Iterator[Contrast]:
    """Yield the comparison of members and others, of dimensions with texts enough on both sides."""
    inside = member[texts]
    n = inside.sum(axis=0)
    enough = (n >= FEWEST_TEXTS) & (len(inside) - n >= FEWEST_TEXTS)
    kept = [column for column in columns if enough[column]]
    if kept:
        target = centred(stratum, inside[:, kept].astype(np.float64))
        yield Contrast(statistic, kept, texts, stratum, target)


def _gradient(
    labels: TextLabels, column: int, texts: NDArray[np.bool_], stratum: NDArray[np.int64]
) -> Iterator[Contrast]:
    """Yield the comparison of a dimension's members by grade, if their grades differ."""
    grades = labels.membership[texts, column]
    if len(grades) >= FEWEST_TEXTS and np.ptp(grades) > 0:
        ranks = np.zeros(len(grades))
        for one in np.unique(stratum):
            ranks[stratum == one] = percentile_rank(grades[stratum == one])
        yield Contrast("gradient", [column], texts, stratum, centred(stratum, ranks[:, None]))
