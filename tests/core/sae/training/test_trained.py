"""Dictionaries trained here: kept, found, paused, told on the command line; the project's own."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.__main__ import main
from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import ItemSpec, load_or_read
from core.models.gguf import PACKAGED_SHA256
from core.models.open_models import describe, open_model
from core.runtime.progress import Cancelled
from core.sae.dictionary import DictionaryError, check_fits
from core.sae.files import load_folder
from core.sae.shelf import BUILTIN, find_shelved, shelved
from core.sae.training.corpora import CorpusSpec
from core.sae.training.jobs import plan_of, training
from core.sae.training.spec import TrainSpec
from core.sae.training.trained import (
    TrainPlan,
    discard,
    is_paused,
    load_or_train,
    open_trained,
    training_of,
)
from core.workbench import Workbench
from tests.core.dataset.actiontable import write_actions

CORPUS = CorpusSpec(items=4_000, length=48)
SPEC = TrainSpec(width=64, k=4, batch=128, epochs=2, dead_after=2_000, aux_k=8)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_actions(tmp_path_factory.mktemp("tables") / "actions.csv", 60)


@pytest.fixture
def study(store, llama_spec, table):
    items = load_or_read(store, ItemSpec("file", table))
    return open_study(items, describe(llama_spec, store), ReadSpec())


@pytest.fixture
def plan(study):
    return TrainPlan(study, 1, CORPUS, SPEC)


@pytest.fixture
def model(store, study):
    return open_model(study.card, store)


def stop_in_training(done, total, note):
    if "step 4" in note:
        raise Cancelled


def test_a_trained_dictionary_is_kept_with_its_report_and_opened_again(store, plan, model):
    curve = []
    kept = load_or_train(store, plan, model, curve)
    again = load_or_train(store, plan, model, [], stop_in_training)  # not trained a second time
    assert again.shelved == kept.shelved
    assert kept.curve == tuple(curve)
    assert kept.curve[-1].step == kept.curve[-1].steps
    assert kept.curve[-1].fvu < kept.curve[0].fvu
    assert kept.report.fits["dictionary"].fvu.value < kept.report.fits["random"].fvu.value
    assert kept.corpus["train"]["different_positions"] >= CORPUS.items
    dictionary = kept.shelved.load()
    check_fits(dictionary, plan.study.card)
    assert (dictionary.n_latents, dictionary.info.k, dictionary.info.layer) == (64, 4, 1)
    assert dictionary.info.training["spec"]["width"] == 64
    assert load_folder(kept.shelved.folder).digest == dictionary.digest
    card, digest = plan.study.card, kept.shelved.digest
    assert [one.digest for one in shelved(store, card)] == [digest]
    assert find_shelved(store, card, digest[:8]).digest == digest


def test_a_dictionary_of_another_model_is_not_listed(store, plan, model, gpt2_spec):
    load_or_train(store, plan, model, [])
    assert shelved(store, describe(gpt2_spec, store)) == []
    with pytest.raises(DictionaryError, match="no dictionaries named"):
        find_shelved(store, describe(gpt2_spec, store), BUILTIN)


def test_stopped_it_waits_and_goes_on_to_the_same_bits(store, plan, model, tmp_path):
    from core.runtime.store import Store

    with pytest.raises(Cancelled):
        load_or_train(store, plan, model, [], stop_in_training)
    assert is_paused(store, plan)
    assert open_trained(store, plan) is None
    curve = []
    resumed = load_or_train(store, plan, model, curve)
    assert not is_paused(store, plan)
    whole = load_or_train(Store(tmp_path / "other"), plan, model, [])
    assert resumed.shelved.load().digest == whole.shelved.load().digest
    assert resumed.curve == whole.curve == tuple(curve)


def test_a_stopped_training_can_be_forgotten(store, plan, model):
    with pytest.raises(Cancelled):
        load_or_train(store, plan, model, [], stop_in_training)
    discard(store, plan)
    assert not is_paused(store, plan)


def test_a_damaged_dictionary_is_set_aside(store, plan, model):
    kept = load_or_train(store, plan, model, [])
    (kept.shelved.folder / "training.json").write_text("{}")
    assert [training_of(one) for one in shelved(store, plan.study.card)] == [None]
    assert open_trained(store, plan) is None
    assert len(list((store.root / "damaged").iterdir())) == 1


def test_a_dictionary_whose_history_is_not_whole_is_one_from_elsewhere(store, plan, model):
    kept = load_or_train(store, plan, model, [])
    about = json.loads((kept.shelved.folder / "training.json").read_text())
    for corpus in ({}, {"train": {"positions": 1}, "held_out": {}}, [], None):
        (kept.shelved.folder / "training.json").write_text(json.dumps(about | {"corpus": corpus}))
        assert training_of(kept.shelved) is None
    assert shelved(store, plan.study.card) == [kept.shelved]


@pytest.mark.parametrize(
    "change",
    [
        {"layer": 2},
        {"spec": replace(SPEC, seed=1)},
        {"corpus": replace(CORPUS, seed=1)},
        {"corpus": replace(CORPUS, sampled=100)},
    ],
)
def test_what_changes_the_weights_changes_the_key(plan, change):
    assert replace(plan, **change).key() != plan.key()


def test_a_layer_that_is_not_there_is_refused(plan):
    with pytest.raises(DictionaryError, match="has no layer 3"):
        replace(plan, layer=3)


def test_the_job_shows_its_curve_while_it_runs(tmp_path, llama_spec, table):
    bench = Workbench.at(tmp_path / "cache")
    items = load_or_read(bench.store, ItemSpec("file", table))
    study = study_of(bench, items, llama_spec, ReadSpec())
    plan = plan_of(study, CORPUS, SPEC)
    job = bench.runner.ensure(training(bench, plan))
    assert bench.runner.ensure(training(bench, plan)) is job
    job.wait(60)
    assert job.state == "done", job.error
    assert tuple(job.live) == job.result.curve
    assert job.result.shelved.layer == study.anchor
    assert bench.runner.ensure(training(bench, plan)) is None


# --- the command line ---


def test_commands_train_list_report_and_export(
    tmp_path, monkeypatch, capsys, tiny_llama_folder, table
):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    name = f"folder:{tiny_llama_folder}?device=cpu"
    out = tmp_path / "out"
    words = ["dictionary", "train", name, "--items", str(table), "--layer", "1", "--tokens"]
    words += ["3000", "--width", "48", "--k", "3", "--epochs", "1", "--batch", "256"]
    assert main([*words, "--out", str(out)]) == 0
    told = capsys.readouterr().out
    for fact in ("control: random directions", "control: zero", "share no text", "bfloat16"):
        assert fact in told
    assert main(words) == 0
    assert "trained before" in capsys.readouterr().out
    assert main(["dictionary", "list", name]) == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[1:5] == ["1", "48", "topk", "3"]
    assert main(["dictionary", "report", name, line[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] > 0
    assert main(["dictionary", "report", name, "nothing"]) == 2
    assert "no dictionaries named 'nothing'" in capsys.readouterr().err
    exported = load_folder(out)
    assert exported.info.training["command"].startswith("python -m core dictionary train")
    assert np.abs(exported.w_dec.norm(dim=1).numpy() - 1).max() < 0.01


def test_the_papers_preset_can_be_shortened(
    tmp_path, monkeypatch, capsys, tiny_llama_folder, table
):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    name = f"folder:{tiny_llama_folder}?device=cpu"
    words = ["dictionary", "train", name, "--items", str(table), "--tokens", "2000"]
    assert main([*words, "--preset", "paper", "--epochs", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    spec = told["spec"]
    assert (spec["activation"], spec["width"], spec["epochs"]) == ("relu", 4 * 32, 2)
    assert spec["warmup"] == 1.0  # the paper's five epochs, cut to the two there are


def test_numbers_that_cannot_be_end_with_a_sentence(
    tmp_path, monkeypatch, capsys, tiny_llama_folder, table
):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "cache"))
    words = ["dictionary", "train", f"folder:{tiny_llama_folder}?device=cpu", "--items", table]
    for option, value, fact in (
        ("--layer", "9", "has no layer 9"),
        ("--k", "0", "k must be"),
        ("--tokens", "0", "nothing to train on"),
        ("--text", "no.txt", "no text file"),
    ):
        assert main([*map(str, words), option, value]) == 2
        assert fact in capsys.readouterr().err


# --- the dictionary that comes with the project ---


@pytest.fixture
def packaged(store):
    from core.models.open_models import ModelSpec

    return describe(ModelSpec(device="cpu"), store)


def test_the_projects_own_dictionary_belongs_to_the_packaged_model_alone(
    store, packaged, llama_spec
):
    [one] = shelved(store, packaged)
    own = one.load()
    check_fits(own, packaged)
    assert (own.n_latents, own.d_model, own.info.k, own.info.layer) == (5120, 640, 32, 9)
    assert own.info.model == f"gguf:{PACKAGED_SHA256}"
    assert shelved(store, describe(llama_spec, store)) == []
    assert shelved(store, replace(packaged, identity="untrained:0")) == []
    assert one.digest == BUILTIN


def test_the_projects_own_dictionary_is_small_says_how_it_was_made_and_beats_its_controls(
    store, packaged
):
    kept = training_of(find_shelved(store, packaged, BUILTIN))
    assert kept.shelved.size < 15e6
    assert (
        kept.shelved.load().info.training["command"].startswith("python -m core dictionary train")
    )
    assert kept.corpus["train"]["positions"] >= 200_000
    fits, costs = kept.report.fits, kept.report.costs
    assert fits["dictionary"].fvu.high < fits["components"].fvu.low < fits["random"].fvu.low
    assert costs.added["dictionary"].high < costs.added["mean"].low < costs.added["zero"].low
    assert kept.report.dead < 0.2
