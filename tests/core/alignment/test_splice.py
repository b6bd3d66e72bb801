"""A splice in training is the difference of whole dictionaries, whatever their rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.alignment.splice import Splice, mean_changes, tokens_of
from core.sae.dictionary import Dictionary
from tests.core.sae.saesets import made_dictionary


def ruled(rule, seed=0):
    base = made_dictionary(48, k=5, d_model=12, seed=seed)
    if rule == "topk":
        return base
    info = replace(base.info, activation=rule, k=None)
    generator = torch.Generator().manual_seed(1)
    threshold = torch.rand(48, generator=generator) if rule == "jumprelu" else None
    bias = torch.randn(48, generator=generator) / 4
    return Dictionary(info, base.w_enc, bias, base.w_dec, base.b_dec, threshold)


def moved(splice, seed=2, by=0.5):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in splice.weights.values():
            one += by * torch.randn(one.shape, generator=generator)


@pytest.mark.parametrize("rule", ["topk", "relu", "jumprelu"])
def test_a_change_is_after_minus_before_of_the_whole_dictionaries(rule):
    base, latents = ruled(rule), np.array([3, 7, 8, 20, 41])
    states = torch.randn(5000, 12, generator=torch.Generator().manual_seed(3))
    splice = Splice(base, latents)
    tokens = splice.prepare(states)
    torch.testing.assert_close(splice.change(tokens), torch.zeros(5000, 12), atol=1e-5, rtol=0)
    moved(splice)
    after = splice.patch().applied(base, "after", {})
    whole = after.decode(after.encode(states)) - base.decode(base.encode(states))
    torch.testing.assert_close(splice.change(tokens).detach(), whole, atol=1e-4, rtol=0)
    assert float(whole.abs().max()) > 1
    some = torch.arange(0, 5000, 7)
    torch.testing.assert_close(
        splice.change(tokens.take(some)).detach(), whole[some], atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("rule", ["topk", "relu", "jumprelu"])
def test_all_but_the_trained_latents_are_frozen_bit_for_bit(rule):
    base, latents = ruled(rule), np.array([3, 7])
    splice = Splice(base, latents)
    moved(splice)
    after = splice.patch().applied(base, "after", {})
    others = np.setdiff1d(np.arange(48), latents)
    assert torch.equal(after.w_enc[:, others], base.w_enc[:, others])
    assert torch.equal(after.b_enc[others], base.b_enc[others])
    assert torch.equal(after.w_dec[others], base.w_dec[others])
    assert torch.equal(after.b_dec, base.b_dec)
    assert not torch.equal(after.w_dec[latents], base.w_dec[latents])
    assert base.digest == ruled(rule).digest  # the base itself is untouched


def test_gradients_reach_what_is_on():
    base = ruled("topk")
    splice = Splice(base, np.arange(48))
    tokens = splice.prepare(torch.randn(30, 12, generator=torch.Generator().manual_seed(3)))
    splice.change(tokens).square().sum().backward()
    moved(splice, by=0.1)
    splice.change(tokens).square().sum().backward()
    for one in splice.weights.values():
        assert one.grad is not None
        assert bool(one.grad.abs().sum() > 0)


def test_texts_means_are_those_of_their_tokens():
    change, starts = torch.arange(12.0).reshape(6, 2), np.array([0, 1, 4, 6])
    where, owner = tokens_of(starts, [2, 1])
    np.testing.assert_array_equal(where, [4, 5, 1, 2, 3])
    found = mean_changes(change[where], torch.from_numpy(owner), torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(found, torch.tensor([[9.0, 10.0], [4.0, 5.0]]))


def test_distance_from_the_start_is_0_and_grows():
    splice = Splice(ruled("relu"), np.array([1, 2]))
    assert float(splice.strayed().detach()) == 0
    moved(splice)
    first = float(splice.strayed().detach())
    moved(splice, seed=9)
    assert 0 < first < float(splice.strayed().detach()) * 3
