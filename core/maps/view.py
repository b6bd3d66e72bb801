"""What one map view shows: two pictures of the same items, a colouring, the facts of each item."""

from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states
from core.dataset.items import Items
from core.foundations import DIMENSIONS, FOUNDATIONS, GRADES
from core.layers import EMBEDDING
from core.maps.layouts import human_layout, model_layout
from core.maps.placing import LayerCloseness, Placed, axis_values, layer_closeness
from core.maps.projection import LayoutSpec, Points, Trust, spread_ties
from core.palette import FOUNDATION_COLOURS, POLE_COLOURS, SPLIT_COLOURS, UNKNOWN
from core.runtime.store import Store
from core.statistics.scaling import Scaling

MapMethod = Literal["pca", "umap", "axes"]
Colour = Literal[
    "foundation",
    "pole",
    "grade",
    "typicality",
    "residual",
    "split",
    "length",
    "latent",
    "moved",
]

COLOURS: Final[dict[Colour, str]] = {
    "foundation": "Foundation",
    "pole": "Pole",
    "grade": "Typical to people",
    "typicality": "Typical to the model",
    "residual": "People minus model",
    "split": "Training or test half",
    "length": "Length in words",
}
#: Colourings that ask for more than a layer: a latent, or strengths of steering.
ASKING: Final[dict[Colour, str]] = {
    "latent": "A latent of a dictionary",
    "moved": "Moved by steering",
}
#: A map of more items is a smear, and its exact neighbours would take hours.
MOST_ITEMS: Final = 20_000
#: Colourings that need a model's states.
MODEL_COLOURS: Final[frozenset[Colour]] = frozenset({"typicality", "residual"})


@dataclass(frozen=True)
class ViewSpec:
    """What is looked at, and how."""

    layer: int = EMBEDDING
    """Decoder layer, or ``EMBEDDING``."""

    pooling: Pooling = "mean"
    """Which pooled state."""

    scaling: Scaling = "standardised"
    """What is taken off the states first."""

    method: MapMethod = "pca"
    """PCA, UMAP, or moral axes."""

    dims: Literal[2, 3] = 2
    """Dimensions; moral axes are always two."""

    x: str = "care-harm"
    """Horizontal moral axis."""

    y: str = "fairness-cheating"
    """Vertical moral axis."""

    @property
    def layout(self) -> LayoutSpec:
        """The layout that a PCA or UMAP view asks for."""
        return LayoutSpec("umap" if self.method == "umap" else "pca", self.dims)


@dataclass(frozen=True, eq=False)
class Picture:
    """One of the two maps."""

    points: Points
    """Place of each item, shape ``(n, dims)``."""

    trust: Trust | None
    """How far to trust it; None for moral axes, whose places are exact."""

    explained: float
    """Share of variance of a PCA picture, else NaN."""

    axes: tuple[str, str] | None
    """Titles of moral axes, None for PCA and UMAP, whose axes mean nothing."""


class Colouring(NamedTuple):
    """One value per item and how it becomes colour."""

    title: str
    """Shown at the legend."""

    data: NDArray[Any]
    """Category names, or numbers with NaN where there is none; shape ``(n,)``."""

    categories: dict[str, str] | None = None
    """Category -> colour, in legend order; None for numbers."""

    span: tuple[float, float] = (0.0, 1.0)
    """Range of the colour scale for numbers."""

    diverging: bool = False
    """True if zero is the middle."""

    rest: str = UNKNOWN
    """Colour of items without a number."""


def check_size(items: Items) -> None:
    """Refuse a set that is too large for a map.

    Raises:
        CoreError: It has more than ``MOST_ITEMS`` items; says what to do.
    """
    if len(items) > MOST_ITEMS:
        raise CoreError(
            f"A map shows at most {MOST_ITEMS:,} items; {items.provenance.name} has "
            f"{len(items):,}. Read the same table once more on the Data page with 'Diagnosis "
            "sample' switched on: the paper's stratified sample has about 16,000."
        )


def human_picture(store: Store, items: Items, spec: ViewSpec) -> Picture:
    """Return the map of the human moral vectors; ties are spread into discs."""
    if spec.method == "axes":
        vectors = items.vectors()
        points = np.column_stack([axis_values(spec.x, vectors), axis_values(spec.y, vectors)])
        return Picture(
            spread_ties(points.astype(np.float32), spacing=0.005),
            None,
            float("nan"),
            (axis_title(spec.x, "people"), axis_title(spec.y, "people")),
        )
    layout = human_layout(store, items, spec.layout).get()
    return Picture(spread_ties(layout.points), layout.trust, layout.explained, None)


def model_picture(store: Store, study: Study, spec: ViewSpec, seen: LayerCloseness) -> Picture:
    """Return the map of a layer's states, a point per item."""
    if spec.method == "axes":
        points = np.column_stack([axis_values(spec.x, seen.close), axis_values(spec.y, seen.close)])
        return Picture(
            points.astype(np.float32),
            None,
            float("nan"),
            (axis_title(spec.x, "model"), axis_title(spec.y, "model")),
        )
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    return Picture(layout.points[study.plan.rows], layout.trust, layout.explained, None)


def axis_title(axis: str, side: Literal["people", "model"]) -> str:
    """Return the title of a moral axis with its meaning and unit."""
    if axis in FOUNDATIONS:
        virtue, vice = axis.split("-")
        measure = "grade" if side == "people" else "cosine"
        return f"{virtue} − {vice} ({measure})"
    return f"{axis} ({'grade' if side == 'people' else 'cosine to its centre'})"


def colouring(items: Items, colour: Colour, seen: LayerCloseness | None) -> Colouring:
    """Return the values that colour the maps.

    Args:
        items: The items.
        colour: Which.
        seen: The layer's reading; needed by ``MODEL_COLOURS``, which are NaN without it, as those
            of ``ASKING`` are until they are told what.
    """
    title = {**COLOURS, **ASKING}[colour]
    if colour == "foundation":
        names = np.array(FOUNDATIONS)[items.foundation]
        return Colouring(title, names, cast("dict[str, str]", FOUNDATION_COLOURS))
    if colour == "pole":
        return Colouring(title, items.pole, cast("dict[str, str]", POLE_COLOURS))
    if colour == "split":
        return Colouring(title, items.split, SPLIT_COLOURS)
    if colour == "grade":
        return Colouring(title, items.grade.astype(float))
    if colour == "length":
        words = items.table["words"].to_numpy().astype(float)
        return Colouring(title, words, span=(float(words.min()), float(words.max())))
    if seen is None or colour in ASKING:
        return Colouring(title, np.full(len(items), np.nan))
    if colour == "typicality":
        return Colouring(title, seen.typicality.model)
    return Colouring(title, seen.typicality.residual, span=(-1, 1), diverging=True)


def facts(items: Items, seen: LayerCloseness | None) -> pd.DataFrame:
    """Return the table twin of the maps: one row per item, in the items' order.

    Columns: item, text, foundation, pole, grade, the ten dimensions of the human vector, split,
    words, and with a reading: model_typicality and residual (percentiles), nearest_centre, cosine.
    """
    vectors = items.vectors()
    columns: dict[str, Any] = {
        "item": items.item,
        "text": items.texts(),
        "foundation": np.array(FOUNDATIONS)[items.foundation],
        "pole": items.pole,
        "grade": items.grade,
        "split": items.split,
        "words": items.table["words"].to_numpy(),
        **{name: vectors[:, column] for column, name in enumerate(DIMENSIONS)},
    }
    table = pd.DataFrame(columns)
    if seen is not None:
        near = seen.typicality.nearest
        table["model_typicality"] = seen.typicality.model
        table["residual"] = seen.typicality.residual
        table["nearest_centre"] = np.where(near >= 0, np.array(DIMENSIONS)[near], "none")
        table["cosine"] = np.where(
            near >= 0, seen.close[np.arange(len(near)), np.maximum(near, 0)], np.nan
        )
    return table


def matching(items: Items, words: str) -> NDArray[np.bool_]:
    """Tell which texts contain all the words typed, whatever their case; none for no word."""
    wanted = words.casefold().split()
    if not wanted:
        return np.zeros(len(items), bool)
    texts = [text.casefold() for text in items.texts()]
    return np.array([all(word in text for word in wanted) for text in texts])


def layer_reading(store: Store, study: Study, spec: ViewSpec) -> LayerCloseness:
    """Return the reading of the view's layer."""
    return layer_closeness(store, study, spec.layer, spec.pooling, spec.scaling)


def strata_counts(items: Items) -> pd.DataFrame:
    """Return how many items each foundation has at each grade.

    Returns:
        One row per foundation; columns ``vice 1`` ... ``vice 0.125``, ``neutral``, ``virtue 0.125``
        ... ``virtue 1``. Grades between these count toward the nearest.
    """
    nearest = np.array(GRADES)[np.abs(items.grade[:, None] - np.array(GRADES)).argmin(axis=1)]
    signed = np.select([items.pole == "virtue", items.pole == "vice"], [nearest, -nearest], 0.0)
    steps = [-grade for grade in GRADES[::-1]] + [0.0, *GRADES]
    counts = [
        [int(((items.foundation == number) & (signed == step)).sum()) for step in steps]
        for number in range(len(FOUNDATIONS))
    ]
    return pd.DataFrame(counts, index=list(FOUNDATIONS), columns=[_step(step) for step in steps])


def _step(step: float) -> str:
    if step == 0:
        return "neutral"
    return f"{'virtue' if step > 0 else 'vice'} {abs(step):g}"


def place_on(
    store: Store, study: Study, placed: Placed, spec: ViewSpec
) -> NDArray[np.float64] | None:
    """Return a sentence's place on the model's map, shape ``(dims,)``.

    Returns:
        None where an axis cannot be computed.
    """
    row = spec.layer - EMBEDDING
    if spec.method == "axes":
        scores = placed.cosine[row][None]
        place = np.array([axis_values(spec.x, scores)[0], axis_values(spec.y, scores)[0]])
        return place if np.isfinite(place).all() else None
    known = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()
    own = known.scaler.apply(placed.states[row])[None]
    return np.asarray(layout.place(own, known.states)[0], np.float64)
