"""The repairs of the paper's procedure, one at a time, and the figure after each.

``core.waterfall`` puts them side by side with what each of them changed.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture, states_of
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, four_tests
from core.foundations import DIMENSIONS
from core.layers import EMBEDDING
from core.measures import (
    clusters,
    gradients,
    opposition,
    paper_probe,
    paper_tests,
)
from core.measures.cohort import Cohort
from core.measures.geometry import closeness
from core.measures.result import ALL, Measured, Test, moved
from core.runtime.progress import Report
from core.runtime.store import Store
from core.runtime.workers import each, workers
from core.statistics.scaling import Scaling, fit_scaler
from core.statistics.scores import explained_by_text, mean_known

Floats = NDArray[np.float64]
R = TypeVar("R")


class Drawn(NamedTuple):
    """A figure with its resamples."""

    value: float
    """The figure; NaN if nothing can be computed."""

    draws: Floats
    """The figure in each resample of texts, shape ``(draws,)``."""

    layer: int | None
    """At which layer; None if there is none, or each pole has its own."""


@dataclass(frozen=True)
class How:
    """How states are read and scaled."""

    paper: bool
    """Read as the paper does, not as the default does."""

    pooling: Pooling
    """Which pooled state."""

    scaling: Scaling
    """What is taken off."""

    by_row: bool = False
    """What is taken off is that of all rows, a repeated text counting as often as it has rows."""


#: The reading of the paper, and the same with one more repair each.
_PAPER: Final = How(paper=True, pooling="mean_all", scaling="centred", by_row=True)
_TEXTS: Final = replace(_PAPER, by_row=False)
_FIRST_OUT: Final = replace(_TEXTS, pooling="mean")
_STRIPPED: Final = replace(_FIRST_OUT, paper=False)
_EVEN: Final = replace(_STRIPPED, scaling="standardised")


@dataclass(frozen=True, eq=False)
class RepairContext:
    """What the repairs work on."""

    store: Store
    """Where states lie."""

    paper: Study
    """The items as the paper reads them."""

    plain: Study
    """The same items read without its faults."""

    cohort: Cohort
    """Labels and resamples."""

    layers: Sequence[int]
    """The decoder layers that can be measured: ``layers_of``."""

    report: Report
    """Told of each layer."""

    note: str = ""
    """What is being done, for people."""

    _kept: dict[Hashable, Any] = field(default_factory=dict)
    """What several steps share; a context made by ``replace`` has the same."""

    def once(self, name: Hashable, make: Callable[[], R]) -> R:
        """Return what is made when it is first asked for under a name."""
        if name not in self._kept:
            self._kept[name] = make()
        found: R = self._kept[name]
        return found

    def over(self, work: Callable[[int], R]) -> dict[int, R]:
        """Return what some work gives at each decoder layer, several at once."""
        count = workers(4 * len(self.cohort) * self.plain.plan.d_model)
        found = dict(each(work, self.layers, count, self.report, self.note))
        return {layer: found[layer] for layer in self.layers}

    def states(self, how: How, layer: int) -> NDArray[np.float32]:
        """Return a layer's states, a row per item."""
        study = self.paper if how.paper else self.plain
        raw = states_of(self.store, study).prompt_states(layer, how.pooling)
        seen = raw[study.plan.rows] if how.by_row else raw
        return fit_scaler(seen, how.scaling).apply(raw)[study.plan.rows]


def layers_of(store: Store, paper: Study, plain: Study) -> list[int]:
    """Return the decoder layers whose states are finite and differ, however they are read.

    Raises:
        CoreError: One of the readings is not stored.
    """
    reads = {(how.paper, how.pooling) for how in (_PAPER, _FIRST_OUT, _STRIPPED)}
    return [
        layer
        for layer in plain.plan.layers
        if layer != EMBEDDING
        and all(has_picture(store, paper if old else plain, layer, how) for old, how in reads)
    ]


#: Repairs that several tests share: name and reason.
REPAIRS: Final = {
    "paper": ("The paper's procedure", "first token in the mean, highest layer, no control"),
    "texts": (
        "Centred over different texts",
        "a text that stands in many rows draws the mean of all rows to itself",
    ),
    "first": ("First token left out", "an attention sink, many times as long as the rest"),
    "strip": ("Final punctuation stripped", "“lying. is morally” is no sentence"),
    "topic": (
        "Beyond the topic",
        "what both poles share draws the raw opposition to −1, and noise back to 0: 0 is now “the "
        "poles coincide”, 1 unrelated, 2 opposed",
    ),
    "even": ("Every coordinate counts", "a few coordinates own every cosine: standardised"),
    "own": ("Own text left out of the centre", "a member is always near a centre it is part of"),
    "neutral": ("Neutral actions left out", "they belong to no pole: no grade of it is missing"),
    "text": ("Split by text", "the same text in both parts tests memory"),
    "ridge": ("Closed-form ridge, five folds", "no learning rate, every text is tested once"),
    "noise": ("Noise counts", "rows without a cluster were left out of the score"),
    "kmeans": ("k-means in place of density", "density means little in hundreds of dimensions"),
    "layer": (
        "Layer chosen on other texts",
        "the highest of many layers is high by chance (all texts against half of them, resampled "
        "apart: the interval of the change errs on the wide side)",
    ),
    "words": ("Minus word counts", "what a bag of words reaches on the same texts"),
}
#: One procedure's figure over the layers, and how it picks one.
_Make = Callable[[RepairContext], Drawn]
#: The first repairs of the tests that take something off, and how states are read after each.
_CENTRED: Final = (
    ("paper", _PAPER),
    ("texts", _TEXTS),
    ("first", _FIRST_OUT),
    ("strip", _STRIPPED),
)


def chain(test: Test) -> Iterator[tuple[str, _Make]]:
    """Yield a test's repairs in order, and how each figure is made."""
    if test == "categorical":
        for key, how in _CENTRED:
            yield key, partial(_opposition, how=how)
        yield "even", partial(_opposition, how=_EVEN)
        yield "topic", partial(_headlines, test=test)
    elif test == "gradient":
        for key, how in _CENTRED:
            yield key, partial(_gradient, how=how, left_out=False, neutrals=True)
        yield "own", partial(_gradient, how=_STRIPPED, left_out=True, neutrals=True)
        yield "neutral", partial(_gradient, how=_STRIPPED, left_out=True, neutrals=False)
        yield "even", partial(_gradient, how=_EVEN, left_out=True, neutrals=False)
    elif test == "structural":
        for key, how in _CENTRED:
            yield key, partial(_density, how=how, noise=False)
        yield "noise", partial(_density, how=_STRIPPED, noise=True)
        yield "kmeans", _kmeans
        yield "even", partial(_headlines, test=test)
    else:
        for key, how in (("paper", _PAPER), ("first", _FIRST_OUT), ("strip", _STRIPPED)):
            yield key, partial(_trained, how=how, by_text=False)
        yield "text", partial(_trained, how=_STRIPPED, by_text=True)
        yield "ridge", partial(_headlines, test=test)
    yield "layer", partial(_chosen_elsewhere, test=test)
    yield "words", partial(_beyond_words, test=test)


# --- one figure per procedure ---


def _highest(values: Mapping[int, float]) -> int | None:
    known = {layer: value for layer, value in values.items() if np.isfinite(value)}
    return max(known, key=lambda layer: (known[layer], -layer)) if known else None


def _nothing(desk: RepairContext) -> Drawn:
    return Drawn(np.nan, np.full(desk.cohort.draws, np.nan), None)


def _best(scored: Mapping[int, Measured], desk: RepairContext) -> Drawn:
    """Return the highest layer's headline; each resample takes its own highest layer."""
    values = {layer: one.headline.observed.value for layer, one in scored.items()}
    best = _highest(values)
    if best is None:
        return _nothing(desk)
    draws = [_filled(scored[layer].draws, desk) for layer in values if np.isfinite(values[layer])]
    return Drawn(values[best], _rechosen(values[best], draws), best)


def _rechosen(value: float, draws: Sequence[Floats]) -> Floats:
    """Return the highest layer of each resample, moved onto the figure, shape ``(draws,)``.

    The highest of layers that are resampled lies above the highest of them all, by luck added to
    luck; how far it spreads is what choosing adds to the interval.

    Args:
        value: The highest layer's figure.
        draws: Each layer's resamples, on the same texts.
    """
    return moved(value, np.fmax.reduce(list(draws)))


def _opposition(desk: RepairContext, how: How) -> Drawn:
    """Return the opposition where the centres' mean cosine is lowest: the paper's choice."""
    matrices = desk.over(
        lambda layer: opposition.cosine_matrix(desk.states(how, layer), desk.cohort)
    )
    apart = {layer: -paper_tests.off_diagonal(one) for layer, one in matrices.items()}
    best = _highest(apart)
    if best is None:
        return _nothing(desk)
    found = opposition.raw(desk.states(how, best), desk.cohort)
    return Drawn(found.headline.observed.value, _filled(found.draws, desk), best)


def _headlines(desk: RepairContext, test: Test) -> Drawn:
    """Return the highest layer's headline of the four tests, which read as the last repair does."""
    found = _diagnosis(desk).layers
    return _best({layer: found[layer].whole[test] for layer in desk.layers}, desk)


def _filled(draws: NDArray[np.floating], desk: RepairContext) -> Floats:
    """Return resamples, NaN if there are none."""
    return draws.astype(np.float64) if len(draws) else np.full(desk.cohort.draws, np.nan)


def _gradient(desk: RepairContext, how: How, *, left_out: bool, neutrals: bool) -> Drawn:
    """Return the mean over poles of each pole's highest layer: the paper's main figure."""
    cohort = desk.cohort
    variant = gradients.VARIANTS[1 if neutrals else 0]

    def by_pole(layer: int) -> gradients.ByPole:
        states = desk.states(how, layer)
        if left_out:
            close = closeness(states, cohort.members, cohort.labels.group)
        else:
            close = paper_tests.closeness_in_sample(states, cohort.members)
        return gradients.by_pole(close, cohort, variant, states)

    found = list(desk.over(by_pole).values())
    values = np.array([one.values for one in found]).reshape(len(found), len(DIMENSIONS))
    known = np.flatnonzero(np.isfinite(values).any(axis=0))
    if not len(known):
        return _nothing(desk)
    highest = np.nanmax(values[:, known], axis=0)
    weights = np.max([one.weights for one in found], axis=0)[known]
    value = float(gradients.fisher_mean(highest[None], weights)[0])
    draws = np.fmax.reduce([one.draws[:, known] for one in found])
    return Drawn(value, moved(value, gradients.fisher_mean(draws, weights)), None)


def _density(desk: RepairContext, how: How, *, noise: bool) -> Drawn:
    """Return the highest agreement of the paper's clusters with the 15 classes."""

    def score(layer: int) -> Measured:
        found = _clusters(desk, how, layer)
        asked = found > paper_tests.NOT_ASKED
        cohort = desk.cohort if asked.all() else desk.cohort.take(asked)
        ari, _, without = clusters.agreement("HDBSCAN", found[asked], ALL, cohort)
        return ari if noise else without

    scored = desk.over(score)
    return _best(scored, desk)


def _clusters(desk: RepairContext, how: How, layer: int) -> NDArray[np.int64]:
    """Return the paper's clusters; where the origin lies, and so the centring, does not matter."""
    return desk.once(
        ("clusters", how.paper, how.pooling, layer),
        lambda: paper_tests.density_clusters(desk.states(how, layer), seed=desk.cohort.seed),
    )


def _kmeans(desk: RepairContext) -> Drawn:
    """Return the highest agreement of k-means with the 15 classes."""
    scored = desk.over(
        lambda layer: clusters.headline_alone(
            desk.states(_STRIPPED, layer), desk.cohort, desk.cohort
        )
    )
    return _best(scored, desk)


def _trained(desk: RepairContext, how: How, *, by_text: bool) -> Drawn:
    """Return the highest test R² of the paper's optimiser-trained probe on raw states."""
    cohort, raw = desk.cohort, replace(how, scaling="raw")
    split = paper_probe.text_split(cohort) if by_text else paper_probe.row_split(len(cohort))
    truth = cohort.vectors[split.test].astype(np.float64)
    predicted = desk.over(
        lambda layer: paper_probe.train(desk.states(raw, layer), cohort.vectors, split)
    )
    values = {layer: paper_probe.score(one, truth) for layer, one in predicted.items()}
    best = _highest(values)
    if best is None:
        return _nothing(desk)
    order = np.argsort(split.test)
    tested = split.test[order]
    texts, number = np.unique(cohort.text[tested], return_inverse=True)
    weights = cohort.weights[:, texts]
    draws = [
        explained_by_text(one[order].astype(np.float64), truth[order], number, weights)[1]
        for layer, one in predicted.items()
        if np.isfinite(values[layer])
    ]
    return Drawn(
        values[best], _rechosen(values[best], [mean_known(one.each()) for one in draws]), best
    )


def _chosen_elsewhere(desk: RepairContext, test: Test) -> Drawn:
    """Return the scorecard's figure: layer from one half of the texts, figure from the other."""
    found = _diagnosis(desk)
    layer = found.chosen.get(test)
    if layer is None:
        return _nothing(desk)
    half = found.layers[layer].second[test]
    return Drawn(half.headline.observed.value, _filled(half.draws, desk), layer)


def _beyond_words(desk: RepairContext, test: Test) -> Drawn:
    """Return the same minus what a bag of words gives on the same half of the texts."""
    model = _chosen_elsewhere(desk, test)
    words = _diagnosis(desk).baselines["words"]
    draws = words.second[test].draws if test in words.second else np.empty(0)
    value = model.value - words.reported(test).observed.value
    return Drawn(value, model.draws - _filled(draws, desk), model.layer)


def _diagnosis(desk: RepairContext) -> Diagnosis:
    spec = DiagnosisSpec(
        pooling=_EVEN.pooling,
        scaling=_EVEN.scaling,
        draws=desk.cohort.draws,
        shuffles=desk.cohort.draws,
        seed=desk.cohort.seed,
    )
    made = four_tests(desk.store, desk.plain, spec)
    return desk.once("diagnosis", lambda: made.get(desk.report))
