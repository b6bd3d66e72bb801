"""Fields of typicality: exact on planes, turned with the map, nothing from shuffled labels."""

import numpy as np
import pytest

from core import CoreError
from core.dataset.labels import Labels, typical_members
from core.maps.field import (
    FEWEST,
    bandwidth,
    closeness_of_weighted,
    field_of,
    sketch_of,
    smooth,
    support,
)
from core.maps.placing import LayerCloseness
from core.measures.geometry import closeness, own_closeness, ranks_within, typicality

TURN = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])


def made(n=400, strength=1.0, seed=0, dims=6):
    """Actions of two foundations' virtues; the more typical, the nearer to one end of the map."""
    rng = np.random.default_rng(seed)
    dimension = np.where(np.arange(n) % 2, 0, 2)
    grade = rng.choice([0.125, 0.25, 0.375, 0.5, 0.75, 1.0], n)
    states = rng.normal(size=(n, dims))
    states[:, 0] += strength * 3 * (grade - grade.mean())
    states -= states.mean(axis=0)
    labels = Labels(dimension, grade, np.arange(n))
    members = typical_members(labels)
    close = closeness(states, members, labels.group)
    return states[:, :2], states, LayerCloseness(close, typicality(close, labels)), labels, members


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


def test_many_centres_at_once_are_the_centres_of_the_geometry():
    """Also where a text stands twice, which leaves both its rows out of its centre."""
    _, states, _, labels, _ = made(80)
    labels = labels._replace(dimension=np.zeros(80, np.int64), group=np.arange(80) % 70)
    rng = np.random.default_rng(4)
    inner, same = states @ states.T, labels.group[:, None] == labels.group
    for grade in (labels.grade, rng.permutation(labels.grade)):
        members = typical_members(labels._replace(grade=grade))
        slow = own_closeness(closeness(states, members, labels.group), labels)
        fast = closeness_of_weighted(inner, same, members[:, 0][None].astype(float))[0]
        np.testing.assert_allclose(fast, slow, atol=1e-6)
        ranks = ranks_within(slow, labels)
        assert np.corrcoef(np.argsort(np.argsort(fast)), ranks)[0, 1] > 0.9999


def test_a_gradient_that_both_have_is_found_beyond_shuffled_labels():
    found = field_of(*made(strength=1.5), "virtue")
    for one in (found.correlation, found.cosine):
        assert one.observed.low <= one.observed.value <= one.observed.high
        assert one.observed.value > 0.8
        assert one.observed.low > one.shuffled.high
    assert found.texts == 400
    drawn = found.drawn["people"]
    assert drawn.heights.shape == (len(found.y), len(found.x))
    assert np.isnan(drawn.heights).any()
    np.testing.assert_array_equal(np.isnan(drawn.heights), np.isnan(found.drawn["model"].heights))
    assert drawn.slopes[:, 0].mean() > 0.05 > abs(found.shuffled["people"].slopes[:, 0].mean())


def test_labels_that_say_nothing_do_not_agree():
    found = field_of(*made(strength=0.0), "virtue")
    for one in (found.correlation, found.cosine):
        assert not one.beyond
        assert one.observed.low < one.shuffled.high
    flat = np.nanstd(found.shuffled["people"].heights)
    assert flat < np.nanstd(field_of(*made(strength=1.5), "virtue").drawn["people"].heights)


def test_shuffled_labels_of_a_real_gradient_do_not_agree_either():
    points, states, _, labels, members = made(strength=1.5)
    grade = labels.grade.copy()
    for column in (0, 2):
        own = np.flatnonzero(labels.dimension == column)
        grade[own] = np.random.default_rng(5).permutation(grade[own])
    mixed = labels._replace(grade=grade)
    members = typical_members(mixed)
    close = closeness(states, members, mixed.group)
    seen = LayerCloseness(close, typicality(close, mixed))
    found = field_of(points, states, seen, mixed, members, "virtue")
    assert not found.correlation.beyond
    assert not found.cosine.beyond


def test_a_turned_map_gives_the_same_figures_and_turned_slopes():
    points, *rest = made(strength=1.0)
    one, other = field_of(points, *rest, "virtue"), field_of(points @ TURN, *rest, "virtue")
    for first, second in ((one.correlation, other.correlation), (one.cosine, other.cosine)):
        np.testing.assert_allclose(np.array(first), np.array(second), atol=1e-6)
    assert other.supported == one.supported
    places = points[:30]
    value = rest[1].typicality.human[None]
    plain = smooth(points, places, 1.0, value).slopes[:, 0]
    turned = smooth(points @ TURN, places @ TURN, 1.0, value).slopes[:, 0]
    np.testing.assert_allclose(turned, plain @ TURN, atol=1e-9)


def test_it_has_the_same_bytes_each_time():
    one, other = field_of(*made(), "virtue"), field_of(*made(), "virtue")
    assert one.correlation == other.correlation
    np.testing.assert_array_equal(one.shuffled["model"].heights, other.shuffled["model"].heights)


def test_items_without_a_place_or_of_the_other_pole_are_left_out():
    points, states, seen, labels, members = made()
    points = points.copy()
    points[:100] = np.nan
    assert field_of(points, states, seen, labels, members, "virtue").texts == 300
    with pytest.raises(CoreError, match="at least 60 texts of a pole; vice has 0"):
        field_of(points, states, seen, labels, members, "vice")


def test_what_cannot_be_drawn_says_why():
    points, *rest = made()
    with pytest.raises(CoreError, match="flat maps only"):
        field_of(np.column_stack([points, points[:, 0]]), *rest, "virtue")
    with pytest.raises(CoreError, match="Nowhere on this map"):
        field_of(np.column_stack([points[:, 0], points[:, 0]]), *rest, "virtue")


def test_a_sketch_is_what_the_field_draws():
    asked = *made(strength=1.5), "virtue"
    field, sketch = field_of(*asked), sketch_of(*asked)
    for side in ("people", "model"):
        np.testing.assert_array_equal(sketch.drawn[side].heights, field.drawn[side].heights)
        np.testing.assert_array_equal(sketch.drawn[side].slopes, field.drawn[side].slopes)
        mixed = sketch.shuffled[side].heights
        assert np.nanstd(mixed) < np.nanstd(sketch.drawn[side].heights)
    points, *rest = made()
    with pytest.raises(CoreError, match="flat maps only"):
        sketch_of(np.column_stack([points, points[:, 0]]), *rest, "virtue")
