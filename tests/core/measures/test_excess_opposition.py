"""Excess opposition: against plain loops over pairs of texts, exact cases, and noise as control."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from core.foundations import FOUNDATIONS
from core.measures import excess_opposition as excess
from core.measures import opposition
from core.measures.excess_opposition import measure
from core.measures.geometry import centred
from core.measures.result import ALL, HEADLINES
from tests.core.measures.test_opposition import made_cohort, noise, of_labels, planted

TOPIC = np.random.default_rng(5).normal(size=(5, 24))


def figures_of(measured, name=excess.NAME):
    return {one.part: one.observed for one in measured.figures if one.name == name}


def value(states, cohort, name=excess.NAME):
    return figures_of(measure(np.asarray(states, np.float32), cohort), name)[ALL].value


def plain(states, cohort, members, foundation):
    """Return a foundation's excess by a loop over all pairs of rows, same texts left out."""

    def inner(one, other):
        pairs = [
            states[a].astype(float) @ states[b]
            for a in one
            for b in other
            if cohort.text[a] != cohort.text[b]
        ]
        return np.mean(pairs)

    own = [members[2 * foundation], members[2 * foundation + 1]]
    noisy = [np.sum(states[rows].astype(float).mean(axis=0) ** 2) for rows in own]
    clean = [np.clip(inner(rows, rows) / size, 0, 1) for rows, size in zip(own, noisy, strict=True)]
    return np.sqrt(clean[0] * clean[1]) - inner(*own) / np.sqrt(noisy[0] * noisy[1])


@pytest.mark.parametrize("texts", [None, 110], ids=["each its own text", "shared texts"])
def test_figure_null_and_resamples_are_a_plain_loop(texts):
    cohort = made_cohort(220, texts=texts, shuffles=4, draws=4)
    states = planted(cohort, 0.5)
    found = measure(states, cohort)
    own = [np.flatnonzero(column) for column in cohort.members.T]
    expected = [plain(states, cohort, own, number) for number in range(5)]
    each = figures_of(found)
    np.testing.assert_allclose([each[one].value for one in FOUNDATIONS], expected, atol=1e-5)
    assert found.headline.name == HEADLINES["categorical"] == excess.NAME
    assert found.headline.observed.value == pytest.approx(np.mean(expected), abs=1e-5)
    for shuffle, taker in enumerate(cohort.takers):
        mixed = [taker[rows] for rows in own]
        null = np.mean([plain(states, cohort, mixed, number) for number in range(5)])
        assert found.null[shuffle] == pytest.approx(null, abs=1e-5)
    assert found.draws.mean() == pytest.approx(found.headline.observed.value, abs=1e-5)


@pytest.mark.parametrize(
    ("cosine", "expected"), [(1, 0), (0.5, 0.5), (0, 1), (-1, 2)], ids=["same", "near", "0", "-1"]
)
def test_without_noise_it_is_one_minus_the_cosine_whatever_the_topic(cosine, expected):
    cohort = made_cohort(200)
    centres = np.zeros((11, 24))
    centres[0:10:2, 0] = 1
    centres[1:10:2, :2] = cosine, np.sqrt(1 - cosine**2)
    states = 3 * centres[cohort.labels.dimension]
    assert value(states, cohort) == pytest.approx(expected, abs=1e-5)
    assert value(states, cohort, excess.CORRECTED) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("opposed", [0.9, 0, -0.6])
@pytest.mark.parametrize("topic", [0, 1, 4])
def test_noise_never_improves_it(opposed, topic):
    """The raw opposition does improve where there is a topic: it is drawn from -1 to 0."""
    ends, raw = [], []
    for size in (0, 2, 4, 8, 30):
        values = []
        for seed in range(6):
            cohort = made_cohort(400, seed)
            states = planted(cohort, opposed, seed=seed) + topic * TOPIC[cohort.foundation]
            more = size * np.random.default_rng([seed, size]).normal(size=states.shape)
            noisy = (states + more).astype(np.float32)
            values.append(value(noisy, cohort))
            raw.append(opposition.raw(noisy, cohort).headline.observed.value)
        ends.append((np.mean(values), np.std(values) / np.sqrt(6)))
    for (one, error), (other, wider) in pairwise(ends):
        assert other < one + 2 * np.hypot(error, wider)
    assert abs(ends[-1][0]) < 0.1  # what is left is noise
    if topic == 4:
        assert np.mean(raw[-6:]) > np.mean(raw[:6]) + 0.3


def test_noise_leaves_the_corrected_one_where_it_is():
    found = []
    for size in (0, 1.5):
        values = []
        for seed in range(20):
            cohort = made_cohort(600, seed)
            states = planted(cohort, 0.2, 1.5, seed=seed) + TOPIC[cohort.foundation]
            more = size * np.random.default_rng([seed, 9]).normal(size=states.shape)
            values.append(value(states + more, cohort, excess.CORRECTED))
        found.append(np.nanmean(values))
    assert found[1] == pytest.approx(found[0], abs=0.08)


def test_a_topic_alone_is_nothing():
    outside = 0
    for seed in range(60):
        cohort = made_cohort(200, seed, texts=150, shuffles=200)
        states = (noise(cohort, 24, seed) + 2 * TOPIC[cohort.foundation]).astype(np.float32)
        head = measure(states, cohort).headline
        outside += not head.shuffled.low <= head.observed.value <= head.shuffled.high
        assert abs(head.shuffled.value) < 0.1
    assert outside <= 9  # 3 expected; more than 9 once in 600 runs


def test_rotation_scale_and_order_change_nothing():
    cohort = made_cohort(200, texts=150, draws=30, shuffles=30)
    states = planted(cohort, 0.5)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))[0]
    first = measure(states, cohort)
    for other in (states @ turn.astype(np.float32), 1000 * states):
        again = measure(other.astype(np.float32), cohort)
        np.testing.assert_allclose(again.null, first.null, atol=1e-4)
        np.testing.assert_allclose(again.draws, first.draws, atol=1e-4)
    order = np.random.default_rng(0).permutation(200)
    labels = type(cohort.labels)(*(column[order] for column in cohort.labels))
    mixed = of_labels(labels, cohort.foundation[order])
    assert value(states[order], mixed) == pytest.approx(value(states, cohort), abs=1e-5)


def test_resamples_of_noisy_centres_spread_less_than_they_are_drawn(monkeypatch):
    cohort = made_cohort(300, 0, draws=200)
    states = np.random.default_rng(0).normal(size=(300, 48)).astype(np.float32)
    found = measure(states, cohort)
    monkeypatch.setattr(excess, "_stretch", lambda *_given: 1 / excess._STEP)
    plain = measure(states, cohort)
    assert found.headline.observed.value == plain.headline.observed.value
    assert np.nanstd(found.draws) < 0.9 * np.nanstd(plain.draws)


@pytest.mark.parametrize(("n", "width"), [(6, 40), (60, 20)], ids=["few rows", "many"])
def test_the_trace_of_a_squared_covariance_has_no_bias(n, width):
    rng = np.random.default_rng(0)
    spread = 1 / np.arange(1, width + 1) ** 0.5
    found, naive, mixed = [], [], []
    for _ in range(400):
        rows, others = (
            torch.tensor(spread * rng.normal(size=(n, width))) / np.sqrt(n - 1) for _ in range(2)
        )
        rows, others = (one - one.mean(dim=0) for one in (rows, others))
        found.append(excess._trace_of_square(rows))
        naive.append(float((rows.T @ rows).square().sum()))
        mixed.append(excess._cross(rows, others))
        plain = float(((rows.T @ rows) * (others.T @ others)).sum())
        assert mixed[-1] == pytest.approx(plain)
        assert naive[-1] == pytest.approx(float((rows @ rows.T).square().sum()))
    truth = (spread**4).sum()
    assert np.mean(found) == pytest.approx(truth, rel=0.1)
    assert np.mean(mixed) == pytest.approx(truth, rel=0.1)
    assert np.mean(naive) > (2 if n == 6 else 1.05) * truth


def test_two_poles_in_one_place_spread_as_noise_of_second_order():
    """Where the poles coincide, noise squared is all: variance (2 + s²) times the figure's."""
    states = np.random.default_rng(0).normal(size=(400, 30)).astype(np.float32) + 9
    poles = np.arange(400) % 2 == np.arange(2)[:, None]
    text = np.arange(400)
    rows = excess._Rows(torch.tensor(states), *[torch.zeros(1)] * 4)
    length = np.full((2, 1), float((states.mean(axis=0) ** 2).sum()))
    stretch = excess._stretch(rows, excess._Lengths(length, length, length[0]), poles, text)
    wanted = np.sqrt(200 / 199 / (2 + excess._STEP**2)) / excess._STEP
    assert stretch == pytest.approx(wanted, rel=0.12)
    states[poles[0], 0] += 40  # far apart: of first order
    rows = rows._replace(states=torch.tensor(states))
    stretch = excess._stretch(rows, excess._Lengths(length, length, length[0]), poles, text)
    assert stretch == pytest.approx(1 / excess._STEP, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "width", "strength", "opposed", "topic"),
    [
        (150, 12, 0.6, 0.5, 0),
        (300, 12, 0.6, 0.5, 0),
        (150, 12, 0.6, 0.5, 1),
        (300, 48, 0.3, 0.8, 1),
        (600, 100, 0.2, 0.3, 1),
        (300, 24, 1, 0, 2),
    ],
)
def test_the_interval_covers_what_repeated_studies_find_on_average(
    n, width, strength, opposed, topic
):
    covers = []  # of 300 sets: of 100 the share that is covered is uncertain by .05
    shared = topic * np.random.default_rng(5).normal(size=(5, width))
    for seed in range(300):
        cohort = made_cohort(n, seed, draws=300)
        states = planted(cohort, opposed, strength, width, seed) + shared[cohort.foundation]
        found = measure(centred(states.astype(np.float32)), cohort).headline.observed
        covers.append(found)
    value, low, high = np.transpose(covers)
    truth = value.mean()
    assert np.mean((low <= truth) & (truth <= high)) >= 0.9
    assert np.mean(high - low) < 5 * value.std()


@pytest.mark.parametrize("kept", [0, 2])
def test_too_few_texts_are_nothing_and_the_others_stay(kept):
    cohort = made_cohort(300, draws=20, shuffles=20)
    gone = np.flatnonzero(cohort.members[:, 0])[kept:]
    part = np.ones(300, bool)
    part[gone] = False
    less = cohort.take(part)
    each = figures_of(measure(planted(cohort, 0.5)[part], less))
    assert np.isnan(each[FOUNDATIONS[0]]).all()
    assert np.isfinite([each[one].value for one in (ALL, *FOUNDATIONS[1:])]).all()


@pytest.mark.parametrize("fill", [0, 1])
def test_states_that_do_not_differ_are_nothing_or_0(fill):
    cohort = made_cohort(300, draws=20, shuffles=20)
    found = value(np.full((300, 8), fill), cohort)
    assert np.isnan(found) if fill == 0 else found == pytest.approx(0, abs=1e-5)
