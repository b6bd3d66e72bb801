"""Two sides compared at a layer each, made once and kept: similarity, neighbours, items."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.comparison.differences import ItemDifferences, item_differences
from core.comparison.sides import Side, shared_by
from core.maps.displacement import Noise, displacement, sampling_noise, turned
from core.maps.layouts import model_layout, model_layout_key
from core.maps.projection import LayoutSpec, Trust
from core.runtime.progress import Report, silent
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import nearest
from core.statistics.scaling import Scaling
from core.statistics.similarity import Cka, Overlap, cka, shared_neighbours

#: Nearest texts that are asked for.
NEIGHBOURS: Final = 10
_KIND: Final = "comparison"
_NOISE: Final = "mapnoise"
#: Raised whenever the same spec would give other figures.
_FORMAT: Final = 1
_COLUMNS: Final = ("first", "second", "first_close", "second_close", "low", "high", "sure")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides; all arrays have a row per item of the first side's set, NaN where not shared."""

    first: Side
    """Against whom."""

    second: Side
    """Who."""

    n_items: int
    """Items that both have read."""

    n_texts: int
    """Texts whose neighbours and similarities were compared."""

    cka: Cka
    """Similarity of the states."""

    overlap: Overlap
    """Shared nearest neighbours; its shares have a row per item."""

    items: ItemDifferences
    """Typicality of each item in both."""


def load_or_compare(
    store: Store, first: Side, second: Side, scaling: Scaling, report: Report = silent
) -> Comparison:
    """Return the comparison of two sides, computed only if it is not stored.

    Args:
        store: Where states and results lie.
        first: Against whom.
        second: Who.
        scaling: What is taken off the states of both.
        report: Told the steps.

    Raises:
        CoreError: States are not stored or cannot be measured, or no texts are shared.
        Cancelled: The person cancelled.
    """
    kept = open_comparison(store, first, second, scaling)
    if kept is not None:
        return kept
    made = _compare(store, first, second, scaling, report)
    _save(store, comparison_key(first, second, scaling), made)
    return made


def comparison_key(first: Side, second: Side, scaling: Scaling) -> dict[str, Any]:
    """Return the content key of a comparison."""
    return {
        "format": _FORMAT,
        "first": first.key,
        "second": second.key,
        "items": [first.study.items.digest, second.study.items.digest],
        "scaling": scaling,
        "neighbours": NEIGHBOURS,
        "versions": {"numpy": library_version("numpy")},
    }


def _compare(
    store: Store, first: Side, second: Side, scaling: Scaling, report: Report
) -> Comparison:
    shared = shared_by(first.study, second.study)
    one, other = (side.states(store, scaling) for side in (first, second))
    own, its = shared.texts
    report(0, 3, "comparing the states")
    alike = cka(one[own], other[its])
    report(1, 3, "comparing the neighbours")
    near = [nearest(states, NEIGHBOURS).rows for states in (one[own], other[its])]
    overlap = shared_neighbours(*near)
    report(2, 3, "comparing each item")
    items = item_differences(one[shared.own], other[shared.other], shared.cohort())
    n = len(first.study.items)
    of_prompt = np.full(len(first.study.plan.prompts), np.nan)
    of_prompt[own] = overlap.share
    return Comparison(
        first,
        second,
        len(shared.items),
        len(own),
        alike,
        overlap._replace(share=_spread(of_prompt[shared.own], shared.items, n)),
        ItemDifferences(*(_spread(column, shared.items, n) for column in items)),
    )


def _spread(values: NDArray[Any], rows: NDArray[np.int64], n: int) -> NDArray[Any]:
    """Return values at their rows among ``n``; elsewhere NaN, or False."""
    empty = False if values.dtype == bool else np.nan
    result = np.full(n, empty, values.dtype)
    result[rows] = values
    return result


def _save(store: Store, key: dict[str, Any], made: Comparison) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: getattr(made.items, name) for name in _COLUMNS}
    facts = {
        "n_items": made.n_items,
        "n_texts": made.n_texts,
        "cka": [made.cka.observed, made.cka.shuffled, made.cka.plain],
        "overlap": [made.overlap.observed, made.overlap.shuffled],
    }
    with store.writing(_KIND, key) as folder:
        pq.write_table(pa.table({"share": made.overlap.share, **columns}), folder / "items.parquet")
        (folder / "facts.json").write_text(json.dumps(facts))


def open_comparison(store: Store, first: Side, second: Side, scaling: Scaling) -> Comparison | None:
    """Return a stored comparison, or None."""
    folder = store.open(_KIND, comparison_key(first, second, scaling))
    return None if folder is None else _read(folder, first, second)


def _read(folder: Path, first: Side, second: Side) -> Comparison:
    import pyarrow.parquet as pq

    facts = json.loads((folder / "facts.json").read_text())
    table = pq.read_table(folder / "items.parquet")
    column = {name: table[name].to_numpy() for name in table.column_names}
    observed, shuffled, plain = facts["cka"]
    return Comparison(
        first,
        second,
        facts["n_items"],
        facts["n_texts"],
        Cka(Estimate(*observed), Estimate(*shuffled), plain),
        Overlap(column["share"], *(Estimate(*one) for one in facts["overlap"])),
        ItemDifferences(*(column[name] for name in _COLUMNS)),
    )


def is_compared(store: Store, first: Side, second: Side, scaling: Scaling) -> bool:
    """Tell whether a comparison is stored."""
    return store.has(_KIND, comparison_key(first, second, scaling))


# --- maps ---


@dataclass(frozen=True, eq=False)
class SideMap:
    """A side's picture, turned onto the first side's."""

    points: NDArray[np.float32]
    """Place of each item of the side's own set, shape ``(n, dims)``."""

    trust: Trust
    """How far to trust the picture."""

    explained: float
    """Share of variance of a PCA picture, else NaN."""

    moved: NDArray[np.float64]
    """How far each of the *first* set's items lies from its place there; NaN where not shared."""

    noise: Noise
    """How far items move between two halves of the first side itself."""


def side_map(
    store: Store, first: Side, second: Side, scaling: Scaling, spec: LayoutSpec
) -> SideMap:
    """Return a side's picture turned onto the first's; the first itself is not turned.

    Raises:
        CoreError: States are not stored, or no texts are shared.
    """
    anchor, picture = (
        model_layout(store, side.study, side.layer, side.pooling, scaling, spec)
        for side in (first, second)
    )
    shared = shared_by(first.study, second.study)
    own, its = shared.texts
    points = turned(picture.points, anchor.points, its, own)
    moved = displacement(points[shared.other], anchor.points[shared.own])
    return SideMap(
        points[second.study.plan.rows].astype(np.float32),
        picture.trust,
        picture.explained,
        _spread(moved, shared.items, len(first.study.items)),
        load_or_noise(store, first, scaling, spec),
    )


def load_or_noise(store: Store, side: Side, scaling: Scaling, spec: LayoutSpec) -> Noise:
    """Return how far a side's texts move between pictures of its own halves, kept on disk."""
    key = _noise_key(side, scaling, spec)
    folder = store.open(_NOISE, key)
    if folder is not None:
        return Noise(*json.loads((folder / "noise.json").read_text()))
    noise = sampling_noise(side.states(store, scaling), spec)
    with store.writing(_NOISE, key) as target:
        (target / "noise.json").write_text(json.dumps(noise))
    return noise


def is_drawn(store: Store, side: Side, scaling: Scaling, spec: LayoutSpec) -> bool:
    """Tell whether a side's picture is stored."""
    study = side.study
    return store.has("layout", model_layout_key(study, side.layer, side.pooling, scaling, spec))


def is_noise_known(store: Store, side: Side, scaling: Scaling, spec: LayoutSpec) -> bool:
    """Tell whether a side's own noise is stored."""
    return store.has(_NOISE, _noise_key(side, scaling, spec))


def _noise_key(side: Side, scaling: Scaling, spec: LayoutSpec) -> dict[str, Any]:
    layout = model_layout_key(side.study, side.layer, side.pooling, scaling, spec)
    return {"format": _FORMAT, "layout": layout}
