"""Two sides compared at a layer each, made once and kept: similarity, neighbours, items."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.comparison.differences import ItemDifferences, item_differences
from core.comparison.sides import Side, shared_by
from core.maps.displacement import Noise, displacement, sampling_noise, turned
from core.maps.layouts import model_layout
from core.maps.projection import Layout, LayoutSpec, Trust
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import nearest
from core.statistics.scaling import Scaling
from core.statistics.similarity import Cka, Overlap, cka, shared_neighbours

#: Nearest texts that are asked for.
NEIGHBOURS: Final = 10
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


def compared(store: Store, first: Side, second: Side, scaling: Scaling) -> Made[Comparison]:
    """Return the comparison of two sides.

    Making it raises ``CoreError`` if states are not stored or cannot be measured, or no texts are
    shared.

    Args:
        store: Where states and results lie.
        first: Against whom.
        second: Who.
        scaling: What is taken off the states of both.
    """
    return artefact(
        store,
        "comparison",
        comparison_key(first, second, scaling),
        read=partial(_read, first=first, second=second),
        write=_write,
        make=partial(_compare, store, first, second, scaling),
    )


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


def _write(folder: Path, made: Comparison) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: getattr(made.items, name) for name in _COLUMNS}
    facts = {
        "n_items": made.n_items,
        "n_texts": made.n_texts,
        "cka": [made.cka.observed, made.cka.shuffled, made.cka.plain],
        "overlap": [made.overlap.observed, made.overlap.shuffled],
    }
    pq.write_table(pa.table({"share": made.overlap.share, **columns}), folder / "items.parquet")
    (folder / "facts.json").write_text(json.dumps(facts))


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

    noise: Noise | None
    """How far items move between two halves of the first side itself; None if not measured yet."""


def picture(store: Store, side: Side, scaling: Scaling, spec: LayoutSpec) -> Made[Layout]:
    """Return a side's own picture, not turned onto the first's yet."""
    return model_layout(store, side.study, side.layer, side.pooling, scaling, spec)


def side_map(
    store: Store,
    first: Side,
    second: Side,
    scaling: Scaling,
    spec: LayoutSpec,
    *,
    noisy: bool = True,
) -> SideMap:
    """Return a side's picture turned onto the first's; the first itself is not turned.

    Args:
        store: Where the states lie.
        first: Whose picture the other is turned onto.
        second: Whose it is.
        scaling: What is taken off the states.
        spec: How pictures are drawn.
        noisy: Whether the first side's noise comes along.

    Raises:
        CoreError: States are not stored, or no texts are shared.
    """
    anchor, own_picture = (picture(store, side, scaling, spec).get() for side in (first, second))
    shared = shared_by(first.study, second.study)
    own, its = shared.texts
    points = turned(own_picture.points, anchor.points, its, own)
    moved = displacement(points[shared.other], anchor.points[shared.own])
    return SideMap(
        points[second.study.plan.rows].astype(np.float32),
        own_picture.trust,
        own_picture.explained,
        _spread(moved, shared.items, len(first.study.items)),
        noise(store, first, scaling, spec).get() if noisy else None,
    )


def noise(store: Store, side: Side, scaling: Scaling, spec: LayoutSpec) -> Made[Noise]:
    """Return how far a side's texts move between pictures of its own halves."""
    return artefact(
        store,
        "mapnoise",
        {"format": _FORMAT, "layout": picture(store, side, scaling, spec).key},
        read=read_json("noise.json", lambda kept: Noise(*kept)),
        write=write_json("noise.json", tuple),
        make=lambda _: sampling_noise(side.states(store, scaling), spec),
    )
