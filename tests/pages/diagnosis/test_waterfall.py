"""The waterfall on the diagnosis page: the offer, its pieces of work, charts and their table."""

import json
import shutil
from typing import Any

import numpy as np
import pytest

from core.activations.jobs import study_of
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.jobs import repaired
from core.diagnosis.waterfall import step_count
from core.measures.result import TESTS

CHARTS = [f"waterfall-{test}" for test in TESTS]
WITHIN = 120


@pytest.fixture(scope="session")
def diagnosed_only(tmp_path_factory, read, model_text):
    """Return a cache where the tiny Llama is diagnosed as the page does. Copy it."""
    root = tmp_path_factory.mktemp("waterfall") / "cache"
    shutil.copytree(read.root, root)
    work, study = studied(root, read, model_text)
    four_tests(work.store, study, DiagnosisSpec()).get()
    return root


@pytest.fixture(scope="session")
def measured(tmp_path_factory, diagnosed_only, read, model_text):
    """Return the same with its waterfall. Copy it."""
    root = tmp_path_factory.mktemp("measured") / "cache"
    shutil.copytree(diagnosed_only, root)
    work, study = studied(root, read, model_text)
    made = repaired(work, study)
    while (job := work.runner.ensure(made)) is not None:
        job.wait(WITHIN)
        assert job.state == "done", job.error
    return root


def studied(root, read, model_text):
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    work = Workbench.at(root)
    items = work.items(read.set_name)
    return work, study_of(work, items, ModelSpec.parse(model_text), ReadSpec())


@pytest.fixture
def open_in(root, read, model_text, open_page):
    """Return a function that opens the page in a copy of a cache."""

    def opened(cache: Any, **query: Any) -> Any:
        shutil.copytree(cache, root, dirs_exist_ok=True)
        return open_page("diagnosis", **{"model": model_text, "set": read.set_name, **query})

    return opened


def charts(app: Any) -> dict[str, Any]:
    found = {one.key: one for one in app.get("plotly_chart")}
    return {key: one for key, one in found.items() if key in CHARTS}


def steps(app: Any) -> Any:
    return [one.value for one in app.dataframe if "change_low" in one.value.columns]


def start(app: Any) -> Any:
    (found,) = [one for one in app.button if one.key == "waterfall-start"]
    return found


def finish(app: Any, work: Any) -> Any:
    """Let the newest job come to its end and run the page again."""
    job = work.runner.jobs()[0]
    job.wait(WITHIN)
    assert job.state == "done", job.error
    return app.run()


def test_it_is_offered_and_not_started_unasked(open_in, diagnosed_only, work, complaints):
    app = open_in(diagnosed_only)
    assert complaints(app) == []
    assert "How much of the indifference" in " ".join(one.value for one in app.subheader)
    assert start(app).label == "Measure it"
    assert any(f"then {step_count()} steps" in one.value for one in app.caption)
    assert (charts(app), steps(app), work.runner.jobs()) == ({}, [], [])


def test_one_press_reads_and_measures(open_in, diagnosed_only, work, complaints):
    app = open_in(diagnosed_only)
    start(app).click().run()
    assert work.runner.jobs()[0].title.startswith("Reading")
    finish(app, work)  # the second piece follows by itself
    assert "step by step" in work.runner.jobs()[0].title
    finish(app, work)
    assert complaints(app) == []
    assert list(charts(app)) == CHARTS
    assert "waterfall-start" not in [one.key for one in app.button]


def test_a_cancelled_one_is_offered_again(open_in, diagnosed_only, work):
    app = open_in(diagnosed_only)
    start(app).click().run()
    work.runner.jobs()[0].wait(WITHIN)
    app.run()
    job = work.runner.jobs()[0]
    job.cancel()
    job.wait(WITHIN)
    app.run()
    assert not app.exception
    assert charts(app) == {} or job.state == "done"
    assert job.state == "done" or start(app)


def test_charts_and_table_show_the_stored_steps(
    open_in, measured, work, read, model_text, complaints
):
    app = open_in(measured)
    assert complaints(app) == []
    found = repaired(*studied(measured, read, model_text)).open()
    (table,) = steps(app)
    assert len(table) == sum(map(len, found.values())) == step_count()
    for test, key in zip(TESTS, CHARTS, strict=True):
        shown = charts(app)[key]
        bars, points = json.loads(shown.proto.spec)["data"]
        assert bars["y"] == points["y"] == [one.name for one in found[test]]
        own = table[table["test"] == test]
        values = np.array([one.figure.value for one in found[test]])
        np.testing.assert_allclose(own["figure"], values)
        assert own["step"].tolist() == [one.name for one in found[test]]
        assert len(shown.proto.alt) > 40
    told = " ".join(str(one.value) for one in app.caption)
    assert told.count("by the paper's procedure;") == 4


def test_what_hangs_on_the_centring_is_said_beside_its_waterfall(open_in, measured, monkeypatch):
    def told(steps: Any) -> str:
        return "this hangs on the centring" if steps[0].test == "gradient" else ""

    monkeypatch.setattr("pages.diagnosis.waterfall.centring_text", told)
    said = [str(one.value) for one in open_in(measured).caption]
    assert said.count("this hangs on the centring") == 1


def test_it_is_the_same_whatever_states_the_page_shows(open_in, measured, work, complaints):
    app = open_in(measured)
    before = steps(app)[0]
    app.selectbox(key="states").set_value("standardised").run()
    assert complaints(app) == []
    after = steps(app)
    assert after == [] or before.equals(after[0])  # these states are not diagnosed yet
