"""The page of alignments: from nothing to a verdict, kept ones, bad input, files."""

import io
import shutil
import zipfile
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.alignment.jobs import alignment
from core.alignment.left_out import Transfer
from core.alignment.report import MEANS, SAYINGS
from core.alignment.shown import FIGURES
from core.alignment.spec import ARMS, NEEDED, AlignSpec
from core.dataset.sets import ItemSpec
from core.models.open_models import describe
from core.models.spec import ModelSpec
from core.runtime.made import Made
from core.sae.files import folder_zip, load_folder
from core.sae.shelf import keep_dictionary, shelved
from core.statistics.bootstrap import Estimate
from core.workbench import Workbench
from tests.core.benches import done, finish
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import balanced_rows
from tests.pages.atlases import maps
from tests.pages.steer.steerpages import arrived, charts, settle, words
from tests.pages.steer.test_stage import parts

#: Little holds the latents back: even a random model is changed.
QUICK = partial(AlignSpec, rate=2e-2, order=0, edit=0, stay=0, gain=0)
ASKED = {"each": "3", "seeds": "1"}


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pages.align.choice.AlignSpec", QUICK)
        yield


@pytest.fixture(scope="module")
def balanced(tmp_path_factory, model_text):
    """Return a cache in which the tiny Llama has read a set large enough, and its query."""
    folder = tmp_path_factory.mktemp("balanced")
    lines = ["action\tfoundation\tjudgement\tagreement"]
    lines += ["\t".join(map(str, row)) for row in balanced_rows()]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    work = Workbench.at(folder / "cache")
    items = done(work.add_items(ItemSpec("file", folder / "t.tsv"))).result
    study = study_of(work, items, ModelSpec.parse(model_text), ReadSpec())
    finish(work, reading(work, study))
    keep_dictionary(work.store, made_dictionary(96, k=6), study.card)
    return work.store.root, {"model": model_text, "set": items.digest[:12], **ASKED}


@pytest.fixture(scope="module")
def aligned(balanced, tmp_path_factory):
    """Return a cache with a kept report. Copy it."""
    kept, query = balanced
    root = tmp_path_factory.mktemp("aligned") / "cache"
    shutil.copytree(kept, root)
    work = Workbench.at(root)
    study = study_of(work, work.items(query["set"]), ModelSpec.parse(query["model"]), ReadSpec())
    finish(
        work,
        alignment(work, study, made_dictionary(96, k=6), QUICK(latents=3, seeds=1), (0.1,)),
    )
    return root


@pytest.fixture
def open_balanced(balanced, root, open_page):
    """Return a function that opens the page where nothing is aligned yet."""
    shutil.copytree(balanced[0], root)
    return lambda **query: open_page("align", **{**balanced[1], **query})


@pytest.fixture
def open_aligned(aligned, balanced, root, open_page):
    """Return a function that opens the page where a report is kept."""
    shutil.copytree(aligned, root)
    return lambda **query: open_page("align", **{**balanced[1], **query})


def button(app: AppTest, label: str):
    return next(one for one in app.button if label in one.label)


def test_without_a_dictionary_the_page_says_where_to_get_one(open_read, complaints):
    app = open_read("align")
    assert complaints(app) == []
    assert "on the Features page" in words(app)


def test_the_way_from_nothing_to_a_verdict(open_balanced, work, complaints):
    app = open_balanced()
    assert complaints(app) == []
    assert work.runner.jobs() == []  # nothing begins unasked
    assert "has not been aligned with these settings yet" in words(app)
    button(app, "Align").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert any(app.subheader[0].value.startswith(one) for one in SAYINGS.values())
    assert {"arms-chart", "layers-chart", "steps-kept-loss"} <= set(charts(app))


def test_a_kept_report_opens_at_once_with_every_figure_and_arm(open_aligned, work, complaints):
    for figure in FIGURES:
        app = open_aligned(figure=figure.name)
        assert complaints(app) == []
        rows = {one for each in charts(app)["arms-chart"]["data"] for one in each["y"]}
        assert {one.replace("<b>", "").replace("</b>", "") for one in rows} == {*NEEDED, MEANS}
        assert f"{figure.name}, over the untouched model" in words(app)
    assert work.runner.jobs() == []
    assert all(len(one.proto.alt) > 20 for one in app.get("plotly_chart"))
    assert all(len(one.proto.alt) > 10 for one in app.dataframe)
    [arms] = [one.value for one in app.dataframe if "over" in one.value and "KL" in one.value]
    assert arms["arm"].tolist() == [*NEEDED, MEANS, "untouched"]


def test_what_it_moves_besides_stands_beside_a_control_of_choice(open_aligned, complaints):
    app = open_aligned()
    assert complaints(app) == []
    shown = charts(app)
    assert {"off-target-0", "off-target-1"} <= set(shown)
    assert "random latents, minus the untouched" in words(app)
    assert "**repaired**: texts" in words(app)
    assert "**random latents**: texts" in words(app)
    app = open_aligned(beside="noise")
    assert "noise, minus the untouched" in words(app)
    assert shown["off-target-1"]["data"] != charts(app)["off-target-1"]["data"]
    [means] = [one.value for one in app.dataframe if "own minus others" in one.value]
    assert means["arm"].tolist() == [*NEEDED, MEANS]
    assert "Off-target (CSV)" in {one.label for one in app.get("download_button")}


def test_another_divergence_offers_to_measure_it(open_aligned, complaints):
    app = open_aligned(kl="0.05")
    assert complaints(app) == []
    assert "costs 0.05 nats" in words(app)


def test_a_set_that_is_too_small_is_refused_in_a_sentence(open_read, work, model_text, complaints):
    app = open_read("align", **ASKED)
    keep_dictionary(work.store, made_dictionary(96, k=6), described(work, model_text))
    app.run()
    button(app, "Align").click().run()
    settle(work)
    app.run()
    assert any("Take a larger set" in one for one in complaints(app))
    assert button(app, "Align")  # nothing is lost: it can be tried again


def test_the_receipt_names_the_command_and_every_dictionary(open_aligned):
    app = open_aligned()
    labels = {one.label for one in app.get("download_button")}
    assert {"Figures (CSV)", "Charts as HTML", "Receipt (JSON)", "For SAELens (zip)"} <= labels
    assert "python -m core align" in app.code[0].value
    assert "--latents 3 --steps 200 --seeds 1" in app.code[0].value


def map_of(app: AppTest, work, key: str):
    """Return a map once what it needs is made."""
    button(app, "Show where texts move").click().run()
    settle(work)
    app.run()
    return maps(app)[key]


def test_a_slider_moves_the_texts_from_untouched_to_aligned_and_beyond(
    open_aligned, work, complaints
):
    app = open_aligned()
    one = map_of(app, work, "chart-aligned")
    assert complaints(app) == []
    frames = one["frames"]
    assert (frames["slides"], frames["span"]) == (True, [0.0, 1.5])
    assert [name for name in frames["names"] if name] == ["untouched", "aligned", "beyond"]
    assert frames["curve"]["title"].startswith("CKA with people")
    assert "test texts come nearer to their own pole" in words(app)
    assert "No claim without its controls" in words(app)  # theirs are not read yet
    [table] = [each.value for each in app.dataframe if "towards" in each.value]
    assert table["moved"].is_monotonic_decreasing
    app = open_aligned(after="shuffled", **{"laid-out": "axes"}, shade="split")
    assert map_of(app, work, "chart-aligned")["axes"] is not None
    assert complaints(app) == []


def test_selected_texts_are_joined_with_where_they_go(open_aligned, work, complaints):
    app = open_aligned()
    map_of(app, work, "chart-aligned")
    button(app, "Show the first 20 on the map").click().run()
    one = maps(app)["chart-aligned"]
    assert len(one["chosen"]) == 20
    assert sorted(one["arrows"][0]["rows"]) == sorted(one["chosen"])
    assert complaints(app) == []


def test_it_is_kept_on_the_shelf_and_features_takes_it(open_aligned, work, model_text, complaints):
    app = open_aligned()
    button(app, "Keep it on the shelf").click().run()
    assert complaints(app) == []
    names = [one.name for one in shelved(work.store, described(work, model_text))]
    assert any("aligned (repaired, seed 0)" in name for name in names)
    assert not [one for one in app.button if "Keep it" in one.label]


def test_features_opens_what_was_kept(open_aligned, work, complaints):
    app = open_aligned()
    button(app, "Keep it on the shelf").click().run()
    button(app, "open it in Features").click().run()
    assert complaints(app) == []
    assert app.title[0].value == "Features"
    assert "aligned (repaired, seed 0)" in app.selectbox(key="dictionary").format_func(
        app.selectbox(key="dictionary").value
    )


def test_steer_takes_it_at_the_share_that_costs_as_much(open_aligned, work, complaints):
    app = open_aligned()
    app = arrived(button(app, "Steer with it").click().run(), work)
    assert complaints(app) == []
    [share] = parts(app)["sliders"]["strengths"].values()
    assert 0 < share <= 150
    assert app.session_state["op"] == "align"


def test_compare_takes_the_model_with_the_aligned_dictionary(open_aligned, work, complaints):
    app = open_aligned()
    button(app, "Compare the readings").click().run()
    assert complaints(app) == []
    assert app.title[0].value == "Compare"
    assert "aligned dictionary" in words(app)


def test_a_foundation_left_out_is_offered_and_shown(open_aligned, complaints, monkeypatch):
    app = open_aligned()
    assert button(app, "Leave out each foundation")
    one = Estimate(0.1, 0.05, 0.2)
    rows = [Transfer("care-harm", 12, "pole AUC", one, one, one, one, one)]
    kept = Made("rows", {}, lambda: True, lambda: rows, lambda _: rows)
    monkeypatch.setattr("pages.align.further.left_out", lambda *_, **__: kept)
    app = open_aligned()
    assert complaints(app) == []
    assert any("left out" in each.value for each in app.dataframe)


@pytest.fixture(scope="module")
def everything(balanced, tmp_path_factory):
    """Return a cache with a report of all arms. Copy it."""
    kept, query = balanced
    root = tmp_path_factory.mktemp("everything") / "cache"
    shutil.copytree(kept, root)
    work = Workbench.at(root)
    study = study_of(work, work.items(query["set"]), ModelSpec.parse(query["model"]), ReadSpec())
    spec = QUICK(latents=3, seeds=1, arms=ARMS)
    finish(work, alignment(work, study, made_dictionary(96, k=6), spec, (0.1,)))
    return root


@pytest.fixture
def open_everything(everything, balanced, root, open_page):
    """Return a function that opens the page where a report of all arms is kept."""
    shutil.copytree(everything, root)
    return lambda **query: open_page("align", **{**balanced[1], **query})


def test_the_papers_recipe_stands_beside_all_arms_with_its_terms_and_faults(
    open_everything, work, complaints
):
    app = open_everything(**{"aligned-by": "paper"}, arms="1")
    assert complaints(app) == []
    rows = [one["y"][0] for one in charts(app)["arms-chart"]["data"]]
    assert "<b>paper</b>" in rows
    assert {"LoReFT", "triplets", "paper, replaced", "old reconstruction"} <= set(rows)
    [terms] = [one.value for one in app.dataframe if "so it" in one.value]
    assert len(terms) == 6
    assert "Faults kept as they are" in words(app)
    assert "--recipe paper --arms" in app.code[0].value
    assert work.runner.jobs() == []
    fewer = open_everything()  # a report of more arms serves
    assert complaints(fewer) == []
    assert "<b>repaired</b>" in [one["y"][0] for one in charts(fewer)["arms-chart"]["data"]]


@pytest.mark.parametrize("arm", ["paper, replaced", "LoReFT"])
def test_arms_of_another_kind_move_texts_as_well(arm, open_everything, work, complaints):
    app = open_everything(arms="1", after=arm)
    one = map_of(app, work, "chart-aligned")
    assert complaints(app) == []
    assert arm in one["title"]


def test_a_report_whose_dictionaries_were_cleared_can_be_made_anew(open_aligned, work, complaints):
    for one in work.store.artefacts("aligned"):
        work.store.delete(one)
    app = open_aligned()
    assert complaints(app) == []
    assert "were cleared from the cache" in words(app)
    app.button(key="forget-report").click().run()
    assert complaints(app) == []
    assert "has not been aligned with these settings yet" in words(app)


def test_the_zip_opens_as_a_dictionary(tmp_path):
    made = made_dictionary(96, k=6)
    with zipfile.ZipFile(io.BytesIO(folder_zip(made))) as packed:
        packed.extractall(tmp_path)
    assert load_folder(tmp_path).digest == made.digest


def described(work, model_text):
    return describe(ModelSpec.parse(model_text), work.store)


def test_the_four_tests_are_offered_and_told_beside_another_concept(open_aligned, work, complaints):
    app = open_aligned()
    options = next(one for one in app.selectbox if "not trained on" in one.label).options
    assert options == ["none", "Everyday actions (built in)"]
    button(app, "Run the four tests").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert "test texts: " in words(app)
    assert "pleasantness: " in words(app)
