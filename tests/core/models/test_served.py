"""vLLM as a backend: behind the gate of all, pooled where the layers are, ended with its model.

The worker of the project runs on a stand-in for vLLM; on vLLM itself where one is installed.
"""

import gc
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations.extraction import load_or_extract, make_plan, read_texts
from core.activations.prompts import ReadSpec
from core.activations.traces import token_states
from core.models import served, states_check
from core.models.card import describe
from core.models.open_models import ModelError, ModelSpec, SpecError, open_model
from core.models.served import Served, engine
from core.models.states_kept import check_told, kept_check
from core.models.vllm_worker import Pooling
from core.runtime.progress import Cancelled, silent

TEXTS = ["lying to a friend", "no", "helping a stranger with heavy bags", "keeping it", "no"]
READ = ReadSpec(poolings=("mean", "last", "mean_all"))
STANDIN = Path(__file__).with_name("standin_vllm.py")
REAL = os.environ.get(served.PYTHON_NAME)


@pytest.fixture
def vllm(tmp_path, monkeypatch):
    """Install the stand-in in a Python of its own; return how it is told to fail."""
    place = tmp_path / "site"
    (place / "vllm").mkdir(parents=True)
    shutil.copy(STANDIN, place / "vllm" / "__init__.py")
    asked = "from types import SimpleNamespace\ncurrent_platform = SimpleNamespace(is_cpu=bool)\n"
    (place / "vllm" / "platforms.py").write_text(asked)
    facts = place / "vllm_standin-9.1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-standin\nVersion: 9.1\n")
    (facts / "top_level.txt").write_text("vllm\n")
    (facts / "RECORD").write_text("vllm/__init__.py,,\n")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{place}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(served.PYTHON_NAME, str(python))
    return lambda mode: monkeypatch.setenv("STANDIN_VLLM", mode)


@pytest.fixture
def spec(llama_spec, vllm):
    return ModelSpec("folder", llama_spec.location, backend="vllm")


def test_vllm_reads_what_is_read_here_and_both_pass_one_gate(spec, llama_spec, store):
    card, here = describe(spec, store), describe(llama_spec, store)
    assert (card.identity, card.compute) == (here.identity, "vllm 9.1 float32")
    assert card.memory == ""  # vLLM looks after its own
    assert here.memory.startswith("needs about ")
    model, own = open_model(card, store), open_model(here, store)
    try:
        found = read_texts(model, TEXTS, READ)
        np.testing.assert_allclose(found, read_texts(own, TEXTS, READ), rtol=1e-4, atol=1e-4)
        assert {one.device.type for one in model.module.parameters()} == {"meta"}
    finally:
        model.served.close()
    for one in (card, here):
        checked = kept_check(store, one).open()
        assert checked.cosine > 1 - 1e-9
        assert checked.error < 1e-5
        told = f"eight texts: cosine {checked.cosine!r}, mean absolute error {checked.error!r}"
        assert told in check_told(store, one)
    keys = [make_plan(one, TEXTS, READ).key(1, "mean") for one in (card, here)]
    assert keys[0] != keys[1]


@pytest.mark.slow
def test_a_set_is_read_in_batches_and_kept(spec, store, monkeypatch):
    monkeypatch.setattr("core.activations.extraction.TOKEN_BUDGET", {"cpu": 100})
    texts = [f"lying {'again ' * (row % 9)}{row}" for row in range(30)]
    model = open_model(describe(spec, store), store)
    states = load_or_extract(store, make_plan(model.card, texts, READ), lambda: model)
    own = open_model(describe(replace(spec, backend="nnsight"), store), store)
    model.served.close()
    for layer in states.plan.layers:
        expected = read_texts(own, texts, READ)[layer + 1, 0]
        np.testing.assert_allclose(
            states.text_states(layer, "mean"), expected, rtol=1e-4, atol=1e-4
        )


def test_a_backend_that_reads_something_else_is_refused_with_its_figures(spec, store, vllm):
    vllm("wrong")
    with pytest.raises(ModelError, match=r"cosine 0\.\d{6,}, mean absolute error \d\.\d{6,} of"):
        open_model(describe(spec, store), store)
    assert kept_check(store, describe(spec, store)).open() is None


def test_the_gate_holds_for_what_this_process_reads(llama_spec, store, monkeypatch):
    monkeypatch.setattr(states_check, "MOST_ERROR", {"float32": 0.0})
    with pytest.raises(ModelError, match=r"0\.99 at least and 0\.0 at most"):
        open_model(describe(llama_spec, store), store)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "said"),
    [("full", "no memory for the cache"), ("dies", "CUDA out of memory.*what was read so far")],
)
def test_what_vllm_said_last_is_told_when_it_ends(spec, store, vllm, mode, said):
    vllm(mode)
    with pytest.raises(ModelError, match=f"vLLM ended while it had tiny-llama, vLLM: .*{said}"):
        open_model(describe(spec, store), store)


@pytest.mark.slow
def test_cancel_and_a_dropped_model_end_the_process(spec, store):
    model = open_model(describe(spec, store), store)
    process = model.served._process
    assert process.poll() is None

    def stop(*_):
        raise Cancelled

    monkey = Served("x", model.card.folder, "float32", 1)
    with pytest.raises(Cancelled):
        monkey.pooled([[1]], [[[1]]], stop)
    assert monkey._process is None
    del model
    gc.collect()
    assert process.poll() is not None


@pytest.mark.slow
def test_a_text_that_vllm_refuses_is_told_and_the_next_one_is_read(spec, store):
    model = open_model(describe(spec, store), store)
    with pytest.raises(ModelError, match="vLLM could not read with tiny-llama, vLLM: IndexError"):
        model.served.pooled([[9999]], [[[1]]], silent)
    assert model.served.pooled([[1, 5]], [[[0, 1]]], silent).shape == (4, 1, 1, 32)
    model.served.close()


@pytest.mark.slow
def test_it_only_reads(spec, store):
    model = open_model(describe(spec, store), store)
    model.served.close()
    with pytest.raises(CoreError, match="runs in vLLM, which only reads texts"):
        token_states(model, {}, 0)
    assert spec.untrained(0).backend == "nnsight"
    assert ModelSpec.parse(str(spec)) == spec
    assert spec.label == "tiny-llama, vLLM"


def test_where_there_is_no_vllm_it_is_said_what_to_do(llama_spec, store, monkeypatch):
    spec = ModelSpec("folder", llama_spec.location, backend="vllm")
    for python in ("", sys.executable, "/no/python"):
        monkeypatch.setenv(served.PYTHON_NAME, python)
        with pytest.raises(ModelError, match=r"not installed. Install vllm .* leave backend out"):
            describe(spec, store)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cpu"}, "leave device and remote out"),
        ({"untrained_seed": 0}, "an untrained copy is read without backend"),
        ({"backend": "ollama"}, "Possible: nnsight, vllm"),
    ],
)
def test_what_vllm_cannot_do_is_refused(options, said):
    with pytest.raises(SpecError, match=said):
        ModelSpec("hub", "a/b", **{"backend": "vllm", **options})


def test_a_text_that_is_computed_in_several_steps_is_pooled_once():
    class Layer(torch.nn.Module):
        def forward(self, _, hidden, residual):
            return hidden * 2, hidden if residual is None else residual + 1

    layers = torch.nn.ModuleList([Layer(), Layer()])
    runner = SimpleNamespace(requests={})
    pooling = Pooling(runner, layers)
    texts = [[1, 2, 3, 4, 5], [7, 8], [7, 8]]
    masks = [[[0, 1, 1, 1, 1], [0, 1], [0, 1]], [[0, 0, 0, 0, 1], [0, 1], [0, 1]]]
    pooling.begin(texts, masks)
    own = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    steps = [[("a", 0, 0, 3)], [("c", 2, 0, 2), ("a", 0, 3, 5)], [("b", 1, 0, 2)]]
    for step in steps:
        runner.requests |= {n: SimpleNamespace(prompt_token_ids=texts[row]) for n, row, *_ in step}
        sizes = [end - start for _, _, start, end in step]
        runner.query_start_loc = SimpleNamespace(np=np.cumsum([0, *sizes]))
        runner.input_batch = SimpleNamespace(
            num_reqs=len(step),
            req_ids=[name for name, *_ in step],
            num_computed_tokens_cpu=np.array([start for _, _, start, _ in step]),
        )
        row_of = {"a": 0, "c": 1, "b": 2}  # equal texts: the first that comes is the first
        hidden = torch.cat([own[row_of[n], start:end] for n, _, start, end in step])
        residual = None
        for layer in layers:
            hidden, residual = layer(None, hidden, residual)
    found = pooling.means()
    assert found.shape == (3, 2, 3, 4)
    lengths = [5, 2, 2]
    for row, length in enumerate(lengths):
        stream = own[row, :length]
        for entry, states in enumerate((stream, 3 * stream, 5 * stream + 1)):
            torch.testing.assert_close(found[entry, 0, row], states[1:].mean(dim=0))
            torch.testing.assert_close(found[entry, 1, row], states[-1])


@pytest.mark.slow
@pytest.mark.gemma
@pytest.mark.skipif(not REAL, reason=f"{served.PYTHON_NAME} names no Python with vLLM")
def test_vllm_itself_reads_gemma(gemma, store):
    assert engine()[1]
    card = describe(ModelSpec(backend="vllm"), store)
    model = open_model(card, store)
    found, own = read_texts(model, TEXTS, READ), read_texts(gemma, TEXTS, READ)
    model.served.close()
    error = np.linalg.norm(found - own, axis=-1) / np.linalg.norm(own, axis=-1)
    assert error.max() < 1e-4
