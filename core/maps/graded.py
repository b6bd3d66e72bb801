"""What a field of typicality rests on: a pole's items on a map, resampled and shuffled.

Both typicalities are percentiles within an item's own pole and foundation; where labels are
resampled or shuffled, the centres that the model's closeness is measured from are made anew.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.dataset.labels import Labels
from core.foundations import FOUNDATIONS, POLES
from core.maps.placing import LayerCloseness
from core.measures.cohort import alike
from core.statistics.bootstrap import group_numbers

Pole = Literal["virtue", "vice"]

#: Fewest texts of a pole that have a field, and of one foundation that take part in it.
FEWEST_TEXTS: Final = 60
_FEWEST_OF_ONE: Final = 5


class Laid(NamedTuple):
    """A layer's items as they lie on a map."""

    points: NDArray[np.floating]
    """Place of each item, shape ``(n, 2)``; NaN where there is none."""

    states: NDArray[np.floating]
    """Scaled state of each item, shape ``(n, d)``."""

    seen: LayerCloseness
    """Closeness of the same states."""

    labels: Labels
    """Labels of the items."""

    members: NDArray[np.bool_]
    """Which items make up each centre, shape ``(n, 10)``."""


@dataclass(frozen=True, eq=False)
class Graded:
    """The items of one pole that have a place."""

    points: NDArray[np.float64]
    """Shape ``(n, 2)``."""

    text: NDArray[np.int64]
    """Number of each item's text, ``0 ..``, shape ``(n,)``."""

    dimension: NDArray[np.int64]
    """Shape ``(n,)``."""

    human: NDArray[np.float64]
    """Percentile of the grade, shape ``(n,)``."""

    member: NDArray[np.bool_]
    """Which items make up their own centre, shape ``(n,)``."""

    states: NDArray[np.float64]
    """Scaled, shape ``(n, d)``."""

    @classmethod
    def of(cls, laid: Laid, pole: Pole) -> "Graded":
        """Return the items of a pole's foundations that have enough texts.

        Raises:
            CoreError: The map is not flat, or the pole has too few texts.
        """
        if laid.points.shape[1] != 2:
            raise CoreError("A field is drawn on flat maps only. Choose 2-D.")
        labels = laid.labels
        known = np.isfinite(laid.points).all(axis=1) & np.isfinite(laid.seen.typicality.model)
        chosen = np.zeros(len(laid.points), bool)
        for column in range(POLES.index(pole), 2 * len(FOUNDATIONS), 2):
            own = known & (labels.dimension == column)
            if len(np.unique(labels.group[own])) >= _FEWEST_OF_ONE:
                chosen |= own
        rows = np.flatnonzero(chosen)
        dimension = labels.dimension[rows]
        graded = cls(
            laid.points[rows].astype(np.float64),
            group_numbers(labels.group[rows]),
            dimension,
            laid.seen.typicality.human[rows],
            laid.members[rows, dimension],
            laid.states[rows].astype(np.float64),
        )
        if graded.n_texts < FEWEST_TEXTS:
            raise CoreError(
                f"A field needs at least {FEWEST_TEXTS} texts of a pole; {pole} has "
                f"{graded.n_texts} here. Choose the other pole, or a larger set."
            )
        return graded

    @property
    def n_texts(self) -> int:
        """How many different texts the items have."""
        return int(self.text.max()) + 1 if len(self.text) else 0

    def shuffles(self, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return whose labels each item gets, ``(draws, n)``: of its own pole and foundation."""
        givers = np.tile(np.arange(len(self.text)), (draws, 1))
        for rows in alike(self.text, self.dimension):
            order = np.argsort(rng.random((draws, len(rows))), axis=1)
            givers[:, rows.ravel()] = rows[order].reshape(draws, rows.size)
        return givers

    def values(
        self, weights: NDArray[np.floating], givers: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return people's and the model's percentiles, ``(b, n)`` each, centres made anew.

        Args:
            weights: How often each item counts in its centre, shape ``(b, n)``.
            givers: Whose label each item has, shape ``(b, n)``; None: its own.
        """
        from scipy.stats import rankdata

        human = np.tile(self.human, (len(weights), 1)) if givers is None else self.human[givers]
        member = self.member if givers is None else self.member[givers]
        model = np.empty(weights.shape)
        for column in np.unique(self.dimension):
            own = self.dimension == column
            same = self.text[own, None] == self.text[own]
            inner = self.states[own] @ self.states[own].T
            close = closeness_of_weighted(inner, same, (weights * member)[:, own])
            model[:, own] = (rankdata(close, axis=1) - 0.5) / own.sum()
        return human, model


def closeness_of_weighted(
    inner: NDArray[np.float64], same: NDArray[np.bool_], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return cosines of states to weighted centres that leave the state's own text out.

    Args:
        inner: Inner products of the states, shape ``(m, m)``.
        same: Which states share a text, shape ``(m, m)``.
        weights: How often each state counts in each centre, shape ``(b, m)``.

    Returns:
        Shape ``(b, m)``.
    """
    shared = same.astype(np.float64)
    along = weights @ inner
    own = weights @ (inner * shared)
    squared = (
        (weights * along).sum(axis=1, keepdims=True)
        - 2 * (weights * along) @ shared
        + (weights * own) @ shared
    )
    length = np.sqrt(np.maximum(squared * np.diag(inner), 1e-30))
    return np.asarray((along - own) / length)
