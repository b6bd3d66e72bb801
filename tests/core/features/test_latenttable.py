"""The table of latents: one row each, figures of the own or a chosen dimension, none invented."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from core.features.scores import RankSpec, score_latents
from core.features.view import latent_table
from tests.core.features.latentsets import made_set, random_codes, same_length


@pytest.fixture(scope="module")
def scores():
    """Return scores of noise, but latent 2 follows fairness and 4 fires for both of its poles."""
    rng = np.random.default_rng(0)
    labels, split = made_set(400, rng)
    dense = random_codes(400, 20, rng, 0.1)
    dense[:, 2] = labels.membership[:, 2]
    dense[:, 4] = labels.membership[:, 2:4].max(axis=1)
    dense[:, 6] = np.where(split.train, labels.membership[:, 8], 0)
    return score_latents(
        csr_array(dense), labels, same_length(400), split, RankSpec(permutations=400, draws=50)
    )


def test_own_dimension_is_shown_and_nothing_where_there_is_none(scores):
    rows = latent_table(scores).to_pylist()
    assert [row["latent"] for row in rows] == list(range(20))
    assert (rows[2]["kind"], rows[2]["dimension"]) == ("monosemantic", "fairness")
    for row in rows:
        if row["dimension"] is None:
            assert row["membership"] is row["membership q"] is row["selectivity"] is None
    assert sum(row["dimension"] is None for row in rows) >= 15


def test_figures_are_those_of_the_scores(scores):
    row = latent_table(scores).to_pylist()[2]
    assert row["membership"] == scores.train.membership[2, 2] == 1
    assert row["contrast test"] == scores.test.contrast[2, 2] == 0.5
    assert row["gradient q"] == scores.q.gradient[2, 2]
    assert row["membership low"] == scores.low.membership[2, 2]
    assert row["selectivity"] == scores.selectivity()[2, 2]
    assert row["fires"] == scores.fires[2]


def test_a_chosen_dimension_is_shown_for_all_latents(scores):
    table = latent_table(scores, "harm")
    np.testing.assert_array_equal(table["membership"].to_numpy(), scores.train.membership[:, 1])
    assert set(table["dimension"].to_pylist()) == {"harm"}


def test_flags_say_what_to_beware_of(scores):
    flags = latent_table(scores)["flags"].to_pylist()
    assert flags[4] == "polarity collapse"
    assert flags[2] == flags[6] == ""


def test_what_is_only_selected_is_shown_with_its_dimension(scores):
    row = latent_table(scores).to_pylist()[6]
    assert (row["kind"], row["dimension"]) == ("unconfirmed", "sanctity")
