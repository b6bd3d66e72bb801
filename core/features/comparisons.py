"""Comparisons of texts that tell what a latent stands for: membership, contrast, gradient.

Each is one target among some of the texts, so that one product of ranks and targets answers it for
all latents.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from core.features.paper_latents import ItemSums
from core.foundations import DIMENSIONS
from core.statistics.bootstrap import percentile_rank
from core.statistics.sparse_ranks import Floats, MidRanks

Statistic = Literal["membership", "contrast", "gradient"]
STATISTICS: Final[tuple[Statistic, ...]] = get_args(Statistic)
#: Fewer texts on one side are no category to compare with.
FEWEST_TEXTS: Final = 5
_POLES: Final = len(DIMENSIONS)


class TextLabels(NamedTuple):
    """What people say of each text, its items merged."""

    membership: Floats
    """Highest grade that an item of the text has in each dimension, ``(n_texts, 10)``, in [0, 1].
    A text with grades in several dimensions is a member of each."""

    items: ItemSums
    """Sums over the text's items."""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], rows: NDArray[np.int64], n: int) -> "TextLabels":
        """Merge items by text.

        Args:
            vectors: Moral vectors, shape ``(n_items, 10)``.
            rows: Text of each item, shape ``(n_items,)``.
            n: Number of texts.
        """
        highest, once, squared = (np.zeros((n, _POLES)) for _ in range(3))
        np.maximum.at(highest, rows, vectors)
        np.add.at(once, rows, vectors)
        np.add.at(squared, rows, vectors.astype(np.float64) ** 2)
        count = np.bincount(rows, minlength=n).astype(np.float64)
        return cls(highest, ItemSums(count, once, squared))

    def take(self, rows: NDArray[np.int64]) -> "TextLabels":
        """Return the labels of some texts, or the same labels in another order."""
        return TextLabels(self.membership[rows], self.items.take(rows))


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
    """AUROC in [0, 1]: chance that a member's activation exceeds another text's, ties half."""

    contrast: NDArray[np.float32]
    """AUROC of own members against the opposite pole's, minus 0.5: in [-0.5, 0.5]. Texts that are
    members of both poles are left out."""

    gradient: NDArray[np.float32]
    """Spearman's correlation of activation and grade among members, in [-1, 1]."""

    @classmethod
    def nothing(cls, n_latents: int) -> "Effects":
        """Return arrays of NaN to be filled."""
        return cls(
            *(np.full((n_latents, _POLES), np.nan, np.float32) for _ in range(len(STATISTICS)))
        )


#: What an effect is if there is none.
CHANCE: Final[dict[Statistic, float]] = {"membership": 0.5, "contrast": 0.0, "gradient": 0.0}


class Contrast(NamedTuple):
    """One comparison of texts, for one dimension or several."""

    statistic: Statistic
    """What is asked."""

    columns: list[int]
    """Dimensions it is asked for."""

    texts: NDArray[np.bool_]
    """Texts that are compared, shape ``(n_texts,)``."""

    target: Floats
    """Who is a member, or mid-ranks of the grade; centred, shape ``(compared, columns)``."""

    @property
    def name(self) -> str:
        """What is compared, for people."""
        return f"{self.statistic} of {', '.join(DIMENSIONS[one] for one in self.columns)}"

    def fill(self, whole: Effects, values: Floats) -> None:
        """Write this comparison's columns, ``(n_latents, columns)``."""
        getattr(whole, self.statistic)[:, self.columns] = values

    def effects(self, ranks: MidRanks) -> Floats:
        """Return AUROC, contrast or correlation, ``(n_latents, columns)``."""
        along, square = ranks.along(self.target), (self.target**2).sum(axis=0)
        if self.statistic == "gradient":
            size = ranks.length[:, None] * np.sqrt(square)
            return np.where(size > 0, along / np.where(size > 0, size, 1), np.nan)
        # Members times others is the indicator's squared length times all texts.
        effect: Floats = along / (square * len(self.target)) + CHANCE[self.statistic]
        return effect


def comparisons(labels: TextLabels, chosen: NDArray[np.bool_]) -> Iterator[Contrast]:
    """Yield every comparison that these texts allow.

    Membership: a dimension's members, of any grade above 0, against all other texts. Contrast:
    against members of the opposite pole only. Gradient: among members only.

    Args:
        labels: Labels of all texts.
        chosen: Texts that are compared, shape ``(n_texts,)``.
    """
    own = labels.membership
    member = own > 0
    n = member[chosen].sum(axis=0)
    columns = np.flatnonzero((n >= FEWEST_TEXTS) & (chosen.sum() - n >= FEWEST_TEXTS)).tolist()
    if columns:
        yield _comparison("membership", columns, chosen, member[:, columns])
    for column in range(0, _POLES, 2):
        poles = member[:, column : column + 2]
        texts = chosen & (poles.sum(axis=1) == 1)
        if poles[texts].sum(axis=0).min() >= FEWEST_TEXTS:
            yield _comparison("contrast", [column, column + 1], texts, poles)
    for column in range(_POLES):
        texts = chosen & member[:, column]
        if texts.sum() >= FEWEST_TEXTS and np.ptp(own[texts, column]) > 0:
            grades = np.zeros(len(own))
            grades[texts] = percentile_rank(own[texts, column])
            yield _comparison("gradient", [column], texts, grades[:, None])


def _comparison(
    statistic: Statistic, columns: list[int], texts: NDArray[np.bool_], target: NDArray[np.generic]
) -> Contrast:
    values = target[texts].astype(np.float64)
    return Contrast(statistic, columns, texts, values - values.mean(axis=0))
