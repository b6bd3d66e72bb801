"""States as plain transformers would give them, read once, kept whole through kills and crowds."""

import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations import extraction
from core.activations.extraction import (
    load_or_extract,
    make_plan,
    open_states,
    read_prompts,
    read_texts,
)
from core.activations.prompts import ReadSpec, batches, encode
from core.layers import EMBEDDING
from core.models.open_models import ModelError, ModelSpec, OpenModel, describe, open_model
from core.runtime import runner
from core.runtime.arrays import to_float32, to_stored
from core.runtime.progress import Cancelled
from core.runtime.runner import Job
from core.runtime.store import CacheError, Store

ROOT = Path(__file__).parents[3]
ALL = ReadSpec(poolings=("mean", "last", "mean_all"))


def some_texts(n=64, seed=0):
    """Return texts of 1 to 30 words."""
    words = ["lying", "to", "a", "friend", "helping", "stealing", "keeping", "promises", "kindly"]
    rng = np.random.default_rng(seed)
    return [f"{' '.join(rng.choice(words, rng.integers(1, 31)))} {row}" for row in range(n)]


TEXTS = some_texts()


def opened(folder, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    return open_model(describe(ModelSpec("folder", str(folder), device="cpu"), store), store)


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory) -> OpenModel:
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory) -> OpenModel:
    return opened(tiny_gpt2_folder, tmp_path_factory)


GEMMA = pytest.param("gemma", marks=[pytest.mark.gemma, pytest.mark.slow])
TINY = ["llama", "gpt2"]


@pytest.fixture(params=[*TINY, GEMMA])
def model(request) -> OpenModel:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=TINY)
def tiny(request) -> OpenModel:
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _small_batches(request, monkeypatch):
    """Let a tiny model read in about twenty batches."""
    if "gemma" not in request.fixturenames:
        monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 256})


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Return the sizes of all batches read from now on."""
    sizes: list[int] = []

    def count(model, encoded, *rest):
        sizes.append(len(encoded))
        return read_prompts(model, encoded, *rest)

    monkeypatch.setattr(extraction, "read_prompts", count)
    return sizes


def never():
    raise AssertionError("the model must not be opened")


def extract(store, model, texts=TEXTS, spec=ALL, **options):
    return load_or_extract(store, make_plan(model.card, texts, spec), lambda: model, **options)


def arrays_of(states):
    return {
        (layer, pooling): np.array(states.prompt_states(layer, pooling))
        for layer in states.plan.layers
        for pooling in states.plan.spec.poolings
    }


def assert_same(first, second):
    assert first.keys() == second.keys()
    for pair, values in first.items():
        assert values.tobytes() == second[pair].tobytes(), pair


def relative(ours, theirs):
    """Return the largest error of a row as a share of the row's length."""
    error = np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)
    return error.max()


# Equal to plain transformers --------------------------------------------------------------------


@contextlib.contextmanager
def hooks(module, path) -> Iterator[list[torch.Tensor]]:
    """Collect what layer 0 reads and what every layer gives, by plain PyTorch hooks."""
    seen: list[torch.Tensor] = []
    layers = module.get_submodule(path)

    def before(_, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    def after(_layer, _args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    handles = [layers[0].register_forward_pre_hook(before, with_kwargs=True)]
    handles += [layer.register_forward_hook(after) for layer in layers]
    yield seen
    for handle in handles:
        handle.remove()


def plain(model, prompt):
    """Return one prompt's own states, ``(n_layers + 1, tokens, d)``, and the model's output."""
    with hooks(model.module, model.layers) as seen, model.lock, torch.no_grad():
        batch = model.tokenizer(prompt, return_tensors="pt")
        output = model.module(**batch, output_hidden_states=True)
    return torch.stack(seen)[:, 0].numpy().astype(np.float64), output


@pytest.fixture(scope="module")
def references():
    """Return plain transformers' states of each text, made once per model."""
    made: dict[str, list[np.ndarray]] = {}

    def of(model):
        if model.card.identity not in made:
            made[model.card.identity] = [plain(model, ALL.prompt(text))[0] for text in TEXTS]
        return made[model.card.identity]

    return of


POOLED = {
    "mean": lambda tokens: tokens[:, 1:].mean(axis=1),
    "last": lambda tokens: tokens[:, -1],
    "mean_all": lambda tokens: tokens.mean(axis=1),
}


def test_states_are_those_of_plain_hooks_one_prompt_at_a_time(store, model, references):
    states = extract(store, model)
    for pooling, pool in POOLED.items():
        expected = np.stack([pool(tokens) for tokens in references(model)], axis=1)
        for layer in states.plan.layers:
            ours = states.text_states(layer, pooling)
            assert relative(ours, expected[layer - EMBEDDING]) <= 1e-4, (layer, pooling)


def test_the_embedding_is_transformers_first_hidden_state(model):
    _, output = plain(model, ALL.prompt(TEXTS[0]))
    ours = read_texts(model, TEXTS[:1], ReadSpec(poolings=("last",)))[0, 0, 0]
    assert relative(ours, output.hidden_states[0][0, -1].numpy()) <= 1e-5


def test_the_last_layer_is_before_the_final_norm(model):
    _, output = plain(model, ALL.prompt(TEXTS[0]))
    normed = output.hidden_states[-1][0, -1].numpy()
    ours = read_texts(model, TEXTS[:1], ReadSpec(poolings=("last",)))[-1, 0, 0]
    decoder = model.module.get_decoder()
    norm = decoder.norm if hasattr(decoder, "norm") else decoder.ln_f
    with torch.no_grad():
        again = norm(torch.from_numpy(ours)).numpy()
    assert relative(again, normed) <= 1e-4
    assert relative(ours, normed) > 0.1


def test_every_layer_differs_from_its_neighbours(model):
    states = read_texts(model, TEXTS[:4], ReadSpec(poolings=("last",)))
    assert states.shape == (model.card.n_layers + 1, 1, 4, model.card.d_model)
    for below, above in itertools.pairwise(states):
        assert relative(below, above) > 0.01


def test_batching_does_not_change_a_text(model):
    together = read_texts(model, TEXTS[:24], ALL)
    for row, text in enumerate(TEXTS[:24]):
        alone = read_texts(model, [text], ALL)[:, :, 0]
        assert relative(together[:, :, row], alone) <= 1e-5


def test_order_and_batch_size_do_not_change_a_text(store, tmp_path, tiny, monkeypatch):
    small = extract(store, tiny)
    monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 10_000})
    large = extract(Store(tmp_path / "other"), tiny, TEXTS[::-1])
    for layer in small.plan.layers:
        for pooling in ALL.poolings:
            ours, theirs = small.text_states(layer, pooling), large.text_states(layer, pooling)
            assert relative(ours, theirs[::-1]) <= 1e-5


def test_left_padding_reads_what_right_padding_reads(model):
    encoded = encode(model, [ALL.prompt(text) for text in TEXTS[:24]], 256)
    assert len({len(ids) for ids in encoded}) > 5
    right = read_prompts(model, encoded, ALL.poolings, "right")
    left = read_prompts(model, encoded, ALL.poolings, "left")
    for layer in range(len(right)):
        assert relative(left[layer], right[layer]) <= 1e-4


def test_the_mean_leaves_out_exactly_the_first_token(tiny):
    tokens, _ = plain(tiny, ALL.prompt(TEXTS[3]))
    mean, last, mean_all = read_texts(tiny, [TEXTS[3]], ALL)[:, :, 0].swapaxes(0, 1)
    n = tokens.shape[1]
    np.testing.assert_allclose(mean_all * n - mean * (n - 1), tokens[:, 0], atol=1e-3)
    np.testing.assert_allclose(last, tokens[:, -1], atol=1e-4)


def test_a_prompt_of_one_token_is_its_own_mean(gpt2):
    spec = ReadSpec(template="{action}", poolings=ALL.poolings)
    alone = read_texts(gpt2, ["a"], spec)
    assert len(gpt2.tokenizer("a")["input_ids"]) == 1
    np.testing.assert_array_equal(alone[:, 0], alone[:, 1])
    np.testing.assert_array_equal(alone[:, 0], alone[:, 2])
    beside = read_texts(gpt2, ["a", "a much longer text"], spec)
    np.testing.assert_allclose(beside[:, :, :1], alone, atol=1e-4)


def test_a_long_text_is_read_by_its_beginning_and_end(llama):
    spec = ReadSpec(poolings=("last",), max_tokens=40)
    [ids] = encode(llama, [spec.prompt("stealing " * 99)], 40)
    expected = read_prompts(llama, [ids], ("last",))
    np.testing.assert_array_equal(read_texts(llama, ["stealing " * 99], spec), expected)
    assert relative(read_texts(llama, ["helping " * 99], spec), expected) > 0.01


# Each text once ---------------------------------------------------------------------------------


def test_repeated_texts_are_read_once_and_returned_for_each(store, llama, counted):
    texts = [*TEXTS, *TEXTS[::-1], TEXTS[0] + "."]
    states = extract(store, llama, texts)
    assert sum(counted) == len(states.plan.prompts) == 64
    values = states.text_states(1, "last")
    assert values.shape == (129, 32)
    np.testing.assert_array_equal(values[:64], values[64:128][::-1])
    np.testing.assert_array_equal(values[0], values[128])


def test_order_and_repeats_of_texts_are_not_part_of_the_identity(llama):
    plan, other = (make_plan(llama.card, t, ALL) for t in (TEXTS, [*TEXTS[::-1], TEXTS[5]]))
    assert plan.key(1, "mean") == other.key(1, "mean")
    assert plan.digest == other.digest


@pytest.mark.parametrize(
    "other",
    [
        {"texts": TEXTS[1:]},
        {"spec": ReadSpec(template="It is {action}", poolings=ALL.poolings)},
        {"spec": ReadSpec(strip=False, poolings=ALL.poolings)},
        {"spec": ReadSpec(dtype="bfloat16", poolings=ALL.poolings)},
        {"spec": ReadSpec(max_tokens=99, poolings=ALL.poolings)},
    ],
    ids=["texts", "template", "strip", "dtype", "max_tokens"],
)
def test_everything_that_changes_states_is_part_of_their_key(store, llama, other):
    options = {"texts": TEXTS, "spec": ALL, **other}
    plan = make_plan(llama.card, TEXTS, ALL)
    changed = make_plan(llama.card, options["texts"], options["spec"])
    assert store.folder("acts", plan.key(1, "mean")) != store.folder("acts", changed.key(1, "mean"))


def test_model_layer_pooling_and_computing_are_part_of_the_key(llama, gpt2):
    plan = make_plan(llama.card, TEXTS, ALL)
    key = plan.key(1, "mean")
    assert key != make_plan(gpt2.card, TEXTS, ALL).key(1, "mean")
    assert key != plan.key(2, "mean")
    assert key != plan.key(1, "last")
    assert key["compute"] == "cpu float32"
    assert key["model"] == llama.card.identity
    assert set(key["versions"]) == {"torch", "transformers", "nnsight"}


def test_what_is_stored_is_opened_without_a_model(store, llama):
    first = extract(store, llama)
    plan = make_plan(llama.card, TEXTS, ALL)
    assert_same(arrays_of(load_or_extract(store, plan, never)), arrays_of(first))
    assert open_states(store, plan) is not None
    assert not (store.root / "partial").exists() or not list((store.root / "partial").iterdir())


def test_a_stored_array_is_mapped_and_opens_in_the_safetensors_library(store, llama):
    from safetensors.numpy import load_file

    states = extract(store, llama)
    mapped = states.prompt_states(1, "mean")
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    folder = store.folder("acts", states.plan.key(1, "mean"))
    np.testing.assert_array_equal(load_file(folder / "array.safetensors")["array"], mapped)
    assert sum(a.size for a in store.artefacts()) == pytest.approx(states.plan.size, rel=0.1)


def test_only_missing_arrays_are_written_again(store, llama):
    before = arrays_of(extract(store, llama))
    plan = make_plan(llama.card, TEXTS, ALL)
    kept = store.folder("acts", plan.key(0, "mean"))
    made = (kept / "key.json").stat().st_mtime_ns
    shutil.rmtree(store.folder("acts", plan.key(1, "last")))
    assert open_states(store, plan) is None
    assert_same(arrays_of(extract(store, llama)), before)
    assert (kept / "key.json").stat().st_mtime_ns == made


def test_a_damaged_array_is_noticed_and_read_again(store, llama):
    before = arrays_of(extract(store, llama))
    states = extract(store, llama)
    path = store.folder("acts", states.plan.key(1, "last")) / "array.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)
    with pytest.raises(
        CoreError, match=r"layer 1 \(last\) are not stored any more.*Read the model"
    ):
        states.prompt_states(1, "last")
    assert len(store.notices) == 1
    assert_same(arrays_of(extract(store, llama)), before)


def test_bfloat16_states_are_the_float32_ones_rounded(store, llama):
    exact = extract(store, llama)
    half = extract(store, llama, spec=ReadSpec(poolings=ALL.poolings, dtype="bfloat16"))
    for layer in exact.plan.layers:
        for pooling in ALL.poolings:
            full, short = exact.prompt_states(layer, pooling), half.prompt_states(layer, pooling)
            np.testing.assert_array_equal(short, to_float32(to_stored(full, "bfloat16")))
            np.testing.assert_allclose(short, full, rtol=2**-8)
    assert half.plan.size * 2 == exact.plan.size


def test_states_beyond_float16_are_kept(store, llama, monkeypatch):
    def huge(*args):
        return read_prompts(*args) + np.float32(88_064)

    monkeypatch.setattr(extraction, "read_prompts", huge)
    states = extract(store, llama, spec=ReadSpec(dtype="bfloat16"))
    assert np.isfinite(states.prompt_states(0, "mean")).all()
    assert states.prompt_states(0, "mean").max() > 65_504


def test_float16_is_refused_for_states_and_for_models(llama):
    with pytest.raises(ValueError, match="not float16"):
        ReadSpec(dtype="float16")
    with pytest.raises(ModelError, match="float16 is refused"):
        ModelSpec("folder", llama.card.spec.location, dtype="float16")


def test_no_text_at_all_is_a_clear_sentence(llama):
    with pytest.raises(CoreError, match="no text to read"):
        make_plan(llama.card, [], ALL)


def test_an_empty_text_that_gives_no_token_stops_before_anything_is_written(store, gpt2, counted):
    spec = ReadSpec(template="{action}")
    with pytest.raises(CoreError, match="gives no token"):
        extract(store, gpt2, ["fine", "..."], spec)
    assert counted == []
    assert store.artefacts() == []


# Progress, cancel, disk -------------------------------------------------------------------------


def costs_of(model):
    """Return tokens with padding, and texts, of each batch."""
    prompts = make_plan(model.card, TEXTS, ALL).prompts
    lengths = [len(ids) for ids in encode(model, prompts, ALL.max_tokens)]
    cut = batches(lengths, extraction.TOKEN_BUDGET["cpu"])
    return [(len(rows) * max(lengths[row] for row in rows), len(rows)) for rows in cut]


def test_progress_goes_up_to_the_last_token_and_its_note_counts_every_text(store, llama):
    seen = []
    extract(store, llama, report=lambda done, total, note: seen.append((done, total, note)))
    done = [entry[0] for entry in seen]
    costs = [cost for cost, _ in costs_of(llama)]
    assert done == [0, *itertools.accumulate(costs)]
    assert {entry[1] for entry in seen} == {sum(costs)}
    assert len(seen) > 10
    assert seen[0][2] == "reading texts · 0 of 64"
    assert "per second" in seen[-2][2]
    assert f"{64 - costs_of(llama)[-1][1]} of 64" in seen[-2][2]


def test_the_time_left_is_right_within_half_after_the_first_fifth(store, llama, monkeypatch):
    """Texts of very unlike length, the short ones first; a clock that runs with the work."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock, job, said = Clock(), Job("k", "Reading", "model", state="running", started=100.0), []
    monkeypatch.setattr(runner, "time", clock)
    monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 256})
    texts = [*some_texts(300), *("lying to a friend " * n for n in range(10, 60))]

    def read(model, encoded, *rest):
        clock.now += 0.3 + len(encoded) * max(map(len, encoded)) / 100
        shape = (llama.card.n_layers + 1, len(ALL.poolings), len(encoded), llama.card.d_model)
        return np.zeros(shape, np.float32)

    def report(*told):
        job._report(*told)
        said.append((clock.now, job.left))

    monkeypatch.setattr(extraction, "read_prompts", read)
    extract(store, llama, texts, report=report)
    whole = clock.now - 100
    late = [(clock.now - now, left) for now, left in said[:-1] if now - 100 > whole / 5]
    assert len(late) > 20
    assert all(1 / 1.5 < left / true < 1.5 for true, left in late)


def cancel_at(batch):
    calls = []

    def report(*_):
        calls.append(1)
        if len(calls) > batch:
            raise Cancelled

    return report


def test_cancel_keeps_the_batches_that_are_done(store, tmp_path, llama, counted):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    batches = len(counted)
    counted.clear()
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(5))
    assert len(counted) == 5
    assert open_states(store, make_plan(llama.card, TEXTS, ALL)) is None
    assert store.artefacts() == []
    assert_same(arrays_of(extract(store, llama)), whole)
    assert len(counted) == batches
    assert not list((store.root / "partial").iterdir())


def test_progress_of_a_resumed_run_begins_where_the_first_stopped(store, llama, counted):
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(5))
    seen = []
    extract(store, llama, report=lambda done, total, note: seen.append(done))
    assert seen[0] == sum(cost for cost, _ in costs_of(llama)[:5])
    assert seen[-1] == sum(cost for cost, _ in costs_of(llama))


def test_a_resumed_run_cuts_the_batches_it_began_with_or_begins_anew(
    store, tmp_path, llama, monkeypatch
):
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(5))
    monkeypatch.setattr(extraction, "TOKEN_BUDGET", {"cpu": 1024})
    ours = extract(store, llama)
    whole = extract(Store(tmp_path / "whole"), llama)
    assert_same(arrays_of(ours), arrays_of(whole))


def test_a_journal_line_that_was_cut_is_not_taken_for_another_batch(
    store, tmp_path, llama, counted
):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    batches = len(counted)
    assert batches > 13
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(12))
    [journal] = (store.root / "partial").rglob("batches.txt")
    with journal.open("a") as file:
        file.write("1")  # of "12": the disk was full in the middle of the line
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(1))
    assert "112" not in journal.read_text().split()
    counted.clear()
    assert_same(arrays_of(extract(store, llama)), whole)
    assert len(counted) == batches - 13


@pytest.mark.parametrize("place", ["create", "publish"])
def test_a_full_disk_is_a_clear_sentence_and_costs_nothing_that_was_read(
    store, tmp_path, llama, counted, monkeypatch, place
):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    batches = len(counted)
    counted.clear()

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if place == "create":
            patch.setattr(os, "posix_fallocate", full)
        else:
            patch.setattr(Path, "hardlink_to", full)
            patch.setattr(shutil, "copyfile", full)
        with pytest.raises(CacheError, match=r"is full.*MORALSCOPE_CACHE"):
            extract(store, llama)
    assert store.artefacts() == []
    assert_same(arrays_of(extract(store, llama)), whole)
    assert len(counted) == batches


def test_a_file_system_without_hard_links_gets_copies(store, llama, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    states = extract(store, llama)
    assert states.prompt_states(0, "mean").shape == (64, 32)


def test_a_read_only_cache_is_a_clear_sentence(llama):
    root = Path(tempfile.mkdtemp())
    store = Store(root / "cache")
    extract(store, llama, TEXTS[:4])
    places = [root, *root.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    privileged = os.geteuid() == 0
    try:
        if privileged:
            os.seteuid(65534)
        assert extract(store, llama, TEXTS[:4]).prompt_states(0, "mean").shape == (4, 32)
        with pytest.raises(CacheError, match=r"cannot be written.*MORALSCOPE_CACHE"):
            extract(store, llama, TEXTS[:5])
    finally:
        if privileged:
            os.seteuid(0)
        for path in places:
            path.chmod(0o755)
        shutil.rmtree(root)


def test_while_another_reads_the_same_texts_cancel_is_heard(store, llama, monkeypatch):
    names = []
    lock_of = Store.lock
    monkeypatch.setattr(Store, "lock", lambda self, name: names.append(name) or lock_of(self, name))
    with pytest.raises(Cancelled):
        extract(store, llama, report=cancel_at(0))
    notes = []

    def report(*told):
        notes.append(told[-1])
        raise Cancelled

    with lock_of(store, names[0]), pytest.raises(Cancelled):
        extract(store, llama, report=report)
    assert notes == ["another process reads the same texts: waiting for it"]


def test_threads_that_want_the_same_states_do_the_work_once(store, llama, counted):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(arrays_of(extract(store, llama))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])
    assert sum(counted) == 64


def test_threads_that_read_sentences_at_once_get_their_own(llama):
    expected = [read_texts(llama, [text], ALL) for text in TEXTS[:6]]
    found: dict[int, np.ndarray] = {}

    def read(row):
        for _ in range(5):
            found[row] = read_texts(llama, [TEXTS[row]], ALL)

    threads = [threading.Thread(target=read, args=(row,)) for row in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in range(6):
        np.testing.assert_array_equal(found[row], expected[row])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_state_that_is_no_number_is_noticed_with_its_layer_and_text(dtype, copy_spec, store):
    model = open_model(describe(replace(copy_spec, dtype=dtype), store), store)
    [[*_, letter]] = encode(model, ["Z"], 8)
    with torch.no_grad():
        model.module.get_input_embeddings().weight[letter, 3] = float("nan")
    texts = ["to lie", "to help", "a walk with Zed"]
    with pytest.raises(
        CoreError, match=r"not finite numbers: embedding, in the text 'a walk with Zed is"
    ) as no:
        extract(store, model, texts)
    with pytest.raises(CoreError) as typed:
        read_texts(model, texts[2:], ALL)
    assert str(typed.value) == str(no.value)
    assert ("with dtype=float32" in str(no.value)) == (dtype == "bfloat16")
    assert ("weights themselves hold NaN" in str(no.value)) == (dtype == "float32")
    assert open_states(store, make_plan(model.card, texts, ALL)) is None
    extract(store, model, texts[:2])


# Killed and crowded -----------------------------------------------------------------------------

CHILD = """
import json, os, sys, time
from pathlib import Path
from core.activations import extraction
from core.activations.prompts import ReadSpec
from core.models.card import describe
from core.models.open_models import open_model
from core.models.spec import ModelSpec
from core.runtime.store import Store

root, folder, mode, at = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
extraction.TOKEN_BUDGET = {"cpu": 256}
texts = json.loads(sys.stdin.readline())
store = Store(root)
card = describe(ModelSpec("folder", folder, device="cpu"), store)
model = open_model(card, store)
plan = extraction.make_plan(card, texts, ReadSpec(poolings=("mean", "last", "mean_all")))
counts = {"read": 0, "write": 0, "publish": 0}

def watched(name, function):
    def call(*args):
        counts[name] += 1
        if mode == name and counts[name] == at:
            print("now", flush=True)
            time.sleep(120)
        return function(*args)
    return call

extraction.read_prompts = watched("read", extraction.read_prompts)
extraction.to_stored = watched("write", extraction.to_stored)
Path.hardlink_to = watched("publish", Path.hardlink_to)
print("ready", flush=True)
if mode == "race":
    sys.stdin.readline()
extraction.load_or_extract(store, plan, lambda: model)
print(counts["read"], flush=True)
"""


def published(store):
    return [artefact for artefact in store.artefacts() if artefact.kind == "acts"]


def start_child(store, model, mode, at=0):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, store.root, model.card.spec.location, mode, str(at)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child.stdin.write(json.dumps(TEXTS) + "\n")
    child.stdin.flush()
    return child


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "at", "done"),
    [
        ("read", 6, 5),  # in the forward pass of the sixth batch
        ("write", 5 * 12 + 7, 5),  # the sixth batch in half of the twelve arrays
        ("publish", 5, None),  # four arrays published, eight not
    ],
)
def test_a_killed_run_goes_on_and_loses_at_most_the_batch_it_was_in(
    store, tmp_path, llama, counted, mode, at, done
):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    batches = len(counted)
    counted.clear()
    with start_child(store, llama, mode, at) as child:
        assert child.stdout.readline() == "ready\n"
        assert child.stdout.readline() == "now\n"
        child.send_signal(signal.SIGKILL)
    assert len(published(store)) == (4 if mode == "publish" else 0)
    assert_same(arrays_of(extract(store, llama)), whole)
    assert len(counted) == batches - (batches if done is None else done)
    assert store.notices == []
    assert not list((store.root / "partial").iterdir())


@pytest.mark.slow
def test_two_processes_at_once_on_one_cache_give_one_intact_result(store, tmp_path, llama, counted):
    whole = arrays_of(extract(Store(tmp_path / "whole"), llama))
    children = [start_child(store, llama, "race") for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    read = [int(child.stdout.readline()) for child in children]
    for child in children:
        with child:
            assert child.wait(60) == 0
    assert sum(read) == len(counted)  # the work was done once
    plan = make_plan(llama.card, TEXTS, ALL)
    assert_same(arrays_of(load_or_extract(store, plan, never)), whole)
    assert len(published(store)) == len(whole)
    assert store.notices == []
