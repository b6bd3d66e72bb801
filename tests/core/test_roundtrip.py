"""Texts read again by the plain model, among the items."""

import numpy as np
import pytest

from core.activations import EMBEDDING
from core.roundtrip import land
from core.study import place_sentence
from tests.core.steeringsets import opened, read_by

TEXTS = ("helping an old friend", "Stealing from a shop!")


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def placed(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.mark.parametrize("scaling", ["standardised", "centred"])
@pytest.mark.parametrize("layer", [EMBEDDING, 1])
def test_texts_land_where_a_sentence_of_ones_own_does(llama, placed, layer, scaling):
    store, study = placed
    found = land(store, study, llama, TEXTS, layer, "mean", scaling)
    for row, text in enumerate(TEXTS):
        alone = place_sentence(store, study, llama, text, "mean", scaling)
        np.testing.assert_allclose(found.cosine[row], alone.cosine[layer - EMBEDDING], atol=1e-4)
    assert found.states.shape == (2, 32)


def test_the_percentile_counts_items_that_are_less_close(llama, placed):
    store, study = placed
    found = land(store, study, llama, TEXTS, 1, "mean", "standardised")
    known = ~np.isnan(found.cosine)
    assert known.any()
    assert ((found.percentile[known] >= 0) & (found.percentile[known] <= 1)).all()
    assert np.isnan(found.percentile[~known]).all()
    for column in range(10):
        if known[:, column].all():
            order = np.argsort(found.cosine[:, column])
            assert np.diff(found.percentile[order, column])[0] >= 0
