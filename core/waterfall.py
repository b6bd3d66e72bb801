"""How much of the indifference is the instrument's own: from the paper's figure to the repaired.

Each test begins with the figure that the paper's procedure gives on this model and these items,
and repairs one thing at a time. Every step stands with its interval, and with the interval of what
it changed, on the same resamples of texts where both figures have them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import clusters, gradients, opposition, paperprobe, papertests, probes
from core.activations import EMBEDDING
from core.cohort import DRAWS, Cohort, cohort_of
from core.diagnosis import Diagnosis, DiagnosisSpec, diagnose, second_half, word_states
from core.geometry import closeness
from core.measured import ALL, NOTHING, TESTS, Measured, Test, estimate
from core.progress import Report, part, silent
from core.prompts import PRESETS, Pooling, ReadSpec
from core.scaling import Scaling, fit_scaler
from core.scores import explained_by_text, mean_known
from core.stats import Estimate
from core.store import Store
from core.study import Study, states_of
from core.workers import each, workers

_FORMAT: Final = 1
Floats = NDArray[np.float64]
R = TypeVar("R")


class Step(NamedTuple):
    """One bar of the waterfall."""

    test: Test
    """Which test."""

    name: str
    """What was repaired."""

    why: str
    """Why it had to be."""

    layer: int | None
    """At which layer; None if each pole has its own."""

    figure: Estimate
    """The test's figure after this step, with its 95 % interval over texts."""

    change: Estimate
    """What the step changed, with its interval; NaN for the first."""


class _Figure(NamedTuple):
    """A figure with its resamples."""

    value: float
    draws: Floats
    layer: int | None


def paper_read(read: ReadSpec) -> ReadSpec:
    """Return the paper's way to read with a template of one's own."""
    return replace(PRESETS["paper"], template=read.template)


def plain_read(read: ReadSpec) -> ReadSpec:
    """Return the repaired way to read with a template of one's own."""
    return replace(PRESETS["default"], template=read.template)


@dataclass(frozen=True, eq=False)
class _Desk:
    """What the steps work on."""

    store: Store
    paper: Study
    plain: Study
    cohort: Cohort
    report: Report
    note: str = ""

    @property
    def layers(self) -> list[int]:
        """The decoder layers."""
        return [layer for layer in self.plain.plan.layers if layer != EMBEDDING]

    def over(self, work: Callable[[int], R]) -> dict[int, R]:
        """Return what some work gives at each decoder layer, several at once."""
        count = workers(4 * len(self.cohort) * self.plain.plan.d_model)
        found = dict(each(work, self.layers, count, self.report, self.note))
        return {layer: found[layer] for layer in self.layers}

    def states(self, how: "_How", layer: int) -> NDArray[np.float32]:
        """Return a layer's states, a row per item."""
        study = self.paper if how.paper else self.plain
        raw = states_of(self.store, study).prompt_states(layer, how.pooling)
        return fit_scaler(raw, how.scaling).apply(raw)[study.plan.rows]


@dataclass(frozen=True)
class _How:
    """How states are read and scaled."""

    paper: bool
    pooling: Pooling
    scaling: Scaling


#: The reading of the paper, and the same with one more repair each.
_PAPER: Final = _How(paper=True, pooling="mean_all", scaling="centred")
_FIRST_OUT: Final = replace(_PAPER, pooling="mean")
_STRIPPED: Final = replace(_FIRST_OUT, paper=False)
_EVEN: Final = replace(_STRIPPED, scaling="standardised")

#: Repairs that several tests share: name and reason.
_WHY: Final = {
    "paper": ("The paper's procedure", "first token in the mean, highest layer, no control"),
    "first": ("First token left out", "an attention sink, many times as long as the rest"),
    "strip": ("Final punctuation stripped", "“lying. is morally” is no sentence"),
    "even": ("Every coordinate counts", "a few coordinates own every cosine: standardised"),
    "own": ("Own text left out of the centre", "a member is always near a centre it is part of"),
    "neutral": ("Neutral actions left out", "they belong to no pole: no grade of it is missing"),
    "text": ("Split by text", "the same text in both parts tests memory"),
    "ridge": ("Closed-form ridge, five folds", "no learning rate, every text is tested once"),
    "noise": ("Noise counts", "rows without a cluster were left out of the score"),
    "kmeans": ("k-means in place of density", "density means little in hundreds of dimensions"),
    "layer": ("Layer chosen on other texts", "the highest of many layers is high by chance"),
    "words": ("Minus word counts", "what a bag of words reaches on the same texts"),
}
#: One procedure's figure over the layers, and how it picks one.
_Make = Callable[[_Desk], _Figure]


def load_or_measure_waterfall(
    store: Store,
    paper: Study,
    plain: Study,
    report: Report = silent,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[Test, list[Step]]:
    """Return the steps of each test, measured only if they are not stored.

    Args:
        store: Where states and results lie.
        paper: The items as the paper reads them (``paper_read``).
        plain: The same items read without its faults (``plain_read``).
        report: Told of each step.
        draws: Resamples of texts behind each interval.
        seed: Seed of everything random.

    Raises:
        CoreError: The states of one of the readings are not stored.
        Cancelled: The person cancelled.
    """
    kept = open_waterfall(store, paper, plain, draws=draws, seed=seed)
    if kept is not None:
        return kept
    cohort = cohort_of(plain.items, draws=draws, shuffles=0, seed=seed)
    desk = _Desk(store, paper, plain, cohort.prepare(), report)
    chains = {test: list(_chain(test)) for test in TESTS}
    total, done = sum(map(len, chains.values())), 0
    result: dict[Test, list[Step]] = {}
    for test, chain in chains.items():
        steps: list[Step] = []
        before: _Figure | None = None
        for key, make in chain:
            here = part(report, done / total, (done + 1) / total)
            note = f"{test} test: {_WHY[key][0].lower()}"
            now = make(replace(desk, report=here, note=note))
            steps.append(_step(test, key, now, before))
            before, done = now, done + 1
        result[test] = steps
    with store.writing("waterfall", _key(paper, plain, draws, seed)) as folder:
        (folder / "steps.json").write_text(json.dumps(result))
    return result


def open_waterfall(
    store: Store, paper: Study, plain: Study, *, draws: int = DRAWS, seed: int = 0
) -> dict[Test, list[Step]] | None:
    """Return the stored steps, None if there are none."""
    folder = store.open("waterfall", _key(paper, plain, draws, seed))
    if folder is None:
        return None
    kept: dict[Test, list[list[Any]]] = json.loads((folder / "steps.json").read_text())
    return {
        test: [
            Step(test, row[1], row[2], row[3], Estimate(*row[4]), Estimate(*row[5])) for row in rows
        ]
        for test, rows in kept.items()
    }


def _key(paper: Study, plain: Study, draws: int, seed: int) -> Mapping[str, Any]:
    return {
        "format": _FORMAT,
        "paper": paper.plan.base_key(),
        "plain": plain.plan.base_key(),
        "items": plain.items.digest,
        "draws": draws,
        "seed": seed,
    }


def _step(test: Test, key: str, now: _Figure, before: _Figure | None) -> Step:
    change = NOTHING
    if before is not None:
        change = estimate(now.value - before.value, now.draws - before.draws)
    name, why = _WHY[key]
    return Step(test, name, why, now.layer, estimate(now.value, now.draws), change)


def _chain(test: Test) -> Iterator[tuple[str, _Make]]:
    """Yield a test's repairs in order, and how each figure is made."""
    if test == "categorical":
        for key, how in (("paper", _PAPER), ("first", _FIRST_OUT), ("strip", _STRIPPED)):
            yield key, partial(_opposition, how=how)
        yield "even", partial(_opposition, how=_EVEN)
    elif test == "gradient":
        for key, how in (("paper", _PAPER), ("first", _FIRST_OUT), ("strip", _STRIPPED)):
            yield key, partial(_gradient, how=how, left_out=False, neutrals=True)
        yield "own", partial(_gradient, how=_STRIPPED, left_out=True, neutrals=True)
        yield "neutral", partial(_gradient, how=_STRIPPED, left_out=True, neutrals=False)
        yield "even", partial(_gradient, how=_EVEN, left_out=True, neutrals=False)
    elif test == "structural":
        for key, how in (("paper", _PAPER), ("first", _FIRST_OUT), ("strip", _STRIPPED)):
            yield key, partial(_density, how=how, noise=False)
        yield "noise", partial(_density, how=_STRIPPED, noise=True)
        yield "kmeans", partial(_kmeans, how=_STRIPPED)
        yield "even", partial(_kmeans, how=_EVEN)
    else:
        for key, how in (("paper", _PAPER), ("first", _FIRST_OUT), ("strip", _STRIPPED)):
            yield key, partial(_trained, how=how, by_text=False)
        yield "text", partial(_trained, how=_STRIPPED, by_text=True)
        yield "ridge", _ridge
    yield "layer", partial(_chosen_elsewhere, test=test)
    yield "words", partial(_beyond_words, test=test)


# --- one figure per procedure ---


def _highest(values: Mapping[int, float]) -> int | None:
    known = {layer: value for layer, value in values.items() if np.isfinite(value)}
    return max(known, key=lambda layer: (known[layer], -layer)) if known else None


def _nothing(desk: _Desk) -> _Figure:
    return _Figure(np.nan, np.full(desk.cohort.draws, np.nan), None)


def _best(scored: Mapping[int, Measured], desk: _Desk) -> _Figure:
    """Return the highest layer's headline."""
    best = _highest({layer: one.headline.observed.value for layer, one in scored.items()})
    if best is None:
        return _nothing(desk)
    return _Figure(scored[best].headline.observed.value, _filled(scored[best].draws, desk), best)


def _opposition(desk: _Desk, how: _How) -> _Figure:
    """Return the opposition where the centres' mean cosine is lowest: the paper's choice."""
    matrices = desk.over(
        lambda layer: opposition.cosine_matrix(desk.states(how, layer), desk.cohort)
    )
    apart = {layer: -papertests.off_diagonal(one) for layer, one in matrices.items()}
    best = _highest(apart)
    if best is None:
        return _nothing(desk)
    found = opposition.measure(desk.states(how, best), desk.cohort)
    return _Figure(found.headline.observed.value, _filled(found.draws, desk), best)


def _filled(draws: NDArray[np.floating], desk: _Desk) -> Floats:
    """Return resamples, NaN if there are none."""
    return draws.astype(np.float64) if len(draws) else np.full(desk.cohort.draws, np.nan)


def _gradient(desk: _Desk, how: _How, *, left_out: bool, neutrals: bool) -> _Figure:
    """Return the mean over poles of each pole's highest layer: the paper's main figure."""
    cohort = desk.cohort
    variant = gradients.VARIANTS[1 if neutrals else 0]

    def by_pole(layer: int) -> gradients.ByPole:
        states = desk.states(how, layer)
        if left_out:
            close = closeness(states, cohort.members, cohort.labels.group)
        else:
            close = papertests.closeness_in_sample(states, cohort.members)
        return gradients.by_pole(close, cohort, variant, states)

    found = list(desk.over(by_pole).values())
    values = np.stack([one.values for one in found])
    known = np.flatnonzero(np.isfinite(values).any(axis=0))
    if not len(known):
        return _nothing(desk)
    best = np.nanargmax(values[:, known], axis=0)
    weights = np.max([one.weights for one in found], axis=0)[known]
    value = gradients.fisher_mean(values[best, known][None], weights)[0]
    draws = np.stack(
        [found[layer].draws[:, pole] for layer, pole in zip(best, known, strict=True)], axis=1
    )
    return _Figure(float(value), gradients.fisher_mean(draws, weights), None)


def _density(desk: _Desk, how: _How, *, noise: bool) -> _Figure:
    """Return the highest agreement of the paper's clusters with the 15 classes."""

    def score(layer: int) -> Measured:
        found = papertests.density_clusters(desk.states(how, layer), seed=desk.cohort.seed)
        ari, _, without = clusters.agreement("HDBSCAN", found, ALL, desk.cohort)
        return ari if noise else without

    scored = desk.over(score)
    return _best(scored, desk)


def _kmeans(desk: _Desk, how: _How) -> _Figure:
    """Return the highest agreement of k-means with the 15 classes."""

    def score(layer: int) -> Measured:
        clustering = clusters.cluster(desk.states(how, layer), desk.cohort)
        return clusters.headline(clustering, desk.cohort)

    scored = desk.over(score)
    return _best(scored, desk)


def _trained(desk: _Desk, how: _How, *, by_text: bool) -> _Figure:
    """Return the highest test R² of the paper's optimiser-trained probe on raw states."""
    cohort, raw = desk.cohort, replace(how, scaling="raw")
    split = paperprobe.text_split(cohort) if by_text else paperprobe.row_split(len(cohort))
    truth = cohort.vectors[split.test].astype(np.float64)
    predicted = desk.over(
        lambda layer: paperprobe.train(desk.states(raw, layer), cohort.vectors, split)
    )
    best = _highest({layer: paperprobe.score(one, truth) for layer, one in predicted.items()})
    if best is None:
        return _nothing(desk)
    order = np.argsort(split.test)
    tested = split.test[order]
    texts, number = np.unique(cohort.text[tested], return_inverse=True)
    _, draws = explained_by_text(
        predicted[best][order].astype(np.float64), truth[order], number, cohort.weights[:, texts]
    )
    value = paperprobe.score(predicted[best], truth)
    return _Figure(value, mean_known(draws.each()), best)


def _ridge(desk: _Desk) -> _Figure:
    """Return the highest R² of the closed-form probe."""
    raw = replace(_STRIPPED, scaling="raw")

    def score(layer: int) -> Measured:
        probe = probes.fit(desk.states(raw, layer), desk.cohort)
        return probes.headline(probe, desk.cohort, desk.cohort)

    scored = desk.over(score)
    return _best(scored, desk)


def _chosen_elsewhere(desk: _Desk, test: Test) -> _Figure:
    """Return the scorecard's figure: layer from one half of the texts, figure from the other."""
    layer = _diagnosis(desk).chosen.get(test)
    if layer is None:
        return _nothing(desk)
    how = replace(_EVEN, scaling="raw") if test == "dimensional" else _EVEN
    found = second_half(test, desk.states(how, layer), desk.cohort)
    return _Figure(found.headline.observed.value, _filled(found.draws, desk), layer)


def _beyond_words(desk: _Desk, test: Test) -> _Figure:
    """Return the same minus what a bag of words gives on the same half of the texts."""
    model = _chosen_elsewhere(desk, test)
    words = word_states(desk.plain)
    if test != "dimensional":
        words = fit_scaler(words, _EVEN.scaling).apply(words)
    rows = words[desk.plain.plan.rows]
    found = second_half(test, rows, desk.cohort, standardise=False)
    value = model.value - found.headline.observed.value
    return _Figure(value, model.draws - _filled(found.draws, desk), model.layer)


def _diagnosis(desk: _Desk) -> Diagnosis:
    spec = DiagnosisSpec(
        pooling=_EVEN.pooling,
        scaling=_EVEN.scaling,
        draws=desk.cohort.draws,
        shuffles=desk.cohort.draws,
        seed=desk.cohort.seed,
    )
    return diagnose(desk.store, desk.plain, spec, desk.report)
