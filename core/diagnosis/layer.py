"""The four tests at one layer: the result, and how it lies on disk as two small tables."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.measures.result import ALL, HEADLINES, NOTHING, Figure, Measured, Test, flat
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate

_KIND = "diagnosis"


@dataclass(frozen=True, eq=False)
class LayerDiagnosis:
    """The four tests at one layer, or for one baseline."""

    whole: Mapping[Test, Measured]
    """On all texts."""

    first: Mapping[Test, float]
    """Headline on the half of the texts that chooses layers."""

    second: Mapping[Test, Figure]
    """Headline on the other half, with interval and band."""

    problem: str = ""
    """Why nothing could be measured; empty where something was."""

    def headline(self, test: Test) -> Figure:
        """Return a test's headline; NaN throughout where nothing could be measured."""
        if test not in self.whole:
            return Figure(test, HEADLINES[test], ALL, 0, NOTHING, NOTHING)
        return self.whole[test].headline

    def reported(self, test: Test) -> Figure:
        """Return a test's headline on the reporting half; NaN where nothing was measured."""
        if test not in self.second:
            return Figure(test, HEADLINES[test], ALL, 0, NOTHING, NOTHING)
        return self.second[test]


def is_kept(store: Store, key: Mapping[str, Any]) -> bool:
    """Tell whether a result is stored."""
    return store.has(_KIND, key)


def save(store: Store, key: Mapping[str, Any], result: LayerDiagnosis) -> None:
    """Store some tests of a layer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [("all", figure) for measured in result.whole.values() for figure in measured.figures]
    rows += [("second", figure) for figure in result.second.values()]
    columns = [*flat(Figure("gradient", "", "", 0, NOTHING, NOTHING))]
    kinds = [pa.string()] * 3 + [pa.int64()] + [pa.float64()] * 6
    table = pa.Table.from_pylist(
        [{"texts": texts, **flat(figure)} for texts, figure in rows],
        schema=pa.schema([("texts", pa.string()), *zip(columns, kinds, strict=True)]),
    )
    samples = pa.table(
        {
            "test": list(result.whole),
            "first": [result.first[test] for test in result.whole],
            "draws": [measured.draws.tolist() for measured in result.whole.values()],
            "null": [measured.null.tolist() for measured in result.whole.values()],
        },
        schema=pa.schema(
            [
                ("test", pa.string()),
                ("first", pa.float64()),
                ("draws", pa.list_(pa.float32())),
                ("null", pa.list_(pa.float32())),
            ]
        ),
    )
    with store.writing(_KIND, key) as folder:
        pq.write_table(table, folder / "figures.parquet")
        pq.write_table(samples, folder / "samples.parquet")
        (folder / "problem.json").write_text(json.dumps({"problem": result.problem}))


def open_kept(store: Store, keys: Iterable[Mapping[str, Any]]) -> LayerDiagnosis | None:
    """Return the stored tests of a layer; None unless all of them are stored."""
    whole: dict[Test, Measured] = {}
    first: dict[Test, float] = {}
    second: dict[Test, Figure] = {}
    problem = ""
    for key in keys:
        folder = store.open(_KIND, key)
        if folder is None:
            return None
        problem = json.loads((folder / "problem.json").read_text())["problem"]
        _read(folder, whole, first, second)
    return LayerDiagnosis(whole, first, second, problem)


def _read(
    folder: Path,
    whole: dict[Test, Measured],
    first: dict[Test, float],
    second: dict[Test, Figure],
) -> None:
    import pyarrow.parquet as pq

    figures: dict[Test, list[Figure]] = {}
    for row in pq.read_table(folder / "figures.parquet").to_pylist():
        figure = Figure(
            row["test"],
            row["name"],
            row["part"],
            row["n"],
            Estimate(row["value"], row["low"], row["high"]),
            Estimate(row["shuffled"], row["shuffled_low"], row["shuffled_high"]),
        )
        if row["texts"] == "second":
            second[figure.test] = figure
        else:
            figures.setdefault(figure.test, []).append(figure)
    for row in pq.read_table(folder / "samples.parquet").to_pylist():
        test: Test = row["test"]
        draws, null = (np.array(row[name], np.float32) for name in ("draws", "null"))
        whole[test] = Measured(tuple(figures[test]), draws, null)
        first[test] = row["first"]
