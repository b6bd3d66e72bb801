"""The four tests at one layer: the result, and how it lies on disk as two small tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from core.measures.result import ALL, HEADLINES, NOTHING, Measured, Measurement, Test, flat
from core.runtime.made import Made, artefact, several
from core.runtime.progress import Report
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate

_KIND: Final = "diagnosis"


@dataclass(frozen=True, eq=False)
class LayerDiagnosis:
    """The four tests at one layer, or for one baseline."""

    whole: Mapping[Test, Measured]
    """On all texts."""

    first: Mapping[Test, float]
    """Headline on the half of the texts that chooses layers."""

    second: Mapping[Test, Measured]
    """Headline on the other half."""

    problem: str = ""
    """Why nothing could be measured; empty where something was."""

    def headline(self, test: Test) -> Measurement:
        """Return a test's headline; NaN throughout where nothing could be measured."""
        if test not in self.whole:
            return Measurement(test, HEADLINES[test], ALL, 0, NOTHING, NOTHING)
        return self.whole[test].headline

    def reported(self, test: Test) -> Measurement:
        """Return a test's headline on the reporting half; NaN where nothing was measured."""
        if test not in self.second:
            return Measurement(test, HEADLINES[test], ALL, 0, NOTHING, NOTHING)
        return self.second[test].headline


def stored(
    store: Store,
    keys: Sequence[Mapping[str, Any]],
    makes: Sequence[Callable[[Report], LayerDiagnosis]],
) -> Made[LayerDiagnosis]:
    """Return the tests of a layer, kept as one artefact for each of some groups of them."""
    parts = [
        artefact(store, _KIND, key, read=_read, write=_write, make=make)
        for key, make in zip(keys, makes, strict=True)
    ]
    return several(_KIND, {"keys": list(keys)}, parts, _joined)


def _joined(groups: Sequence[LayerDiagnosis]) -> LayerDiagnosis:
    whole, first, second = (
        {test: one for group in groups for test, one in getattr(group, name).items()}
        for name in ("whole", "first", "second")
    )
    return LayerDiagnosis(whole, first, second, groups[-1].problem)


def _write(folder: Path, result: LayerDiagnosis) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    both = [("all", measured) for measured in result.whole.values()]
    both += [("second", measured) for measured in result.second.values()]
    columns = [*flat(Measurement("gradient", "", "", 0, NOTHING, NOTHING))]
    kinds = [pa.string()] * 3 + [pa.int64()] + [pa.float64()] * 6
    table = pa.Table.from_pylist(
        [{"texts": texts, **flat(figure)} for texts, one in both for figure in one.figures],
        schema=pa.schema([("texts", pa.string()), *zip(columns, kinds, strict=True)]),
    )
    samples = pa.table(
        {
            "texts": [texts for texts, _ in both],
            "test": [one.headline.test for _, one in both],
            "first": [result.first[one.headline.test] for _, one in both],
            "draws": [one.draws.tolist() for _, one in both],
            "null": [one.null.tolist() for _, one in both],
        },
        schema=pa.schema(
            [
                ("texts", pa.string()),
                ("test", pa.string()),
                ("first", pa.float64()),
                ("draws", pa.list_(pa.float32())),
                ("null", pa.list_(pa.float32())),
            ]
        ),
    )
    pq.write_table(table, folder / "figures.parquet")
    pq.write_table(samples, folder / "samples.parquet")
    (folder / "problem.json").write_text(json.dumps({"problem": result.problem}))


def _read(folder: Path) -> LayerDiagnosis:
    import pyarrow.parquet as pq

    measured: dict[str, dict[Test, Measured]] = {"all": {}, "second": {}}
    first: dict[Test, float] = {}
    figures: dict[tuple[str, Test], list[Measurement]] = {}
    for row in pq.read_table(folder / "figures.parquet").to_pylist():
        figure = Measurement(
            row["test"],
            row["name"],
            row["part"],
            row["n"],
            Estimate(row["value"], row["low"], row["high"]),
            Estimate(row["shuffled"], row["shuffled_low"], row["shuffled_high"]),
        )
        figures.setdefault((row["texts"], figure.test), []).append(figure)
    for row in pq.read_table(folder / "samples.parquet").to_pylist():
        place: tuple[str, Test] = row["texts"], row["test"]
        draws, null = (np.array(row[name], np.float32) for name in ("draws", "null"))
        measured[place[0]][place[1]] = Measured(tuple(figures[place]), draws, null)
        first[place[1]] = row["first"]
    problem = json.loads((folder / "problem.json").read_text())["problem"]
    return LayerDiagnosis(measured["all"], first, measured["second"], problem)
