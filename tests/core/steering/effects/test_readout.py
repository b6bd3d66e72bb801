"""The read-out: a plain forward's log-probabilities, both arms in one pass, batching is unseen."""

import numpy as np
import pytest
import torch

from core import CoreError
from core.steering.effects import readout
from core.steering.effects.readout import (
    GOOD,
    WRONG,
    WordSets,
    arms_logits,
    compared,
    hold,
    log_odds,
    next_logits,
    read_out,
    steered_logits,
)
from tests.core.activations.test_traces_steering import hook_logits
from tests.core.steering.steeringsets import TEXTS, made_edit, plain_logits

SHARING = (("right", "good", "friend"), ("wrong", "good", "lie"))
PROMPTS = [f"{text} is morally" for text in TEXTS[:9]] + ["Lying", "Help " * 30]


def by_hand(model, prompt, logits=None):
    """Return log odds, mass and log-probabilities of one prompt."""
    ids = model.tokenizer(prompt)["input_ids"]
    logits = plain_logits(model, ids)[-1] if logits is None else logits.double()
    log = torch.log_softmax(logits, dim=0).numpy()
    good, wrong = WordSets().tokens(model)
    odds = np.log(np.exp(log[good]).sum()) - np.log(np.exp(log[wrong]).sum())
    return odds, np.exp(log[good + wrong]).sum(), log


# Words ------------------------------------------------------------------------------------------


def first(model, word):
    return model.tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0]


def test_words_count_by_their_first_token_and_shared_ones_are_dropped(model):
    good, wrong = WordSets(*SHARING).tokens(model)
    sides = [{first(model, word) for word in words} for words in SHARING]
    assert sides[0] & sides[1]
    assert set(good) == sides[0] - sides[1]
    assert set(wrong) == sides[1] - sides[0]
    assert not set(good) & set(wrong)
    assert good == sorted(set(good))


@pytest.mark.parametrize(
    ("good", "wrong"),
    [(("same",), ("same",)), (("right", " "), ("right", "")), ((), ("bad",)), (("  ",), ("bad",))],
)
def test_words_that_are_not_told_apart_are_refused(model, good, wrong):
    with pytest.raises(CoreError, match="does not tell these words apart"):
        WordSets(good, wrong).tokens(model)


@pytest.mark.gemma
@pytest.mark.slow
def test_gemma_has_a_token_for_every_word(gemma):
    good, wrong = WordSets().tokens(gemma)
    assert (len(good), len(wrong)) == (len(GOOD), len(WRONG))
    for tokens, words in ((good, GOOD), (wrong, WRONG)):
        starts = gemma.tokenizer.batch_decode([[token] for token in tokens])
        # Words of several tokens count by a beginning that no everyday word shares.
        assert all(any(f" {word}".startswith(start) for start in starts) for word in words)
        assert min(map(len, starts)) >= 4


# Equal to a plain forward -----------------------------------------------------------------------


def test_the_plain_read_out_is_that_of_a_plain_forward(model):
    found = read_out(model, PROMPTS, [made_edit()], "all")
    for row, prompt in enumerate(PROMPTS):
        odds, mass, _ = by_hand(model, prompt)
        assert found.plain[row] == pytest.approx(odds, abs=1e-4)
        assert found.mass[row] == pytest.approx(mass, abs=1e-5)
    assert ((found.mass > 0) & (found.mass < 1)).all()
    assert found.plain.dtype == np.float64


@pytest.mark.parametrize("positions", ["all", "not first", "generated"])
@pytest.mark.parametrize("operation", ["add", "project out", "set"])
def test_the_steered_read_out_is_that_of_a_forward_with_a_hook(model, operation, positions):
    edits = [made_edit((0.5, -0.3), operation, layer) for layer in (0, 2)]
    found = read_out(model, PROMPTS, edits, positions)
    for row, prompt in enumerate(PROMPTS):
        ids = model.tokenizer(prompt)["input_ids"]
        start = {"all": 0, "not first": 1, "generated": len(ids) - 1}[positions]
        logits = hook_logits(model, ids, edits, torch.arange(len(ids)) >= start)[-1]
        odds, _, after = by_hand(model, prompt, logits)
        _, _, before = by_hand(model, prompt)
        assert found.steered[row] == pytest.approx(odds, abs=1e-3)
        kl = (np.exp(after) * (after - before)).sum()
        assert found.kl[row] == pytest.approx(kl, abs=1e-3)
    np.testing.assert_array_equal(found.shift, found.steered - found.plain)
    assert (found.kl >= 0).all()
    assert found.kl.max() > 0.01


def test_without_an_edit_nothing_moves_at_all(model):
    found = read_out(model, PROMPTS, [], "all")
    assert found.plain.tobytes() == found.steered.tobytes()
    assert not found.kl.any()
    assert not found.shift.any()
    edited = read_out(model, PROMPTS, [made_edit()], "all")
    np.testing.assert_allclose(found.plain, edited.plain, atol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_batches_and_order_do_not_matter(model, monkeypatch, size):
    edits = [made_edit((0.4,))]
    whole = read_out(model, PROMPTS, edits, "not first")
    monkeypatch.setattr(readout, "BATCH", size)
    parts = read_out(model, PROMPTS[::-1], edits, "not first")
    for ours, theirs in zip(whole, parts, strict=True):
        np.testing.assert_allclose(ours, theirs[::-1], atol=2e-4)


def test_other_words_give_another_read_out(model):
    one = read_out(model, PROMPTS, [], "all", WordSets(("right",), ("wrong",)))
    other = read_out(model, PROMPTS, [], "all", WordSets(("wrong",), ("right",)))
    np.testing.assert_allclose(one.plain, -other.plain)
    np.testing.assert_allclose(one.mass, other.mass)


def test_a_long_prompt_loses_its_middle(gpt2):
    long = "steal " * 500 + "is morally"
    assert np.isfinite(read_out(gpt2, [long], [made_edit()], "all", max_tokens=64).steered).all()


# Plain logits kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["all", "not first", "generated"])
def test_kept_plain_logits_give_the_same_read_out(model, monkeypatch, positions):
    edits = [made_edit((0.5, -0.3))]
    whole = read_out(model, PROMPTS, edits, positions)
    monkeypatch.setattr(readout, "BATCH", 4)
    plain = next_logits(model, PROMPTS, [], positions)
    steered = next_logits(model, PROMPTS, edits, positions)
    assert plain.shape == (len(PROMPTS), model.module.config.vocab_size)
    parts = compared(model, plain, steered, WordSets())
    for ours, theirs in zip(parts, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


def test_kept_plain_logits_are_those_of_an_edit_that_is_none(model):
    again = [next_logits(model, PROMPTS, [], "all") for _ in range(2)]
    found = compared(model, *again, WordSets())
    assert not found.kl.any()
    assert not found.shift.any()


# Bad input --------------------------------------------------------------------------------------


def test_no_prompt_is_a_clear_sentence(model):
    with pytest.raises(CoreError, match="no action"):
        read_out(model, [], [], "all")


def test_an_empty_prompt_without_a_start_token_is_a_clear_sentence(gpt2):
    with pytest.raises(CoreError, match="gives no token"):
        read_out(gpt2, ["a", ""], [], "all")


def test_half_a_character_is_refused(model):
    with pytest.raises(CoreError, match="half a character"):
        read_out(model, ["ok", "a \ud800 b"], [], "all")


def test_the_same_prompts_are_refused_by_every_way_in(gpt2):
    for prompts in ([], [""], ["\ud800"]):
        with pytest.raises(CoreError):
            next_logits(gpt2, prompts, [], "all")
    with pytest.raises(CoreError, match="no longer finite"):
        next_logits(gpt2, ["a"], [made_edit((4.0,), norm=1e38)], "all")


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), 1e38])
def test_numbers_that_are_not_finite_are_a_clear_sentence(model, norm):
    with pytest.raises(CoreError, match="no longer finite"):
        read_out(model, PROMPTS, [made_edit((4.0,), norm=norm)], "all")
    assert np.isfinite(read_out(model, PROMPTS, [], "all").plain).all()


# Held prompts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", ["all", "not first", "generated"])
def test_held_prompts_answer_as_prompts_read_anew(model, positions, monkeypatch):
    monkeypatch.setattr(readout, "BATCH", 4)
    held = hold(model, PROMPTS, 0)
    assert torch.equal(held.logits, next_logits(model, PROMPTS, [], positions))
    edits = [made_edit((0.5,), layer=0), made_edit((0.3,), layer=2, seed=3)]
    for some in (edits, edits[1:]):
        steered = steered_logits(model, held, some, positions)
        assert torch.equal(steered, next_logits(model, PROMPTS, some, positions))
        found = read_out(model, PROMPTS, some, positions)
        shift = log_odds(model, steered) - log_odds(model, held.logits)
        np.testing.assert_allclose(shift, found.shift, atol=1e-4)
    assert torch.equal(steered_logits(model, held, [], positions), held.logits)


def test_held_prompts_cannot_be_steered_below_their_layer(llama):
    held = hold(llama, PROMPTS, 1)
    with pytest.raises(ValueError, match="held after layer 1"):
        steered_logits(llama, held, [made_edit(layer=0)], "all")
    with pytest.raises(CoreError, match="no longer finite"):
        steered_logits(llama, held, [made_edit((4.0,), norm=1e38)], "all")
    with pytest.raises(CoreError, match="no action"):
        hold(llama, [], 1)


def test_arms_of_one_pass_are_those_of_passes_of_their_own(model, monkeypatch):
    monkeypatch.setattr(readout, "BATCH", 4)
    held = hold(model, PROMPTS, 0)
    arms = [[made_edit((0.5,), layer=0)], [], [made_edit((0.3,), "set", layer=1, seed=3)]]
    found = arms_logits(model, held, arms, "not first")
    for logits, edits in zip(found, arms, strict=True):
        alone = steered_logits(model, held, edits, "not first")
        torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)
    assert [len(logits) for logits in found] == [len(PROMPTS)] * 3
    assert not torch.allclose(found[0], found[2])
    assert all(one is held.logits for one in arms_logits(model, held, [[], []], "all"))
