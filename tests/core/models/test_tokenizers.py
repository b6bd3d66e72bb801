"""Tokens that a tokenizer appends are taken off, and readings made so are told apart."""

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from core.activations.extraction import make_plan, read_texts
from core.activations.prompts import ReadSpec, encode
from core.features.feature_activations import features_of_text
from core.models import tokenizers as ours
from core.models.open_models import describe, open_model
from core.models.opened import text_ids
from core.models.spec import ModelError
from core.models.tokenizers import ENDS_OFF, appended
from core.steering.effects.readout import WordSets
from core.steering.generation import prompt_ids
from tests.core.sae.saesets import made_dictionary

TEXTS = ["to lie", "to help someone", ""]


@pytest.fixture
def ending_spec(copy_spec):
    """Return the spec of a tiny Llama whose tokenizer puts ``</s>`` behind every text."""
    from tokenizers import processors

    tokenizer = AutoTokenizer.from_pretrained(copy_spec.location)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save_pretrained(copy_spec.location)
    return copy_spec


def test_what_is_appended_is_told(ending_spec, llama_spec, gpt2_spec, store):
    for spec, behind in ((llama_spec, []), (gpt2_spec, []), (ending_spec, [2])):
        tokenizer = AutoTokenizer.from_pretrained(spec.location)
        assert appended(tokenizer) == behind
        whole = tokenizer(TEXTS)["input_ids"]
        model = open_model(describe(spec, store), store)
        assert text_ids(model, TEXTS) == [ids[: len(ids) - len(behind)] for ids in whole]


def test_an_appended_end_is_neither_read_nor_steered_after(ending_spec, llama_spec, store):
    plain = open_model(describe(llama_spec, store), store)
    ending = open_model(describe(ending_spec, store), store)
    assert ending.tokenizer(["to lie"])["input_ids"][0][-1] == 2
    assert encode(ending, TEXTS, 64) == encode(plain, TEXTS, 64)
    assert prompt_ids(ending, "to lie", chat=False) == prompt_ids(plain, "to lie", chat=False)
    read = [read_texts(model, TEXTS, ReadSpec()) for model in (plain, ending)]
    np.testing.assert_array_equal(*read)


@pytest.mark.parametrize(
    "door",
    [
        lambda model: read_texts(model, ["to lie", "a walk with Zed"], ReadSpec()),
        lambda model: prompt_ids(model, "a walk with Zed", chat=False),
        lambda model: features_of_text(model, made_dictionary(), "a walk with Zed"),
        lambda model: WordSets(("right",), ("a walk with Zed", "Zed")).tokens(model),
    ],
    ids=["read", "steer", "features", "words"],
)
def test_a_token_that_the_model_does_not_have_is_a_sentence(copy_spec, store, door):
    tokenizer = AutoTokenizer.from_pretrained(copy_spec.location)
    tokenizer.add_tokens(["Zed"])
    tokenizer.save_pretrained(copy_spec.location)
    model = open_model(describe(copy_spec, store), store)
    number = model.card.vocabulary
    said = rf"has {number} tokens, but its tokenizer reads '.*Zed.*' with number {number}, 'Zed'"
    with pytest.raises(ModelError, match=said):
        door(model)


def test_readings_without_the_end_have_an_identity_of_their_own(ending_spec, llama_spec, store):
    card = describe(ending_spec, store)
    assert card.identity.startswith("folder:")
    assert card.identity.endswith(ENDS_OFF)
    assert make_plan(card, TEXTS, ReadSpec()).model == card.identity
    assert ENDS_OFF not in describe(llama_spec, store).identity


def test_a_tokenizer_is_looked_at_once(llama_spec, store, monkeypatch):
    describe(llama_spec, store)
    monkeypatch.setattr(ours, "open_tokenizer", lambda folder, _: pytest.fail(f"opened {folder}"))
    describe(llama_spec, store)
    describe(llama_spec.untrained(), store)
    assert Path(llama_spec.location).is_dir()
