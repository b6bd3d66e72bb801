"""The claim court's page: the paper's docket, one's own, and what is said where it is wrong."""

import pytest

from core.activations.jobs import study_of, untrained
from core.activations.prompts import ReadSpec
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.jobs import diagnosis
from core.leaderboard import pack
from core.models.spec import ModelSpec

FEW = DiagnosisSpec(draws=20, shuffles=20)
OWN = '[[claim]]\nname = "Mine"\ntest = "gradient"\ndirection = "above"\nthreshold = 0.9\n'


@pytest.fixture
def diagnosed(open_read, work, read, model_text):
    """Diagnose the tiny Llama and its untrained copy on the small set."""
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    for one in (study, untrained(work, study)):
        job = work.runner.ensure(diagnosis(work, one, FEW))
        while job is not None:
            job.wait(120)
            assert job.state == "done", job.error
            job = work.runner.ensure(diagnosis(work, one, FEW))


def cards(app):
    return [one.proto.body for one in app.get("html") if "class='ms-verdict'" in one.proto.body]


def test_on_an_empty_cache_nothing_is_decided_and_the_way_on_is_offered(open_page, complaints):
    app = open_page("claims")
    assert complaints(app) == []
    assert app.title[0].value == "Claims"
    assert "0 supported, 0 not supported, 18 not decidable here" in app.subheader[0].value
    assert len(cards(app)) == 18
    next(one for one in app.button if one.label == "Test this model").click().run()
    assert app.title[0].value == "Diagnosis"


def test_the_papers_docket_stands_with_figures_controls_table_and_files(
    diagnosed, open_read, complaints
):
    app = open_read("claims")
    assert complaints(app) == []
    assert "3 supported" in app.subheader[0].value  # its weights are random: it lacks things
    assert sum("there, too" in one.proto.body for one in app.get("html")) == 3
    drawn = [one.proto.body for one in app.get("html") if "ms-strip'" in one.proto.body]
    assert any("tiny-llama" in one and "an untrained copy" in one for one in drawn)
    assert all("role='img' aria-label='Bound at " in one for one in drawn)
    table = app.dataframe[0]
    assert len(table.proto.alt) > 10
    assert {"an untrained copy", "shuffled labels", "low", "high"} <= set(table.value.columns)
    assert [one.proto.label for one in app.get("download_button")] == [
        "Verdicts with receipts",
        "CSV",
        "Docket",
    ]
    assert not any("Test this model" in one.label for one in app.button)


def test_verdicts_can_be_picked_and_live_in_the_address(diagnosed, open_read, complaints):
    app = open_read("claims", verdict="not supported")
    assert complaints(app) == []
    told = cards(app)
    assert told
    assert all("✕" in one for one in told)


def test_a_docket_of_ones_own_is_typed_and_what_is_wrong_with_it_told(open_page, complaints):
    app = open_page("claims", docket="own")
    assert complaints(app) == []
    assert "1 claim:" in app.subheader[0].value
    app.text_area(key="docket-text").set_value(OWN + '[[claim]]\nname = "Odd"\ntst = 1\n').run()
    assert complaints(app) == []
    assert "2 claims:" in app.subheader[0].value
    assert any("unknown key &#x27;tst&#x27;: Did you mean test?" in one.proto.body
               for one in app.get("html"))  # fmt: skip
    app.text_area(key="docket-text").set_value("[[claim").run()
    assert ["What is typed is not TOML" in one.value for one in app.error] == [True]
    app.text_area(key="docket-text").set_value("").run()
    assert not app.error


def test_a_pack_decides_nothing_until_its_texts_are_read_again(
    diagnosed, open_read, work, read, model_text, tmp_path, complaints
):
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    pack.pack(work.store, study, untrained(work, study), tmp_path / "tiny.moralscope")
    pack.unpack(work.store, tmp_path / "tiny.moralscope")
    app = open_read("claims", verdict="not supported")
    assert complaints(app) == []
    assert "0 supported, 2 not supported" in app.subheader[0].value
    next(one for one in app.button if one.label == "Read some of its texts again").click().run()
    job = next(one for one in work.runner.jobs() if "again" in one.title)
    job.wait(120)
    assert job.state == "done", job.error
    app.run()
    assert complaints(app) == []
    assert not [one for one in app.button if one.label == "Read some of its texts again"]
    assert set(app.dataframe[0].value["rests on"].dropna()) == {
        "read here", "pack, 6 texts read again, its copy as packed",
    }  # fmt: skip
    # The pack says what its model says: it lacks things, as random weights do.
    assert "3 supported, 2 not supported" in app.subheader[0].value


@pytest.mark.parametrize("query", [{"docket": "none"}, {"verdict": "maybe"}, {"set": "nothing"}])
def test_an_odd_address_shows_the_usual(open_page, complaints, query):
    assert complaints(open_page("claims", **query)) == []
