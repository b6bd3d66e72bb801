"""Figures on test texts: against scipy and the project's own, their jackknife by leaving out."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score

from core.alignment.figures import (
    Figure,
    alignment_with,
    area,
    correlation,
    difference,
    gap,
    jackknifed,
    mean_of,
    ratio,
    similarity_of_distances,
)
from core.statistics.similarity import cka_matrix


def made(n=30, seed=0, d=6):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(n, 3))
    states = np.hstack([target, rng.normal(size=(n, d - 3))])
    return states / np.linalg.norm(states, axis=1, keepdims=True), target


def left_out(figure, *columns):
    n = len(columns[0])
    return [figure(*(np.delete(one, row, axis=0) for one in columns)).value for row in range(n)]


def test_similarity_of_distances_is_spearmans_over_all_pairs():
    states, target = made()
    first, second = np.triu_indices(len(states), 1)
    wanted = spearmanr(
        1 - (states @ states.T)[first, second],
        np.linalg.norm(target[first] - target[second], axis=1),
    ).statistic
    found = similarity_of_distances(states, target)
    assert found.value == pytest.approx(wanted, abs=1e-9)
    # Ranks stay those among all pairs, so leaving a text out agrees up to their small change.
    np.testing.assert_allclose(
        found.without, left_out(similarity_of_distances, states, target), atol=2e-3
    )
    assert len(set(found.without.round(6))) > 20


def test_similarity_does_not_change_when_states_are_turned_and_fails_for_shuffled_people():
    states, target = made(80)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    found = similarity_of_distances(states, target)
    assert similarity_of_distances(states @ turn, target).value == pytest.approx(found.value)
    shuffled = similarity_of_distances(states, np.random.default_rng(2).permutation(target))
    assert found.estimate.low > 0.2 > abs(shuffled.value)
    assert shuffled.estimate.low < 0 < shuffled.estimate.high


def test_cka_is_the_projects_own_and_its_jackknife_leaves_texts_out():
    states, target = made(seed=3)
    found = alignment_with(states, target)

    own = cka_matrix([lambda: states], [lambda: target]).debiased[0, 0]
    assert found.value == pytest.approx(own, abs=1e-4)
    np.testing.assert_allclose(found.without, left_out(alignment_with, states, target), atol=1e-9)


def test_area_and_correlation_are_those_of_the_libraries():
    rng = np.random.default_rng(4)
    values, grade = rng.normal(size=40).round(1), rng.normal(size=40)
    found = area(values, grade > 0)
    assert found.value == pytest.approx(roc_auc_score(grade > 0, values))
    np.testing.assert_allclose(found.without, left_out(area, values, grade > 0), atol=1e-12)
    assert correlation(values, grade).value == pytest.approx(spearmanr(values, grade).statistic)
    x, y = rankdata(values), rankdata(grade)
    without = [np.corrcoef(np.delete(x, row), np.delete(y, row))[0, 1] for row in range(40)]
    np.testing.assert_allclose(correlation(values, grade).without, without, atol=1e-12)


def test_a_jackknife_of_a_mean_is_the_usual_interval():
    values = np.random.default_rng(5).normal(size=200)
    without = (values.sum() - values) / 199
    found = jackknifed(float(values.mean()), without)
    half = 1.972 * values.std(ddof=1) / np.sqrt(200)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-3)


def test_a_difference_is_paired_over_texts_and_counts_seeds():
    values = np.random.default_rng(6).normal(size=50)

    def run(shift):
        return Figure(values.mean() + shift, (values.sum() - values) / 49 + shift)

    same = difference([run(0.2), run(0.2)], [run(0.0)])
    assert same.value == pytest.approx(0.2)
    assert same.high - same.low == pytest.approx(0, abs=1e-9)  # all texts move alike
    spread = difference([run(0.1), run(0.3)], [run(0.0)])
    assert spread.value == pytest.approx(0.2)
    assert spread.low < 0.01 < spread.high


def test_intervals_of_similarity_cover_what_many_draws_of_texts_give():
    rng = np.random.default_rng(7)
    values, estimates = [], []
    for _ in range(60):
        states, target = made(40, seed=rng.integers(2**31), d=9)
        found = similarity_of_distances(states, target)
        values.append(found.value)
        estimates.append(found.estimate)
    truth = np.mean(values)
    inside = np.mean([one.low <= truth <= one.high for one in estimates])
    assert inside >= 0.85


def test_ratios_means_and_gaps_leave_each_text_out():
    rng = np.random.default_rng(8)
    parts, weights, side = rng.normal(size=20), rng.integers(1, 9, 20) * 1.0, rng.normal(size=20)
    side[:3] = 0
    holed = np.where(np.arange(20) % 7, parts, np.nan)
    for found, figure, columns in (
        (parts.sum() / weights.sum(), ratio, (parts, weights)),
        (np.nanmean(holed), mean_of, (holed,)),
        (parts[side > 0].mean() - parts[side < 0].mean(), gap, (parts, side)),
    ):
        made_figure = figure(*columns)
        assert made_figure.value == pytest.approx(found)
        np.testing.assert_allclose(made_figure.without, left_out(figure, *columns), atol=1e-12)


def test_a_side_without_texts_has_no_gap():
    assert np.isnan(gap(np.ones(4), np.ones(4)).value)
