"""What may be said about a figure, by one written rule; and the scorecard of a model.

A figure must clear everything that could explain it without moral knowledge: shuffled labels, the
words, the length, a small sentence embedding, the model's own embedding layer, and an untrained
copy of the model, which sees the words as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from core.activations.sentence_embedding import PACKAGE
from core.diagnosis.diagnosis import Diagnosis
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.seeds import Copy, highest_of
from core.layers import EMBEDDING
from core.measures.result import TESTS, Measurement, Test
from core.statistics.bootstrap import Estimate

Level = Literal["nothing", "chance", "control", "partly", "beyond", "taught"]
#: How controls are called.
CONTROLS: Final[dict[str, str]] = {
    "words": "word counts",
    "length": "sentence length",
    "sentence": "a sentence embedding",
    "embedding": "the embedding layer",
    "untrained": "an untrained copy",
}
#: How a verdict follows, in words for the page.
RULE: Final = (
    "Rule: a model's whole 95 % interval must lie above the band of labels shuffled within each "
    "foundation (knowing the topic is not enough; else “not distinguishable from chance”) and "
    "above the interval of each control: word counts (runs of characters where a script has no "
    "blanks), sentence length, a sentence embedding (all-MiniLM-L6-v2, trained on English), the "
    "embedding layer, an untrained copy, of several seeds the highest (else “no better than …”). "
    "Only then: “structure beyond all controls”, or, without a sentence embedding, “beyond the "
    "controls that ran”. The layer is chosen on one half of the texts; "
    "figure, band and controls of the scorecard come from the other half."
)
#: Said where the sentence embedding is not among the controls.
_NO_SENTENCE: Final = (
    "No sentence embedding is among these controls, so no verdict can go beyond all: it is "
    f"measured where the package {PACKAGE} is installed; a pack keeps the controls it came with."
)
_NONE: Final = Estimate(np.nan, np.nan, np.nan)


class Verdict(NamedTuple):
    """What may be said."""

    level: Level
    """How far it goes; ``partly``: no untrained copy was measured, ``taught``: the model was
    trained on these very labels."""

    words: str
    """The same for people."""


def verdict(observed: Estimate, shuffled: Estimate, controls: Mapping[str, Estimate]) -> Verdict:
    """Return what may be said about a figure.

    Args:
        observed: The model's, with its interval.
        shuffled: Mean and band with labels shuffled.
        controls: Some of ``CONTROLS`` with their intervals, a larger figure meaning more. One whose
            figure is NaN shows nothing and is passed over, except word counts and the untrained
            copy, which every figure must be compared with.
    """
    if np.isnan([observed.value, observed.low, shuffled.high]).any():
        return Verdict("nothing", "not computable")
    if observed.low <= shuffled.high:
        return Verdict("chance", "not distinguishable from chance")
    if np.isnan(controls["words"].high):
        return Verdict("nothing", "word counts not computable")
    for name, control in controls.items():
        if observed.low <= max(control.value, control.high):
            return Verdict("control", f"no better than {CONTROLS[name]}")
    if "untrained" not in controls or np.isnan(controls["untrained"].high):
        return Verdict("partly", "beyond chance and words; no untrained copy measured")
    if np.isnan(controls.get("sentence", _NONE).high):
        return Verdict("beyond", "structure beyond the controls that ran (no sentence embedding)")
    return Verdict("beyond", "structure beyond all controls")


@dataclass(frozen=True)
class Score:
    """One test of a model: a figure from texts that did not choose its layer."""

    test: Test
    """Which test."""

    layer: int
    """Chosen on the other half of the texts."""

    figure: Measurement
    """The headline there, with interval and shuffled band."""

    controls: Mapping[str, Estimate]
    """The same figure of each control on the same texts."""

    highest_by_chance: Estimate
    """Mean and band of the highest of all layers with labels shuffled, all texts."""

    verdict: Verdict
    """What may be said."""

    seeds: tuple[Estimate, ...] = ()
    """The figure of each untrained copy; none where only one was measured. The control is then
    their mean, with the lowest and highest end of their intervals."""


def scorecard(
    diagnosis: Diagnosis, untrained: Diagnosis | None = None, seeds: Sequence[Copy] = ()
) -> list[Score]:
    """Return one score per test that some layer can compute, in the order of ``TESTS``.

    Args:
        diagnosis: The model's.
        untrained: Its untrained copy's, measured alike; None if there is none.
        seeds: Several untrained copies at the chosen layers, that one among them.
    """
    scores = []
    for test in TESTS:
        layer = diagnosis.chosen.get(test)
        if layer is None:
            continue
        figure = diagnosis.layers[layer].reported(test)
        controls = {
            name: one.reported(test).observed
            for name, one in controls_of(diagnosis, layer, untrained).items()
        }
        copies = tuple(one[layer].reported(test).observed for one in seeds)
        if copies:
            controls["untrained"] = highest_of(copies)
        said = verdict(figure.observed, figure.shuffled, controls)
        chance = diagnosis.highest_by_chance(test)
        scores.append(Score(test, layer, figure, controls, chance, said, copies))
    return scores


def layer_verdict(
    diagnosis: Diagnosis, test: Test, layer: int, untrained: Diagnosis | None = None
) -> Verdict:
    """Return what may be said about a layer's headline on all texts."""
    figure = diagnosis.layers[layer].headline(test)
    controls = {
        name: one.headline(test).observed
        for name, one in controls_of(diagnosis, layer, untrained).items()
    }
    return verdict(figure.observed, figure.shuffled, controls)


def missing_control(diagnosis: Diagnosis) -> str:
    """Return the sentence that says which control was not measured; nothing where all were."""
    return "" if "sentence" in diagnosis.baselines else _NO_SENTENCE


def short_name(control: str) -> str:
    """Return how one of ``CONTROLS`` is called in a legend: without its article."""
    article, _, rest = CONTROLS[control].partition(" ")
    return rest if article in ("a", "an", "the") else CONTROLS[control]


def controls_of(
    diagnosis: Diagnosis, layer: int, untrained: Diagnosis | None = None
) -> dict[str, LayerDiagnosis]:
    """Return what a layer is held against: names of ``CONTROLS`` with their figures."""
    controls = {str(name): one for name, one in diagnosis.baselines.items()}
    # The embedding stands beside itself: what words alone give is never beyond all controls.
    controls["embedding"] = diagnosis.layers[EMBEDDING]
    if untrained is not None:
        controls["untrained"] = untrained.layers[layer]
    return controls
