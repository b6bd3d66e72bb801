"""The further controls on the diagnosis page: the offer, its pieces of work, words and charts."""

import json
import shutil
from typing import Any

import pytest

from core.activations.jobs import study_of
from core.diagnosis import controls_report as report
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.jobs import further
from core.workbench import Workbench

WITHIN = 120
SPEC = DiagnosisSpec()


@pytest.fixture(scope="session")
def diagnosed_only(tmp_path_factory, read, model_text):
    """Return a cache where the tiny Llama is diagnosed as the page does. Copy it."""
    root = tmp_path_factory.mktemp("further") / "cache"
    shutil.copytree(read.root, root)
    found(root, read, model_text)
    return root


def found(root, read, model_text):
    """Return a workbench at a cache and the tiny Llama's diagnosis there."""
    from core.activations.prompts import ReadSpec
    from core.models.spec import ModelSpec

    work = Workbench.at(root)
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    return work, four_tests(work.store, study, SPEC).get()


def charts(app: Any) -> dict[str, Any]:
    keys = {one.key: one for one in app.get("plotly_chart")}
    return {key: one for key, one in keys.items() if key.startswith("controls-")}


def words(app: Any) -> str:
    shown = (*app.markdown, *app.caption, *app.subheader)
    return "\n".join(str(one.value) for one in shown)


@pytest.mark.slow
def test_from_the_offer_to_the_figures_while_the_verdicts_stand(
    diagnosed_only, root, read, model_text, open_page, work, complaints
):
    shutil.copytree(diagnosed_only, root, dirs_exist_ok=True)
    app = open_page("diagnosis", model=model_text, set=read.set_name)
    assert complaints(app) == []
    assert "Is it moral? Further controls" in words(app)
    assert charts(app) == {}
    assert work.runner.jobs() == []  # asked for by nobody
    app.button(key="controls-start").click().run()
    assert "forest-gradient" in {one.key for one in app.get("plotly_chart")}
    for part in ("Reading 240 texts", "Further controls"):
        job = work.runner.jobs()[0]
        assert job.title.startswith(part)
        job.wait(WITHIN)
        assert job.state == "done", job.error
        app.run()
    assert complaints(app) == []
    bench, diagnosis = found(root, read, model_text)
    kept = further(bench, diagnosis).open()
    assert kept is not None
    assert set(charts(app)) == {
        *(f"controls-{row.test}" for row in kept.concept),
        "controls-transfer",
        "controls-selectivity",
        "controls-partial",
    }
    told = words(app)
    assert report.concept_text(kept.concept) in told
    assert report.CONCEPT_RULE in told
    assert report.selectivity_text(kept.selectivity) in told
    for row in kept.concept:
        assert report.beside_text(row) in told
        drawn = json.loads(charts(app)[f"controls-{row.test}"].proto.spec)["data"]
        assert drawn[0]["x"] == [pytest.approx(row.difference.value)]
        assert "difference" in charts(app)[f"controls-{row.test}"].proto.alt
    assert "controls-start" not in [one.key for one in app.button]


@pytest.mark.slow
def test_a_pack_offers_nothing_that_its_model_cannot_do(
    diagnosed_only, root, tmp_path, read, model_text, open_page, complaints
):
    from core.leaderboard import pack

    there = tmp_path / "there"
    shutil.copytree(diagnosed_only, there)
    bench, diagnosis = found(there, read, model_text)
    path = tmp_path / "tiny.moralscope"
    pack.pack(bench.store, diagnosis.study, None, path)
    here = pack.unpack(Workbench.at(root).store, path)
    app = open_page("diagnosis", model=str(here.spec), set=here.set_name[:12])
    assert "verdicts stop short" in " ".join(complaints(app))  # nothing else
    assert "Here they cannot be run: packed model" in words(app)
    assert "controls-start" not in [one.key for one in app.button]
