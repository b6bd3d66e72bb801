"""A diagnosis as text for people."""

from collections.abc import Iterator, Sequence
from typing import Final

from core.diagnosis.diagnosed import NOWHERE, Diagnosed, Waterfall
from core.diagnosis.evidence_report import heading
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.records import records
from core.diagnosis.seeds import seeds_line
from core.diagnosis.templates import templates_line
from core.diagnosis.verdicts import CONTROLS, RULE, Level, Score, missing_control
from core.layers import layer_name
from core.measures.result import HEADLINES, NOTHING, TESTS, Test
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
_HIGHEST: Final = "highest layer by chance"
_BASELINES: Final = {"words": "word counts", "length": "length", "sentence": "sentence embedding"}


def text(several: Sequence[Diagnosed], *, figures: bool = False) -> Lines:
    """Yield each diagnosis as text, with ``figures`` every figure below it."""
    for number, one in enumerate(several):
        yield from ("", "") if number else ()
        yield from _text(one)
        if figures:
            yield ""
            yield from _figures(one)


def _text(found: Diagnosed) -> Lines:
    """Yield heading, scorecard, every layer's headlines, problems, ceiling, and the rule."""
    from core.diagnosis.view import ceiling_text  # it loads pandas

    spec = found.diagnosis.spec
    told = {
        "states": f"pooling {spec.pooling}, {spec.scaling}; 95 % intervals in brackets",
        "random": f"{spec.draws:,} resamples of texts, {spec.shuffles:,} shuffles of labels, "
        f"seed {spec.seed}",
        "figures": f"sha256 {found.receipt['figures']}",
    }
    yield from facts(heading(found.diagnosis.study) | told)
    yield ""
    yield from _scorecard(found)
    yield from _hangs_on(found)
    yield ""
    yield from _layers(found)
    yield from found.problems.values()
    yield ""
    yield ceiling_text(found.ceiling)
    yield f"Layers: {_LEGEND}."
    if missing := missing_control(found.diagnosis):
        yield missing
    yield RULE


def _scorecard(found: Diagnosed) -> Lines:
    scores = {score.test: score for score in found.scores}
    rows = [_score_row(scores[test]) if test in scores else _nothing_row(test) for test in TESTS]
    controls = CONTROLS.values()
    head = ("test", "figure", "layer", "model", "labels shuffled", *controls, _HIGHEST)
    yield from aligned((*head, "verdict"), rows, left=(0, 1, len(head)))


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
    return (test, HEADLINES[test], *["–"] * (4 + len(CONTROLS)), NOWHERE)


def _hangs_on(found: Diagnosed) -> Lines:
    """Yield what the scorecard hangs on beside the texts: template, draw of random weights."""
    if found.seeds or found.phrasings:
        yield ""
    for score in found.scores:
        if found.phrasings:
            yield f"{score.test}: {templates_line(score, found.phrasings)}"
        if found.seeds:
            yield f"{score.test}: {seeds_line(score.seeds)}"


def _layers(found: Diagnosed) -> Lines:
    rows = [
        (layer_name(layer), *_brief(found, one, layer))
        for layer, one in found.diagnosis.layers.items()
    ]
    rows += [
        (_BASELINES[name], *_brief(found, one)) for name, one in found.diagnosis.baselines.items()
    ]
    head = ["layer"]
    for test in TESTS:
        head += [f"{test}: {HEADLINES[test]}", ""]
    yield from aligned(head, rows, left=(0, 2, 4, 6, 8))


def _brief(found: Diagnosed, one: LayerDiagnosis, layer: int | None = None) -> Iterator[str]:
    for test in TESTS:
        yield interval(one.headline(test).observed, 3)
        yield "" if layer is None else BRIEF[found.verdict(test, layer).level]


def _figures(found: Diagnosed) -> Lines:
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
        for row in records(found)
        if row["texts"] == "all"
    ]
    head = ("states", "layer", "test", "figure", "part", "n", "value", "labels shuffled")
    yield from aligned(head, rows, left=(0, 2, 3, 4))


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
