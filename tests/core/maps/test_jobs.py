"""Maps as jobs: every layer's picture drawn once, and a sentence placed among the items."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.layers import EMBEDDING
from core.maps import jobs
from core.maps.jobs import layouts, sentence
from core.maps.layouts import model_layout
from core.maps.placing import nearest_items
from core.maps.projection import LayoutSpec
from core.runtime.progress import silent
from core.workbench import Workbench
from tests.core.benches import done, failed, finish

PCA = LayoutSpec()
STANDARD = ("mean", "standardised")


@pytest.fixture
def study(bench, few_study):
    """Return 24 actions that the tiny Llama has read."""
    finish(bench, reading(bench, few_study))
    return few_study


def draw(bench, study, *how):
    """Start (or join) the next job on the pictures."""
    return bench.runner.ensure(layouts(bench, study, *how))


# Pictures ---------------------------------------------------------------------------------------


def test_the_layouts_job_draws_every_layer_and_then_nothing_is_missing(bench, study, monkeypatch):
    assert layouts(bench, study, *STANDARD, PCA).open() is None
    job = done(draw(bench, study, *STANDARD, PCA))
    assert job.key == layouts(bench, study, *STANDARD, PCA).name
    assert "2-D PCA maps" in job.title
    assert draw(bench, study, *STANDARD, PCA) is None
    monkeypatch.setattr("core.maps.layouts.project", None)  # so that drawing anything would fail
    assert layouts(bench, study, *STANDARD, PCA).open()
    for layer in study.plan.layers:
        shape = model_layout(bench.store, study, layer, *STANDARD, PCA).get().points.shape
        assert shape == (len(study.plan.prompts), 2)
    assert draw(Workbench.at(bench.store.root), study, *STANDARD, PCA) is None


def test_two_that_ask_for_the_same_pictures_share_the_job(bench, study):
    free = threading.Event()
    bench.runner.submit("block", "Blocking", lambda _: free.wait(10), lane="layout")
    job = draw(bench, study, *STANDARD, PCA)
    assert draw(bench, study, *STANDARD, PCA) is job
    free.set()
    done(job)


def test_a_layer_without_a_picture_is_not_drawn_again_and_again(bench, study):
    done(draw(bench, study, "last", "standardised", PCA))
    assert draw(bench, study, "last", "standardised", PCA) is None
    with pytest.raises(CoreError, match="the same for every text"):
        model_layout(bench.store, study, EMBEDDING, "last", "standardised", PCA).get()


def test_every_layer_is_drawn_and_counted_once(bench, study, monkeypatch):
    drawn, notes = [], []

    def watched(store, study, layer, *how):
        made = model_layout(store, study, layer, *how)

        def make(report):
            drawn.append(layer)
            notes.append(bench.runner.jobs()[0].note)
            return made.make(report)

        return replace(made, make=make)

    monkeypatch.setattr(jobs, "model_layout", watched)
    done(draw(bench, study, *STANDARD, PCA))
    assert drawn[0] == study.anchor
    assert sorted(drawn) == list(study.plan.layers)
    assert notes == [f"drawing layers · {number} of 4" for number in range(4)]


def test_only_the_missing_layers_are_drawn(bench, study, monkeypatch):
    for layer in (study.anchor, 0):
        model_layout(bench.store, study, layer, *STANDARD, PCA).get()
    drawn = []
    monkeypatch.setattr(
        jobs,
        "model_layout",
        lambda store, study, layer, *how: replace(
            model_layout(store, study, layer, *how), make=lambda _: drawn.append(layer)
        ),
    )
    layouts(bench, study, *STANDARD, PCA).make(silent)
    assert sorted(drawn) == sorted(set(study.plan.layers) - {study.anchor, 0})


def test_other_pictures_are_other_jobs(bench, study):
    started = [
        draw(bench, study, "mean", "standardised", PCA),
        draw(bench, study, "mean", "standardised", LayoutSpec(dims=3)),
        draw(bench, study, "mean", "centred", PCA),
        draw(bench, study, "last", "standardised", PCA),
    ]
    assert len({job.key for job in started}) == 4
    for job in started:
        done(job)


def test_an_unread_study_is_read_before_it_is_drawn(bench, few_study):
    with pytest.raises(CoreError, match="has not read"):
        layouts(bench, few_study, *STANDARD, PCA).make(silent)
    job = draw(bench, few_study, *STANDARD, PCA)
    assert job.key == reading(bench, few_study).name
    assert bench.runner.of(layouts(bench, few_study, *STANDARD, PCA)) is job
    done(job)
    assert not layouts(bench, few_study, *STANDARD, PCA).has()
    job = draw(bench, few_study, *STANDARD, PCA)
    assert job.key == layouts(bench, few_study, *STANDARD, PCA).name
    done(job)
    assert draw(bench, few_study, *STANDARD, PCA) is None


# A sentence -------------------------------------------------------------------------------------


def test_a_sentence_is_placed_at_every_layer(bench, study):
    text = study.items.texts()[5]
    placed = done(sentence(bench, study, text, *STANDARD)).result
    assert placed.cosine.shape == (4, 10)
    rows, cosine = nearest_items(bench.store, study, placed.states[3], 2, *STANDARD)
    assert study.items.texts()[rows[0]] == text
    assert cosine[0] == pytest.approx(1, abs=1e-4)


def test_a_sentence_is_read_once(bench, study, monkeypatch):
    first = done(sentence(bench, study, "sell the house", *STANDARD))
    monkeypatch.setattr(jobs, "place_sentence", None)
    assert sentence(bench, study, "sell the house", *STANDARD) is first


def test_another_sentence_pooling_or_scaling_is_another_job(bench, study):
    asked = [
        ("sell the house", "mean", "standardised"),
        ("sell the boat", "mean", "standardised"),
        ("sell the house", "last", "standardised"),
        ("sell the house", "mean", "centred"),
    ]
    placed = [done(sentence(bench, study, *one)) for one in asked]
    assert len({job.key for job in placed}) == 4
    results = [job.result.cosine[-1] for job in placed]
    assert all(np.nanmax(np.abs(results[0] - other)) > 1e-4 for other in results[1:])


def test_a_sentence_before_the_reading_is_refused_and_works_after_it(bench, few_study):
    assert "has not read" in failed(sentence(bench, few_study, "sell the house", *STANDARD))
    finish(bench, reading(bench, few_study))
    cosine = done(sentence(bench, few_study, "sell the house", *STANDARD)).result.cosine
    np.testing.assert_array_equal(np.isfinite(cosine[0]), few_study.members.any(axis=0))


def test_a_model_that_changed_on_disk_reads_no_sentence_under_its_old_name(
    bench, few_items, copy_spec, tiny_gpt2_folder
):
    study = study_of(bench, few_items, copy_spec, ReadSpec())
    shutil.rmtree(study.card.folder)
    shutil.copytree(tiny_gpt2_folder, study.card.folder)
    anew = study_of(bench, few_items, copy_spec, ReadSpec())
    finish(bench, reading(bench, anew))
    assert "has changed" in failed(sentence(bench, study, "sell the house", *STANDARD))
    assert done(sentence(bench, anew, "sell the house", *STANDARD)).result
