"""The leaderboard page, and packs on the Data and Diagnosis pages."""

import pytest

from core.activations.jobs import study_of, untrained
from core.activations.prompts import ReadSpec
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.jobs import diagnosis
from core.leaderboard import pack
from core.models.spec import ModelSpec

FEW = DiagnosisSpec(draws=20, shuffles=20)


@pytest.fixture
def diagnosed(open_read, work, read, model_text):
    """Return the study of the tiny Llama on the small set, diagnosed quickly."""
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    job = work.runner.ensure(diagnosis(work, study, FEW))
    job.wait(120)
    assert job.state == "done", job.error
    return study


def test_an_empty_leaderboard_says_how_to_fill_it(open_page, complaints):
    app = open_page("leaderboard")
    assert complaints(app) == []
    assert "No model has been tested on these actions yet" in app.markdown[0].value
    assert not app.code  # a click, no command
    next(one for one in app.button if one.label == "Test this model").click().run()
    assert app.title[0].value == "Diagnosis"


def test_one_model_stands_on_the_leaderboard_with_table_and_files(diagnosed, open_read, complaints):
    app = open_read("leaderboard", test="dimensional")
    assert complaints(app) == []
    assert app.subheader[0].value == "1 model, dimensional"
    assert any("the only one measured" in one.value for one in app.markdown)
    told = "\n".join(one.value for one in app.markdown)
    assert "Spearman's ρ): too few models: 1 of at least 5." in told
    assert "kind of training (η² of ranks): too few models: 0 of at least 5." in told
    assert all("p_together" not in one.value for one in app.dataframe)  # no table of nothing
    table = app.dataframe[-1].value
    assert table["test"].tolist() == ["categorical", "gradient", "structural", "dimensional"]
    assert set(table["shown"]) == {"tiny-llama"}


def test_the_test_and_the_grouping_come_from_the_address(diagnosed, open_read):
    app = open_read("leaderboard", test="structural", group="architecture")
    assert [box.value for box in app.main.selectbox][:2] == ["structural", "architecture"]
    assert app.dataframe[0].value["group"].tolist() == ["LlamaForCausalLM"]


def test_a_pack_is_made_and_opened_and_shown_without_the_model(
    diagnosed, open_read, open_page, work, tmp_path, complaints
):
    path = tmp_path / "tiny.moralscope"
    pack.pack(work.store, diagnosed, None, path)
    app = open_read("data")
    app.text_input(key="pack-path").set_value(str(path)).run()
    next(one for one in app.button if one.label == "Open the pack").click().run()
    job = next(job for job in work.runner.jobs() if job.title.startswith("Opening"))
    job.wait(60)
    app.run()
    assert complaints(app) == []
    assert any(one.value == "The pack is open." for one in app.success)
    assert any(one.value.startswith("Licence of Few") for one in app.caption), [
        one.value for one in app.caption
    ]
    app = open_page("map", set=job.result.set_name[:12], model=str(job.result.spec))
    assert complaints(app) == []
    assert app.session_state["model"] == str(job.result.spec)
    assert not app.info
    assert app.get("plotly_chart")


def test_a_packs_copy_that_has_no_states_is_no_side_of_a_comparison(
    diagnosed, work, open_page, complaints, tmp_path
):
    path = tmp_path / "made.moralscope"
    copy = untrained(work, diagnosed)
    pack.pack(work.store, diagnosed, copy, path)
    found = pack.unpack(work.store, path)
    app = open_page("compare", model=str(found.spec), set=found.set_name[:12])
    assert complaints(app) == []
    assert any("holds no states of these actions" in one.value for one in app.info)
    assert not [one for one in app.button if one.label == "Compare"]


def test_a_wrong_pack_is_refused_with_a_sentence(open_read, work, tmp_path):
    (tmp_path / "p.moralscope").write_text("no pack")
    app = open_read("data")
    app.text_input(key="pack-path").set_value(str(tmp_path / "p.moralscope")).run()
    next(one for one in app.button if one.label == "Open the pack").click().run()
    next(job for job in work.runner.jobs() if job.title.startswith("Opening")).wait(60)
    app.run()
    assert any("it is no pack, or was cut off" in one.value for one in app.error)
