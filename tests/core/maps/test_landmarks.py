"""Names on a map: middles and ellipses that hold half, on made clouds."""

import numpy as np
import pytest

from core.maps.landmarks import landmarks


def inside(points, place, shape):
    matrix = np.array([[shape[0], shape[1]], [shape[1], shape[2]]])
    away = points - place
    return np.einsum("ni,ij,nj->n", away, np.linalg.inv(matrix), away) <= 1 + 1e-9


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    return rng.normal(size=(401, 2)) @ np.array([[3.0, 1.0], [0.0, 0.4]]) + [5, -2]


@pytest.mark.parametrize("heavy", [False, True])
def test_an_ellipse_holds_half_of_the_members_whatever_their_shape(cloud, heavy):
    points = np.sign(cloud) * np.abs(cloud) ** 3 if heavy else cloud
    members = np.zeros((len(points), 2), bool)
    members[:301, 0] = members[301:, 1] = True
    found = landmarks(points, members)
    for group in range(2):
        own = points[members[:, group]]
        assert found.place[group] == pytest.approx(own.mean(axis=0))
        held = inside(own, found.place[group], found.shape[group]).mean()
        assert held == pytest.approx(0.5, abs=1 / len(own))


def test_an_ellipse_turns_and_grows_with_its_points(cloud):
    members = np.ones((len(cloud), 1), bool)
    xx, xy, yy = landmarks(cloud, members).shape[0]
    turned = landmarks(np.column_stack([-2 * cloud[:, 1], 2 * cloud[:, 0]]), members).shape[0]
    assert turned == pytest.approx([4 * yy, -4 * xy, 4 * xx])


def test_nothing_is_drawn_around_what_has_no_width(cloud):
    points = cloud.copy()
    points[0] = np.nan
    points[1:4] = [[0, 0], [1, 1], [2, 2]]
    members = np.zeros((len(points), 4), bool)
    members[0, 0] = members[4:6, 1] = members[1:4, 2] = True  # nobody, a pair, a line
    members[[0, 10, 11, 12], 3] = True
    found = landmarks(points, members)
    assert np.isnan(found.place[0]).all()
    assert (found.shape[:3] == 0).all()
    assert found.place[2].tolist() == [1, 1]
    assert found.place[3] == pytest.approx(points[10:13].mean(axis=0))
    assert (found.shape[3, [0, 2]] > 0).all()
