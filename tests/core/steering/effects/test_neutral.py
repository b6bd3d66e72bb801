"""What steering costs on neutral text, against plain hooks."""

import numpy as np
import pytest
import torch

from core.steering.effects import neutral
from core.steering.effects.neutral import (
    TOLERANCE,
    cost_of,
    equal_strength,
    hold_neutral,
    neutral_cost,
)
from core.steering.effects.safe_ranges import SAFE_KL, safe_range
from tests.core.activations.test_traces_steering import hook_logits
from tests.core.steering.steeringsets import made_edit, plain_logits


def by_hand(model, edits=(), first=0):
    """Return divergence and perplexity over every token after the first, by plain hooks."""
    kl, surprise = [], []
    for text in neutral.NEUTRAL:
        ids = model.tokenizer(text)["input_ids"]
        before = torch.log_softmax(plain_logits(model, ids), dim=1)[:-1]
        chosen = torch.arange(len(ids)) >= first
        after = torch.log_softmax(hook_logits(model, ids, edits, chosen).double(), dim=1)[:-1]
        kl += (after.exp() * (after - before)).sum(dim=1).tolist()
        surprise += (-after[torch.arange(len(ids) - 1), ids[1:]]).tolist()
    return np.mean(kl), np.exp(np.mean(surprise))


@pytest.fixture
def short(model, monkeypatch):
    """Return a model and few words of neutral text: tiny tokenizers make many tokens of one."""
    monkeypatch.setattr(
        neutral, "NEUTRAL", ("Rain is expected.", "He plays the piano", "Add flour", "A", "It is")
    )
    return model


def test_without_an_edit_neutral_text_costs_nothing_and_has_its_plain_perplexity(short):
    kl, perplexity = neutral_cost(short, [], "all")
    assert kl == 0
    assert perplexity == pytest.approx(by_hand(short)[1], rel=1e-4)


@pytest.mark.parametrize(("positions", "first"), [("all", 0), ("not first", 1), ("generated", 1)])
def test_the_cost_of_an_edit_is_that_of_plain_hooks(short, positions, first):
    """Under ``generated`` moving the last token alone would cost nothing and look safe."""
    edits = [made_edit((0.2,), layer=0), made_edit((0.1,), layer=2, seed=5)]
    kl, perplexity = neutral_cost(short, edits, positions)
    expected = by_hand(short, edits, first)
    assert kl == pytest.approx(expected[0], rel=1e-3)
    assert perplexity == pytest.approx(expected[1], rel=1e-3)
    assert kl > 0.01


def test_a_larger_dose_costs_more(model):
    costs = [neutral_cost(model, [made_edit((dose,))], "all")[0] for dose in (0.01, 0.1, 1.0)]
    assert costs == sorted(costs)


def test_numbers_that_are_not_finite_are_no_safe_cost(model):
    kl, _ = neutral_cost(model, [made_edit((4.0,), norm=1e38)], "all")
    assert not kl <= SAFE_KL
    assert safe_range({0.1: kl}) == (0, 0)


def test_held_sentences_cost_what_they_cost_read_anew(short):
    edits = [made_edit((0.2,), layer=1), made_edit((0.1,), layer=2, seed=5)]
    for layer in (0, 1):
        held = hold_neutral(short, layer)
        assert cost_of(short, held, edits, "all") == pytest.approx(
            neutral_cost(short, edits, "all"), rel=1e-5
        )
        assert cost_of(short, held, [], "all") == neutral_cost(short, [], "all")


@pytest.mark.parametrize("power", [0.7, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("target", [0.003, 0.4, 5.0])
def test_a_strength_of_equal_divergence_is_found_in_few_passes(power, target):
    asked = []

    def kl(strength):
        asked.append(strength)
        return 2 * strength**power

    strength, found = equal_strength(kl, target, 0.2)
    assert found == 2 * strength**power == pytest.approx(target, rel=TOLERANCE)
    assert len(asked) <= 4


def test_a_divergence_near_the_target_is_taken_as_it_is():
    assert equal_strength(lambda _: 0.104, 0.1, 0.2) == (0.2, 0.104)


@pytest.mark.parametrize(
    "kl",
    [
        lambda strength: 0.1 if strength < 0.3 else 4.0,
        lambda _: 0.1,
        lambda _: np.nan,
        lambda _: np.inf,
        lambda _: 0.0,
    ],
)
def test_where_no_strength_is_equal_none_is_named(kl):
    assert np.isnan(equal_strength(kl, 1.0, 0.2)).all()


def test_the_strength_found_costs_on_a_model_what_the_other_direction_costs(model):
    held = hold_neutral(model, 1)

    def kl(strength, seed=5):
        return cost_of(model, held, [made_edit((strength,), seed=seed)], "all").kl

    for target in (kl(0.05, seed=0), kl(0.3, seed=0)):
        strength, _ = equal_strength(kl, target, 0.1)
        assert neutral_cost(model, [made_edit((strength,), seed=5)], "all").kl == pytest.approx(
            target, rel=1.1 * TOLERANCE
        )
