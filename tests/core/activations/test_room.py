"""What a batch holds, what is done with one that does not fit, one copy to the host."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations import extraction, room, traces
from core.activations.extraction import load_or_extract, make_plan, read_texts
from core.activations.prompts import ReadSpec
from core.activations.room import InParts, token_budget
from core.models import devices
from core.models.devices import out_of_memory
from core.models.open_models import describe, open_model
from core.models.opened import text_ids
from core.runtime.progress import Cancelled
from core.runtime.store import Store
from tests.core.models.madecards import made_card

TEXTS = [f"{'lying to a friend ' * (1 + row % 5)}{row}" for row in range(40)]
READ = ReadSpec(poolings=("mean", "last"))


@pytest.fixture
def llama(llama_spec, store):
    return open_model(describe(llama_spec, store), store)


@pytest.fixture
def holds(llama, monkeypatch):
    """Return a function that lets the model fail above so many tokens, and what it then read."""
    layer = llama.module.get_submodule(llama.embedding)

    def at_most(tokens):
        shapes = []

        def full(_, args, kwargs):
            hidden = args[0] if args else kwargs["hidden_states"]
            shapes.append(tuple(hidden.shape[:2]))
            if hidden.shape[0] * hidden.shape[1] > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

        handle = layer.register_forward_pre_hook(full, with_kwargs=True)
        monkeypatch.setattr(llama.module, "taken_off", handle.remove, raising=False)
        return shapes

    yield at_most
    llama.module.taken_off()


def extract(store, model, texts=TEXTS, **options):
    return load_or_extract(store, make_plan(model.card, texts, READ), lambda: model, **options)


def arrays_of(states):
    return np.stack([states.prompt_states(layer, "mean") for layer in states.plan.layers])


def test_a_batch_that_does_not_fit_is_read_in_parts(store, tmp_path, llama, holds, monkeypatch):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    released = []
    monkeypatch.setattr(room, "release", released.append)
    shapes = holds(200)
    found = arrays_of(extract(store, llama))
    error = np.linalg.norm(found - whole, axis=-1) / np.linalg.norm(whole, axis=-1)
    assert error.max() < 1e-6
    failed = [rows * tokens for rows, tokens in shapes if rows * tokens > 200]
    assert len(failed) == len(released) > 0
    assert failed == sorted(failed, reverse=True)  # what was too large once is not tried again
    assert sum(rows for rows, tokens in shapes if rows * tokens <= 200) == len(TEXTS)


def test_texts_read_at_once_are_read_in_parts_in_their_order(llama, holds):
    whole = read_texts(llama, TEXTS, READ)
    shapes = holds(80)
    np.testing.assert_allclose(read_texts(llama, TEXTS, READ), whole, atol=1e-4)
    assert len(shapes) > 10


def test_a_single_text_that_does_not_fit_is_a_clear_sentence_and_what_was_read_stays(
    store, llama, holds, monkeypatch
):
    monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 256})
    texts = [*TEXTS, "word " * 120]
    shapes = holds(100)
    with pytest.raises(CoreError, match=r"no memory left on cpu for a single text of \d+ tokens"):
        extract(store, llama, texts)
    read = [rows for rows, tokens in shapes if rows * tokens <= 100]
    assert sum(read) == len(TEXTS)
    shapes.clear()
    with pytest.raises(CoreError, match="single text"):
        extract(store, llama, texts)
    assert [rows for rows, _ in shapes] == [1]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9"), True),
        (MemoryError(), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_say_that_a_device_is_full(llama, error, full):
    assert out_of_memory(error) is full
    asked = []

    def work(encoded):
        asked.append(len(encoded))
        if len(encoded) > 1:
            raise error
        return encoded

    parts = InParts(llama)
    if full:
        assert parts.read(work, [[1], [2], [3]]) == [[[1]], [[2]], [[3]]]
    else:
        with pytest.raises(type(error)):
            parts.read(work, [[1], [2], [3]])
        assert asked == [3]


# How much one batch holds -----------------------------------------------------------------------


@pytest.fixture
def gpus(monkeypatch):
    """Give the process two GPUs with so many bytes free, a part of it held by torch."""

    def of(*free):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (free[gpu] - 500, 80 * 10**9))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 800)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 300)

    return of


def on_gpu(*, spread=False):
    card = made_card(layers=36, width=4096)
    spec = replace(card.spec, device="auto", spread=spread)
    return replace(card, spec=spec, device="cuda", dtype="bfloat16")


def test_a_batch_on_a_gpu_is_sized_by_what_is_free(gpus):
    found = []
    for gigabytes in (60, 7, 6.6, 0.1, 0):
        gpus(int(gigabytes * 1e9))
        found.append(token_budget(on_gpu(), 16384))
    assert found == [16384, 4096, 4096, 256, 256]


def test_of_several_gpus_the_fullest_counts_for_a_batch_and_all_for_the_weights(gpus):
    gpus(60_000_000_000, 7_000_000_000)
    assert token_budget(on_gpu(spread=True), 16384) == 4096
    assert token_budget(on_gpu(), 16384) == 16384
    assert devices.room("cuda", spread=True) == devices.Room(67_000_000_000, 160_000_000_000)
    assert devices.room("cuda") == devices.Room(60_000_000_000, 80_000_000_000)


def test_a_run_goes_on_with_the_budget_it_began_with(store, tmp_path, llama, monkeypatch):
    monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 256})
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    sizes, read = [], extraction.read_prompts

    def counting(model, encoded, *rest):
        sizes.append(len(encoded))
        if len(sizes) == 4:
            raise Cancelled
        return read(model, encoded, *rest)

    monkeypatch.setattr(extraction, "read_prompts", counting)
    with pytest.raises(Cancelled):
        extract(store, llama)
    monkeypatch.setattr(extraction, "token_budget", lambda *_: 64)  # others came since
    assert arrays_of(extract(store, llama)).tobytes() == whole.tobytes()
    assert sum(sizes[:3] + sizes[4:]) == len(TEXTS)


def test_a_whole_table_is_tokenised_some_texts_at_a_time(llama, monkeypatch):
    monkeypatch.setattr("core.models.opened._AT_ONCE", 16)
    asked = []

    def counting(texts, **options):
        asked.append(len(texts))
        return llama.tokenizer(texts, **options)

    watched = replace(llama, tokenizer=counting)
    monkeypatch.setattr("core.models.opened.appended", lambda _: [])
    assert text_ids(watched, TEXTS) == llama.tokenizer(TEXTS)["input_ids"]
    assert asked == [16, 16, 8]
    assert text_ids(watched, []) == []


# One copy to the host ---------------------------------------------------------------------------


class Elsewhere(torch.Tensor):
    """A tensor that says where it lies."""

    place = "cuda:0"
    copies: ClassVar[list] = []

    @property
    def device(self):
        return self.place

    def cpu(self):
        self.copies.append(tuple(self.shape))
        return self.as_subclass(torch.Tensor)


def lying(values, place):
    made = torch.as_tensor(values).as_subclass(Elsewhere)
    made.place = place
    return made


def test_a_batch_is_copied_to_the_host_once(llama, monkeypatch):
    copies, cpu = [], torch.Tensor.cpu

    def copy(tensor):
        copies.append(tuple(tensor.shape))
        return cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", copy)
    found = read_texts(llama, TEXTS[:3], READ)
    card = llama.card
    assert found.shape == (card.n_layers + 1, 2, 3, card.d_model)
    assert copies == [((card.n_layers + 1) * 2, 3, card.d_model)]


def test_layers_on_several_devices_are_copied_once_from_each():
    values = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    places = ["cuda:0"] * 3 + ["cuda:1"] * 2 + ["cuda:0"]
    found = traces._brought([lying(*pair) for pair in zip(values, places, strict=True)])
    np.testing.assert_array_equal(found.numpy(), values)
    assert Elsewhere.copies == [(4, 2, 2), (2, 2, 2)]
