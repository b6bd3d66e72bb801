"""Edits in a trace equal plain forward hooks, token for token, on models of several kinds."""

import contextlib

import numpy as np
import pytest
import torch

from core.activations.prompts import collate
from core.activations.traces import held_logits, resumed_logits, step_logits, token_states
from core.steering.edits import Steering
from tests.core.steering.steeringsets import bloom_folder, made_edit, opened

TEXTS = ["It is wrong to lie", "Help", "You should keep your promise to a friend today"]
OPERATIONS = ["add", "project out", "set"]


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory):
    return opened(tiny_gpt2_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def bloom(tmp_path_factory):
    """Return a model whose layers give tuples and whose positions come from the mask."""
    return opened(bloom_folder(tmp_path_factory), tmp_path_factory)


@pytest.fixture(params=["llama", "gpt2", "bloom"])
def model(request):
    return request.getfixturevalue(request.param)


def ids_of(model, texts=TEXTS):
    return [list(ids) for ids in model.tokenizer(texts)["input_ids"]]


def steered_batch(model, edits, positions="all", side="right", texts=TEXTS):
    """Return the logits of plain rows, then of the same rows steered, and what was steered."""
    ids = ids_of(model, texts)
    batch = collate([*ids, *ids], 0, side)
    rows = torch.arange(2 * len(ids)) >= len(ids)
    steering = Steering.of(edits, positions, rows, torch.device("cpu"))
    steering.aim(batch["attention_mask"].bool(), prompt=True)
    return step_logits(model, batch, None, steering.editors, keep=0), batch, steering


def by_hand(hidden, edit):
    """Return the moved states in float64: what each operation promises, by least squares."""
    units = torch.tensor(edit.vectors, dtype=torch.float64)
    doses = torch.tensor(edit.strengths, dtype=torch.float64)
    states = hidden.double()
    if edit.operation == "add":
        return states + edit.norm * (doses[:, None] * units).sum(dim=0)
    along = states @ units.T
    wanted = (
        doses * edit.norm if edit.operation == "set" else along * (1 - doses.abs().clamp(max=1))
    )
    change = torch.linalg.lstsq(units, (wanted - along).flatten(0, -2).T).solution.T
    return states + change.reshape(states.shape)


@contextlib.contextmanager
def hooked(model, edits, chosen):
    """Let plain forward hooks do the edits on the chosen tokens, bool ``(tokens,)``."""
    layers = model.module.get_submodule(model.layers)

    def hook_of(edit):
        def hook(_layer, _args, output):
            hidden = output[0] if isinstance(output, tuple) else output
            moved = torch.where(chosen[None, :, None], by_hand(hidden, edit).float(), hidden)
            return (moved, *output[1:]) if isinstance(output, tuple) else moved

        return hook

    handles = [layers[edit.layer].register_forward_hook(hook_of(edit)) for edit in edits]
    yield
    for handle in handles:
        handle.remove()


def hook_logits(model, ids, edits, chosen=None):
    chosen = torch.ones(len(ids), dtype=torch.bool) if chosen is None else chosen
    with model.lock, torch.no_grad(), hooked(model, edits, chosen):
        return model.module(torch.tensor([ids])).logits[0]


def close(ours, theirs):
    return (ours - theirs).abs().max() <= 1e-5 * max(1, theirs.abs().max())


# Equal to hooks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("strengths", [(0.5,), (0.4, -0.7, 0.2)])
def test_edits_are_those_of_plain_forward_hooks(model, operation, strengths, side):
    edits = [made_edit(strengths, operation)]
    logits, batch, _ = steered_batch(model, edits, side=side)
    for row, ids in enumerate(ids_of(model)):
        real = batch["attention_mask"][row].bool()
        assert close(logits[row][real], hook_logits(model, ids, []))
        steered = hook_logits(model, ids, edits)
        assert close(logits[len(TEXTS) + row][real], steered)
        assert not close(logits[row][real], steered)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_several_layers_are_edited_in_one_pass(model, operation):
    edits = [made_edit((0.3, 0.2), operation, layer, seed=layer) for layer in (2, 0, 1)]
    logits, batch, steering = steered_batch(model, edits)
    for row, ids in enumerate(ids_of(model)):
        real = batch["attention_mask"][row].bool()
        assert close(logits[len(TEXTS) + row][real], hook_logits(model, ids, edits))
    assert steering.firings.calls == 3
    assert steering.firings.tokens == 3 * sum(map(len, ids_of(model)))


# Positions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("positions", ["all", "not first", "generated"])
def test_only_the_allowed_tokens_are_moved(model, positions, side):
    edits = [made_edit((0.5,))]
    logits, batch, steering = steered_batch(model, edits, positions, side)
    moved = 0
    for row, ids in enumerate(ids_of(model)):
        place = torch.arange(len(ids))
        chosen = {
            "all": place >= 0,
            "not first": place > 0,
            "generated": place == len(ids) - 1,
        }[positions]
        moved += int(chosen.sum())
        real = batch["attention_mask"][row].bool()
        assert close(logits[len(TEXTS) + row][real], hook_logits(model, ids, edits, chosen))
    assert steering.firings.tokens == moved
    assert steering.firings.calls == 1


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_plain_rows_are_untouched_bit_for_bit(model, side, operation):
    edits = [made_edit((0.5, 1.5), operation, layer) for layer in (0, 2)]
    ids = ids_of(model)
    batch = collate([*ids, *ids], 0, side)
    without = step_logits(model, batch, None, {}, keep=0)
    logits, _, _ = steered_batch(model, edits, side=side)
    plain = len(ids)
    assert logits[:plain].numpy().tobytes() == without[:plain].numpy().tobytes()
    assert logits[plain:].numpy().tobytes() != without[plain:].numpy().tobytes()


def test_a_prompt_of_one_token_has_no_token_after_the_first(gpt2):
    _, _, steering = steered_batch(gpt2, [made_edit()], "not first", texts=["a"])
    assert (steering.firings.calls, steering.firings.tokens) == (1, 0)
    _, _, steering = steered_batch(gpt2, [made_edit()], "generated", texts=["a"])
    assert steering.firings.tokens == 1


def test_a_model_is_as_before_after_a_trace(model):
    ids = ids_of(model)[0]
    before = hook_logits(model, ids, [])
    steered_batch(model, [made_edit()])
    torch.testing.assert_close(hook_logits(model, ids, []), before, rtol=0, atol=0)


def test_an_error_inside_an_edit_frees_the_lock_and_the_model(model):
    def broken(_hidden):
        raise ValueError("this edit is broken")

    batch = collate(ids_of(model), 0)
    with pytest.raises(ValueError, match="this edit is broken"):
        step_logits(model, batch, None, {1: broken})
    assert model.lock.acquire(blocking=False)
    model.lock.release()
    assert torch.isfinite(step_logits(model, batch, None, {})).all()


# Cache and token states -------------------------------------------------------------------------


def test_steps_with_a_cache_are_one_whole_pass(model):
    from transformers import DynamicCache

    ids = ids_of(model)[2]
    whole = hook_logits(model, ids, [])
    cache = DynamicCache(config=model.module.config)
    for number, token in enumerate(ids):
        batch = {
            "input_ids": torch.tensor([[token]]),
            "attention_mask": torch.ones(1, number + 1, dtype=torch.int64),
            "position_ids": torch.tensor([[number]]),
        }
        step = step_logits(model, batch, cache, {})[0]
        assert close(step[-1], whole[number]), number


def test_logits_of_the_last_positions_only(model):
    batch = collate(ids_of(model)[:1], 0)
    whole = step_logits(model, batch, None, {}, keep=0)
    assert whole.dtype == torch.float32
    for keep in (1, 3):
        last = step_logits(model, batch, None, {}, keep=keep)
        assert close(last[0], whole[0, -keep:])


def test_token_states_are_those_of_a_plain_hook(model):
    seen = []
    layers = model.module.get_submodule(model.layers)
    handle = layers[1].register_forward_hook(lambda _m, _a, out: seen.append(out))
    ids = ids_of(model)[0]
    hook_logits(model, ids, [])
    handle.remove()
    hidden = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    ours = token_states(model, collate([ids], 0), 1)
    np.testing.assert_allclose(ours.numpy(), hidden.numpy(), atol=1e-5)


def test_the_bloom_of_these_tests_gives_tuples(bloom):
    seen = []
    layers = bloom.module.get_submodule(bloom.layers)
    handle = layers[1].register_forward_hook(lambda _m, _a, out: seen.append(out))
    hook_logits(bloom, ids_of(bloom)[0], [])
    handle.remove()
    assert isinstance(seen[0], tuple)


# Held after a layer -----------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_resumed_batch_gives_what_a_whole_pass_gives_to_the_bit(model, layer):
    ids = ids_of(model)
    batch = collate(ids, 0, "left")
    plain, output = held_logits(model, batch, layer)
    assert torch.equal(plain, step_logits(model, batch, None, {}))
    assert torch.equal(resumed_logits(model, batch, layer, output, {}), plain)
    for above in ({layer}, {2}, set(range(layer, 3))):
        edits = [made_edit((0.4, -0.3), layer=one, seed=one) for one in above]
        whole, resumed = (
            Steering.of(edits, "not first", torch.tensor([True, False, True]), torch.device("cpu"))
            for _ in range(2)
        )
        for one in (whole, resumed):
            one.aim(batch["attention_mask"].bool(), prompt=True)
        expected = step_logits(model, batch, None, whole.editors)
        found = resumed_logits(model, batch, layer, output, resumed.editors)
        assert torch.equal(found, expected)
        assert resumed.firings.tokens == whole.firings.tokens
        assert not torch.equal(found[0], plain[0])
    assert torch.equal(resumed_logits(model, batch, layer, output, {}), plain)  # nothing was spoilt


def test_the_layers_below_are_not_run_again(llama):
    ran = []
    layers = llama.module.get_submodule(llama.layers)
    batch = collate(ids_of(llama), 0, "left")
    _, output = held_logits(llama, batch, 1)
    handles = [
        one.mlp.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, one in enumerate(layers)
    ]
    resumed_logits(llama, batch, 1, output, {})
    for handle in handles:
        handle.remove()
    assert ran == [2]
