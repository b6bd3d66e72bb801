"""A diagnosis as text for people, as flat records, as one JSON object and as a CSV file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import CoreError
from core.diagnosis import controls_report
from core.diagnosis.controls import FurtherControls
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.evidence_report import heading
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.receipt import as_json, receipt
from core.diagnosis.seeds import Copy, seeds_line
from core.diagnosis.templates import Phrasing, spread, spread_verdict, templates_line
from core.diagnosis.verdicts import (
    CONTROLS,
    RULE,
    Level,
    Score,
    Verdict,
    layer_verdict,
    missing_control,
    scorecard,
)
from core.diagnosis.waterfall import Step
from core.layers import layer_name
from core.measures.ceiling import Ceiling, ceiling, graders_of
from core.measures.cohort import cohort_of
from core.measures.result import ALL, HEADLINES, NOTHING, TESTS, Measurement, Test, flat
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, facts, interval

#: A verdict where many stand side by side.
BRIEF: Final[dict[Level, str]] = {
    "beyond": "beyond",
    "partly": "partly",
    "control": "control",
    "chance": "chance",
    "nothing": "",
    "taught": "taught",
}
_LEGEND: Final = (
    "beyond: structure beyond the controls that ran; partly: beyond chance and words, no untrained "
    "copy measured; control: no better than one of the controls; chance: not distinguishable from "
    "chance"
)
_NOWHERE: Final = "not computable at any layer"
_HIGHEST: Final = "highest layer by chance"
#: Test -> its steps from the paper's figure to the repaired one.
Waterfall = Mapping[Test, Sequence[Step]]
_BASELINES: Final = {"words": "word counts", "length": "length", "sentence": "sentence embedding"}


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """A model's diagnosis beside its untrained copy's, ready to be written down."""

    diagnosis: Diagnosis
    """The model's."""

    untrained: Diagnosis | None
    """Its untrained copy's; None if it was not measured, or the model is one itself."""

    seeds: Sequence[Copy] = ()
    """Several untrained copies at the chosen layers; none where only one was measured."""

    phrasings: Sequence[Phrasing] = ()
    """The headlines under several templates; none where only one was read."""

    @cached_property
    def scores(self) -> list[Score]:
        """The scorecard."""
        return scorecard(self.diagnosis, self.untrained, self.seeds)

    @cached_property
    def receipt(self) -> dict[str, Any]:
        """All that the figures depend on."""
        return receipt(self.diagnosis, self.untrained)

    @cached_property
    def ceiling(self) -> Ceiling:
        """What people themselves reach; the same for every model."""
        items = self.diagnosis.study.items
        return ceiling(cohort_of(items), graders_of(items))

    @property
    def problems(self) -> dict[int, str]:
        """Layer -> why it could not be measured."""
        layers = self.diagnosis.layers
        return {layer: one.problem for layer, one in layers.items() if one.problem}

    def text(self) -> Lines:
        """Yield heading, scorecard, every layer's headlines, problems, ceiling, and the rule."""
        from core.diagnosis.view import ceiling_text  # it loads pandas

        spec = self.diagnosis.spec
        told = {
            "states": f"pooling {spec.pooling}, {spec.scaling}; 95 % intervals in brackets",
            "random": f"{spec.draws:,} resamples of texts, {spec.shuffles:,} shuffles of labels, "
            f"seed {spec.seed}",
            "figures": f"sha256 {self.receipt['figures']}",
        }
        yield from facts(heading(self.diagnosis.study) | told)
        yield ""
        yield from self._scorecard()
        yield from self._hangs_on()
        yield ""
        yield from self._layers()
        yield from self.problems.values()
        yield ""
        yield ceiling_text(self.ceiling)
        yield f"Layers: {_LEGEND}."
        if missing := missing_control(self.diagnosis):
            yield missing
        yield RULE

    def _scorecard(self) -> Lines:
        scores = {score.test: score for score in self.scores}
        rows = [
            _score_row(scores[test]) if test in scores else _nothing_row(test) for test in TESTS
        ]
        controls = CONTROLS.values()
        head = ("test", "figure", "layer", "model", "labels shuffled", *controls, _HIGHEST)
        yield from aligned((*head, "verdict"), rows, left=(0, 1, len(head)))

    def _hangs_on(self) -> Lines:
        """Yield what the scorecard hangs on beside the texts: template, draw of random weights."""
        if self.seeds or self.phrasings:
            yield ""
        for score in self.scores:
            if self.phrasings:
                yield f"{score.test}: {templates_line(score, self.phrasings)}"
            if self.seeds:
                yield f"{score.test}: {seeds_line(score.seeds)}"

    def _layers(self) -> Lines:
        rows = [
            (layer_name(layer), *self._brief(one, layer))
            for layer, one in self.diagnosis.layers.items()
        ]
        rows += [
            (_BASELINES[name], *self._brief(one)) for name, one in self.diagnosis.baselines.items()
        ]
        head = ["layer"]
        for test in TESTS:
            head += [f"{test}: {HEADLINES[test]}", ""]
        yield from aligned(head, rows, left=(0, 2, 4, 6, 8))

    def _brief(self, one: LayerDiagnosis, layer: int | None = None) -> Iterator[str]:
        for test in TESTS:
            yield interval(one.headline(test).observed, 3)
            yield "" if layer is None else BRIEF[self._verdict(test, layer).level]

    def _verdict(self, test: Test, layer: int) -> Verdict:
        return layer_verdict(self.diagnosis, test, layer, self.untrained)

    def figures(self) -> Lines:
        """Yield every figure on all texts as an aligned table."""
        rows = [
            (
                row["states"],
                "" if row["layer"] is None else layer_name(row["layer"]),
                row["test"],
                row["name"],
                row["part"],
                f"{row['n']:,}",
                interval(Estimate(row["value"], row["low"], row["high"]), 3),
                interval(Estimate(row["shuffled"], row["shuffled_low"], row["shuffled_high"]), 3),
            )
            for row in self.records()
            if row["texts"] == "all"
        ]
        head = ("states", "layer", "test", "figure", "part", "n", "value", "labels shuffled")
        yield from aligned(head, rows, left=(0, 2, 3, 4))

    def records(self) -> list[dict[str, Any]]:
        """Return every figure as a flat record; NaN where nothing can be computed.

        ``states`` is whose they are: ``model``, ``untrained`` or one of the baselines, whose
        ``layer`` is None. ``texts``: ``all``, or the half that chose layers (``first``, the value
        alone) or reports them (``second``). A model's headlines on all texts have a verdict.
        """
        records: list[dict[str, Any]] = []
        for layer, one in self.diagnosis.layers.items():
            records += self._of_layer(layer, one)
        for name, one in self.diagnosis.baselines.items():
            records += _records(one, name, None)
        for layer, one in self.untrained.layers.items() if self.untrained else ():
            records += _records(one, "untrained", layer)
        return [{"pooling": self.diagnosis.spec.pooling, **record} for record in records]

    def _of_layer(self, layer: int, one: LayerDiagnosis) -> Iterator[dict[str, Any]]:
        for record in _records(one, "model", layer):
            if (record["texts"], record["part"]) == ("all", ALL):
                test: Test = record["test"]
                if record["name"] == HEADLINES[test]:
                    record["verdict"] = self._verdict(test, layer).words
            yield record

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values; what cannot be computed is None."""
        study = self.diagnosis.study
        scores = {score.test: score for score in self.scores}
        return {
            "model": self.receipt["model"],
            "items": {**self.receipt["items"], "note": study.items.provenance.note},
            "read": asdict(study.plan.spec),
            "measured": self.receipt["measured"],
            "scorecard": [_score_record(test, scores.get(test)) for test in TESTS],
            "rule": RULE,
            "ceiling": _ceiling_record(self.ceiling),
            "figures": [_without_nan(record) for record in self.records()],
            "problems": self.problems,
            "receipt": self.receipt,
            **self._hang_record(),
        }

    def _hang_record(self) -> dict[str, Any]:
        """Return spread over templates and seeds as JSON values, of what was measured."""
        record: dict[str, Any] = {}
        if self.phrasings:
            record["templates"] = {
                "read": [
                    {**one._asdict(), "figures": _without_nan(one.figures)}
                    for one in self.phrasings
                ],
                "spread": {one.test: _spread_record(one, self.phrasings) for one in self.scores},
            }
        if self.seeds:
            record["untrained_seeds"] = {
                one.test: [_without_nan(copy._asdict()) for copy in one.seeds]
                for one in self.scores
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


def _score_row(score: Score) -> tuple[str, ...]:
    return (
        score.test,
        score.figure.name,
        layer_name(score.layer),
        interval(score.figure.observed, 3),
        interval(score.figure.shuffled, 3),
        *(interval(score.controls.get(name, NOTHING), 3) for name in CONTROLS),
        interval(score.highest_by_chance, 3),
        score.verdict.words,
    )


def _nothing_row(test: Test) -> tuple[str, ...]:
    """Return the row of a test that no layer can compute."""
    return (test, HEADLINES[test], *["–"] * (4 + len(CONTROLS)), _NOWHERE)


def _records(one: LayerDiagnosis, states: str, layer: int | None) -> Iterator[dict[str, Any]]:
    figures = [("all", figure) for measured in one.whole.values() for figure in measured.figures]
    figures += [("first", _alone(test, value)) for test, value in one.first.items()]
    figures += [("second", figure) for figure in one.second.values()]
    for texts, figure in figures:
        yield {"states": states, "layer": layer, "texts": texts, **flat(figure), "verdict": ""}


def _alone(test: Test, value: float) -> Measurement:
    """Return a headline of which no more than the value was kept."""
    return Measurement(test, HEADLINES[test], ALL, 0, Estimate(value, np.nan, np.nan), NOTHING)


def _score_record(test: Test, score: Score | None) -> dict[str, Any]:
    """Return a row of the scorecard; None: no layer can compute the test."""
    figure, chance, controls = _alone(test, np.nan), NOTHING, dict[str, Estimate]()
    told: dict[str, Any] = {"layer": None, "level": "nothing", "verdict": _NOWHERE}
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


def _without_nan(record: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in record.items()}


# --- one or several poolings ---


def text(several: Sequence[Diagnosed], *, figures: bool = False) -> Lines:
    """Yield each diagnosis as text, with ``figures`` every figure below it."""
    for number, one in enumerate(several):
        yield from ("", "") if number else ()
        yield from one.text()
        if figures:
            yield ""
            yield from one.figures()


def json_text(
    several: Sequence[Diagnosed],
    waterfall: Waterfall | None = None,
    controls: Sequence[FurtherControls] | None = None,
) -> str:
    """Return one JSON object: a diagnosis, or one per pooling where there are several.

    Each has its further controls, where they are given. The waterfall, which is the same for all
    poolings, stands beside them.
    """
    records = [one.record() for one in several]
    for one, found in zip(records, controls or (), strict=False):
        one["controls"] = controls_report.record(found)
    record = _by_pooling(several, records)
    if waterfall is not None:
        record["waterfall"] = {
            test: [_step_record(step) for step in steps] for test, steps in waterfall.items()
        }
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


def waterfall_text(waterfall: Waterfall) -> Lines:
    """Yield each test's steps from the paper's figure to the repaired one as an aligned table."""
    yield "From the paper's figure to the repaired one: what each repair changes, whatever the"
    yield "pooling and scaling above. 95 % intervals in brackets."
    head = ("step", "layer", "figure", "change", "why")
    for test, steps in waterfall.items():
        rows = [
            (
                step.name,
                step.where,
                *(interval(one, 3) for one in (step.figure, step.change)),
                step.why,
            )
            for step in steps
        ]
        yield ""
        yield f"{test}: {HEADLINES[test]}"
        yield from aligned(head, rows, left=(0, 1, 4))


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

    table = pd.DataFrame([record for one in several for record in one.records()])
    _write(path, csv_bytes(table.astype({"layer": "Int64"})))
    yield f"Wrote {len(table):,} figures to {path}."
    for one in several:
        yield from one.problems.values()


def check_folder(path: Path) -> None:
    """Refuse a file that no folder can take, before long work is done for it.

    Raises:
        CoreError: There is no such folder, or the file is one.
    """
    if not path.parent.is_dir():
        raise CoreError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise CoreError(f"{path} cannot be written: it is a folder. Name a file in it.")


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
