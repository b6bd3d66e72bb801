"""A latent's passport: a planted moral latent is seen, a random one is not, arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csc_array
from scipy.stats import spearmanr

from core import CoreError
from core.features.dashboard import (
    BINS,
    QUANTILES,
    TOP,
    dashboard_of,
    pole_directions,
    text_vectors,
)
from core.features.feature_activations import FeatureActivations
from core.foundations import DIMENSIONS
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import opened, read_by

HARM, NOISE, NEVER, RARE = 0, 1, 2, 3
TOKENS = 4


@pytest.fixture(scope="module")
def read(tiny_llama_folder, tmp_path_factory):
    return read_by(opened(tiny_llama_folder, tmp_path_factory), tmp_path_factory)


@pytest.fixture(scope="module")
def study(read):
    return read[1]


@pytest.fixture(scope="module")
def codes(study):
    """Four tokens a text; one latent follows harm on its last token, one is noise."""
    n = len(study.plan.prompts)
    rng = np.random.default_rng(0)
    dense = np.zeros((n, TOKENS, 64), np.float32)
    harm = text_vectors(study)[:, DIMENSIONS.index("harm")]
    dense[:, -1, HARM] = harm * (1 + rng.random(n) / 10)
    dense[:, 1, NOISE] = np.maximum(rng.standard_normal(n), 0)
    dense[7, 2, RARE] = 3
    prompt, token = np.repeat(np.arange(n), TOKENS), np.tile(np.arange(TOKENS), n)
    words = {number: f" w{number}" for number in range(TOKENS)}
    return FeatureActivations(csc_array(dense.reshape(-1, 64)), prompt, token, words, n)


@pytest.fixture(scope="module")
def poles(read):
    store, study = read
    return pole_directions(store, study, 1)


def test_a_text_has_the_largest_grade_of_its_items(study):
    vectors, items = text_vectors(study), study.items.vectors()
    for prompt in (0, 5, 11):
        np.testing.assert_array_equal(vectors[prompt], items[study.plan.rows == prompt].max(axis=0))


def test_a_latent_that_follows_harm_is_seen_beyond_shuffled_labels(study, codes, poles):
    found = dashboard_of(study, made_dictionary(), codes, HARM, poles)
    harm, care = DIMENSIONS.index("harm"), DIMENSIONS.index("care")
    assert found.correlation[harm].low > found.shuffled[harm].high
    assert not found.correlation[care].low > found.shuffled[care].high
    rows = np.flatnonzero(study.items.split[study.first_rows] == "test")
    expected = spearmanr(
        codes.pooled("max")[rows].toarray()[:, HARM], text_vectors(study)[rows, harm]
    ).statistic
    assert found.correlation[harm].value == pytest.approx(expected)
    assert found.n_held_out == len(rows)


def test_noise_stays_inside_its_bands(study, codes, poles):
    found = dashboard_of(study, made_dictionary(), codes, NOISE, poles)
    beyond = [
        own.low > null.high or own.high < null.low
        for own, null in zip(found.correlation, found.shuffled, strict=True)
    ]
    assert sum(beyond) <= 1


def test_densities_histogram_and_texts_agree_with_plain_arithmetic(study, codes, poles):
    found = dashboard_of(study, made_dictionary(), codes, NOISE, poles)
    values = codes.by_latent.toarray()[:, NOISE]
    on = values[values > 0]
    assert found.of_tokens == pytest.approx(len(on) / len(values))
    assert found.of_texts == pytest.approx(len(on) / codes.n_prompts)  # one token each
    assert found.counts.sum() == len(on)
    assert len(found.edges) == BINS + 1
    np.testing.assert_allclose(found.deciles, np.quantile(on, np.linspace(0, 1, 11)))
    peaks = [one.peak for one in found.top]
    np.testing.assert_allclose(peaks, np.sort(on)[::-1][:TOP])
    first = found.top[0]
    assert first.words == (" w0", " w1", " w2", " w3")
    assert first.heat.tolist() == [0, first.peak, 0, 0]
    assert study.plan.rows[first.item] == first.prompt
    assert [one.quantile for one in found.borderline] == list(QUANTILES)
    middle = found.borderline[1]
    assert abs(middle.level - np.median(on)) < 0.1
    assert found.borderline[-1].level == pytest.approx(on.min())


def test_a_rare_latent_shows_the_one_text_it_has(study, codes, poles):
    found = dashboard_of(study, made_dictionary(), codes, RARE, poles)
    assert [one.prompt for one in found.top] == [7]
    assert all(len(around.examples) == 1 for around in found.borderline)


def test_a_poles_own_direction_stands_out_and_a_twin_is_nearest(study, codes, poles):
    made = made_dictionary()
    rows = made.w_dec.clone()
    rows[HARM] = 3 * torch.from_numpy(poles[1])
    rows[9] = 2 * rows[HARM]
    rows[5] = 0
    found = dashboard_of(study, replace(made, w_dec=rows), codes, HARM, poles)
    assert found.centres[1] == pytest.approx(1, abs=1e-5)
    assert found.centres[1] > found.centre_bands[1, 1]
    assert found.nearest[0] == (9, pytest.approx(1, abs=1e-5))


def test_poles_without_a_direction_are_unknown(study, codes, poles):
    nothing = np.full_like(poles, np.nan)
    found = dashboard_of(study, made_dictionary(), codes, HARM, nothing)
    assert np.isnan(found.centres).all()
    assert np.isnan(found.centre_bands).all()


def test_mean_and_max_give_the_same_order_where_a_text_has_one_token_on(study, codes, poles):
    found = [
        dashboard_of(study, made_dictionary(), codes, HARM, poles, pooling=one).correlation
        for one in ("max", "mean")
    ]
    np.testing.assert_allclose(*found)


def test_latents_that_are_not_there_or_never_on_are_refused(study, codes, poles):
    with pytest.raises(CoreError, match="Latent 2 is on for no text"):
        dashboard_of(study, made_dictionary(), codes, NEVER, poles)
    with pytest.raises(CoreError, match="has no latent 64"):
        dashboard_of(study, made_dictionary(), codes, 64, poles)
