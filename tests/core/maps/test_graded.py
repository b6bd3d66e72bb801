"""Centres of resampled labels are those of the geometry."""

import numpy as np

from core.dataset.labels import typical_members
from core.maps.graded import closeness_of_weighted
from core.measures.geometry import closeness, own_closeness, ranks_within
from tests.core.maps.test_field import made


def test_many_centres_at_once_are_the_centres_of_the_geometry():
    """Also where a text stands twice, which leaves both its rows out of its centre."""
    laid = made(80)
    states = laid.states
    labels = laid.labels._replace(dimension=np.zeros(80, np.int64), group=np.arange(80) % 70)
    rng = np.random.default_rng(4)
    inner, same = states @ states.T, labels.group[:, None] == labels.group
    for grade in (labels.grade, rng.permutation(labels.grade)):
        members = typical_members(labels._replace(grade=grade))
        slow = own_closeness(closeness(states, members, labels.group), labels)
        fast = closeness_of_weighted(inner, same, members[:, 0][None].astype(float))[0]
        np.testing.assert_allclose(fast, slow, atol=1e-6)
        ranks = ranks_within(slow, labels)
        assert np.corrcoef(np.argsort(np.argsort(fast)), ranks)[0, 1] > 0.9999
