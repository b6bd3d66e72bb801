"""Gradient test: are items that people find more typical of a category nearer to its centre?

The figure is Spearman's correlation of the human grade with the cosine to the own centre, within a
pole, the item's own text left out of the centre (arXiv 2603.15615, gradient indifference; there a
typical item is part of the centre it is compared with, which alone gives a correlation).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.centroids import Shuffled, shuffled_centres, to_device
from core.cohort import Cohort
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.geometry import closeness
from core.measured import ALL, NOTHING, Figure, Measured, band, estimate
from core.stats import percentile_rank

if TYPE_CHECKING:
    import torch

#: Fewer texts have no correlation worth a number; Fisher's weight n - 3 needs four.
FEWEST_TEXTS: Final = 5
#: What is correlated with the grade, the headline first.
VARIANTS: Final = ("typicality", "typicality with neutrals", "own minus opposed")
_NONE: Final = np.full(0, np.nan)


class Graded(NamedTuple):
    """Items of one pole and what is correlated among them."""

    rows: NDArray[np.int64]
    """Rows of the cohort, shape ``(m,)``."""

    grade: NDArray[np.float64]
    """Mid-ranks of the human grade, centred, of unit length, ``(m,)``."""

    score: NDArray[np.float64]
    """Mid-ranks of the model's score, centred, of unit length, ``(m,)``."""

    texts: int
    """Different texts among them."""

    @property
    def value(self) -> float:
        """Spearman's correlation."""
        return float(self.grade @ self.score)


def measure(
    states: NDArray[np.float32], cohort: Cohort, *, variants: tuple[str, ...] = VARIANTS
) -> Measured:
    """Measure the typicality gradient at one layer.

    Args:
        states: Scaled states, shape ``(n, d)``.
        cohort: Labels of the rows.
        variants: Which of ``VARIANTS``.

    Returns:
        Each variant for all poles together (mean on Fisher's scale, weights n - 3) and for each;
        NaN where fewer than ``FEWEST_TEXTS`` texts remain, or grade or closeness is constant. The
        centres are held fixed in resamples.
    """
    close = closeness(states, cohort.members, cohort.labels.group)
    null = _null(states, cohort, variants)
    figures: list[Figure] = []
    headline: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    for number, name in enumerate(variants):
        graded = [_graded(close, cohort, column, name) for column in range(len(DIMENSIONS))]
        draws = np.stack([_draws(one, cohort) for one in graded], axis=1)
        rows, together, chance = _figures(name, graded, draws, null[number])
        headline = headline or (together, chance)
        figures.extend(rows)
    return Measured(
        tuple(figures), *(samples.astype(np.float32) for samples in headline or (_NONE, _NONE))
    )


class ByPole(NamedTuple):
    """A variant's correlation for each pole."""

    values: NDArray[np.float64]
    """Spearman's correlation, shape ``(10,)``; NaN where it cannot be computed."""

    draws: NDArray[np.float64]
    """The same for each resample of texts, shape ``(draws, 10)``."""

    weights: NDArray[np.float64]
    """Fisher's weights for their mean: texts - 3, shape ``(10,)``; 0 where there is no value."""


def by_pole(close: NDArray[np.float64], cohort: Cohort, variant: str) -> ByPole:
    """Return a variant's correlation for each pole from closeness measured in any way.

    Args:
        close: Closeness of each row to the ten centres, shape ``(n, 10)``.
        cohort: Labels of the rows.
        variant: One of ``VARIANTS``.
    """
    graded = [_graded(close, cohort, column, variant) for column in range(len(DIMENSIONS))]
    return ByPole(
        np.array([np.nan if one is None else one.value for one in graded]),
        np.stack([_draws(one, cohort) for one in graded], axis=1),
        np.array([0.0 if one is None else max(one.texts - 3, 1) for one in graded]),
    )


def _graded(close: NDArray[np.float64], cohort: Cohort, column: int, variant: str) -> Graded | None:
    """Return what is correlated for one pole; None if nothing can be."""
    own = cohort.labels.dimension == column
    score = close[:, column]
    if variant == "typicality with neutrals":
        own = own | ((cohort.labels.dimension < 0) & (cohort.foundation == column // 2))
    elif variant == "own minus opposed":
        score = score - close[:, column ^ 1]
    rows = np.flatnonzero(own & np.isfinite(score))
    texts = len(np.unique(cohort.text[rows]))
    if texts < FEWEST_TEXTS:
        return None
    grade, ranked = _unit_ranks(cohort.labels.grade[rows]), _unit_ranks(score[rows])
    if grade is None or ranked is None:
        return None
    return Graded(rows, grade, ranked, texts)


def _unit_ranks(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return centred mid-ranks of unit length, None if all values are the same."""
    ranks = percentile_rank(values)
    ranks = ranks - ranks.mean()
    length = float(np.sqrt(ranks @ ranks))
    return ranks / length if length > 1e-9 else None


def _draws(graded: Graded | None, cohort: Cohort) -> NDArray[np.float64]:
    """Return a pole's correlation in each resample of texts, ranks held fixed, ``(draws,)``."""
    if graded is None:
        return np.full(cohort.draws, np.nan)
    x, y = graded.grade, graded.score
    texts, number = np.unique(cohort.text[graded.rows], return_inverse=True)
    moments = [np.ones_like(x), x, y, x * x, y * y, x * y]
    sums = np.column_stack([np.bincount(number, one) for one in moments])
    drawn = cohort.weights[:, texts].astype(np.float64) @ sums
    drawn /= np.maximum(drawn[:, :1], 1e-300)
    _, mx, my, xx, yy, xy = drawn.T
    spread = (xx - mx**2) * (yy - my**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float64] = (xy - mx * my) / np.sqrt(np.maximum(spread, 0))
    return np.where(spread > 1e-18, result, np.nan)


def _figures(
    name: str,
    graded: "list[Graded | None]",
    draws: NDArray[np.float64],
    null: NDArray[np.float32],
) -> tuple[list[Figure], NDArray[np.float64], NDArray[np.float64]]:
    """Return a variant's figures, all poles first, with resamples and shuffles of the first."""
    known = [column for column, one in enumerate(graded) if one is not None]
    each = [
        Figure(
            "gradient",
            name,
            DIMENSIONS[column],
            0 if one is None else len(one.rows),
            NOTHING if one is None else estimate(one.value, draws[:, column]),
            NOTHING if one is None else band(null[:, column]),
        )
        for column, one in enumerate(graded)
    ]
    if not known:
        return [Figure("gradient", name, ALL, 0, NOTHING, NOTHING), *each], _NONE, _NONE
    some = [one for one in graded if one is not None]
    weight = np.array([max(one.texts - 3, 1) for one in some], np.float64)
    value = fisher_mean(np.array([[one.value for one in some]]), weight)[0]
    together, chance = fisher_mean(draws[:, known], weight), fisher_mean(null[:, known], weight)
    whole = Figure(
        "gradient",
        name,
        ALL,
        sum(len(one.rows) for one in some),
        estimate(float(value), together),
        band(chance),
    )
    return [whole, *each], together, chance


def fisher_mean(
    correlations: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return weighted means of correlations on Fisher's scale.

    Args:
        correlations: Shape ``(b, k)``, in [-1, 1]; NaN ones are left out.
        weights: Shape ``(k,)``, above 0.

    Returns:
        Shape ``(b,)``; NaN if none is left.
    """
    inside = 1 - 1e-9
    z = np.arctanh(np.clip(np.asarray(correlations, np.float64), -inside, inside))
    share = np.where(np.isnan(z), 0.0, weights)
    total = share.sum(axis=1)
    mean = (np.nan_to_num(z) * share).sum(axis=1) / np.where(total > 0, total, np.nan)
    return np.asarray(np.tanh(mean), np.float64)


# --- shuffled labels: centres, closeness and ranks anew for each shuffle ---


def _null(
    states: NDArray[np.float32], cohort: Cohort, variants: tuple[str, ...]
) -> NDArray[np.float32]:
    """Return each variant's correlation under shuffled labels, ``(variants, shuffles, 10)``."""
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
            for pole, correlation in _shuffled(own, block, cohort, rows, foundation, variants):
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
    variants: tuple[str, ...],
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
        found = [_rank_correlation(*scores[name], cohort, rows) for name in variants]
        yield 2 * foundation + pole, torch.stack(found)


def _rank_correlation(
    score: "torch.Tensor", slots: NDArray[np.bool_], cohort: Cohort, rows: NDArray[np.int64]
) -> "torch.Tensor":
    """Return Spearman's correlation of each shuffle's scores with the slots' grades, ``(b,)``."""
    import torch

    grade = _unit_ranks(cohort.labels.grade[rows[slots]])
    if grade is None:
        return torch.full((len(score),), float("nan"), device=score.device)
    order = torch.argsort(score[:, torch.tensor(slots, device=score.device)], dim=1)
    ranks = np.arange(len(grade)) - (len(grade) - 1) / 2
    ranks = ranks / np.sqrt(ranks @ ranks)
    on = torch.tensor(np.stack([grade, ranks]).astype(np.float32), device=score.device)
    return on[0][order] @ on[1]
