"""What steering costs on neutral text, against plain hooks."""

import numpy as np
import pytest
import torch

from core.steering.effects import neutral
from core.steering.effects.neutral import neutral_cost
from core.steering.effects.strength_sweep import SAFE_KL, safe_range
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
