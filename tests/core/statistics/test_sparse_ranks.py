"""Ranks of sparse activations: as scipy ranks them, zeros and ties included."""

from itertools import permutations

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import rankdata

from core import CoreError
from core.statistics.sparse_ranks import SortedCodes, centred


@pytest.fixture
def dense():
    rng = np.random.default_rng(0)
    codes = np.round(np.maximum(rng.normal(size=(40, 12)) - 0.5, 0), 1).astype(np.float32)
    codes[:, 3] = 0
    codes[:, 4] = 1
    codes[:, 5] = rng.random(40) + 0.1
    return codes


def test_ranks_among_some_texts_are_those_of_scipy(dense):
    chosen = np.random.default_rng(1).random(40) < 0.6
    found = SortedCodes.of(csr_array(dense)).among(chosen)
    expected = rankdata(dense[chosen], axis=0) / chosen.sum()
    expected -= expected.mean(axis=0)
    ranks = found.ranks.toarray()
    np.testing.assert_allclose(ranks - ranks.mean(axis=0), expected, atol=1e-12)
    np.testing.assert_allclose(found.spread[0], (expected**2).sum(axis=0), atol=1e-9)
    np.testing.assert_array_equal(found.fires, (dense[chosen] > 0).sum(axis=0))


def test_ranks_are_as_sparse_as_the_activations(dense):
    found = SortedCodes.of(csr_array(dense)).among(np.ones(40, bool))
    assert found.ranks.nnz == (dense > 0).sum()


def test_ranks_within_strata_are_those_of_each_stratum_alone(dense):
    rng = np.random.default_rng(2)
    chosen, stratum = rng.random(40) < 0.8, rng.integers(0, 3, 40)
    ordered = SortedCodes.of(csr_array(dense))
    found = ordered.among(chosen, stratum[chosen])
    ranks = centred(found.stratum, found.ranks.toarray())
    for one in range(3):
        here = chosen & (stratum == one)
        alone = ordered.among(here)
        expected = alone.ranks.toarray()
        np.testing.assert_allclose(ranks[found.stratum == one], expected - expected.mean(axis=0))
        np.testing.assert_allclose(found.spread[one], alone.spread[0], atol=1e-12)
    np.testing.assert_array_equal(found.fires, (dense[chosen] > 0).sum(axis=0))


def test_the_deviation_is_that_of_all_permutations_within_strata(dense):
    stratum = np.array([0, 0, 0, 1, 1, 1])
    ranks = SortedCodes.of(csr_array(dense)).among(np.arange(40) < 6, stratum)
    target = np.array([0.0, 1, 1, 0, 0, 3])
    orders = [[*one, *other] for one in permutations(range(3)) for other in permutations([3, 4, 5])]
    drawn = [ranks.along(centred(stratum, target[one][:, None])) for one in orders]
    np.testing.assert_allclose(np.mean(drawn, axis=0), 0, atol=1e-12)
    expected = ranks.deviation(centred(stratum, target[:, None]))
    np.testing.assert_allclose(np.std(drawn, axis=0), expected, atol=1e-12)


def test_a_latent_that_is_the_same_everywhere_has_no_spread(dense):
    spread = SortedCodes.of(csr_array(dense)).among(np.ones(40, bool)).spread[0]
    assert spread[3] == spread[4] == 0
    assert (np.delete(spread, [3, 4]) > 0).all()


def test_zeros_that_are_stored_do_not_fire():
    codes = csr_array(np.array([[1.0], [2.0], [0.5]], np.float32))
    codes.data[1] = 0
    assert SortedCodes.of(codes).among(np.ones(3, bool)).fires == [2]


def test_no_text_and_no_activation_give_empty_ranks():
    codes = SortedCodes.of(csr_array((5, 3), dtype=np.float32))
    assert codes.among(np.zeros(5, bool)).ranks.shape == (0, 3)
    assert not codes.among(np.ones(5, bool)).spread.any()


def test_activations_that_are_not_finite_are_refused(dense):
    dense[3, 2] = np.nan
    with pytest.raises(CoreError, match=r"not finite numbers.*dtype=float32"):
        SortedCodes.of(csr_array(dense))


def test_negative_activations_are_a_mistake(dense):
    with pytest.raises(ValueError, match="never below 0"):
        SortedCodes.of(csr_array(-dense))
