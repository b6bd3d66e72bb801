"""Codes of a set: the same as text by text, kept by latent, pooled per prompt."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csc_array

from core import CoreError
from core.activations.prompts import collate, encode
from core.activations.traces import token_states
from core.features.feature_activations import (
    FeatureActivations,
    features_of_text,
    kept_activations,
    read_activations,
)
from core.runtime.progress import Cancelled
from core.sae.dictionary import DictionaryError
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import opened, read_by


@pytest.fixture(scope="module")
def model(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def read(model, tmp_path_factory):
    return read_by(model, tmp_path_factory)


@pytest.fixture(scope="module")
def dictionary(model):
    return made_dictionary(model=model.card.identity)


@pytest.fixture(scope="module")
def codes(read, model, dictionary):
    store, study = read
    made = kept_activations(
        store, study.plan, dictionary, lambda _: read_activations(study.plan, model, dictionary)
    )
    return made.get()


def alone(model, dictionary, plan, row):
    """Return a prompt's codes, read by itself, first token left out."""
    ids = encode(model, [plan.prompts[row]], plan.spec.max_tokens)
    states = token_states(model, collate(ids, 0), dictionary.info.layer)[0, 1:]
    return ids[0][1:], dictionary.encode(states).numpy()


@pytest.mark.parametrize("row", [0, 7, 33])
def test_batching_does_not_change_a_texts_codes(codes, read, model, dictionary, row):
    plan = read[1].plan
    ids, expected = alone(model, dictionary, plan, row)
    where = codes.tokens_of(row)
    assert codes.token[where].tolist() == ids
    np.testing.assert_allclose(codes.by_latent[where].toarray(), expected, atol=1e-5)
    for pooling, merge in (("max", np.max), ("mean", np.mean)):
        pooled = codes.pooled(pooling)[[row]].toarray()[0]
        np.testing.assert_allclose(pooled, merge(expected, axis=0), atol=1e-5)


def test_every_prompt_is_there_with_words_for_its_tokens(codes, read):
    plan = read[1].plan
    assert codes.n_prompts == len(plan.prompts)
    assert sorted(set(codes.prompt)) == list(range(len(plan.prompts)))
    where = codes.tokens_of(5)
    assert "".join(codes.words[one] for one in codes.token[where]) == plan.prompts[5]


def test_a_latents_column_and_density_agree_with_the_whole(codes):
    whole = codes.by_latent.toarray()
    busiest = int(np.argmax((whole > 0).sum(axis=0)))
    np.testing.assert_array_equal(codes.of(busiest), whole[:, busiest])
    np.testing.assert_allclose(codes.density(), (whole > 0).mean(axis=0))


def test_pooling_by_hand_leaves_prompts_without_tokens_at_zero():
    dense = np.array([[1, 0], [3, 2], [0, 4]], np.float32)
    made = FeatureActivations(csc_array(dense), np.array([0, 0, 2]), np.array([5, 6, 5]), {}, 4)
    np.testing.assert_array_equal(made.pooled("max").toarray(), [[3, 2], [0, 0], [0, 4], [0, 0]])
    np.testing.assert_array_equal(made.pooled("mean").toarray(), [[2, 1], [0, 0], [0, 4], [0, 0]])
    silent = FeatureActivations(
        csc_array(np.zeros((1, 2), np.float32)), np.array([0]), np.array([5]), {}, 1
    )
    assert silent.pooled("max").toarray().tolist() == [[0, 0]]


def test_stored_codes_open_again_without_the_model(codes, read, dictionary):
    store, study = read
    again = kept_activations(store, study.plan, dictionary, None).open()
    np.testing.assert_array_equal(again.by_latent.toarray(), codes.by_latent.toarray())
    assert again.words == codes.words
    assert kept_activations(store, study.plan, made_dictionary(seed=1), None).open() is None


def test_another_models_dictionary_and_cancelling_leave_nothing(read, model):
    store, study = read
    with pytest.raises(DictionaryError, match="trained on another model"):
        read_activations(study.plan, model, made_dictionary(model="folder:other"))
    other = made_dictionary(seed=2)

    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        kept_activations(
            store, study.plan, other, lambda _: read_activations(study.plan, model, other, stop)
        ).get()
    assert not kept_activations(store, study.plan, other, None).has()


def test_states_that_are_not_finite_are_no_codes(read, model):
    _, study = read
    made = made_dictionary(seed=3)
    weights = model.module.model.layers[1].mlp.down_proj.weight
    kept = weights.detach().clone()
    try:
        weights.data[0, 0] = torch.inf
        said = r"not finite numbers: layer 1, in the text '.*weights themselves hold NaN"
        with pytest.raises(CoreError, match=said):
            read_activations(study.plan, model, made)
        with pytest.raises(CoreError, match=said.replace("'.*", "'to lie'.*")):
            features_of_text(model, made, "to lie")
    finally:
        weights.data.copy_(kept)
    assert replace(made).digest == made.digest


def test_a_sentence_lights_up_as_the_same_text_of_the_set_does(codes, read, model, dictionary):
    prompt = read[1].plan.prompts[4]
    lit = features_of_text(model, dictionary, prompt)
    where = codes.tokens_of(4)
    np.testing.assert_allclose(lit.codes.toarray(), codes.by_latent[where].toarray(), atol=1e-5)
    assert "".join(lit.words) == prompt
    peaks = lit.codes.toarray().max(axis=0)
    assert lit.strongest(3).tolist() == np.argsort(-peaks, kind="stable")[:3].tolist()


@pytest.mark.parametrize("text", ["", "  ", "half \ud800"])
def test_a_text_that_cannot_be_read_is_refused(model, dictionary, text):
    with pytest.raises(CoreError, match="Type"):
        features_of_text(model, dictionary, text)
