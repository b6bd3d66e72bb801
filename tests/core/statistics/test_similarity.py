"""Similarity of states: exact, invariant, agreeing with plain formulas, near 0 by chance."""

import numpy as np
import pytest

from core.statistics import similarity
from core.statistics.neighbours import nearest
from core.statistics.similarity import FEWEST, cka, cka_matrix, shared_neighbours


def some(n=90, d=12, seed=0):
    """Return states far from the origin, a few directions strong."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(n, d)) * 3.0 ** -np.arange(d) + rng.normal(size=d) * 5
    return states.astype(np.float32)


def related(states, d=7, seed=1, noise=0.4):
    rng = np.random.default_rng(seed)
    mixed = states @ rng.normal(size=(states.shape[1], d))
    return (mixed + noise * mixed.std(axis=0) * rng.normal(size=mixed.shape)).astype(np.float32)


def layers(*arrays):
    return [lambda one=one: one for one in arrays]


# Independent computations ------------------------------------------------------------------------


def plain_by_centred_grams(x, y):
    """Return HSIC as the trace of centred Gram matrices (Gretton et al. 2005), normalised."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, l = (h @ (s.astype(float) @ s.T.astype(float)) @ h for s in (x, y))  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def unbiased_hsic(x, y):
    """Return Song et al.'s estimator as it is printed, on raw similarities."""
    n = len(x)
    k, l = (s.astype(float) @ s.T.astype(float) for s in (x, y))  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)
    return (
        np.trace(k @ l)
        + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ l @ one)
    ) / (n * (n - 3))


def debiased(x, y):
    return unbiased_hsic(x, y) / np.sqrt(unbiased_hsic(x, x) * unbiased_hsic(y, y))


@pytest.mark.parametrize("noise", [0.05, 1.0, 5.0])
def test_cka_is_that_of_centred_gram_matrices(noise):
    x = some()
    y = related(x, noise=noise)
    found = cka(x, y)
    assert found.plain == pytest.approx(plain_by_centred_grams(x, y), abs=1e-6)
    assert found.observed.value == pytest.approx(debiased(x, y), abs=1e-6)


def test_a_matrix_holds_the_same_figures_whatever_the_blocks(monkeypatch):
    first, second = (some(seed=0), some(seed=3)), (related(some(seed=0)), some(d=5, seed=4))
    whole = cka_matrix(layers(*first), layers(*second))
    for i, x in enumerate(first):
        for j, y in enumerate(second):
            assert whole.debiased[i, j] == pytest.approx(debiased(x, y), abs=1e-6)
            assert whole.plain[i, j] == pytest.approx(plain_by_centred_grams(x, y), abs=1e-6)
    monkeypatch.setattr(similarity, "_CELLS", 4 * 90 * 7)  # seven rows at once, the last block less
    blocked = cka_matrix(layers(*first), layers(*second))
    np.testing.assert_allclose(blocked.debiased, whole.debiased, atol=1e-6)


def test_the_interval_is_the_jackknife_made_by_leaving_texts_out():
    x = some(n=40)
    y = related(x)
    without = np.array([debiased(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(40)])
    reach = 1.96 * np.sqrt(39 / 40 * ((without - without.mean()) ** 2).sum())
    found = cka(x, y).observed
    assert found.high - found.value == pytest.approx(reach, abs=1e-6)
    assert found.value - found.low == pytest.approx(reach, abs=1e-6)


# Invariances and controls ------------------------------------------------------------------------


def test_a_model_is_wholly_like_itself_turned_stretched_and_moved():
    x = some()
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(12, 12)))[0]
    y = (7 * x @ turn + 3).astype(np.float32)
    found = cka(x, y)
    assert found.observed.value == pytest.approx(1, abs=1e-6)
    assert found.plain == pytest.approx(1, abs=1e-6)
    assert found.shuffled.high < 0.2


def test_unrelated_wide_states_are_alike_only_for_the_plain_figure():
    rng = np.random.default_rng(5)
    x, y = (rng.normal(size=(60, 400)).astype(np.float32) for _ in range(2))
    found = cka(x, y)
    assert found.plain > 0.8
    assert abs(found.observed.value) < 0.1
    assert found.shuffled.low <= found.observed.value <= found.shuffled.high


def test_texts_paired_at_random_lie_in_the_band_and_paired_rightly_above_it():
    x = some()
    y = related(x)
    right = cka(x, y)
    wrong = cka(x, y[np.random.default_rng(6).permutation(len(y))])
    assert right.observed.low > right.shuffled.high
    assert wrong.observed.value < right.shuffled.high + 0.05


def test_the_same_inputs_give_the_same_bytes():
    x, y = some(), related(some())
    assert cka(x, y) == cka(x, y)
    assert cka(x, y, seed=1).shuffled != cka(x, y).shuffled


def test_a_layer_with_one_state_for_all_texts_has_no_similarity():
    x, flat = some(), np.ones((90, 4), np.float32)
    matrix = cka_matrix(layers(x, flat), layers(x))
    assert np.isnan(matrix.debiased[1, 0])
    assert matrix.debiased[0, 0] == pytest.approx(1, abs=1e-6)
    assert np.isnan(cka(x, flat).observed.value)


def test_too_few_or_other_texts_are_refused():
    with pytest.raises(ValueError, match=f"at least {FEWEST} texts, not 3"):
        cka(some(n=3), some(n=3))
    with pytest.raises(ValueError, match="same texts, not 90 and 80"):
        cka_matrix(layers(some()), layers(some(n=80)))


# Neighbours --------------------------------------------------------------------------------------


def test_shared_neighbours_by_hand():
    first = np.array([[1, 2], [0, 2], [0, 1], [2, 1]])
    second = np.array([[1, 3], [2, 0], [3, 0], [0, 1]])
    found = shared_neighbours(first, second)
    assert found.share.tolist() == [0.5, 1.0, 0.5, 0.5]
    assert found.observed.value == 0.625


def test_neighbours_of_unrelated_states_are_shared_as_often_as_by_chance():
    near = [nearest(some(n=300, seed=seed), 10).rows for seed in (0, 1)]
    found = shared_neighbours(*near)
    assert found.shuffled.value == pytest.approx(10 / 299, abs=0.004)
    assert found.shuffled.low <= found.observed.value <= found.shuffled.high
    itself = shared_neighbours(near[0], near[0])
    assert itself.observed == (1, 1, 1)
    assert itself.shuffled.high < 0.1
