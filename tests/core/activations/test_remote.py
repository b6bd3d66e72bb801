"""Models that run elsewhere, on a server of ours that runs nnsight's own serialised requests."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from core import CoreError
from core.activations import remote
from core.activations.extraction import read_texts
from core.activations.prompts import ReadSpec, collate, encode, pooling_masks
from core.models import hub
from core.models.card import describe
from core.models.open_models import ModelError, ModelSpec, SpecError, open_model
from core.runtime.progress import Cancelled

SERVER = Path(__file__).parent / "farside.py"
TEXTS = ["lying to a friend", "helping a stranger with heavy bags", "no"]


@pytest.fixture(scope="module")
def far_side(tiny_llama_folder, tmp_path_factory):
    """Start the server in a process and folder without any file of this project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-P", str(SERVER), str(tiny_llama_folder), str(port)]
    folder = tmp_path_factory.mktemp("far")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(words, cwd=folder, env=env, **quiet)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/asked").close()
            break
        except OSError:
            assert server.poll() is None
            time.sleep(0.2)
    yield address
    server.terminate()
    server.wait()


@pytest.fixture
def away(far_side, tiny_llama_folder, monkeypatch, store):
    """Return the tiny Llama as a remote model, opened without weights."""
    files = ("config.json", "tokenizer.json")
    release = hub.Release("c" * 40, files, None, "open", tiny_llama_folder)
    monkeypatch.setattr(hub, "find_release", lambda *_, **__: release)
    monkeypatch.setenv("NDIF_HOST", far_side)
    monkeypatch.setenv("NDIF_API_KEY", "good")
    monkeypatch.setattr(remote, "LOOK", 0.05)
    return open_model(describe(ModelSpec.parse("hub:own/tiny?remote=1"), store), store)


def ask(model, report=lambda *_: None):
    batch = collate(encode(model, TEXTS, 64), 0)
    return remote.pooled_states(
        model, batch, pooling_masks(batch["attention_mask"], ["last"]), report
    )


def test_the_far_side_gives_the_states_that_the_model_gives_here(away, llama_spec, store):
    here = open_model(describe(llama_spec, store), store)
    for spec in (ReadSpec(), ReadSpec(poolings=("mean_all",))):
        np.testing.assert_allclose(
            read_texts(away, TEXTS, spec), read_texts(here, TEXTS, spec), atol=1e-6
        )


def test_no_weight_is_here_and_only_pooled_states_travel(away, far_side):
    assert {one.device.type for one in away.module.parameters()} == {"meta"}
    pooled = ask(away)
    with urllib.request.urlopen(f"{far_side}/asked") as answer:
        sent = json.loads(answer.read())[-1]["bytes"]
    assert sent < pooled.numel() * 4 + 3000
    assert away.card.identity == f"remote:own/tiny@{'c' * 40}"


def test_the_server_is_asked_for_the_model_by_nnsights_own_key(away, monkeypatch):
    from nnsight.modeling import huggingface

    monkeypatch.setitem(huggingface._ID_CACHE, "own/tiny", "own/tiny")
    monkeypatch.setattr(away.lm, "repo_id", "own/tiny")
    assert remote.model_key(away) == away.lm.to_model_key()


def test_the_place_in_the_queue_is_told(away, far_side):
    notes = []
    ask(away, lambda _, __, note: notes.append(note))
    assert f"on {far_side} · queued position 3 of 7" in notes


def test_a_cancelled_job_is_left_and_can_be_asked_again(away):
    def cancel(_done, _total, note):
        if "queued" in note:
            raise Cancelled

    with pytest.raises(Cancelled):
        ask(away, cancel)
    assert ask(away).shape == (4, 1, len(TEXTS), 32)


def test_a_job_that_fails_there_says_what_the_server_said(away, monkeypatch):
    monkeypatch.setenv("NDIF_API_KEY", "fails")
    with pytest.raises(ModelError, match="did not run the model: CUDA out of memory on the far"):
        ask(away)


def test_a_refused_key_says_so_and_is_not_shown(away, monkeypatch):
    monkeypatch.setenv("NDIF_API_KEY", "refused")
    with pytest.raises(ModelError, match="this key may not use the model"):
        ask(away)


def test_a_server_that_is_away_is_tried_again_and_then_named(away, monkeypatch):
    monkeypatch.setenv("NDIF_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(remote, "TRIES", 2)
    notes = []
    with pytest.raises(ModelError, match=r"127.0.0.1:9 does not answer \(ConnectError\)"):
        ask(away, lambda _, __, note: notes.append(note))
    assert any("trying again (1)" in note for note in notes)


def test_without_a_key_nothing_is_opened(away, monkeypatch, store):
    monkeypatch.delenv("NDIF_API_KEY")
    with pytest.raises(ModelError, match="Set the environment variable NDIF_API_KEY"):
        open_model(away.card, store)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("packaged?remote=1", "Only hub models run remotely"),
        ("hub:a/b?remote=1&untrained=0", "An untrained copy cannot run remotely"),
        ("hub:a/b?remote=1&device=cpu", "runs where the server puts it"),
        ("hub:a/b?remote=yes", "remote is 0 or 1"),
    ],
)
def test_what_cannot_run_remotely_is_refused(text, reason):
    with pytest.raises(SpecError, match=reason):
        ModelSpec.parse(text)


def test_what_needs_weights_here_is_refused(away):
    from core.activations.traces import token_states

    batch = collate(encode(away, TEXTS, 64), 0)
    with pytest.raises(CoreError, match="runs on a server, which only reads texts"):
        token_states(away, batch, 1)


def test_the_text_form_holds_remote():
    spec = ModelSpec("hub", "own/tiny", remote=True)
    assert str(spec) == "hub:own/tiny@main?remote=1"
    assert ModelSpec.parse(str(spec)) == spec
