"""Two models on one map: the same where one is the other turned, apart where they share nothing."""

import numpy as np
import pytest
from scipy.spatial import procrustes

from core.maps.joint import COMPONENTS, joint_map, paired, reduced
from core.maps.projection import LayoutSpec

SPEC = LayoutSpec()


def some(n=150, d=20, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * 1.5 ** -np.arange(d) + 4


def turned(states, seed=1):
    d = states.shape[1]
    return states @ np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_a_model_and_itself_turned_and_stretched_lie_on_each_other(method):
    states = some()
    found = joint_map(states, 3 * turned(states) - 7, LayoutSpec(method), draws=20)
    assert found.alignment.value == pytest.approx(1)
    assert found.typical < 0.05 < found.random
    assert found.alignment.low > found.shuffled.high


def test_the_alignment_is_that_of_scipys_procrustes():
    """Which stretches, too: disparity is 1 minus the square of the similarity."""
    first, second = some(), some(seed=3) + 0.8 * some()
    value = joint_map(first, second, SPEC, draws=2).alignment.value
    disparity = procrustes(reduced(first), reduced(second))[2]
    assert value == pytest.approx(np.sqrt(1 - disparity), abs=1e-6)


def test_models_that_share_nothing_are_no_nearer_than_random_pairs():
    found = joint_map(some(), some(seed=5), SPEC, draws=40)
    assert found.shuffled.low - 0.02 < found.alignment.value < found.shuffled.high + 0.02
    assert found.typical > 0.5
    assert found.shuffled.value > 0.1  # so much Procrustes makes out of nothing


def test_what_both_share_is_found_beside_what_they_do_not():
    shared = some()
    half = [shared + 0.7 * some(seed=seed) for seed in (6, 7)]
    found = joint_map(*half, SPEC, draws=40)
    none = joint_map(some(), some(seed=5), SPEC, draws=40)
    assert found.shuffled.high < found.alignment.low < found.alignment.high < 1
    assert found.typical < min(none.typical, found.random)


def test_other_axes_and_widths_change_nothing():
    first, second = some(), some(d=12, seed=2)
    one = joint_map(first, second, SPEC, draws=10)
    other = joint_map(turned(first), np.pad(turned(second, 3), ((0, 0), (0, 5))), SPEC, draws=10)
    assert other.alignment == pytest.approx(one.alignment)
    np.testing.assert_allclose(other.pair.moved, one.pair.moved, atol=1e-3)
    assert reduced(some(d=80)).shape == (150, COMPONENTS)
    assert (reduced(first) ** 2).sum() / len(first) == pytest.approx(1)


def test_a_text_that_another_model_places_elsewhere_is_the_one_that_moves():
    first = some()
    second = first.copy()
    second[7] = first[7] - 6 * (first[7] - first.mean(axis=0))
    pair = paired(first, second, SPEC)
    assert pair.moved.argmax() == 7
    assert pair.moved[7] > 5 * np.median(pair.moved)


def test_each_half_is_trusted_by_its_own_states():
    found = joint_map(some(), some(seed=5), SPEC, draws=2)
    for trust in found.pair.trust:
        assert trust.trustworthiness > 0.7
        assert trust.kept > 2 * trust.chance
    assert all(one > 0.5 for one in found.random_trust)


def test_it_has_the_same_bytes_each_time():
    one, other = (joint_map(some(), some(seed=2), SPEC, draws=5) for _ in range(2))
    assert one.alignment == other.alignment
    np.testing.assert_array_equal(one.pair.second, other.pair.second)
