"""What is taken off the states before they are measured."""

import numpy as np
import pytest

from core.scaling import fit_scaler


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


@pytest.mark.parametrize("scaling", ["standardised", "centred"])
def test_a_constant_coordinate_stays_constant_and_finite(states, scaling):
    scaled = fit_scaler(states, scaling).apply(states)
    np.testing.assert_array_equal(scaled[:, 2], 0)
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


@pytest.mark.parametrize("scaling", ["standardised", "centred"])
def test_a_new_row_is_scaled_as_the_known_ones_were(states, scaling):
    scaler = fit_scaler(states, scaling)
    known = scaler.apply(states)
    np.testing.assert_array_equal(scaler.apply(states[17]), known[17])
    np.testing.assert_array_equal(scaler.apply(states[[3]])[0], known[3])
    np.testing.assert_array_equal(
        scaler.apply(states.mean(axis=0, dtype=float)), np.zeros(6, np.float32)
    )


def test_standardised_states_do_not_depend_on_the_scale_of_a_coordinate(states):
    other = states * np.array([1e-3, 1e3, 1, 2, 0.5, 8], np.float32)
    np.testing.assert_allclose(
        fit_scaler(states, "standardised").apply(states),
        fit_scaler(other, "standardised").apply(other),
        atol=1e-3,
    )


def test_states_are_not_written_to(states):
    states.flags.writeable = False  # as they come from the store
    for scaling in ("standardised", "centred"):
        assert fit_scaler(states, scaling).apply(states) is not states


def test_rows_that_are_all_the_same_stay_finite():
    states = np.full((5, 3), 1e6, np.float32)
    np.testing.assert_array_equal(fit_scaler(states, "standardised").apply(states), 0)
