"""Training as a job: joined while it runs, paused by Cancel, taken up again, then kept."""

import shutil
from dataclasses import replace

import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.runtime.progress import Cancelled
from core.sae.dictionary import DictionaryError
from core.sae.training import jobs
from core.sae.training.corpora import CorpusError, CorpusSpec
from core.sae.training.jobs import plan_of, training
from core.sae.training.spec import TrainSpec
from core.sae.training.trained import is_paused, load_or_train, open_trained
from tests.core.benches import closed, done, failed

CORPUS = CorpusSpec(items=1_000, length=48)
SPEC = TrainSpec(width=48, k=3, batch=128, epochs=1, dead_after=2_000, aux_k=8)


def test_a_plan_is_of_the_middle_layer_unless_one_is_chosen(few_study):
    assert plan_of(few_study, CORPUS, SPEC).layer == few_study.anchor
    assert plan_of(few_study, CORPUS, SPEC, 0).layer == 0
    with pytest.raises(DictionaryError, match="has no layer 3"):
        plan_of(few_study, CORPUS, SPEC, 3)


def test_training_is_joined_while_it_runs_and_then_kept(bench, few_study, monkeypatch):
    plan = plan_of(few_study, CORPUS, SPEC)
    job = bench.runner.ensure(training(bench, plan))
    assert bench.runner.ensure(training(bench, plan_of(few_study, CORPUS, SPEC))) is job
    assert bench.runner.of(training(bench, plan)) is job
    assert (job.lane, job.title) == ("model", f"Training {plan.name}")
    kept = done(job).result
    assert tuple(job.live) == kept.curve
    again = closed(bench, monkeypatch)
    assert again.runner.ensure(training(again, plan)) is None
    assert training(again, plan).get().shelved == kept.shelved


def test_a_cancelled_training_is_paused_and_the_next_job_goes_on(bench, few_study, monkeypatch):
    plan = plan_of(few_study, CORPUS, SPEC)

    def stopped(store, plan, model, curve, report):
        def stop(*args):
            if curve:
                raise Cancelled
            report(*args)

        return load_or_train(store, plan, model, curve, stop)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "load_or_train", stopped)
        job = bench.runner.ensure(training(bench, plan))
        job.wait(60)
    assert job.state == "cancelled"
    assert is_paused(bench.store, plan)
    assert open_trained(bench.store, plan) is None
    again = bench.runner.ensure(training(bench, plan))
    assert again is not job
    assert again.key == job.key
    done(again)
    assert not is_paused(bench.store, plan)


def test_what_cannot_be_trained_says_why(bench, few_items, copy_spec, tiny_gpt2_folder, tmp_path):
    study = study_of(bench, few_items, copy_spec, ReadSpec())
    shutil.rmtree(study.card.folder)
    shutil.copytree(tiny_gpt2_folder, study.card.folder)
    made = training(bench, plan_of(study, CORPUS, SPEC))
    assert "has changed" in failed(bench.runner.ensure(made))
    assert not made.has()
    with pytest.raises(CorpusError, match="no text file"):
        training(bench, plan_of(study, replace(CORPUS, file=tmp_path / "no.txt"), SPEC))
