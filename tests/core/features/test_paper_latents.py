"""The paper's two definitions: by hand, faults included; Pearson as numpy has it."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.features.comparisons import TextLabels
from core.features.paper_latents import (
    below_significance,
    paper_counts,
    paper_strict,
    paper_trained,
    paper_types,
    pearson,
)
from tests.core.features.latentsets import made_vectors, random_codes


def r_of(**values):
    r = np.zeros((1, 10), np.float32)
    for name, value in values.items():
        r[0, int(name[1:])] = value
    return r


def test_correlations_count_each_item_as_often_as_it_stands_there():
    rng = np.random.default_rng(0)
    (vectors, foundation), rows = (
        made_vectors(120, rng),
        np.r_[np.arange(80), rng.integers(0, 80, 40)],
    )
    dense = random_codes(80, 4, rng, 0.2, 0.5)
    dense[:, 2] = 0
    found = pearson(csr_array(dense), TextLabels.of(vectors, foundation, rows, 80).items)
    for latent in (0, 1, 3):
        for column in range(10):
            expected = np.corrcoef(dense[rows, latent], vectors[:, column])[0, 1]
            assert found[latent, column] == pytest.approx(expected, abs=1e-6)
    assert not found[2].any()


@pytest.mark.parametrize(
    ("r", "expected"),
    [
        (r_of(c0=0.04), "weak"),
        (r_of(c3=-0.3), "mono"),
        (r_of(c0=0.3, c1=-0.2), "mono"),
        (r_of(c0=0.3, c2=0.2), "poly"),
        (r_of(c0=0.3, c1=0.2, c4=0.15), "poly"),
    ],
)
def test_types_of_definition_a(r, expected):
    assert paper_types(r).tolist() == [expected]
    assert not below_significance(r).any()


@pytest.mark.parametrize(
    ("r", "expected"), [(r_of(c6=0.09, c7=0.08), "mono"), (r_of(c6=0.09, c0=0.08), "poly")]
)
def test_definition_a_types_latents_by_correlations_it_calls_insignificant(r, expected):
    assert paper_types(r).tolist() == [expected]
    assert below_significance(r).all()
    assert paper_counts(r)[f"paper {expected}, none significant"] == 1


@pytest.mark.parametrize(
    ("r", "strict"),
    [
        (r_of(c0=0.3, c1=0.19), True),
        (r_of(c0=0.3, c1=0.21), False),
        (r_of(c0=-0.3), True),
        (r_of(c0=0.09), False),
    ],
)
def test_strict_set_of_definition_b(r, strict):
    assert paper_strict(r).tolist() == [strict]
    assert paper_counts(r)["paper strict, negative"] == (strict and r[0, 0] < 0)


def test_fine_tuned_are_the_strict_and_the_fifty_best_of_each_dimension():
    r = np.zeros((70, 10), np.float32)
    r[:60, 2] = r[:60, 4] = np.linspace(0.5, 0.2, 60)  # none is strict
    r[65, 0] = -0.4
    trained = paper_trained(r)
    assert np.flatnonzero(trained).tolist() == [*range(50), 65]
