"""The ridge probe against plain recomputation, planted signal, pure noise and useless input."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binom, spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from core.dataset.labels import Labels
from core.foundations import DIMENSIONS
from core.measures import probe_scores, probe_shuffles, probes
from core.measures.cohort import Cohort
from core.measures.result import ALL, HEADLINES
from core.statistics import ridge, scores


def a_cohort(n=400, *, texts=None, seed=0, draws=20, shuffles=20, both=0.0):
    """Return a cohort of random poles and grades, a tenth neutral.

    Args:
        texts: Number of texts, each row of a random one; None: each row its own.
        both: Share of rows that have a second dimension too.
    """
    rng = np.random.default_rng(seed)
    dimension, grade = rng.integers(0, 10, n), rng.choice([0.25, 0.5, 0.75, 1.0], n)
    neutral = rng.random(n) < 0.1
    dimension[neutral], grade[neutral] = -1, 0
    foundation = np.where(neutral, rng.integers(0, 5, n), dimension // 2)
    group = np.arange(n) if texts is None else rng.integers(0, texts, n)
    vectors = np.zeros((n, 10), np.float32)
    vectors[~neutral, dimension[~neutral]] = grade[~neutral]
    more = rng.random(n) < both
    vectors[more, rng.integers(0, 10, more.sum())] = 0.5
    members = np.zeros((n, 10), bool)
    labels = Labels(dimension, grade, group)
    return Cohort(labels, foundation, vectors, members, np.arange(n), draws, shuffles, seed)


def with_vectors(cohort, vectors):
    return dataclasses.replace(cohort, vectors=np.asarray(vectors, np.float32))


def some_states(cohort, d=24, *, signal=3.0, seed=1):
    """Return states of one row per text, the moral vectors planted along random directions."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(cohort.n_texts, d))[cohort.text]
    planted = signal * cohort.vectors @ rng.normal(size=(10, d))
    return (noise + planted).astype(np.float32)


def folds_of(cohort):
    """Yield train, validation and test rows of each fold, written down a second time."""
    for k in range(5):
        test = np.isin(cohort.blocks, [2 * k, 2 * k + 1])
        validation = cohort.blocks == [2, 4, 6, 8, 0][k]
        yield ~test & ~validation, validation, test


def slow_fit(states, cohort, *, standardise=True, penalties=None):
    """Return predictions and penalties by scikit-learn, one fit at a time."""
    states, targets = states.astype(np.float64), cohort.vectors.astype(np.float64)
    found, chosen = np.full(targets.shape, np.nan), []
    for k, (train, validation, test) in enumerate(folds_of(cohort)):
        scaler = StandardScaler(with_std=standardise).fit(states[train])
        known, checked, new = (scaler.transform(states[rows]) for rows in (train, validation, test))
        unit = (known**2).sum(axis=0).mean()
        tried = []
        for penalty in ridge.PENALTIES if penalties is None else [penalties[k]]:
            model = Ridge(alpha=penalty * unit, solver="cholesky").fit(known, targets[train])
            error = ((model.predict(checked) - targets[validation]) ** 2).sum()
            tried.append((error, penalty, model.predict(new)))
        _, best, found[test] = min(tried, key=lambda one: one[0])
        chosen.append(best)
    return found, np.array(chosen)


def figure(measured, name, part=ALL):
    (found,) = (f for f in measured.figures if (f.name, f.part) == (name, part))
    return found


# The probe --------------------------------------------------------------------------------------


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("d", [24, 160], ids=["primal", "dual"])
def test_the_probe_is_what_scikit_learn_fits_fold_by_fold(standardise, d):
    cohort = a_cohort(200, texts=120)
    states = some_states(cohort, d, signal=0.3)
    states[:, 3] = 50 * states[:, 3] + 1000
    states[:, 5] *= 0.01
    probe = probes.fit(states, cohort, standardise=standardise)
    expected, penalty = slow_fit(states, cohort, standardise=standardise)
    np.testing.assert_allclose(probe.penalty, penalty)
    np.testing.assert_allclose(probe.prediction, expected, atol=1e-6)


def test_penalties_are_chosen_on_validation_and_differ_with_the_signal():
    cohort = a_cohort()
    clear, weak = (
        probes.fit(some_states(cohort, signal=signal), cohort).penalty for signal in (9, 0.05)
    )
    assert clear.max() < weak.min()


def test_primal_and_dual_are_the_same_ridge():
    cohort = a_cohort(300)
    targets = torch.as_tensor(cohort.vectors).double()
    for d in (40, 220):
        rows = ridge.scaled(torch.as_tensor(some_states(cohort, d)).double(), standardise=True)
        blocks = tuple(torch.as_tensor(np.flatnonzero(cohort.blocks == one)) for one in range(10))
        fold = probes.fold_of(blocks, 1)
        primal, dual = (
            ridge.solved(rows, targets, fold, dual=dual, rescale=True) for dual in (False, True)
        )
        assert primal[0] == dual[0]
        torch.testing.assert_close(primal[1], dual[1], atol=1e-8, rtol=0)


@pytest.mark.parametrize("texts", [None, 120])
def test_no_text_is_learnt_from_and_tested(texts):
    cohort = a_cohort(texts=texts)
    probe = probes.fit(some_states(cohort), cohort)
    blocks = tuple(torch.as_tensor(np.flatnonzero(cohort.blocks == one)) for one in range(10))
    seen = np.zeros(len(cohort), int)
    for k in range(probes.FOLDS):
        parts = [cohort.labels.group[rows.numpy()] for rows in probes.fold_of(blocks, k)]
        for one, other in itertools.combinations(parts, 2):
            assert not set(one) & set(other)
        assert sum(map(len, parts)) == len(cohort)
        assert set(parts[2]) == set(cohort.labels.group[probe.fold == k])
        seen[probes.fold_of(blocks, k).test.numpy()] += 1
    assert (seen == 1).all()


def test_a_test_rows_own_target_changes_nothing_about_its_prediction():
    cohort = a_cohort(texts=250)
    states = some_states(cohort)
    probe = probes.fit(states, cohort)
    other = cohort.vectors.copy()
    other[probe.fold == 2] = 1 - other[probe.fold == 2]
    again = probes.fit(states, with_vectors(cohort, other))
    same = probe.fold == 2
    np.testing.assert_allclose(again.prediction[same], probe.prediction[same], atol=1e-12)
    assert np.abs(again.prediction[~same] - probe.prediction[~same]).max() > 0.01


def test_a_standardised_probe_does_not_depend_on_the_scale_of_coordinates():
    cohort = a_cohort()
    states = some_states(cohort)
    scale = (10.0 ** np.random.default_rng(2).uniform(-2, 3, states.shape[1])).astype(np.float32)
    plain, changed = (probes.fit(x, cohort) for x in (states, states * scale + scale))
    np.testing.assert_allclose(changed.prediction, plain.prediction, atol=1e-4)
    raw = probes.fit(states * scale + scale, cohort, standardise=False)
    assert np.abs(raw.prediction - plain.prediction).max() > 0.01


def test_an_unscaled_probe_does_not_depend_on_rotation():
    cohort = a_cohort()
    states = some_states(cohort)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(24, 24)))[0]
    turned = (states @ turn).astype(np.float32)
    plain, changed = (probes.fit(x, cohort, standardise=False) for x in (states, turned))
    np.testing.assert_allclose(changed.prediction, plain.prediction, atol=1e-5)


def test_constant_coordinates_change_nothing():
    cohort = a_cohort()
    states = some_states(cohort)
    constant = np.full((len(states), 3), [0, 88_064, 0.1], np.float32)
    constant[0, 1] = np.nextafter(np.float32(88_064), np.float32(np.inf))
    plain = probes.fit(states, cohort, standardise=True)
    more = probes.fit(np.hstack([states, constant]), cohort)
    # The unit of the penalty is a mean over 27 coordinates instead of 24: next to nothing.
    np.testing.assert_allclose(more.prediction, plain.prediction, atol=0.02)


def test_a_coordinate_that_only_test_rows_vary_in_does_not_explode():
    cohort = a_cohort()
    states = some_states(cohort)
    spike = np.zeros((len(states), 1), np.float32)
    spike[7] = 1e6
    probe = probes.fit(np.hstack([states, spike]), cohort)
    assert np.abs(probe.prediction).max() < 5


def test_wide_states_are_reduced_the_same_way_every_time(monkeypatch):
    monkeypatch.setattr(probes, "MOST_WIDTH", 40)
    monkeypatch.setattr(probes, "MOST_DUAL", 10)
    monkeypatch.setattr(ridge, "MOST_WIDTH", 40)
    cohort = a_cohort(shuffles=3)
    states = some_states(cohort, 35, signal=0.5)
    states = (states @ np.random.default_rng(3).normal(size=(35, 60))).astype(np.float32)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    probe = probes.fit(states, cohort)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    np.testing.assert_array_equal(probes.fit(states, cohort).prediction, probe.prediction)
    assert probe.states.shape == (len(cohort), 40)
    scaled = StandardScaler().fit_transform(states.astype(np.float64))
    left, size, _ = np.linalg.svd(scaled, full_matrices=False)
    expected, _ = slow_fit((left * size)[:, :40], cohort, standardise=False)
    np.testing.assert_allclose(probe.prediction, expected, atol=1e-4)


# Scores -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured_set():
    """Return states, cohort, probe and figures of a set with shared texts and second dimensions."""
    cohort = a_cohort(500, texts=350, both=0.2, draws=200, shuffles=60)
    states = some_states(cohort, signal=0.4)
    probe = probes.fit(states, cohort)
    return states, cohort, probe, probe_scores.measure(probe, cohort)


def test_r2_is_that_of_scikit_learn(measured_set):
    _, cohort, probe, measured = measured_set
    truth = cohort.vectors.astype(np.float64)
    each = r2_score(truth, probe.prediction, multioutput="raw_values")
    for dimension, value in zip(DIMENSIONS, each, strict=True):
        assert figure(measured, "R²", dimension).observed.value == pytest.approx(value, abs=1e-9)
    assert measured.headline.observed.value == pytest.approx(each.mean(), abs=1e-9)
    weighted = r2_score(truth, probe.prediction, multioutput="variance_weighted")
    assert figure(measured, "R² weighted").observed.value == pytest.approx(weighted, abs=1e-9)


def test_auroc_is_that_of_scikit_learn(measured_set):
    _, cohort, probe, measured = measured_set
    each = [roc_auc_score(cohort.vectors[:, j] > 0, probe.prediction[:, j]) for j in range(10)]
    for dimension, value in zip(DIMENSIONS, each, strict=True):
        assert figure(measured, "AUROC", dimension).observed.value == pytest.approx(value, abs=1e-9)
    assert figure(measured, "AUROC").observed.value == pytest.approx(np.mean(each), abs=1e-9)


def test_rank_correlation_is_that_of_scipy_and_averaged_by_fisher(measured_set):
    _, cohort, probe, measured = measured_set
    z, n = [], []
    for j, dimension in enumerate(DIMENSIONS):
        rows = cohort.vectors[:, j] > 0
        value = spearmanr(probe.prediction[rows, j], cohort.vectors[rows, j]).statistic
        found = figure(measured, "rank correlation", dimension)
        assert found.observed.value == pytest.approx(value, abs=1e-9)
        assert found.n == rows.sum()
        z.append(np.arctanh(value))
        n.append(rows.sum() - 3)
    expected = np.tanh(np.average(z, weights=n))
    assert figure(measured, "rank correlation").observed.value == pytest.approx(expected, abs=1e-9)


def test_ties_count_half():
    prediction = np.round(np.random.default_rng(0).normal(size=(300, 10)), 0)
    targets = a_cohort(300).vectors.astype(np.float64)
    itself = torch.arange(300)[None]
    found = scores.ranked(torch.as_tensor(prediction)[:, None], torch.as_tensor(targets), itself)
    for j in range(10):
        rows = targets[:, j] > 0
        assert found.auroc[0, j] == pytest.approx(roc_auc_score(rows, prediction[:, j]), abs=1e-9)
        value = spearmanr(prediction[rows, j], targets[rows, j]).statistic
        assert found.correlation[0, j] == pytest.approx(value, abs=1e-9)


def test_draws_of_auroc_are_weighted_aurocs():
    cohort = a_cohort(300, texts=200, draws=4)
    prediction = np.round(np.random.default_rng(0).normal(size=(300, 10)), 1)
    found = scores.auroc_draws(
        torch.as_tensor(prediction),
        torch.as_tensor(cohort.vectors),
        torch.as_tensor(cohort.text),
        cohort.weights,
    )
    for b, j in itertools.product(range(4), range(10)):
        weight = cohort.weights[b][cohort.text]
        expected = roc_auc_score(cohort.vectors[:, j] > 0, prediction[:, j], sample_weight=weight)
        assert found[b, j] == pytest.approx(expected, abs=1e-9)


def nothing_taught(_probe, cohort, parts):
    return [np.zeros((cohort.n_texts, 10)) for _ in parts]


def test_draws_of_r2_and_correlation_are_those_of_repeated_rows(measured_set, monkeypatch):
    _, cohort, probe, _ = measured_set
    monkeypatch.setattr(probe_scores, "_pulls", nothing_taught)
    measured = probe_scores.measure(probe, cohort)
    assert measured.draws.mean() == pytest.approx(measured.headline.observed.value, abs=1e-6)
    apart = measured.draws - measured.draws[0]
    truth = cohort.vectors.astype(np.float64)
    found = scores.correlation_draws(probe.prediction, truth, cohort.text, cohort.weights)
    first = None
    for b in range(5):
        weight = cohort.weights[b][cohort.text]
        repeated = np.repeat(np.arange(len(cohort)), weight)
        expected = r2_score(truth[repeated], probe.prediction[repeated])
        first = expected if first is None else first
        assert apart[b] == pytest.approx(expected - first, abs=1e-6)
        for j in range(10):
            rows = np.flatnonzero(truth[:, j] > 0)
            x, y = (scores.percentile_rank(v[rows, j]) for v in (probe.prediction, truth))
            cov = np.cov(x, y, fweights=weight[rows])
            assert found[b, j] == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))


@pytest.mark.parametrize("d", [24, 160], ids=["primal", "dual"])
def test_what_a_text_teaches_is_what_refitting_with_more_of_it_changes(d, monkeypatch):
    monkeypatch.setattr(probe_scores, "_LEAST_TAUGHT", 1.0)  # nothing is taken off
    cohort = a_cohort(200, texts=150)
    states = some_states(cohort, d)
    probe, tested = probes.fit(states, cohort), np.flatnonzero(cohort.first_half)
    whole, part = probe_scores._pulls(probe, cohort, [np.arange(len(cohort)), tested])
    targets = cohort.vectors.astype(np.float64)
    for text in (3, 40, 100):
        own, expected = cohort.text == text, np.zeros((2, 10))
        for k, (train, _, test) in enumerate(folds_of(cohort)):
            scaler = StandardScaler().fit(states[train])
            known, new = scaler.transform(states[train]), scaler.transform(states[test])
            alpha, errors = probe.penalty[k] * (known**2).sum(axis=0).mean(), []
            for more in (-0.01, 0.01):
                weight = 1 + more * own[train]
                model = Ridge(alpha=alpha).fit(known, targets[train], sample_weight=weight)
                errors.append((model.predict(new) - targets[test]) ** 2)
            change = (errors[1] - errors[0]) / 0.02
            expected += [
                change.sum(axis=0),
                change[np.isin(np.flatnonzero(test), tested)].sum(axis=0),
            ]
        np.testing.assert_allclose([whole[text], part[text]], expected, rtol=2e-3, atol=1e-4)


@pytest.mark.slow
def test_the_interval_of_r2_covers_what_repeated_studies_find_on_average():
    found, axes = [], np.random.default_rng(0).normal(size=(10, 60)) / 4
    for seed in range(60):
        cohort = a_cohort(300, seed=seed, draws=200, shuffles=0)
        noise = np.random.default_rng([seed, 1]).normal(size=(300, 60))
        probe = probes.fit((noise + cohort.vectors @ axes).astype(np.float32), cohort)
        found.append(probe_scores.headline(probe, cohort, cohort).headline.observed)
    values = [one.value for one in found]
    truth = np.mean(values)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.88
    assert np.mean([one.high - one.low for one in found]) < 6 * np.std(values)


def test_blocks_of_draws_change_nothing(monkeypatch, measured_set):
    _, cohort, probe, measured = measured_set
    monkeypatch.setattr(scores, "_BLOCK_CELLS", 4000)
    monkeypatch.setattr(probe_shuffles, "_BLOCK", 7)
    monkeypatch.setattr(probe_scores, "_TESTED_AT_ONCE", 9)
    again = probe_scores.measure(probe, cohort)
    for one, other in zip(measured.figures, again.figures, strict=True):
        assert one[:4] == other[:4]
        np.testing.assert_allclose(other.observed, one.observed, atol=1e-6)
        np.testing.assert_allclose(other.shuffled, one.shuffled, atol=1e-5)


# Shuffled labels --------------------------------------------------------------------------------


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("d", [24, 160], ids=["primal", "dual"])
def test_predictions_of_shuffled_labels_are_those_of_refitting(standardise, d):
    cohort = a_cohort(200, texts=150, both=0.2, shuffles=3)
    states = some_states(cohort, d, signal=0.3)
    states[:, 3] = 50 * states[:, 3] + 1000
    probe = probes.fit(states, cohort, standardise=standardise)
    (block,) = probe_shuffles.refitted(probe, cohort)
    null = probe_scores.measure(probe, cohort).null
    for b in range(3):
        vectors = np.empty_like(cohort.vectors)
        vectors[cohort.takers[b]] = cohort.vectors
        expected, _ = slow_fit(
            states, with_vectors(cohort, vectors), standardise=standardise, penalties=probe.penalty
        )
        moved = block.prediction[:, b].cpu().numpy()
        np.testing.assert_allclose(moved, expected, atol=1e-5)
        assert null[b] == pytest.approx(r2_score(vectors, expected), abs=1e-4)


def test_scores_of_shuffled_order_are_those_of_the_shuffled_labels():
    cohort = a_cohort(texts=300, both=0.2, shuffles=3)
    probe = probes.fit(some_states(cohort, signal=0.3), cohort)
    (block,) = probe_shuffles.refitted(probe, cohort)
    found = scores.ranked(
        block.prediction.cpu(), torch.as_tensor(cohort.vectors), block.takers.cpu()
    )
    for b, j in itertools.product(range(3), range(10)):
        labels = np.empty(len(cohort))
        labels[cohort.takers[b]] = cohort.vectors[:, j]
        rows, predicted = labels > 0, block.prediction[:, b, j].cpu().numpy()
        assert found.auroc[b, j] == pytest.approx(roc_auc_score(rows, predicted), abs=1e-9)
        value = spearmanr(predicted[rows], labels[rows]).statistic
        assert found.correlation[b, j] == pytest.approx(value, abs=1e-9)


def test_shuffled_labels_lie_inside_the_band_about_nineteen_times_in_twenty():
    runs, inside = 40, 0
    for seed in range(runs):
        cohort = a_cohort(150, seed=seed, draws=0, shuffles=200)
        states = some_states(cohort, 8, signal=0, seed=seed + 1000)
        everything = np.ones(len(cohort), bool)
        head = probe_scores.headline(
            probes.fit(states, cohort), cohort, cohort.take(everything)
        ).headline
        inside += head.shuffled.low <= head.observed.value <= head.shuffled.high
    low, high = binom.ppf([0.0005, 0.9995], runs, 0.95)
    assert low <= inside <= high


def test_planted_signal_is_far_above_the_band():
    cohort = a_cohort(draws=200, shuffles=100)
    head = probe_scores.measure(probes.fit(some_states(cohort), cohort), cohort).headline
    assert head.observed.value > 0.8
    assert head.observed.low > head.shuffled.high
    assert head.observed.low < head.observed.value < head.observed.high


def test_repeated_texts_with_random_labels_give_nothing():
    cohort = a_cohort(600, texts=100, draws=0, shuffles=0)
    states = some_states(cohort, 300, signal=0)
    assert probe_scores.measure(probes.fit(states, cohort), cohort).headline.observed.value < 0.02
    leaking = dataclasses.replace(
        cohort, labels=cohort.labels._replace(group=np.arange(len(cohort)))
    )
    copies = with_vectors(leaking, a_cohort(100, seed=3).vectors[cohort.text])
    leaked = probe_scores.measure(probes.fit(states, copies), copies).headline.observed.value
    honest = with_vectors(cohort, copies.vectors)
    assert (
        leaked
        > 0.5
        > 0.05
        > probe_scores.measure(probes.fit(states, honest), honest).headline.observed.value
    )


# Part of the rows -------------------------------------------------------------------------------


def test_the_headline_of_all_rows_is_that_of_the_measure(measured_set):
    _, cohort, probe, measured = measured_set
    found = probe_scores.headline(probe, cohort, cohort.take(np.ones(len(cohort), bool)))
    assert found.headline == measured.headline
    np.testing.assert_array_equal(found.draws, measured.draws)
    np.testing.assert_array_equal(found.null, measured.null)


def test_a_part_is_scored_by_the_same_predictions_and_shuffles(measured_set):
    _, cohort, probe, _ = measured_set
    rows = cohort.first_half
    found = probe_scores.headline(probe, cohort, cohort.take(rows))
    truth = cohort.vectors.astype(np.float64)
    expected = r2_score(truth[rows], probe.prediction[rows])
    assert found.headline.observed.value == pytest.approx(expected, abs=1e-9)
    assert found.headline.n == rows.sum()
    assert len(found.draws) == cohort.draws
    assert found.draws.mean() == pytest.approx(expected, abs=1e-6)
    block = next(probe_shuffles.refitted(probe, cohort))
    labels = block.targets[:, 2].cpu().numpy()[rows], block.prediction[:, 2].cpu().numpy()[rows]
    assert found.null[2] == pytest.approx(r2_score(*labels), abs=1e-4)


def test_a_part_without_rows_has_no_figure(measured_set):
    _, cohort, probe, _ = measured_set
    found = probe_scores.headline(probe, cohort, cohort.take(np.zeros(len(cohort), bool)))
    assert np.isnan(found.headline.observed).all()
    assert np.isnan(found.headline.shuffled).all()
    assert len(found.draws) == cohort.draws
    assert len(found.null) == cohort.shuffles


# Shape of the result and useless input ----------------------------------------------------------


def test_figures_come_in_order_and_once(measured_set):
    *_, measured = measured_set
    names = [(f.name, f.part) for f in measured.figures]
    assert names[0] == (HEADLINES["dimensional"], ALL)
    assert len(set(names)) == len(names) == 3 * 11 + 1
    assert {f.test for f in measured.figures} == {"dimensional"}
    assert measured.draws.shape == (200,)
    assert measured.null.shape == (60,)


def test_without_draws_and_shuffles_there_are_figures_only():
    cohort = a_cohort(draws=0, shuffles=0)
    measured = probe_scores.measure(probes.fit(some_states(cohort), cohort), cohort)
    assert len(measured.draws) == len(measured.null) == 0
    for f in measured.figures:
        assert np.isfinite(f.observed.value)
        assert np.isnan([*f.observed[1:], *f.shuffled]).all()


def test_a_dimension_nobody_has_is_left_out_of_the_mean():
    cohort = a_cohort()
    vectors = cohort.vectors.copy()
    vectors[:, 4] = 0
    cohort = with_vectors(cohort, vectors)
    measured = probe_scores.measure(probes.fit(some_states(cohort), cohort), cohort)
    for name in ("R²", "AUROC", "rank correlation"):
        assert np.isnan([*figure(measured, name, DIMENSIONS[4]).observed]).all()
        assert np.isnan([*figure(measured, name, DIMENSIONS[4]).shuffled]).all()
        assert np.isfinite([*figure(measured, name).observed]).all()
    others = [figure(measured, "R²", DIMENSIONS[j]).observed.value for j in range(10) if j != 4]
    assert measured.headline.observed.value == pytest.approx(np.mean(others))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_a_handful_of_rows_neither_fails_nor_warns(n):
    cohort = a_cohort(n)
    states = some_states(cohort, 4)
    measured = probe_scores.measure(probes.fit(states, cohort), cohort)
    assert len(measured.figures) == 34
    assert len(measured.draws) == len(measured.null) == 20
    if n < 3:
        assert all(np.isnan([*f.observed, *f.shuffled]).all() for f in measured.figures)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_constant_targets_are_not_computable(value):
    cohort = a_cohort(60)
    cohort = with_vectors(cohort, np.full((60, 10), value))
    measured = probe_scores.measure(probes.fit(some_states(cohort), cohort), cohort)
    assert all(np.isnan([*f.observed, *f.shuffled]).all() for f in measured.figures)


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("d", [6, 200], ids=["primal", "dual"])
def test_constant_states_are_not_computable(standardise, d):
    cohort = a_cohort(60)
    states = np.full((60, d), 0.1, np.float32)
    probe = probes.fit(states, cohort, standardise=standardise)
    assert np.isnan(probe.prediction).all()
    assert np.isnan(probe.penalty).all()
    measured = probe_scores.measure(probe, cohort)
    assert all(np.isnan([*f.observed, *f.shuffled]).all() for f in measured.figures)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_gives_what_the_processor_gives(monkeypatch, measured_set):
    states, cohort, _, _ = measured_set
    found = probe_scores.measure(probes.fit(states, cohort), cohort)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = probe_scores.measure(probes.fit(states, cohort), cohort)
    for one, other in zip(found.figures, expected.figures, strict=True):
        np.testing.assert_allclose(one.observed, other.observed, atol=1e-5)
        np.testing.assert_allclose(one.shuffled, other.shuffled, atol=1e-4)


def test_wide_states_are_scaled_where_they_lie():
    rows = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).double()
    rows[:, 2] = 3.0
    expected = ((rows - rows.mean(dim=0)) / rows.std(dim=0, correction=0))[:, [0, 1, 3, 4, 5]]
    for standardise in (True, False):
        own = rows.clone()
        found = ridge.scaled(own, standardise=standardise)
        assert found.data_ptr() == own.data_ptr()  # a second copy would be half a gigabyte
        assert (found[:, 2] == 0).all()
    found = ridge.scaled(rows, standardise=True)
    torch.testing.assert_close(found[:, [0, 1, 3, 4, 5]], expected)
