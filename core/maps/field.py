"""Typicality as a field over a flat map: where it rises for people, where for the model, together?

Both quantities are percentiles within an item's own pole, smoothed over the same places by local
linear regression (Fan & Gijbels 1996), so that the two fields differ in nothing but who judges.
Virtue and vice have fields of their own: a typical vice next to a typical virtue is no plateau.

Bandwidth: the kernel ``(1 - r²)²`` reaches as far as Scott's rule says for the places alone (no
label is asked), so real and shuffled labels are smoothed alike. A place is supported where the
texts in reach count for at least ``FEWEST`` equal ones, lie around it, and not on a line.
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
from core.measures.result import band, estimate, recentred
from core.statistics.bootstrap import Estimate, group_numbers

Pole = Literal["virtue", "vice"]
Side = Literal["people", "model"]

#: Texts of equal weight that a place rests on at least (Kish's effective number).
FEWEST: Final = 15
#: Fewest texts of a pole that have a field, and of one foundation that take part in it.
FEWEST_TEXTS: Final = 60
_FEWEST_OF_ONE: Final = 5
#: Resamples of texts, and shuffles behind each band.
DRAWS: Final = 200
#: Places at which two fields are compared at most.
MOST_PLACES: Final = 800
#: Cells along the longer side of what is drawn, and cells from arrow to arrow.
CELLS: Final = 48
ARROW_STEP: Final = 4
#: Scott's rule is for a Gaussian; the kernel here smooths alike at 2.62 times the width
#: (canonical bandwidths, Marron & Nolan 1988).
_WIDER: Final = 2.62
#: Middle of the texts in reach, and their least spread, in bandwidths: fully surrounded places
#: have 0 and 0.35.
_OFF_CENTRE: Final = 0.3
_LEAST_SPREAD: Final = 0.1
_CELLS_AT_ONCE: Final = 2**21


class Surface(NamedTuple):
    """A quantity smoothed over places; ``b`` versions of it side by side."""

    values: NDArray[np.float64]
    """Shape ``(m, b)``; NaN where the support is not enough."""

    slopes: NDArray[np.float64]
    """How it grows along x and y, per unit of the map, shape ``(m, b, 2)``."""


class Agreement(NamedTuple):
    """How far two fields agree, beside two controls."""

    observed: Estimate
    """With 95 % interval over texts."""

    shuffled: Estimate
    """Mean and 95 % band with labels shuffled within pole and foundation, centres made anew."""

    moved: Estimate
    """Mean and 95 % band with both values of an action put on another's place: what single actions
    agree in without any map."""

    @property
    def beyond(self) -> bool:
        """Whether the whole interval lies above both bands."""
        return bool(self.observed.low > max(self.shuffled.high, self.moved.high))


class Drawn(NamedTuple):
    """One field as it is drawn."""

    heights: NDArray[np.float64]
    """Percentile in [0, 1], shape ``(rows, columns)``; NaN where the support is not enough."""

    arrows: NDArray[np.float64]
    """Feet of arrows, shape ``(k, 2)``."""

    slopes: NDArray[np.float64]
    """Percentiles per unit of the map, shape ``(k, 2)``."""


@dataclass(frozen=True, eq=False)
class Sketch:
    """The two fields of one pole over one map as they are drawn, and from shuffled labels."""

    pole: Pole
    """Whose typicality."""

    x: NDArray[np.float64]
    """Columns of the drawn fields, shape ``(columns,)``."""

    y: NDArray[np.float64]
    """Rows of the drawn fields, shape ``(rows,)``."""

    drawn: dict[Side, Drawn]
    """By people's grade and by the model's closeness."""

    shuffled: dict[Side, Drawn]
    """The same under the first shuffle of the labels."""


@dataclass(frozen=True, eq=False)
class Field(Sketch):
    """The same with what the two fields say together."""

    correlation: Agreement
    """Correlation of the two fields over the supported places of actions."""

    cosine: Agreement
    """Mean cosine of their slopes there."""

    bandwidth: float
    """Reach of the kernel, in units of the map."""

    texts: int
    """Texts that the fields rest on."""

    supported: float
    """Share of the actions whose place is supported."""


def field_of(
    points: NDArray[np.floating],
    states: NDArray[np.floating],
    seen: LayerCloseness,
    labels: Labels,
    members: NDArray[np.bool_],
    pole: Pole,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Field:
    """Return the fields of one pole over one map.

    Args:
        points: Place of each item, shape ``(n, 2)``; NaN where there is none.
        states: Scaled state of each item, shape ``(n, d)``.
        seen: Closeness of the same states.
        labels: Labels of the items.
        members: Which items make up each centre, shape ``(n, 10)``.
        pole: Whose typicality.
        draws: Resamples of texts, and shuffles of labels.
        seed: Of everything random.

    Raises:
        CoreError: The map is not flat, or the pole has too few texts, or no place is supported.
    """
    graded = _graded(points, states, seen, labels, members, pole)
    rng = np.random.default_rng(seed)
    givers = graded.shuffles(draws, rng)
    reach = bandwidth(graded.points)
    some = np.arange(len(graded.points))
    if len(some) > MOST_PLACES:
        some = np.sort(rng.choice(some, MOST_PLACES, replace=False))
    once = np.ones((1, len(graded.points)))
    own, shuffled = graded.values(once), graded.values(np.tile(once, (draws, 1)), givers)
    at = _places(graded, graded.points[some], reach)
    if not at.any():
        raise CoreError(
            f"Nowhere on this map lie enough {pole} texts together for a field. Choose another "
            "picture or a larger set."
        )
    counts = rng.multinomial(graded.n_texts, np.full(graded.n_texts, 1 / graded.n_texts), draws)
    weights = counts[:, graded.text].astype(np.float64)
    moved = (own[0][0][givers], own[1][0][givers])
    over = graded.points[some][at]
    figures = [
        _agreements(*(smooth(graded.points, over, reach, value, weight) for value in pair))
        for pair, weight in (
            (own, None),
            (graded.values(weights), weights),
            (shuffled, None),
            (moved, None),
        )
    ]
    correlation, cosine = (_agreement(*(one[number] for one in figures)) for number in range(2))
    return Field(
        pole,
        *_sketched(graded, own, shuffled, reach),
        correlation,
        cosine,
        reach,
        graded.n_texts,
        float(at.mean()),
    )


def sketch_of(
    points: NDArray[np.floating],
    states: NDArray[np.floating],
    seen: LayerCloseness,
    labels: Labels,
    members: NDArray[np.bool_],
    pole: Pole,
    *,
    seed: int = 0,
) -> Sketch:
    """Return the fields alone, without what they say; arguments and errors as for ``field_of``."""
    graded = _graded(points, states, seen, labels, members, pole)
    once = np.ones((1, len(graded.points)))
    givers = graded.shuffles(1, np.random.default_rng(seed))
    own, shuffled = graded.values(once), graded.values(once, givers)
    return Sketch(pole, *_sketched(graded, own, shuffled, bandwidth(graded.points)))


def bandwidth(points: NDArray[np.floating]) -> float:
    """Return the reach of the kernel: Scott's rule for places ``(n, 2)``.

    It is the same in all directions, so a turned map gives a turned field.
    """
    spread = np.sqrt(points.var(axis=0).mean())
    return float(_WIDER * spread * len(points) ** (-1 / 6))


def smooth(
    points: NDArray[np.floating],
    places: NDArray[np.floating],
    reach: float,
    values: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> Surface:
    """Smooth ``b`` versions of a quantity at some places by local linear regression.

    Args:
        points: Where it is known, shape ``(n, 2)``.
        places: Where it is asked, shape ``(m, 2)``.
        reach: Radius of the kernel, above 0.
        values: Shape ``(b, n)``.
        weights: How often each row counts in each version, shape ``(b, n)``; None: once.

    Returns:
        NaN where no plane can be laid through what is in reach.
    """
    b = len(values)
    weight = np.ones((1, len(points))) if weights is None else np.asarray(weights, np.float64)
    weighted = (weight * values).T
    found, slopes = np.full((len(places), b), np.nan), np.full((len(places), b, 2), np.nan)
    step = max(1, _CELLS_AT_ONCE // len(points))
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        kernel, across = _kernel(points, places[some], reach)
        one = [kernel, *(kernel * across[..., axis] for axis in (0, 1))]
        two = [one[1 + i] * across[..., j] for i, j in ((0, 0), (0, 1), (1, 1))]
        s, sx, sy, sxx, sxy, syy = (each @ weight.T for each in (*one, *two))
        t, tx, ty = (each @ weighted for each in one)
        plane = np.stack([s, sx, sy, sx, sxx, sxy, sy, sxy, syy], -1).reshape(*s.shape, 3, 3)
        right = np.stack(np.broadcast_arrays(t, tx, ty), -1)
        known = np.linalg.det(plane) > 1e-6 * s**3
        safe = np.where(known[..., None, None], plane, np.eye(3))
        fitted = np.linalg.solve(np.broadcast_to(safe, (*t.shape, 3, 3)), right[..., None])[..., 0]
        fitted = np.where(np.broadcast_to(known, t.shape)[..., None], fitted, np.nan)
        found[some], slopes[some] = fitted[..., 0], fitted[..., 1:] / reach
    return Surface(found, slopes)


def support(
    points: NDArray[np.floating],
    places: NDArray[np.floating],
    reach: float,
    text: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Tell which places have enough texts around them.

    Args:
        points: Place of each row, shape ``(n, 2)``.
        places: Places asked for, shape ``(m, 2)``.
        reach: Radius of the kernel.
        text: Number of each row's text, ``0 ..``, shape ``(n,)``: rows of one text count as one.

    Returns:
        Shape ``(m,)``.
    """
    order = np.argsort(text, kind="stable")
    starts = np.flatnonzero(np.diff(text[order], prepend=-1))
    enough = np.zeros(len(places), bool)
    step = max(1, _CELLS_AT_ONCE // len(points))
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        kernel, across = _kernel(points, places[some], reach)
        total = np.maximum(kernel.sum(axis=1), 1e-12)
        by_text = np.add.reduceat(kernel[:, order], starts, axis=1)
        count = total**2 / np.maximum((by_text**2).sum(axis=1), 1e-12)
        middle = np.einsum("mn,mnd->md", kernel, across) / total[:, None]
        square = np.einsum("mn,mnd,mne->mde", kernel, across, across) / total[:, None, None]
        spread = np.linalg.eigvalsh(square - middle[:, :, None] * middle[:, None, :])[:, 0]
        enough[some] = (
            (count >= FEWEST)
            & (np.linalg.norm(middle, axis=1) <= _OFF_CENTRE)
            & (spread >= _LEAST_SPREAD**2)
        )
    return enough


def _kernel(
    points: NDArray[np.floating], places: NDArray[np.floating], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights ``(m, n)`` and ways from places to points in bandwidths ``(m, n, 2)``."""
    across = (points[None].astype(np.float64) - places[:, None]) / reach
    return np.maximum(1 - (across**2).sum(axis=2), 0) ** 2, across


# --- labels, resampled and shuffled ---


@dataclass(frozen=True, eq=False)
class _Graded:
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
    def of(
        cls,
        points: NDArray[np.floating],
        states: NDArray[np.floating],
        seen: LayerCloseness,
        labels: Labels,
        members: NDArray[np.bool_],
        pole: Pole,
    ) -> "_Graded":
        known = np.isfinite(points).all(axis=1) & np.isfinite(seen.typicality.model)
        chosen = np.zeros(len(points), bool)
        for column in range(POLES.index(pole), 2 * len(FOUNDATIONS), 2):
            own = known & (labels.dimension == column)
            if len(np.unique(labels.group[own])) >= _FEWEST_OF_ONE:
                chosen |= own
        rows = np.flatnonzero(chosen)
        dimension = labels.dimension[rows]
        return cls(
            points[rows].astype(np.float64),
            group_numbers(labels.group[rows]),
            dimension,
            seen.typicality.human[rows],
            members[rows, dimension],
            states[rows].astype(np.float64),
        )

    @property
    def n_texts(self) -> int:
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


def _graded(
    points: NDArray[np.floating],
    states: NDArray[np.floating],
    seen: LayerCloseness,
    labels: Labels,
    members: NDArray[np.bool_],
    pole: Pole,
) -> _Graded:
    """Return the items that make up a field, or say why there is none."""
    if points.shape[1] != 2:
        raise CoreError("A field is drawn on flat maps only. Choose 2-D.")
    graded = _Graded.of(points, states, seen, labels, members, pole)
    if graded.n_texts < FEWEST_TEXTS:
        raise CoreError(
            f"A field needs at least {FEWEST_TEXTS} texts of a pole; {pole} has {graded.n_texts} "
            "here. Choose the other pole, or a larger set."
        )
    return graded


# --- figures ---


def _places(graded: _Graded, places: NDArray[np.floating], reach: float) -> NDArray[np.bool_]:
    return support(graded.points, places, reach, graded.text)


def _agreements(people: Surface, model: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return correlation and mean cosine of slopes for each version, ``(b,)`` each."""
    known = np.isfinite(people.values) & np.isfinite(model.values)
    count = np.maximum(known.sum(axis=0), 1)

    def middle(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.where(known, values, 0).sum(axis=0) / count)

    one, two = (each.values - middle(each.values) for each in (people, model))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = middle(one * two) / np.sqrt(middle(one**2) * middle(two**2))
        dot = (people.slopes * model.slopes).sum(axis=2)
        cosine = dot / np.prod([np.linalg.norm(e.slopes, axis=2) for e in (people, model)], axis=0)
    return correlation, middle(np.where(np.isfinite(cosine), cosine, 0))


def _agreement(
    own: NDArray[np.float64],
    drawn: NDArray[np.float64],
    shuffled: NDArray[np.float64],
    moved: NDArray[np.float64],
) -> Agreement:
    value = float(own[0])
    # Resampled centres and sums have twice the noise: their fields agree less than the fields do.
    return Agreement(estimate(value, recentred(value, drawn)), band(shuffled), band(moved))


# --- what is drawn ---


def _grid(
    points: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns and rows of square cells over all points."""
    low, high = points.min(axis=0), points.max(axis=0)
    cell = float((high - low).max()) / CELLS
    x, y = (low[axis] + cell * np.arange((high - low)[axis] // cell + 2) for axis in (0, 1))
    return x, y


def _sketched(
    graded: _Graded,
    own: tuple[NDArray[np.float64], NDArray[np.float64]],
    shuffled: tuple[NDArray[np.float64], NDArray[np.float64]],
    reach: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[Side, Drawn], dict[Side, Drawn]]:
    """Return columns, rows, and both fields: from the labels, and from the first shuffle."""
    x, y = _grid(graded.points)
    drawn, mixed = (
        _drawn(graded, (pair[0][0], pair[1][0]), x, y, reach) for pair in (own, shuffled)
    )
    return x, y, drawn, mixed


def _drawn(
    graded: _Graded,
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    reach: float,
) -> dict[Side, Drawn]:
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    at = np.flatnonzero(_places(graded, places, reach))
    found = smooth(graded.points, places[at], reach, np.stack(pair))
    column, row = at % len(x), at // len(x)
    foot = (column % ARROW_STEP == ARROW_STEP // 2) & (row % ARROW_STEP == ARROW_STEP // 2)
    drawn = []
    for number in range(2):
        values = np.full(len(places), np.nan)
        values[at] = np.clip(found.values[:, number], 0, 1)
        arrows, slopes = places[at][foot], found.slopes[foot, number]
        drawn.append(Drawn(values.reshape(len(y), len(x)), arrows, slopes))
    return {"people": drawn[0], "model": drawn[1]}
