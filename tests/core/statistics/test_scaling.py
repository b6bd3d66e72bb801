"""What is taken off the states before they are measured."""

from typing import get_args

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA

from core.statistics import scaling as statistics_scaling
from core.statistics.scaling import Scaling, fit_scaler

ALL = get_args(Scaling)
#: Those that mix coordinates.
MIXED = ("top-removed", "whitened")


@pytest.fixture
def states():
    """Return rows far from the origin: one huge, one tiny, one constant coordinate."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(200, 6)).astype(np.float32)
    states[:, 0] = states[:, 0] * 20_000 + 80_000
    states[:, 1] = states[:, 1] * 0.01 + 5
    states[:, 2] = 7.25
    return states


def test_by_hand():
    states = np.array([[1, 10], [3, 10], [5, 10]], np.float32)
    scaled = fit_scaler(states, "standardised").apply(states)
    step = np.sqrt(1.5)
    np.testing.assert_allclose(scaled, [[-step, 0], [0, 0], [step, 0]], atol=1e-6)
    np.testing.assert_array_equal(
        fit_scaler(states, "centred").apply(states), [[-2, 0], [0, 0], [2, 0]]
    )


def test_every_coordinate_gets_mean_0_and_variance_1(states):
    scaled = fit_scaler(states, "standardised").apply(states).astype(float)
    varying = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled[:, varying].std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("scaling", ALL)
def test_a_constant_coordinate_stays_constant_and_finite(states, scaling):
    scaled = fit_scaler(states, scaling).apply(states)
    np.testing.assert_allclose(scaled[:, 2], 7.25 if scaling == "raw" else 0, atol=1e-6)
    assert np.isfinite(scaled).all()


def test_rounding_of_a_constant_coordinate_is_not_blown_up(states):
    states[:, 2] = np.float32(1e4) + np.linspace(0, 0.0019, len(states), dtype=np.float32)
    scaled = fit_scaler(states, "standardised").apply(states)
    assert np.abs(scaled[:, 2]).max() < 0.01


def test_centred_only_shifts(states):
    moved = fit_scaler(states, "centred").apply(states)
    shift = states.astype(float) - moved
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=0.01)
    np.testing.assert_allclose(np.diff(moved, axis=0), np.diff(states, axis=0), atol=0.01)


@pytest.mark.parametrize("scaling", ALL)
def test_a_new_row_is_scaled_as_the_known_ones_were(states, scaling):
    scaler = fit_scaler(states, scaling)
    known = scaler.apply(states)
    assert known.dtype == np.float32
    loose = {"rtol": 1e-6, "atol": 1e-6} if scaling in MIXED else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(scaler.apply(states[17]), known[17], **loose)
    np.testing.assert_allclose(scaler.apply(states[[3]])[0], known[3], **loose)
    assert scaler.apply(states[17]).shape == (6,)
    middle = states.mean(axis=0, dtype=float)
    expected = middle.astype(np.float32) if scaling == "raw" else np.zeros(6, np.float32)
    np.testing.assert_array_equal(scaler.apply(middle), expected)


def test_a_scaler_depends_on_the_states_it_was_fitted_on_alone(states):
    for scaling in ALL:
        scaler = fit_scaler(states, scaling)
        few = scaler.apply(states[:5])
        np.testing.assert_allclose(few, scaler.apply(states)[:5], rtol=1e-6, atol=1e-6)


def test_standardised_states_do_not_depend_on_the_scale_of_a_coordinate(states):
    other = states * np.array([1e-3, 1e3, 1, 2, 0.5, 8], np.float32)
    np.testing.assert_allclose(
        fit_scaler(states, "standardised").apply(states),
        fit_scaler(other, "standardised").apply(other),
        atol=1e-3,
    )


def test_states_are_not_written_to(states):
    states.flags.writeable = False  # as they come from the store
    for scaling in ALL:
        scaled = fit_scaler(states, scaling).apply(states)
        assert not np.shares_memory(scaled, states)
        assert scaled.flags.writeable


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("scaling", ALL)
def test_rows_that_are_all_the_same_stay_finite(scaling, n):
    states = np.full((n, 3), 1e6, np.float32)
    scaled = fit_scaler(states, scaling).apply(states)
    np.testing.assert_array_equal(scaled, 1e6 if scaling == "raw" else 0)


def test_raw_is_what_comes_in(states):
    np.testing.assert_array_equal(fit_scaler(states, "raw").apply(states), states)


@pytest.mark.parametrize("scaling", MIXED)
def test_blocks_of_rows_change_nothing(states, scaling, monkeypatch):
    whole = fit_scaler(states, scaling).apply(states)
    monkeypatch.setattr(statistics_scaling, "BLOCK", 7)
    np.testing.assert_allclose(fit_scaler(states, scaling).apply(states), whole, atol=1e-4)


# Principal directions ---------------------------------------------------------------------------


def correlated(n, d, rank=None, seed=0):
    """Return states of uneven spread, off the origin, of the rank that is asked for."""
    rng = np.random.default_rng(seed)
    rank = rank or d
    latent = rng.normal(size=(n, rank)) * np.geomspace(10, 0.5, rank)
    return (latent @ rng.normal(size=(rank, d)) + rng.normal(size=d) * 5).astype(np.float32)


@pytest.mark.parametrize(("n", "d", "removed"), [(400, 30, 1), (900, 250, 2), (120, 300, 3)])
def test_top_removed_is_centred_less_the_leading_components(n, d, removed):
    states = correlated(n, d)
    found = fit_scaler(states, "top-removed").apply(states)
    fitted = PCA(removed, svd_solver="full").fit(states.astype(float))
    centred = states - states.mean(axis=0, dtype=float)
    expected = centred - centred @ fitted.components_.T @ fitted.components_
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found @ fitted.components_.T, 0, atol=1e-2)
    np.testing.assert_allclose(found.mean(axis=0, dtype=float), 0, atol=1e-4)


def test_top_removed_takes_a_direction_off_new_states_too():
    states = correlated(300, 20)
    scaler = fit_scaler(states, "top-removed")
    top = PCA(1, svd_solver="full").fit(states.astype(float)).components_[0]
    new = states[0].astype(float)
    np.testing.assert_allclose(scaler.apply(new + 1000 * top), scaler.apply(new), atol=1e-2)


def test_something_is_left_of_few_texts():
    states = correlated(8, 4000)  # 40 directions would take all of them
    scaled = fit_scaler(states, "top-removed").apply(states)
    spread = np.linalg.svd(scaled.astype(float), compute_uv=False)
    np.testing.assert_array_equal(spread > 1e-3 * spread[0], [True] * 4 + [False] * 4)


@pytest.mark.parametrize("scaling", MIXED)
def test_states_on_a_line_or_of_one_coordinate_stay_finite_and_differ(scaling):
    for states in (correlated(50, 6, rank=1), correlated(50, 1), correlated(2, 5)):
        scaled = fit_scaler(states, scaling).apply(states)
        assert np.isfinite(scaled).all()
        assert np.ptp(scaled, axis=0).max() > 0.1


def mild_map(d, seed=0):
    """Return an invertible map that stretches no direction much more than another."""
    return np.eye(d) + np.random.default_rng(seed).normal(size=(d, d)) * 0.3 / np.sqrt(d)


def test_whitened_states_have_nearly_unit_covariance():
    states = np.random.default_rng(0).normal(size=(50_000, 8)) * 7 @ mild_map(8) + 3
    scaled = fit_scaler(states, "whitened").apply(states).astype(float)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(scaled.T), np.eye(8), atol=0.02)


@pytest.mark.parametrize(("n", "d"), [(200, 12), (40, 90)])
def test_whitening_is_the_inverse_root_of_the_covariance_that_sklearn_shrinks(n, d):
    states = correlated(n, d)
    centred = states - states.mean(axis=0, dtype=float)
    share = ledoit_wolf_shrinkage(states.astype(float))
    covariance = centred.T @ centred / n
    shrunk = (1 - share) * covariance + share * np.trace(covariance) / d * np.eye(d)
    matrix = fit_scaler(states, "whitened").matrix
    np.testing.assert_array_equal(matrix.shape, (d, d))
    np.testing.assert_allclose(matrix @ shrunk @ matrix, np.eye(d), atol=1e-8)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert (np.linalg.eigvalsh(matrix) > 0).all()


@pytest.mark.parametrize(("n", "d"), [(300, 12), (30, 60)])
@pytest.mark.parametrize("scaling", ["centred", *MIXED])
def test_a_turn_of_the_coordinates_changes_no_angle(n, d, scaling):
    states = correlated(n, d).astype(float)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))[0]
    first, second = (fit_scaler(one, scaling).apply(one) for one in (states, states @ turn))
    np.testing.assert_allclose(first @ first.T, second @ second.T, rtol=1e-3, atol=0.02)


def test_whitening_undoes_any_map_where_texts_are_many():
    states = np.random.default_rng(0).normal(size=(40_000, 5)) * 7
    mixed = states @ mild_map(5)
    first, second = (fit_scaler(one, "whitened").apply(one)[:50] for one in (states, mixed))
    known, found = first @ first.T, second @ second.T
    assert np.linalg.norm(known - found) < 0.02 * np.linalg.norm(known)


@pytest.mark.parametrize("scaling", MIXED)
def test_directions_without_variance_are_not_blown_up(scaling):
    states = correlated(400, 30, rank=4)
    scaled = fit_scaler(states, scaling).apply(states)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() < 200
    new = fit_scaler(states, scaling).apply(states[0] + np.float32(3))
    assert np.isfinite(new).all()


@pytest.mark.parametrize("scaling", MIXED)
def test_fewer_texts_than_dimensions(scaling):
    states = correlated(20, 500)
    scaled = fit_scaler(states, scaling).apply(states)
    assert np.isfinite(scaled).all()
    assert np.linalg.matrix_rank(scaled.astype(float), tol=1e-2) == 19 - (
        5 if scaling == "top-removed" else 0
    )
