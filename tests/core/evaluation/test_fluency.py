"""How odd answers are: transformers' own loss, kept by batch, opened without weights."""

import numpy as np
import pytest

from core.evaluation.answers import BATCH, framed
from core.evaluation.fluency import KIND, kept_perplexities, perplexities
from core.models.card import describe
from core.models.open_models import open_model
from core.models.spec import ModelSpec
from core.runtime.progress import Cancelled

PROMPTS = [f"May I do {number}?" for number in range(BATCH + 2)]
TEXTS = [f"No, {number} is enough." for number in range(BATCH + 1)] + [""]


@pytest.fixture
def model(tiny_llama_folder, store):
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    return open_model(describe(spec, store), store)


def test_it_is_the_exponent_of_transformers_own_loss_on_the_answer_alone(model, store):
    [found] = perplexities(store, model, PROMPTS[:1], TEXTS[:1])
    asked = model.tokenizer(framed(model, PROMPTS[0], ""))["input_ids"]
    whole = model.tokenizer(f"{framed(model, PROMPTS[0], '')} {TEXTS[0]}", return_tensors="pt")[
        "input_ids"
    ]
    labels = whole.clone()
    labels[0, : len(asked)] = -100
    loss = model.module(input_ids=whole, labels=labels).loss
    assert found == pytest.approx(float(loss.exp()), rel=1e-4)


def test_batches_are_kept_and_open_without_weights(model, store, monkeypatch):
    done = []

    def stop(at, *_):
        done.append(at)
        if at:
            raise Cancelled

    with pytest.raises(Cancelled):
        perplexities(store, model, PROMPTS, TEXTS, stop)
    assert kept_perplexities(store, model.card, PROMPTS, TEXTS) is None
    found = perplexities(store, model, PROMPTS, TEXTS)
    assert np.isnan(found[-1])
    assert np.isfinite(found[:-1]).all()
    monkeypatch.setattr("core.evaluation.fluency._one", lambda *_: pytest.fail("read again"))
    again = kept_perplexities(store, model.card, PROMPTS, TEXTS)
    np.testing.assert_array_equal(again, found)
    assert len(store.artefacts(KIND)) == 2
