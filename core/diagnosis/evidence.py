"""What the structure of a layer amounts to: three figures, each beside its controls.

A map shows structure in anything. So beside each figure stand what shuffled labels give, and what a
bag of words gives on the same texts; only what exceeds both speaks of more than words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states
from core.dataset.labels import Labels
from core.measures.geometry import closeness, typicality
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.store import Store
from core.statistics.bag_of_words import bag_of_words
from core.statistics.bootstrap import Estimate, bootstrap_correlation, chance
from core.statistics.neighbours import label_agreement, nearest, texts_by_size
from core.statistics.scaling import Scaling, fit_scaler
from core.statistics.words import counting_key

#: Neighbours that are asked for their labels.
ASKED: Final = 10

#: How a verdict follows, in words for the page.
RULE: Final = (
    "Rule: “beyond chance and word counts” only if the model's whole 95 % interval lies above the "
    "shuffled band and above the interval of a bag of words on the same texts (runs of "
    "characters where a script has no blanks). An untrained model "
    "sees the words too: compare with the control in the sidebar."
)

_FORMAT: Final = 3


@dataclass(frozen=True)
class Finding:
    """One figure with interval and controls."""

    name: str
    """Short name."""

    meaning: str
    """One sentence: what it measures."""

    observed: Estimate
    """The model's figure, 95 % interval over texts."""

    shuffled: Estimate
    """The same with labels shuffled: mean and 95 % band."""

    words: Estimate
    """The same from a bag of words, 95 % interval over texts."""

    @property
    def verdict(self) -> str:
        """What may be said, by one rule: intervals must not touch."""
        if np.isnan([self.observed.low, self.shuffled.high]).any():
            return "not computable"
        if self.observed.low <= self.shuffled.high:
            return "not distinguishable from chance"
        if np.isnan(self.words.high):  # comparing with NaN would be a claim without a control
            return "word counts not computable"
        if self.observed.low <= self.words.high:
            return "no better than word counts"
        return "beyond chance and word counts"


_MEANINGS: Final = {
    "Same foundation": "Share of an action's 10 nearest neighbours with its foundation",
    "Same pole": "Share of an action's 10 nearest neighbours with its pole",
    "Typicality": "Rank correlation of people's grade with closeness to the own centre",
}

#: Name of a finding -> its figure and its shuffled control.
Figures = dict[str, tuple[Estimate, Estimate]]


def evidence(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling
) -> list[Finding]:
    """Return the three findings of a layer, kept on disk.

    Raises:
        CoreError: The states are not stored, or are the same for every text.
    """
    model = model_figures(store, study, layer, pooling, scaling).get()
    words = word_figures(store, study, scaling).get()
    return [
        Finding(name, meaning, *model[name], words[name][0]) for name, meaning in _MEANINGS.items()
    ]


def model_figures(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling
) -> Made[Figures]:
    """Return the figures of a layer's states."""
    return _figures(
        store,
        study,
        {"states": {**study.plan.measured_key(layer, pooling), "scaling": scaling}},
        lambda: layer_states(store, study, layer, pooling, scaling).states[study.plan.rows],
    )


def word_figures(store: Store, study: Study, scaling: Scaling) -> Made[Figures]:
    """Return the same figures of a bag of words on the same prompts."""
    return _figures(
        store,
        study,
        {
            "states": "bag of words",
            "scaling": scaling,
            "prompts": study.plan.digest,
            **counting_key(study.plan.prompts),
            **study.plan.weighing(),
        },
        lambda: _word_states(study, scaling),
    )


def _figures(
    store: Store,
    study: Study,
    source: Mapping[str, Any],
    states: Callable[[], NDArray[np.float32]],
) -> Made[Figures]:
    return artefact(
        store,
        "evidence",
        {"format": _FORMAT, **source, "items": study.items.digest},
        read=read_json("figures.json", _read),
        write=write_json("figures.json", dict),
        make=lambda _: measure(states(), study.labels, study.members, study.items.foundation),
    )


def _read(kept: Mapping[str, Any]) -> Figures:
    return {name: (Estimate(*pair[0]), Estimate(*pair[1])) for name, pair in kept.items()}


def _word_states(study: Study, scaling: Scaling) -> NDArray[np.float32]:
    """Return the bag of words of each item, scaled as the model's states are."""
    counts = bag_of_words(study.plan.prompts)
    if np.ptp(counts, axis=0).max() == 0:  # only the template's words are shared
        return np.zeros((len(study.items), 1), np.float32)
    return fit_scaler(study.plan.fitted_rows(counts), scaling).apply(counts)[study.plan.rows]


def measure(
    states: NDArray[np.float32],
    labels: Labels,
    members: NDArray[np.bool_],
    foundation: NDArray[np.int8],
    *,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, tuple[Estimate, Estimate]]:
    """Return (figure with interval, shuffled control) for each finding.

    Args:
        states: Scaled states, shape ``(n, d)``.
        labels: Labels of the items.
        members: Which items make up each centre, shape ``(n, 10)``.
        foundation: Foundation of each item, shape ``(n,)``.
        draws: Number of shuffles.
        seed: Seed of shuffles and intervals.
    """
    near = nearest(states, ASKED, groups=labels.group).rows
    sign = np.where(labels.dimension < 0, 2, labels.dimension % 2)
    by_foundation = label_agreement(near, foundation, labels.group, draws=draws, seed=seed)
    by_pole = label_agreement(near, sign, labels.group, draws=draws, seed=seed)
    return {
        "Same foundation": (by_foundation.observed, by_foundation.shuffled),
        "Same pole": (by_pole.observed, by_pole.shuffled),
        "Typicality": _typicality(states, labels, members, draws, seed),
    }


def _typicality(
    states: NDArray[np.float32],
    labels: Labels,
    members: NDArray[np.bool_],
    draws: int,
    seed: int,
) -> tuple[Estimate, Estimate]:
    """Correlate human and model percentiles, the grades shuffled within their pole as control.

    As in ``label_agreement``, texts swap the grades of all their rows at once.
    """
    ranks = typicality(closeness(states, members, labels.group), labels)
    known = np.flatnonzero(~np.isnan(ranks.model))
    nothing = Estimate(np.nan, np.nan, np.nan)
    if len(known) < 3:
        return nothing, nothing
    human, model, pole = ranks.human[known], ranks.model[known], labels.dimension[known]
    observed = bootstrap_correlation(human, model, labels.group[known], seed=seed)
    rng = np.random.default_rng(seed)
    alike = [
        own[texts]
        for own in (np.flatnonzero(pole == one) for one in np.unique(pole))
        for texts in texts_by_size(labels.group[known][own])
    ]
    null = np.empty(draws)
    shuffled = np.arange(len(known))
    for draw in range(draws):
        for rows in alike:
            shuffled[rows] = rng.permutation(rows)
        null[draw] = _correlation(human[shuffled], model)
    return observed, chance(null)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")
