"""Selectivity: what memorises words has none, what holds the labels has."""

import dataclasses

import numpy as np
import pytest

from core.dataset.labels import Labels
from core.measures import probe_scores, probes
from core.measures.cohort import Cohort
from core.measures.selectivity import control_keys, measure

WORDS = [f"w{number:02d}" for number in range(40)]


def a_cohort(n=400, seed=0, draws=100):
    """Return texts of three words each, one of which 40 share; with random labels."""
    rng = np.random.default_rng(seed)
    dimension, grade = rng.integers(0, 10, n), rng.choice([0.25, 0.5, 0.75, 1.0], n)
    vectors = np.zeros((n, 10), np.float32)
    vectors[np.arange(n), dimension] = grade
    labels = Labels(dimension, grade, np.arange(n))
    members = np.zeros((n, 10), bool)
    cohort = Cohort(labels, dimension // 2, vectors, members, np.arange(n), draws, 0, seed)
    word = rng.integers(0, len(WORDS), n)
    return cohort, [f"the {WORDS[one]} x{number}" for number, one in enumerate(word)], word


def one_hot(word):
    """Return states that hold which word a text has, and nothing else."""
    return np.eye(len(WORDS), dtype=np.float32)[word]


def memorised(cohort, word):
    """Return the rows with labels that hang on the word alone, at random."""
    given = np.random.default_rng(9).integers(0, len(cohort), len(WORDS))
    return dataclasses.replace(cohort, vectors=cohort.vectors[given[word]])


def test_memorised_labels_have_no_selectivity():
    cohort, texts, word = a_cohort()
    found = measure(one_hot(word), memorised(cohort, word), texts, cohort.second_half)
    assert found.real.value > 0.7
    assert found.control.value > 0.7
    assert found.difference.low < 0 < found.difference.high


def test_as_many_parameters_as_texts_do_not_make_it_selective():
    cohort, texts, word = a_cohort(n=200)
    wide = np.random.default_rng(1).normal(size=(len(WORDS), 400)).astype(np.float32)[word]
    found = measure(wide, memorised(cohort, word), texts, cohort.second_half)
    assert found.real.value > 0.5
    assert found.difference.low < 0 < found.difference.high


def test_states_that_hold_the_labels_are_selective():
    cohort, texts, _ = a_cohort()
    rng = np.random.default_rng(2)
    states = (cohort.vectors @ rng.normal(size=(10, 24)) * 3).astype(np.float32)
    states += rng.normal(size=states.shape).astype(np.float32)
    found = measure(states, cohort, texts, cohort.second_half)
    assert found.difference.low > 0.3
    assert found.control.value < 0.05
    assert found.difference.value == pytest.approx(found.real.value - found.control.value)


def test_pure_noise_is_not_selective():
    cohort, texts, _ = a_cohort()
    states = np.random.default_rng(3).normal(size=(400, 24)).astype(np.float32)
    assert measure(states, cohort, texts, cohort.second_half).difference.low < 0


def test_the_real_figure_is_that_of_the_probe_on_the_same_rows():
    cohort, texts, _ = a_cohort()
    states = np.random.default_rng(4).normal(size=(400, 24)).astype(np.float32)
    part = cohort.second_half
    probe = probe_scores.headline(probes.fit(states, cohort), cohort, part).headline
    found = measure(states, cohort, texts, part, tasks=1)
    assert found.real == pytest.approx(probe.observed, abs=1e-6)


def test_more_tasks_make_the_control_surer():
    cohort, texts, word = a_cohort(draws=300)
    few, many = (
        measure(one_hot(word), cohort, texts, cohort.second_half, tasks=tasks).control
        for tasks in (2, 30)
    )
    assert many.high - many.low < few.high - few.low


def test_keys_are_shared_words_and_spelled_variants_have_one():
    texts = [
        "the old bridge",
        "an old cat",
        "an old dog",
        "the old sea",
        "Old!",
        "the dog",
        "zebra",
    ]
    texts += [f"the filler{number}" for number in range(93)]
    text = np.arange(100)
    keys = control_keys(texts, text)
    assert keys[0] == keys[1] == keys[2] == keys[3] == keys[4]  # "the" is everywhere, "old" in 5
    assert len({keys[4], keys[5], keys[6], *keys[7:]}) == 96
    assert control_keys(["a dog", "a dog.", "one cat"], np.array([0, 0, 1])).tolist() == [0, 0, 1]


def test_how_much_can_be_memorised_is_told():
    cohort, texts, _ = a_cohort()
    states = np.zeros((400, 2), np.float32)
    assert measure(states, cohort, texts, cohort, tasks=1).shared == 1
    alone = [f"only{number}" for number in range(400)]
    found = measure(states, cohort, alone, cohort, tasks=1)
    assert (found.shared, found.keys) == (0, 400)
