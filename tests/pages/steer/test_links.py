"""A run's address: the same texts elsewhere, readings, directions from files, what is missing."""

from dataclasses import replace
from urllib.parse import parse_qsl

import numpy as np
import pytest
import streamlit as st
from safetensors.numpy import save

from core.activations.jobs import reading, study_of
from core.activations.prompts import PRESETS, ReadSpec
from core.dataset.sets import ItemSpec
from core.models.open_models import describe
from core.models.spec import ModelSpec
from core.steering.direction_files import axis_of, kept_directions
from core.steering.history import runs
from core.steering.recipes import unpacked
from pages.shared.bench import workbench
from pages.steer import link as steer_link
from tests.pages.steer.steerpages import WITHIN, answers, settle, words, write


def address(run):
    """Return the query of a run's address."""
    return dict(parse_qsl(steer_link.of(run).removeprefix("?"), keep_blank_values=True))


@pytest.fixture
def elsewhere(read, tmp_path, monkeypatch, model_text):
    """Return a function that goes to another machine: an empty cache, set and model read anew."""

    def gone(spec=None):
        monkeypatch.setenv("MORALSCOPE_CACHE", str(tmp_path / "elsewhere"))
        st.cache_resource.clear()
        work = workbench()
        added = work.add_items(ItemSpec("file", read.root.parent / "few.tsv", name="Few"))
        added.wait(WITHIN)
        study = study_of(work, added.result, ModelSpec.parse(model_text), spec or ReadSpec())
        work.runner.ensure(reading(work, study)).wait(WITHIN)
        return work

    return gone


def opened(open_page, work, query):
    app = open_page("steer", **query)
    for _ in range(3):  # the model opens, the run is written, the run is shown
        settle(work)
        app.run()
    return app


@pytest.mark.parametrize("query", [{"temperature": "0"}, {"seed": "5", "samples": "2"}])
def test_an_address_writes_the_same_texts_on_another_machine(
    query, open_steer, open_page, complaints, work, elsewhere
):
    write(open_steer(**{"care-harm": "-40", "at": "2", "also": "0-1", **query}), work)
    (run,) = runs(work.store)
    assert run.recipe.layers == (2, 0, 1)
    other = elsewhere()
    assert runs(other.store) == []
    app = opened(open_page, other, address(run))
    assert complaints(app) == []
    (same,) = runs(other.store)
    assert (same.name, same.plain, same.steered) == (run.name, run.plain, run.steered)
    assert run.plain != run.steered
    assert "The same texts as those behind the link, byte for byte." in words(app)
    assert app.session_state["also"] == "0-1"


def test_a_link_whose_texts_come_out_differently_says_so(
    open_steer, open_page, complaints, work, elsewhere
):
    write(open_steer(**{"care-harm": "40"}), work)
    (run,) = runs(work.store)
    app = opened(open_page, elsewhere(), {**address(run), "texts": "0" * 12})
    assert complaints(app) == []
    assert "Other texts than those behind the link" in words(app)


def test_on_its_own_machine_a_link_shows_the_run_and_writes_nothing(open_steer, complaints, work):
    write(open_steer(**{"care-harm": "40"}), work)
    (run,) = runs(work.store)
    again = open_steer(**address(run))
    assert complaints(again) == []
    assert runs(work.store) == [run]
    assert "byte for byte" in words(again)
    assert "tokens changed" in words(again)


def test_a_link_carries_the_papers_reading(
    open_read, open_page, work, complaints, elsewhere, model_text, read
):
    open_read("data")  # puts the cache into place
    items = work.items(read.set_name)
    study = study_of(work, items, ModelSpec.parse(model_text), PRESETS["paper"])
    work.runner.ensure(reading(work, study)).wait(WITHIN)
    query = {"model": model_text, "set": read.set_name, "tokens": "4", "samples": "1"}
    app = opened(open_page, work, {**query, "preset": "paper", "care-harm": "40"})
    app = write(app, work)
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert (run.recipe.strip, run.recipe.max_tokens) == (False, 128)
    link = address(run)
    assert link["preset"] == "paper"
    app = opened(open_page, elsewhere(PRESETS["paper"]), link)
    assert complaints(app) == []
    assert "The same texts" in words(app)
    del link["preset"]
    app = opened(open_page, elsewhere(), link)
    assert any("same preset" in one for one in complaints(app))


# Directions from files --------------------------------------------------------------------------


def vector(width=32, **about):
    made = np.random.default_rng(1).normal(size=width).astype(np.float32)
    return save({"v": made}, metadata=about or None)


def load(app, content, name="mine.safetensors"):
    box = app.file_uploader(key="own-file")
    return box.upload(name, content, "application/octet-stream").run()


def test_a_direction_from_a_file_gets_a_slider_steers_and_is_in_the_link(
    open_steer, open_page, complaints, work, elsewhere, card
):
    content = vector()
    app = load(open_steer(), content)
    assert complaints(app) == []
    (kept,) = kept_directions(work.store, card)
    axis = axis_of(kept)
    app.slider(key=axis).set_value(40).run()
    assert (answers(app)["change"].abs() > 0).any()
    app = write(app, work)
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert [(term.axis, term.strength) for term in run.recipe.terms] == [(axis, 0.4)]
    other = elsewhere()
    app = opened(open_page, other, address(run))
    (told,) = complaints(app)
    assert "Load its file under 'Directions from files'" in told
    assert runs(other.store) == []
    load(app, content)
    settle(other)
    app.run().run()
    assert complaints(app) == []
    (same,) = runs(other.store)
    assert (same.plain, same.steered) == (run.plain, run.steered)


@pytest.fixture
def card(model_text, open_steer):
    """Return what is known of the tiny Llama."""
    return describe(ModelSpec.parse(model_text), workbench().store)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nonsense", "cannot be read as safetensors"),
        (vector(33), "needs one vector of 32"),
        (vector(model="folder:other"), "made on another model"),
    ],
)
def test_a_file_that_is_no_direction_is_refused_in_one_sentence(
    content, said, open_steer, complaints
):
    app = load(open_steer(), content)
    (told,) = complaints(app)
    assert said in told
    assert "mine.safetensors" in told


def test_a_direction_of_another_layer_is_refused_where_it_does_not_belong(
    open_steer, complaints, work, card
):
    app = load(open_steer(at="2"), vector(layer="1"))
    (kept,) = kept_directions(work.store, card)
    app.slider(key=axis_of(kept)).set_value(20).run()
    assert set(complaints(app)) == {"mine was made at layer 1, not 2. Steer there."}
    app.select_slider(key="at").set_value(1).run()
    assert complaints(app) == []


def test_an_address_with_a_direction_that_is_not_here_says_so(open_steer, complaints):
    app = open_steer(**{"file:0123456789abcdef": "20"})
    (told,) = complaints(app)
    assert "which is not on this machine" in told


def test_layers_apart_are_steered_and_nonsense_is_a_sentence(open_steer, complaints):
    app = open_steer(**{"care-harm": "20", "at": "2", "also": "0"})
    apart = answers(app)["change"].tolist()
    app.text_input(key="also").set_value("1").run()
    assert answers(app)["change"].tolist() != apart
    app.text_input(key="also").set_value("7").run()
    assert any("There is no layer 7" in one for one in complaints(app))


def test_an_unpacked_link_is_the_runs_recipe(open_steer, work):
    write(open_steer(**{"care-harm": "40"}), work)
    (run,) = runs(work.store)
    assert unpacked(address(run)["recipe"]) == run.recipe
    assert "texts" not in address(replace(run, stopped=True))
