"""The diagnosis page: measuring, scorecard, curves, a layer, tables, files."""

import json
import shutil
import threading
import time
from typing import Any

import numpy as np
import pytest

from core.activations.jobs import reading, study_of, untrained
from core.diagnosis import diagnosis
from core.diagnosis.diagnosis import DiagnosisSpec
from core.maps import view as maps_view
from core.measures.result import TESTS
from pages.diagnosis.scorecard import QUESTIONS

CURVES = [f"curve-{test}" for test in TESTS]
FORESTS = [f"forest-{test}" for test in TESTS]
WITHIN = 120


@pytest.fixture(scope="session")
def diagnosed(tmp_path_factory, read, model_text):
    """Return a cache where the tiny Llama and its untrained copy are diagnosed. Copy it."""
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    root = tmp_path_factory.mktemp("diagnosed") / "cache"
    shutil.copytree(read.root, root)
    work = Workbench.at(root)
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    copy = untrained(work, study)
    work.runner.ensure(reading(work, copy)).wait(WITHIN)
    for one in (study, copy):
        diagnosis.four_tests(work.store, one, DiagnosisSpec()).get()
    return root


@pytest.fixture
def open_diagnosed(diagnosed, root, read, model_text, open_page):
    """Return a function that opens the page where everything is measured."""
    shutil.copytree(diagnosed, root)

    def opened(**query: Any) -> Any:
        return open_page("diagnosis", **{"model": model_text, "set": read.set_name, **query})

    return opened


def charts(app: Any) -> dict[str, Any]:
    return {one.key: json.loads(one.proto.spec) for one in app.get("plotly_chart")}


def words(app: Any) -> str:
    shown = (*app.markdown, *app.caption, *app.info, *app.subheader, *app.get("html"))
    return "\n".join(str(getattr(one, "value", None) or one.proto) for one in shown)


def button(app: Any, label: str) -> Any:
    (found,) = [one for one in app.button if label in one.label]
    return found


def finish(app: Any, work: Any) -> Any:
    """Let the newest job come to its end and run the page again."""
    job = work.runner.jobs()[0]
    job.wait(WITHIN)
    assert job.state == "done", job.error
    return app.run()


def table(app: Any, column: str) -> Any:
    (found,) = [one.value for one in app.dataframe if column in one.value.columns]
    return found


def test_the_way_from_nothing_to_verdicts(open_page, model_text, read, root, work, complaints):
    shutil.copytree(read.root, root, dirs_exist_ok=True)
    app = open_page("diagnosis", model=model_text, set=read.set_name)
    assert complaints(app) == []
    assert not charts(app)
    assert work.runner.jobs() == []  # only the packaged model is measured unasked
    assert "1,000 resamples" in words(app)
    button(app, "Run the four tests").click().run()
    finish(app, work)
    assert complaints(app) == []
    assert set(CURVES) <= set(charts(app))
    assert "untrained copy" in words(app)
    assert "No sentence embedding is among these controls" in words(app)  # nor in the legend
    assert "sentence embedding</span>" not in words(app)
    button(app, "Measure the untrained copy").click().run()
    finish(app, work)  # it was read; the four tests follow by themselves
    finish(app, work)
    assert complaints(app) == []
    assert "untrained copy" in [one["name"] for one in charts(app)["forest-gradient"]["data"]]
    assert "Measure the untrained copy" not in [one.label for one in app.button]


def test_a_sentence_embedding_stands_among_the_controls(
    open_diagnosed, root, work, complaints, monkeypatch
):
    monkeypatch.setattr(diagnosis, "installed", lambda: True)
    monkeypatch.setattr(
        "core.activations.sentence_embedding.embed",
        lambda prompts, _: np.random.default_rng(0).normal(size=(len(prompts), 8)).astype("f4"),
    )
    app = open_diagnosed()
    button(app, "Run the four tests").click().run()
    finish(app, work)
    assert complaints(app) == []
    assert "sentence embedding" in [one["name"] for one in charts(app)["forest-gradient"]["data"]]
    assert "a sentence embedding" in [one["name"] for one in charts(app)["curve-gradient"]["data"]]
    assert "sentence embedding</span>" in words(app)
    assert "No sentence embedding" not in words(app)


def test_a_model_that_has_read_nothing_is_offered_the_reading(open_page, model_text, complaints):
    app = open_page("diagnosis", model=model_text)
    assert complaints(app) == []
    assert button(app, "Read them")
    assert not charts(app)
    assert all(question in words(app) for question in QUESTIONS.values())  # while one waits


def test_a_failed_measuring_says_why_and_can_be_tried_again(
    open_read, work, complaints, monkeypatch
):
    from core import CoreError

    def broken(*_: Any) -> Any:
        raise CoreError("The disk is full. Free some space.")

    with monkeypatch.context() as patch:
        patch.setattr("core.diagnosis.diagnosis.each", broken)
        app = open_read("diagnosis")
        button(app, "Run the four tests").click().run()
        work.runner.jobs()[0].wait(WITHIN)
        app.run()
    assert complaints(app) == ["The disk is full. Free some space."]
    assert button(app, "Run the four tests")


def test_cancel_is_heard_at_once_and_the_measuring_can_be_taken_up(
    open_read, work, complaints, monkeypatch
):
    def endless(_make: Any, _pieces: Any, _count: Any, report: Any, _note: Any) -> Any:
        while True:
            report(1, 2, "measuring")
            time.sleep(0.02)
            if held.is_set():
                free.wait(WITHIN)

    held, free = threading.Event(), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("core.diagnosis.diagnosis.each", endless)
        app = open_read("diagnosis")
        button(app, "Run the four tests").click().run()
        held.set()  # the present step takes its time
        time.sleep(0.1)
        app.run()
        button(app, "Cancel").click().run()
        assert "Stopping after the present step" in words(app)
        assert "Cancel" not in [one.label for one in app.button]
        free.set()
        work.runner.jobs()[0].wait(WITHIN)
        app.run()
    assert complaints(app) == []
    assert "Cancelled. What was done" in words(app)
    button(app, "Run the four tests").click().run()
    finish(app, work)
    assert set(CURVES) <= set(charts(app))


def test_everything_is_on_the_page(open_diagnosed, complaints):
    app = open_diagnosed()
    assert complaints(app) == []
    assert app.title[0].value == "Diagnosis"
    assert set(charts(app)) == {*FORESTS, *CURVES, "poles", "centres"}
    told = words(app)
    for part in (
        "Does it grade as people do?",
        "Rule: a model's whole 95 % interval",
        "Human ceiling:",
        "Highest of all layers with shuffled labels",
        "does not see the difference",
    ):
        assert part in told
    assert len(app.dataframe) == 4
    labels = [one.label for one in app.get("download_button")]
    assert labels == ["CSV", "Parquet", "Charts as HTML", "Receipt"]


def test_other_templates_and_untrained_seeds_are_offered_then_stand_on_the_cards(
    open_diagnosed, work, complaints
):
    app = open_diagnosed()
    assert work.runner.jobs() == []  # the first verdicts wait for neither
    assert "templates: " not in words(app)
    button(app, "Read other templates").click().run()
    finish(app, work)
    assert complaints(app) == []
    assert words(app).count("6 templates: ") == 4
    button(app, "Measure 5 untrained seeds").click().run()
    for _ in range(5):  # four are read, then measured
        finish(app, work)
    assert complaints(app) == []
    assert words(app).count("Untrained copies, 5 seeds: ") == 4
    labels = [one.label for one in app.button]
    assert not {"Read other templates", "Measure 5 untrained seeds"} & set(labels)


def test_every_chart_and_table_has_a_name(open_diagnosed):
    app = open_diagnosed()
    assert all(len(one.proto.alt) > 20 for one in app.get("plotly_chart"))
    assert all(len(one.proto.alt) > 10 for one in app.dataframe)


def test_a_deep_link_brings_everything_back(open_diagnosed, complaints):
    app = open_diagnosed(layer="2", part="betrayal", figures="gradient")
    assert complaints(app) == []
    assert app.select_slider(key="layer").value == "2"
    assert "Layer 2 at a glance" in words(app)
    titles = {key: charts(app)[key]["layout"]["title"]["text"] for key in CURVES}
    assert "loyalty – betrayal" in titles["curve-categorical"]
    assert titles["curve-gradient"].endswith("betrayal")
    assert "betrayal" not in titles["curve-structural"]
    assert set(table(app, "shuffled_low")["test"]) == {"gradient"}


def test_the_present_layer_stands_on_all_curves(open_diagnosed, complaints):
    app = open_diagnosed()
    for name, place in (("0", 0), ("emb", -1)):
        app.select_slider(key="layer").set_value(name).run()
        assert complaints(app) == []
        assert [charts(app)[key]["layout"]["shapes"][0]["x0"] for key in CURVES] == [place] * 4
    assert "The embedding at a glance" in words(app)


def test_a_pole_that_the_address_does_not_know_is_everything(open_diagnosed, complaints):
    app = open_diagnosed(part="courage", states="huge", figures="x", layer="99")
    assert complaints(app) == []
    assert app.selectbox(key="part").value == "all"
    assert app.selectbox(key="states").value == "standardised"


def test_a_layer_with_one_state_for_all_texts_says_so(open_diagnosed, work, complaints):
    app = open_diagnosed(pooling="last", layer="emb")
    button(app, "Run the four tests").click().run()
    finish(app, work)
    assert complaints(app) == []
    assert "same for every text" in words(app)
    assert "poles" not in charts(app)
    app.select_slider(key="layer").set_value("1").run()
    assert complaints(app) == []
    assert "poles" in charts(app)


def test_the_untrained_control_is_said_to_be_one(open_diagnosed, complaints):
    app = open_diagnosed(untrained="1")
    assert complaints(app) == []
    assert "is** the untrained control" in words(app)
    assert "untrained copy" not in [one["name"] for one in charts(app)["forest-gradient"]["data"]]


def test_the_button_opens_the_map_with_the_same_states(open_diagnosed, complaints):
    app = open_diagnosed(layer="2", figures="gradient")
    button(app, "Open the map").click().run()
    assert complaints(app) == []
    assert app.title[0].value == "Map"
    assert {"layer": "2", "colour": "residual"}.items() <= dict(app.query_params).items()
    assert not {"states", "scaling"} & set(dict(app.query_params))  # both pages' default
    assert app.selectbox(key="scaling").value == "standardised"


def test_the_overview_leads_here(open_read, complaints):
    app = open_read("")
    button(app, "Diagnose the model").click().run()
    assert complaints(app) == []
    assert app.title[0].value == "Diagnosis"


def test_the_tables_hold_texts_of_the_set(open_diagnosed, work, read):
    app = open_diagnosed(layer="2")
    items = work.items(read.set_name)
    pairs = table(app, "virtue_grade")
    assert set(pairs["virtue"]) | set(pairs["vice"]) <= set(items.texts())
    furthest = table(app, "model_typicality")
    assert furthest["residual"].abs().is_monotonic_decreasing
    assert set(furthest["text"]) <= set(maps_view.facts(items, None)["text"])
