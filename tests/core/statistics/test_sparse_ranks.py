"""Ranks of sparse activations: as scipy ranks them, zeros and ties included."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import rankdata

from core import CoreError
from core.statistics.sparse_ranks import SortedCodes


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
    expected = rankdata(dense[chosen], axis=0)
    expected -= expected.mean(axis=0)
    ranks = found.ranks.toarray()
    np.testing.assert_allclose(ranks - ranks.mean(axis=0), expected, atol=1e-12)
    np.testing.assert_allclose(found.length, np.linalg.norm(expected, axis=0), atol=1e-9)
    np.testing.assert_array_equal(found.fires, (dense[chosen] > 0).sum(axis=0))


def test_ranks_are_as_sparse_as_the_activations(dense):
    found = SortedCodes.of(csr_array(dense)).among(np.ones(40, bool))
    assert found.ranks.nnz == (dense > 0).sum()


def test_a_latent_that_is_the_same_everywhere_has_no_length(dense):
    length = SortedCodes.of(csr_array(dense)).among(np.ones(40, bool)).length
    assert length[3] == length[4] == 0
    assert (np.delete(length, [3, 4]) > 1).all()


def test_zeros_that_are_stored_do_not_fire():
    codes = csr_array(np.array([[1.0], [2.0], [0.5]], np.float32))
    codes.data[1] = 0
    assert SortedCodes.of(codes).among(np.ones(3, bool)).fires == [2]


def test_no_text_and_no_activation_give_empty_ranks():
    codes = SortedCodes.of(csr_array((5, 3), dtype=np.float32))
    assert codes.among(np.zeros(5, bool)).ranks.shape == (0, 3)
    assert not codes.among(np.ones(5, bool)).length.any()


def test_activations_that_are_not_finite_are_refused(dense):
    dense[3, 2] = np.nan
    with pytest.raises(CoreError, match=r"not finite numbers.*dtype=float32"):
        SortedCodes.of(csr_array(dense))


def test_negative_activations_are_a_mistake(dense):
    with pytest.raises(ValueError, match="never below 0"):
        SortedCodes.of(csr_array(-dense))
