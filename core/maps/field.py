"""Typicality as a field over a flat map: where it rises for people, where for the model, together?

Both quantities are smoothed over the same places (``statistics.smoothing``), so that the two fields
differ in nothing but who judges. Virtue and vice have fields of their own: a typical vice next to a
typical virtue is no plateau. The bandwidth asks for no label, so real and shuffled labels are
smoothed alike.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.maps.graded import Graded, Laid, Pole
from core.measures.result import band, estimate, recentred
from core.statistics.bootstrap import Estimate
from core.statistics.smoothing import Surface, bandwidth, smooth, support

Side = Literal["people", "model"]

#: Resamples of texts, and shuffles behind each band.
DRAWS: Final = 200
#: Places at which two fields are compared at most.
MOST_PLACES: Final = 800
#: Cells along the longer side of what is drawn, and cells from arrow to arrow.
CELLS: Final = 48
ARROW_STEP: Final = 4


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


def field_of(laid: Laid, pole: Pole, *, draws: int = DRAWS, seed: int = 0) -> Field:
    """Return the fields of one pole over one map.

    Args:
        laid: The items on it.
        pole: Whose typicality.
        draws: Resamples of texts, and shuffles of labels.
        seed: Of everything random.

    Raises:
        CoreError: The map is not flat, or the pole has too few texts, or no place is supported.
    """
    graded = Graded.of(laid, pole)
    rng = np.random.default_rng(seed)
    givers = graded.shuffles(draws, rng)
    reach = bandwidth(graded.points)
    some = np.arange(len(graded.points))
    if len(some) > MOST_PLACES:
        some = np.sort(rng.choice(some, MOST_PLACES, replace=False))
    once = np.ones((1, len(graded.points)))
    own, shuffled = graded.values(once), graded.values(np.tile(once, (draws, 1)), givers)
    at = support(graded.points, graded.points[some], reach, graded.text)
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


def sketch_of(laid: Laid, pole: Pole, *, seed: int = 0) -> Sketch:
    """Return the fields alone, without what they say; arguments and errors as for ``field_of``."""
    graded = Graded.of(laid, pole)
    once = np.ones((1, len(graded.points)))
    givers = graded.shuffles(1, np.random.default_rng(seed))
    own, shuffled = graded.values(once), graded.values(once, givers)
    return Sketch(pole, *_sketched(graded, own, shuffled, bandwidth(graded.points)))


# --- figures ---


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
    graded: Graded,
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
    graded: Graded,
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    reach: float,
) -> dict[Side, Drawn]:
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    at = np.flatnonzero(support(graded.points, places, reach, graded.text))
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
