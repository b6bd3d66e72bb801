"""One question to one model: nothing at strength 0, the steering core's own answers, its words."""

import numpy as np
import pytest

from core import CoreError
from core.activations.decoding import Decoding
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.comparison.texts import Question, ask, recipe_for, told_sentence, told_table
from core.models.open_models import describe, open_model
from core.runtime.progress import Cancelled, silent
from core.steering.edits import resolve
from core.steering.effects.readout import read_out
from tests.core.comparison.comparesets import set_of, worded_rows

PROMPT = "Lying to a friend is morally"
SHORT = Decoding(tokens=4, samples=1)


@pytest.fixture
def read(store, llama_spec):
    """Return a study that the tiny Llama has read, and the open model."""
    card = describe(llama_spec, store)
    study = open_study(set_of(store, worded_rows(150)), card, ReadSpec())
    model = open_model(card, store)
    load_or_extract(store, study.plan, lambda: model)
    return study, model


def question(strength=0.3, prompt=PROMPT):
    return Question(prompt, "care-harm", strength, "each pole", SHORT)


def test_strength_zero_changes_nothing(store, read):
    told = ask(store, *read, question(0.0), silent)
    assert told.plain == told.steered
    assert told.changed_tokens == 0
    np.testing.assert_array_equal(told.answers.shift, 0)
    np.testing.assert_array_equal(told.random, told.answers.plain)
    assert told_sentence("A", told).count(";") == 0


def test_answers_are_those_of_the_steering_core(store, read):
    study, model = read
    told = ask(store, study, model, question(), silent)
    recipe = recipe_for(study, question())
    assert recipe.layers == (2,)  # two thirds of three layers
    prompts = [PROMPT, *(study.plan.spec.prompt(text) for text in told.texts[1:])]
    expected = read_out(model, prompts, resolve(store, study, recipe), recipe.positions)
    np.testing.assert_allclose(told.answers.steered, expected.steered, atol=1e-5)
    assert np.abs(told.answers.shift).max() > 0
    assert not np.allclose(told.random, told.answers.steered)


def test_the_table_has_a_row_per_prompt_and_side(store, read):
    told = ask(store, *read, question(), silent)
    table = told_table({"A": told, "B": told})
    assert len(table) == 2 * len(told.texts)
    assert table[table["own"]]["text"].tolist() == [PROMPT, PROMPT]
    np.testing.assert_allclose(table["change"], table["steered"] - table["plain"])
    assert told_sentence("B", told).startswith("**B** leans to ")
    assert "along a random direction" in told_sentence("B", told)


def test_an_empty_prompt_and_an_unknown_axis_are_refused(store, read):
    with pytest.raises(CoreError):
        ask(store, *read, question(prompt=" "), silent)
    with pytest.raises(CoreError):
        ask(store, *read, Question(PROMPT, "courage", 0.2, "each pole", SHORT), silent)


def test_cancel_is_heard(store, read):
    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        ask(store, *read, question(), stop)
