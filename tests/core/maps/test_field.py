"""Fields of typicality: turned with the map, nothing from shuffled labels."""

import numpy as np
import pytest

from core import CoreError
from core.dataset.labels import Labels, typical_members
from core.maps.field import field_of, sketch_of
from core.maps.graded import Laid
from core.maps.placing import LayerCloseness
from core.measures.geometry import closeness, typicality
from core.statistics.smoothing import smooth

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
    seen = LayerCloseness(close, typicality(close, labels))
    return Laid(states[:, :2], states, seen, labels, members)


def test_a_gradient_that_both_have_is_found_beyond_shuffled_labels():
    found = field_of(made(strength=1.5), "virtue")
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
    found = field_of(made(strength=0.0), "virtue")
    for one in (found.correlation, found.cosine):
        assert not one.beyond
        assert one.observed.low < one.shuffled.high
    flat = np.nanstd(found.shuffled["people"].heights)
    assert flat < np.nanstd(field_of(made(strength=1.5), "virtue").drawn["people"].heights)


def test_shuffled_labels_of_a_real_gradient_do_not_agree_either():
    laid = made(strength=1.5)
    labels = laid.labels
    grade = labels.grade.copy()
    for column in (0, 2):
        own = np.flatnonzero(labels.dimension == column)
        grade[own] = np.random.default_rng(5).permutation(grade[own])
    mixed = labels._replace(grade=grade)
    members = typical_members(mixed)
    close = closeness(laid.states, members, mixed.group)
    seen = LayerCloseness(close, typicality(close, mixed))
    found = field_of(laid._replace(seen=seen, labels=mixed, members=members), "virtue")
    assert not found.correlation.beyond
    assert not found.cosine.beyond


def test_a_turned_map_gives_the_same_figures_and_turned_slopes():
    laid = made(strength=1.0)
    points = laid.points
    one, other = (field_of(laid._replace(points=p), "virtue") for p in (points, points @ TURN))
    for first, second in ((one.correlation, other.correlation), (one.cosine, other.cosine)):
        np.testing.assert_allclose(np.array(first), np.array(second), atol=1e-6)
    assert other.supported == one.supported
    places = points[:30]
    value = laid.seen.typicality.human[None]
    plain = smooth(points, places, 1.0, value).slopes[:, 0]
    turned = smooth(points @ TURN, places @ TURN, 1.0, value).slopes[:, 0]
    np.testing.assert_allclose(turned, plain @ TURN, atol=1e-9)


def test_it_has_the_same_bytes_each_time():
    one, other = field_of(made(), "virtue"), field_of(made(), "virtue")
    assert one.correlation == other.correlation
    np.testing.assert_array_equal(one.shuffled["model"].heights, other.shuffled["model"].heights)


def test_items_without_a_place_or_of_the_other_pole_are_left_out():
    laid = made()
    points = laid.points.copy()
    points[:100] = np.nan
    laid = laid._replace(points=points)
    assert field_of(laid, "virtue").texts == 300
    with pytest.raises(CoreError, match="at least 60 texts of a pole; vice has 0"):
        field_of(laid, "vice")


def test_what_cannot_be_drawn_says_why():
    laid = made()
    points = laid.points
    deep = laid._replace(points=np.column_stack([points, points[:, 0]]))
    for make in (field_of, sketch_of):
        with pytest.raises(CoreError, match="flat maps only"):
            make(deep, "virtue")
    with pytest.raises(CoreError, match="Nowhere on this map"):
        field_of(laid._replace(points=np.column_stack([points[:, 0], points[:, 0]])), "virtue")


def test_a_sketch_is_what_the_field_draws():
    laid = made(strength=1.5)
    field, sketch = field_of(laid, "virtue"), sketch_of(laid, "virtue")
    for side in ("people", "model"):
        np.testing.assert_array_equal(sketch.drawn[side].heights, field.drawn[side].heights)
        np.testing.assert_array_equal(sketch.drawn[side].slopes, field.drawn[side].slopes)
        mixed = sketch.shuffled[side].heights
        assert np.nanstd(mixed) < np.nanstd(sketch.drawn[side].heights)
