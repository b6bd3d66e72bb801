"""Displacement: nothing for the same picture, little for a turned one, beside its own noise."""

import numpy as np
import pytest

from core.maps.displacement import displacement, sampling_noise, turned
from core.maps.projection import LayoutSpec, project


def some(n=120, d=10, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * 2.0 ** -np.arange(d) + 4).astype(np.float32)


def everything(points):
    return np.arange(len(points))


def far(points, anchor):
    rows = everything(points)
    return displacement(turned(points, anchor, rows, rows), anchor)


def test_a_model_beside_itself_is_not_displaced_at_all():
    points = project(some(), LayoutSpec()).points
    assert (far(points, points) == 0).all()


@pytest.mark.parametrize("dims", [2, 3])
def test_states_turned_in_their_own_space_give_the_same_picture(dims):
    states = some().astype(np.float64)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0]
    one, other = (project(each, LayoutSpec(dims=dims)).points for each in (states, states @ turn))
    assert far(other, one).max() <= 1e-6


def test_a_reflected_and_moved_picture_is_laid_back():
    points = project(some(), LayoutSpec()).points
    other = points[:, ::-1] * [1, -1] + 5
    assert far(other, points).max() <= 1e-6


def test_a_text_that_moves_alone_is_the_one_that_is_displaced():
    points = project(some(), LayoutSpec()).points.astype(np.float64)
    other = points.copy()
    other[7] += 2
    moved = far(other, points)
    assert moved.argmax() == 7
    assert moved[7] > 2
    assert np.delete(moved, 7).max() < 0.2


def test_pictures_are_laid_over_each_other_by_the_texts_they_share():
    anchor = project(some(), LayoutSpec()).points
    own, its = np.array([5, 3, 1, 0]), np.array([50, 30, 10, 0])
    points = np.zeros((6, 2))
    points[own] = anchor[its] @ np.array([[0.0, 1], [-1, 0]]) + 1
    points[[2, 4]] = [[9, 9], [8, 8]]  # not shared: they go along
    moved = turned(points, anchor, own, its)
    np.testing.assert_allclose(moved[own], anchor[its], atol=1e-6)
    distance = np.linalg.norm(points[2] - points[4])
    assert np.linalg.norm(moved[2] - moved[4]) == pytest.approx(distance)


def test_noise_is_small_where_a_picture_is_stable_and_large_where_it_is_not():
    rng = np.random.default_rng(2)
    round_states = rng.normal(size=(120, 30)).astype(np.float32)  # no direction is the widest
    stable, unstable = (sampling_noise(one, LayoutSpec()) for one in (some(), round_states))
    assert stable.most < 0.5 < unstable.typical
    assert stable.typical < stable.most


def test_noise_has_the_same_bytes_each_time():
    assert sampling_noise(some(), LayoutSpec()) == sampling_noise(some(), LayoutSpec())
    assert sampling_noise(some(), LayoutSpec(), seed=1) != sampling_noise(some(), LayoutSpec())
