"""Is it moral, or good against bad words? The four tests on a concept that is not moral.

The same tests, at the layers that were chosen for the moral set, are run on how pleasant plain
things are. That set is small, and figures depend on how many texts they rest on; so the moral ones
beside it come from as many texts with the same grades, drawn again and again from the half of the
set that chose no layer. Clusters and probe find topics as well, and weather and food are further
apart than care and fairness; so what is compared is how far a figure exceeds the mean of labels
shuffled within each foundation or domain, which leaves the topics where they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study, states_of
from core.dataset.labels import typical_members
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.diagnosis.diagnosis import DiagnosisSpec, study_cohort
from core.measures import clusters, gradients, opposition, probe_scores, probes
from core.measures.clustering import cluster
from core.measures.cohort import Cohort, cohort_of
from core.measures.result import NOTHING, TESTS, Measured, Test, band, estimate
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report
from core.runtime.store import Store, library_version
from core.statistics.bag_of_words import bag_of_words
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling, fit_scaler
from core.statistics.words import counting_key

Level = Literal["nothing", "above", "same", "below"]

#: Draws of as many moral texts as the other set has; folds and clusters begin anew with each.
SAMPLES: Final = 20
#: Coverage of each difference's interval, so that the four together hold with 95 %.
TOGETHER: Final = 1 - 0.05 / len(TESTS)
#: Raised whenever the same states would give other figures.
_FORMAT: Final = 1


class Beside(NamedTuple):
    """A test's headline for the moral set and for pleasantness, at one layer."""

    test: Test
    """Which test."""

    layer: int
    """The layer that the moral set chose."""

    n: int
    """Moral items in each draw."""

    moral: Estimate
    """Mean over the draws; the interval is that of one of them, 95 %."""

    moral_chance: Estimate
    """The same with labels shuffled within each foundation: mean and 95 % band."""

    moral_words: Estimate
    """What word counts of the same items give beyond their own shuffled labels."""

    pleasant: Estimate
    """Of all texts about pleasantness, with their interval."""

    pleasant_chance: Estimate
    """The same with labels shuffled within each domain."""

    pleasant_words: Estimate
    """What word counts give beyond their own shuffled labels."""

    difference: Estimate
    """Moral minus pleasant, of what lies beyond shuffled labels; the intervals of the four tests
    hold together with 95 %."""

    @property
    def moral_beyond(self) -> Estimate:
        """The moral figure minus the mean of its shuffles."""
        return _beyond(self.moral, self.moral_chance)

    @property
    def pleasant_beyond(self) -> Estimate:
        """The figure of pleasantness minus the mean of its shuffles."""
        return _beyond(self.pleasant, self.pleasant_chance)

    @property
    def level(self) -> Level:
        """Which of the two is the higher, as far as the interval tells."""
        if np.isnan(self.difference).any():
            return "nothing"
        if self.difference.low > 0:
            return "above"
        return "below" if self.difference.high < 0 else "same"


def _beyond(figure: Estimate, chance: Estimate) -> Estimate:
    return Estimate(*(one - chance.value for one in figure))


class Averaged(NamedTuple):
    """A headline, averaged over draws of items."""

    value: float
    """The mean."""

    draws: NDArray[np.float64]
    """Resamples of texts of all draws, each draw's moved onto the mean."""

    null: NDArray[np.float64]
    """Shuffles of the labels of all draws."""

    n: int
    """Items in each draw."""

    @property
    def figure(self) -> Estimate:
        """The headline with its interval."""
        return estimate(self.value, self.draws)

    @property
    def chance(self) -> Estimate:
        """Mean and band with labels shuffled."""
        return band(self.null)


#: Unscaled states of some rows of a set.
StatesOf = Callable[[NDArray[np.int64]], NDArray[np.float32]]


def beside(
    store: Store, study: Study, other: Study, spec: DiagnosisSpec, chosen: Mapping[Test, int]
) -> Made[list[Beside]]:
    """Return the four tests on both sets.

    Args:
        store: Where states and results lie.
        study: The moral items as a model reads them.
        other: The other concept's as the same model reads them.
        spec: How the moral set was measured.
        chosen: The layer of each test.
    """
    return artefact(
        store,
        "concept",
        {
            "format": [_FORMAT, DIAGNOSIS_FORMAT],
            "states": {test: study.plan.key(at, spec.pooling) for test, at in chosen.items()},
            "other": {test: other.plan.key(at, spec.pooling) for test, at in chosen.items()},
            "items": [study.items.digest, other.items.digest],
            **counting_key(study.plan.prompts),
            "scaling": spec.scaling,
            "draws": spec.draws,
            "shuffles": spec.shuffles,
            "seed": spec.seed,
            "versions": {
                name: library_version(name) for name in ("numpy", "scikit-learn", "torch")
            },
        },
        read=read_json("tests.json", _read),
        write=write_json("tests.json", list),
        make=partial(_measured, store, study, other, spec, chosen),
    )


def _read(rows: list[list[Any]]) -> list[Beside]:
    return [Beside(*row[:3], *(Estimate(*one) for one in row[3:])) for row in rows]


def _measured(
    store: Store,
    study: Study,
    other: Study,
    spec: DiagnosisSpec,
    chosen: Mapping[Test, int],
    report: Report,
) -> list[Beside]:
    half, plain = study_cohort(study, spec).second_half, cohort_of(other.items)
    found = []
    for number, (test, layer) in enumerate(chosen.items()):
        report(number, len(chosen), f"{test} test on pleasantness")
        moral, pleasant = (
            [
                averaged(test, _states(store, one, spec, layer), cohort, spec, like),
                averaged(test, _words(one), cohort, spec, like, standardise=False),
            ]
            for one, cohort, like in ((study, half, plain), (other, plain, None))
        )
        found.append(compared(test, layer, moral, pleasant, spec.seed))
    return found


def _states(store: Store, study: Study, spec: DiagnosisSpec, layer: int) -> StatesOf:
    states = states_of(store, study).prompt_states(layer, spec.pooling)
    return lambda rows: states[study.plan.rows[rows]]


def _words(study: Study) -> StatesOf:
    """Return word counts of rows, the words being those of these rows alone."""
    prompts = [study.plan.prompts[at] for at in study.plan.rows]
    return lambda rows: bag_of_words([prompts[row] for row in rows])


def compared(
    test: Test, layer: int, moral: Sequence[Averaged], pleasant: Sequence[Averaged], seed: int
) -> Beside:
    """Return figures beside each other; the resamples of the two sets are of different texts.

    Args:
        test: Which test.
        layer: Where.
        moral: The model's figure, then that of word counts.
        pleasant: The same of the other set.
        seed: Seed of how the resamples of the two are paired.
    """
    (one, one_words), (two, two_words) = moral, pleasant
    shuffled = one.chance.value - two.chance.value
    pairing = np.random.default_rng([seed, 21])
    draws = one.draws - pairing.permutation(two.draws) - shuffled
    known, value = draws[np.isfinite(draws)], one.value - two.value - shuffled
    difference = NOTHING
    if len(known) and np.isfinite(value):
        low, high = np.quantile(known, [(1 - TOGETHER) / 2, (1 + TOGETHER) / 2])
        difference = Estimate(float(value), float(low), float(high))
    return Beside(
        test,
        layer,
        one.n,
        one.figure,
        one.chance,
        _beyond(one_words.figure, one_words.chance),
        two.figure,
        two.chance,
        _beyond(two_words.figure, two_words.chance),
        difference,
    )


def averaged(
    test: Test,
    states: StatesOf,
    cohort: Cohort,
    spec: DiagnosisSpec,
    like: Cohort | None = None,
    *,
    standardise: bool = True,
) -> Averaged:
    """Return a test's headline, averaged over ``SAMPLES`` draws of items.

    Args:
        test: Which test.
        states: Unscaled states of rows that ``cohort.rows`` names.
        cohort: The rows to draw from.
        spec: Scaling, and how many resamples and shuffles the draws have together.
        like: Draw as many of each foundation and pole, with the same grades; None: all rows, and
            only folds and clusters differ.
        standardise: Whether the probe standardises its coordinates.
    """
    found: list[Measured] = []
    n = 0
    for number in range(SAMPLES):
        rng = np.random.default_rng([spec.seed, 20, number])
        rows = np.ones(len(cohort), bool) if like is None else matched(cohort, like, rng)
        own = cohort.take(
            rows,
            draws=-(-spec.draws // SAMPLES),
            shuffles=-(-spec.shuffles // SAMPLES),
            seed=int(rng.integers(2**31)),
        )
        found.append(
            _headline(test, states(own.rows), _alone(own), spec.scaling, standardise=standardise)
        )
        n = len(own)
    values = np.array([one.headline.observed.value for one in found])
    known = np.isfinite(values)
    mean = float(values[known].mean()) if known.any() else np.nan
    moved = [one.draws - value + mean for one, value in zip(found, values, strict=True)]
    return Averaged(mean, np.concatenate(moved), np.concatenate([one.null for one in found]), n)


def matched(cohort: Cohort, like: Cohort, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw as many rows of each foundation and pole as another cohort has, as like in grade.

    Returns:
        Bool ``(n,)``; fewer where the cohort has not that many.
    """
    chosen = np.zeros(len(cohort), bool)
    for foundation in range(5):
        for sign in range(3):
            have = rng.permutation(
                np.flatnonzero((cohort.foundation == foundation) & (cohort.sign == sign))
            )
            wanted = like.labels.grade[(like.foundation == foundation) & (like.sign == sign)]
            gaps = np.abs(cohort.labels.grade[have][:, None] - np.sort(wanted)[::-1])
            for gap in gaps.T[: len(have)]:
                nearest = int(np.where(chosen[have], np.inf, gap).argmin())
                chosen[have[nearest]] = True
    return chosen


def _alone(cohort: Cohort) -> Cohort:
    """Return drawn rows as a set of their own, with its own centres."""
    members = typical_members(cohort.labels)
    return replace(cohort, members=members, rows=np.arange(len(cohort)))


def _headline(
    test: Test, states: NDArray[np.float32], cohort: Cohort, scaling: Scaling, *, standardise: bool
) -> Measured:
    if test == "dimensional":
        return probe_scores.headline(
            probes.fit(states, cohort, standardise=standardise), cohort, cohort
        )
    scaled = fit_scaler(states, scaling).apply(states)
    if test == "categorical":
        return opposition.measure(scaled, cohort)
    if test == "gradient":
        return gradients.measure(scaled, cohort, variants=gradients.VARIANTS[:1])
    return clusters.headline(cluster(scaled, cohort), cohort)
