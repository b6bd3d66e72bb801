"""Selectivity of the probe: does it find the labels, or would it memorise any?

After Hewitt & Liang 2019 (https://aclanthology.org/D19-1275/). A control task has the same texts,
the same folds and the same kind of labels, but a text gets the label vector of another, chosen at
random for one of its words. Nothing but the word tells it, so it can be learnt only by memorising
words. What the probe reaches there, it reaches without any structure that the model has put into
its states.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.measures import probe_scores, probes
from core.measures.cohort import Cohort
from core.measures.result import estimate
from core.statistics.bootstrap import Estimate, group_numbers
from core.statistics.words import WORD

Floats = NDArray[np.float64]

#: Control tasks, each with random labels of its own.
TASKS: Final = 10
#: A word that more than this share of the texts have says too little about any.
_MOST_SHARED: Final = 0.05


class Selectivity(NamedTuple):
    """The probe's R² beside what it reaches on control tasks."""

    real: Estimate
    """R² of the ten dimensions on unseen texts, mean over those that vary."""

    control: Estimate
    """The same with the labels of control tasks, mean over the tasks."""

    difference: Estimate
    """Real minus control, on the same resamples of texts; tasks are resampled as well."""

    keys: int
    """Different words, or texts that share none, that labels were drawn for."""

    shared: float
    """Share of the texts whose word another text has as well: others cannot be memorised."""


def measure(
    states: NDArray[np.float32],
    cohort: Cohort,
    texts: Sequence[str],
    part: Cohort,
    *,
    tasks: int = TASKS,
) -> Selectivity:
    """Fit the probe to the labels and to each control task, and score both on some of the rows.

    Args:
        states: One layer, shape ``(n, d)``; not scaled.
        cohort: All rows.
        texts: Text of each row, ``n`` of them.
        part: The rows to score; its ``rows`` say where they stand among all.
        tasks: Control tasks.
    """
    key = control_keys(texts, cohort.text)
    real, drawn = _scored(states, cohort, part)
    rng = np.random.default_rng([cohort.seed, 11])
    found = [_scored(states, _relabelled(cohort, key, rng), part) for _ in range(tasks)]
    value = float(np.mean([one for one, _ in found]))
    each = np.stack([draws for _, draws in found])
    taken = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=each.shape[1]) / tasks
    mean = (taken.T * each).sum(axis=0)
    _, count = np.unique(key[np.unique(cohort.text, return_index=True)[1]], return_counts=True)
    return Selectivity(
        estimate(real, drawn),
        estimate(value, mean),
        estimate(real - value, drawn - mean),
        len(count),
        float(count[count > 1].sum() / max(count.sum(), 1)),
    )


def control_keys(texts: Sequence[str], text: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the word that decides a row's label in control tasks, as a number.

    Of a text's words that other texts have as well, but at most 5 % of all, the one that most have;
    a text without such a word is a key of its own.

    Args:
        texts: Text of each row.
        text: Number of each row's text, shape ``(n,)``.
    """
    first = np.unique(text, return_index=True)[1]
    words = [set(re.findall(WORD, texts[row].lower())) for row in first]
    count = Counter(word for own in words for word in own)
    most = max(2, _MOST_SHARED * len(words))
    keys = []
    for number, own in enumerate(words):
        shared = [(count[word], word) for word in own if 2 <= count[word] <= most]
        keys.append(max(shared)[1] if shared else f" {number}")
    return group_numbers(np.array(keys))[text]


def _relabelled(cohort: Cohort, key: NDArray[np.int64], rng: np.random.Generator) -> Cohort:
    """Return the rows with the label vector of one random row for each key."""
    given = rng.integers(len(cohort), size=int(key.max(initial=-1)) + 1)
    return replace(cohort, vectors=cohort.vectors[given[key]])


def _scored(
    states: NDArray[np.float32], cohort: Cohort, part: Cohort
) -> tuple[float, NDArray[np.float64]]:
    """Return R² of a probe fitted to a cohort's labels on some of its rows, and its resamples."""
    some = replace(part, vectors=cohort.vectors[part.rows])
    return probe_scores.resampled(probes.fit(states, cohort), cohort, some)
