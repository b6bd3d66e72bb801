"""Two sides on one map, made once and kept: each item's place in both, and what can be believed."""

import json
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.comparison.pairs import comparison_key
from core.comparison.sides import Side, shared_by
from core.maps.joint import Joint, Pair, joint_map
from core.maps.projection import LayoutSpec, Trust, judged_by
from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.runtime.store import Store, library_version
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling

#: Raised whenever the same spec would give other figures.
_FORMAT: Final = 1
_FACTS: Final = "facts.json"
_PLACES: Final = "places.parquet"


class SharedMap(NamedTuple):
    """Two sides on one map; a row per item of the first's set, NaN where it is not on it."""

    first: NDArray[np.float32]
    """Places in the first side, shape ``(n, dims)``."""

    second: NDArray[np.float32]
    """Places of the same items in the second, shape ``(n, dims)``."""

    joint: Joint
    """The map of the shared texts with its controls."""


def shared_map(
    store: Store, first: Side, second: Side, scaling: Scaling, spec: LayoutSpec
) -> Made[SharedMap]:
    """Return two sides on one map.

    Making it raises ``CoreError`` if states are not stored or cannot be measured, or too few texts
    are shared.
    """
    layout = {"method": spec.method, "dims": spec.dims, "seed": spec.seed}
    versions = {name: library_version(name) for name in ("scikit-learn", "umap-learn")}
    most = min(len(side.study.plan.prompts) for side in (first, second))
    key = {
        **comparison_key(first, second, scaling),
        "joint": {"format": _FORMAT, "layout": layout, "versions": versions, **judged_by(most)},
    }

    def make(report: Report) -> SharedMap:
        report(0, 1, "drawing both models on one map")
        own, its = shared_by(first.study, second.study).texts
        states = first.states(store, scaling)[own], second.states(store, scaling)[its]
        return _placed(first, second, joint_map(*states, spec))

    names = f"{first.study.card.name} and {second.study.card.name}"
    return artefact(
        store,
        "joint",
        key,
        read=partial(_read, first, second),
        write=_write,
        make=make,
        title=f"Drawing {names} on one map",
    )


def _placed(first: Side, second: Side, joint: Joint) -> SharedMap:
    """Give each item the place of its text."""
    shared = shared_by(first.study, second.study)
    row_of = {pair: row for row, pair in enumerate(zip(*shared.texts, strict=True))}
    rows = np.array([row_of.get(one, -1) for one in zip(shared.own, shared.other, strict=True)])
    items, rows = shared.items[rows >= 0], rows[rows >= 0]
    places = []
    for points in (joint.pair.first, joint.pair.second):
        each = np.full((len(first.study.items), points.shape[1]), np.nan, np.float32)
        each[items] = points[rows]
        places.append(each)
    return SharedMap(places[0], places[1], joint)


def _write(folder: Path, made: SharedMap) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    joint = made.joint
    columns = {
        f"{side} {axis}": points[:, number]
        for side, points in (("first", joint.pair.first), ("second", joint.pair.second))
        for number, axis in enumerate("xyz"[: points.shape[1]])
    }
    facts = {
        "trust": [list(one.written.values()) for one in joint.pair.trust],
        **{name: getattr(joint, name) for name in Joint._fields if name != "pair"},
    }
    pq.write_table(pa.table(columns), folder / _PLACES)
    (folder / _FACTS).write_text(json.dumps(facts))


def _read(first: Side, second: Side, folder: Path) -> SharedMap:
    import pyarrow.parquet as pq

    facts = json.loads((folder / _FACTS).read_text())
    table = pq.read_table(folder / _PLACES)
    halves = [
        np.column_stack(
            [table[name].to_numpy() for name in table.column_names if name.startswith(side)]
        )
        for side in ("first ", "second ")
    ]
    one, other = (Trust(*each) for each in facts.pop("trust"))
    facts |= {name: Estimate(*facts[name]) for name in ("alignment", "shuffled")}
    facts["random_trust"] = tuple(facts["random_trust"])
    return _placed(first, second, Joint(Pair(halves[0], halves[1], (one, other)), **facts))
