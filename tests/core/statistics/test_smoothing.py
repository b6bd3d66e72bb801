"""Local linear regression: exact on planes, least squares elsewhere, silent without support."""

import numpy as np
import pytest

from core.statistics.smoothing import FEWEST, bandwidth, smooth, support

TURN = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])


def test_a_plane_is_found_exactly_with_its_slope_and_at_the_edge():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    places = points[:50]
    values = 0.3 + points @ [0.2, -0.1]
    weights = rng.integers(0, 3, (2, 300))
    found = smooth(points, places, 1.0, np.stack([values, 2 * values]), weights)
    known = np.isfinite(found.values).all(axis=1)
    assert known.sum() > 40
    np.testing.assert_allclose(found.values[known, 0], values[:50][known], atol=1e-9)
    slopes = found.slopes[known]
    np.testing.assert_allclose(slopes[:, 0], np.tile([0.2, -0.1], (known.sum(), 1)), atol=1e-8)
    np.testing.assert_allclose(slopes[:, 1], 2 * slopes[:, 0], atol=1e-8)


def test_smoothing_is_least_squares_with_the_kernels_weights():
    rng = np.random.default_rng(1)
    points, values = rng.normal(size=(80, 2)), rng.normal(size=(1, 80))
    place, reach = np.array([[0.2, -0.1]]), 1.3
    found = smooth(points, place, reach, values)
    away = points - place
    weight = np.maximum(1 - (away**2).sum(axis=1) / reach**2, 0)  # the square root of the kernel
    table = np.column_stack([np.ones(80), away]) * weight[:, None]
    fitted = np.linalg.lstsq(table, values[0] * weight, rcond=None)[0]
    np.testing.assert_allclose([found.values[0, 0], *found.slopes[0, 0]], fitted, atol=1e-10)


def test_a_place_is_supported_amid_enough_texts_only():
    rng = np.random.default_rng(2)
    cloud = rng.uniform(-1, 1, (200, 2))
    line = np.column_stack([np.linspace(4, 6, 100), np.zeros(100)])
    points = np.vstack([cloud, line])
    places = np.array([[0, 0], [1.6, 1.6], [5, 0], [9, 9]])
    text = np.arange(300)
    assert support(points, places, 1.0, text).tolist() == [True, False, False, False]
    few = np.r_[np.arange(200) % (FEWEST - 1), np.arange(200, 300)]  # rows of few texts
    assert not support(points, places, 1.0, np.unique(few, return_inverse=True)[1])[0]


def test_the_bandwidth_asks_for_no_label_and_no_direction():
    points = np.random.default_rng(3).normal(size=(500, 2)) * [3, 1]
    assert bandwidth(points @ TURN) == pytest.approx(bandwidth(points))
    assert bandwidth(2 * points) == pytest.approx(2 * bandwidth(points))
    assert bandwidth(np.tile(points, (64, 1))) == pytest.approx(bandwidth(points) / 2)
