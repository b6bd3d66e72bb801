"""A diagnosis as flat records, as one JSON object, and in files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core import CoreError
from core.diagnosis import controls_report
from core.diagnosis.controls import FurtherControls
from core.diagnosis.diagnosed import NOWHERE, Diagnosed, Waterfall
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.receipt import as_json
from core.diagnosis.templates import Phrasing, spread, spread_verdict
from core.diagnosis.verdicts import CONTROLS, RULE, Score
from core.diagnosis.waterfall import Step
from core.measures.ceiling import Ceiling
from core.measures.result import ALL, HEADLINES, NOTHING, TESTS, Measurement, Test, flat
from core.statistics.bootstrap import Estimate
from core.wording import Lines


def records(found: Diagnosed) -> list[dict[str, Any]]:
    """Return every figure as a flat record; NaN where nothing can be computed.

    ``states`` is whose they are: ``model``, ``untrained`` or one of the baselines, whose
    ``layer`` is None. ``texts``: ``all``, or the half that chose layers (``first``, the value
    alone) or reports them (``second``). A model's headlines on all texts have a verdict.
    """
    rows: list[dict[str, Any]] = []
    for layer, one in found.diagnosis.layers.items():
        rows += _of_layer(found, layer, one)
    for name, one in found.diagnosis.baselines.items():
        rows += _records(one, name, None)
    for layer, one in found.untrained.layers.items() if found.untrained else ():
        rows += _records(one, "untrained", layer)
    return [{"pooling": found.diagnosis.spec.pooling, **row} for row in rows]


def _of_layer(found: Diagnosed, layer: int, one: LayerDiagnosis) -> Iterator[dict[str, Any]]:
    for record in _records(one, "model", layer):
        if (record["texts"], record["part"]) == ("all", ALL):
            test: Test = record["test"]
            if record["name"] == HEADLINES[test]:
                record["verdict"] = found.verdict(test, layer).words
        yield record


def _records(one: LayerDiagnosis, states: str, layer: int | None) -> Iterator[dict[str, Any]]:
    figures = [("all", figure) for measured in one.whole.values() for figure in measured.figures]
    figures += [("first", _alone(test, value)) for test, value in one.first.items()]
    figures += [("second", measured.headline) for measured in one.second.values()]
    for texts, figure in figures:
        yield {"states": states, "layer": layer, "texts": texts, **flat(figure), "verdict": ""}


def _alone(test: Test, value: float) -> Measurement:
    """Return a headline of which no more than the value was kept."""
    return Measurement(test, HEADLINES[test], ALL, 0, Estimate(value, np.nan, np.nan), NOTHING)


def record(found: Diagnosed) -> dict[str, Any]:
    """Return everything as JSON values; what cannot be computed is None."""
    study = found.diagnosis.study
    scores = {score.test: score for score in found.scores}
    return {
        "model": found.receipt["model"],
        "items": {**found.receipt["items"], "note": study.items.provenance.note},
        "read": asdict(study.plan.spec),
        "measured": found.receipt["measured"],
        "scorecard": [_score_record(test, scores.get(test)) for test in TESTS],
        "rule": RULE,
        "ceiling": _ceiling_record(found.ceiling),
        "figures": [_without_nan(record) for record in records(found)],
        "problems": found.problems,
        "receipt": found.receipt,
        **_hang_record(found),
    }


def _score_record(test: Test, score: Score | None) -> dict[str, Any]:
    """Return a row of the scorecard; None: no layer can compute the test."""
    figure, chance, controls = _alone(test, np.nan), NOTHING, dict[str, Estimate]()
    told: dict[str, Any] = {"layer": None, "level": "nothing", "verdict": NOWHERE}
    if score is not None:
        figure, chance, controls = score.figure, score.highest_by_chance, dict(score.controls)
        said = score.verdict
        told = {"layer": score.layer, "level": said.level, "verdict": said.words}

    sides = {name: controls.get(name, NOTHING) for name in CONTROLS} | {"highest_by_chance": chance}
    cells = flat(figure)
    for name, side in sides.items():
        cells |= {name: side.value, f"{name}_low": side.low, f"{name}_high": side.high}
    return _without_nan({**cells, **told})


def _ceiling_record(found: Ceiling) -> dict[str, Any]:
    """Return what people reach as JSON values."""
    record: dict[str, Any] = {"texts": found.n_texts, "rows": found.n_rows}
    record |= {"reason": found.reason, "basis": found.basis}
    for name in ("agreement", "typicality", "r2"):
        value, low, high = getattr(found, name)
        record |= _without_nan({name: value, f"{name}_low": low, f"{name}_high": high})
    return record


def _hang_record(found: Diagnosed) -> dict[str, Any]:
    """Return spread over templates and seeds as JSON values, of what was measured."""
    record: dict[str, Any] = {}
    if found.phrasings:
        record["templates"] = {
            "read": [
                {**one._asdict(), "figures": _without_nan(one.figures)} for one in found.phrasings
            ],
            "spread": {one.test: _spread_record(one, found.phrasings) for one in found.scores},
        }
    if found.seeds:
        record["untrained_seeds"] = {
            one.test: [_without_nan(copy._asdict()) for copy in one.seeds] for one in found.scores
        }
    return record


def _spread_record(score: Score, phrasings: Sequence[Phrasing]) -> dict[str, Any]:
    found = spread(phrasings, score.test, score.figure.observed)
    return _without_nan(
        {
            **{name: getattr(found, name) for name in ("n", "sd", "low", "high")},
            "total_low": found.total.low,
            "total_high": found.total.high,
            "verdict": spread_verdict(score, found).words,
        }
    )


def _without_nan(record: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in record.items()}


def json_text(
    several: Sequence[Diagnosed],
    waterfall: Waterfall | None = None,
    controls: Sequence[FurtherControls] | None = None,
) -> str:
    """Return one JSON object: a diagnosis, or one per pooling where there are several.

    Each has its further controls, where they are given. The waterfall, which is the same for all
    poolings, stands beside them.
    """
    every = [record(one) for one in several]
    for one, found in zip(every, controls or (), strict=False):
        one["controls"] = controls_report.record(found)
    whole = _by_pooling(several, every)
    if waterfall is not None:
        whole["waterfall"] = {
            test: [_step_record(step) for step in steps] for test, steps in waterfall.items()
        }
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)


def _step_record(step: Step) -> dict[str, Any]:
    figure, change = step.figure, step.change
    return _without_nan(
        {
            "step": step.name,
            "why": step.why,
            "layer": step.layer,
            "figure": figure.value,
            "low": figure.low,
            "high": figure.high,
            "change": change.value,
            "change_low": change.low,
            "change_high": change.high,
        }
    )


def write_receipt(several: Sequence[Diagnosed], path: Path) -> None:
    """Write the receipt into a file, one per pooling where there are several.

    Raises:
        CoreError: It cannot be written.
    """
    record = _by_pooling(several, [one.receipt for one in several])
    _write(path, as_json(record).encode())


def write_csv(several: Sequence[Diagnosed], path: Path) -> Lines:
    """Write every figure into a file, one row each.

    Raises:
        CoreError: It cannot be written.
    """
    import pandas as pd

    from core.exports import csv_bytes

    table = pd.DataFrame([row for one in several for row in records(one)])
    _write(path, csv_bytes(table.astype({"layer": "Int64"})))
    yield f"Wrote {len(table):,} figures to {path}."
    for one in several:
        yield from one.problems.values()


def _by_pooling(several: Sequence[Diagnosed], records: list[dict[str, Any]]) -> dict[str, Any]:
    if len(several) == 1:
        return records[0]
    poolings = [one.diagnosis.spec.pooling for one in several]
    return dict(zip(poolings, records, strict=True))


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error
