"""The comparison page: from nothing to a verdict, sides, deep links, tables, what cannot be."""

import json
import shutil
from typing import Any

import pytest

from core.activations.jobs import study_of, untrained
from core.activations.prompts import ReadSpec
from core.comparison import jobs as comparison_jobs
from core.comparison.jobs import CompareSpec
from core.comparison.sides import Side
from core.diagnosis.diagnosis import four_tests
from core.diagnosis.jobs import phrasings
from core.measures.result import TESTS
from core.models.spec import ModelSpec
from tests.pages.atlases import maps, numbers

CARDS = [f"sides-{test}" for test in TESTS]
CURVES = [f"depth-{test}" for test in TESTS]
CHARTS = {*CARDS, *CURVES, "cka", "overlap"}
WITHIN = 120


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Measure with few resamples: what is tested is what the page makes of them."""
    from core.comparison.jobs import CompareSpec
    from core.diagnosis.diagnosis import DiagnosisSpec

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            CompareSpec,
            "diagnosis",
            lambda spec, side: DiagnosisSpec(side.pooling, spec.tests, draws=60, shuffles=60),
        )
        yield


@pytest.fixture(scope="module")
def compared(tmp_path_factory, read, model_text, few_draws):
    """Return a cache where the tiny Llama is compared with its untrained copy. Copy it."""
    from core.activations.prompts import ReadSpec
    from core.comparison.jobs import CompareSpec
    from core.comparison.sides import Side
    from core.models.spec import ModelSpec
    from core.workbench import Workbench

    root = tmp_path_factory.mktemp("compared") / "cache"
    shutil.copytree(read.root, root)
    work = Workbench.at(root)
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    sides = [Side(study, 1, "mean"), Side(untrained(work, study), 1, "mean")]
    made = comparison_jobs.comparison(work, sides, CompareSpec())
    while (job := work.runner.ensure(made)) is not None:
        job.wait(WITHIN)
        assert job.state == "done", job.error
    return root


@pytest.fixture
def open_compared(compared, root, read, model_text, open_page):
    """Return a function that opens the page where everything is compared."""
    shutil.copytree(compared, root)

    def opened(**query: Any) -> Any:
        linear = {"drawn": "pca"}  # as the fixture has drawn it
        return open_page(
            "compare", **{"model": model_text, "set": read.set_name, **linear, **query}
        )

    return opened


def charts(app: Any) -> dict[str, Any]:
    return {one.key: json.loads(one.proto.spec) for one in app.get("plotly_chart")}


def words(app: Any) -> str:
    shown = (*app.markdown, *app.caption, *app.info, *app.subheader, *app.get("html"))
    return "\n".join(str(getattr(one, "value", None) or one.proto) for one in shown)


def button(app: Any, label: str) -> Any:
    (found,) = [one for one in app.button if label in one.label]
    return found


def table(app: Any, column: str) -> Any:
    (found,) = [one.value for one in app.dataframe if column in one.value.columns]
    return found


def settle(app, work):
    """Run the page again and again until it neither waits for a job nor begins one."""
    known = None
    for _ in range(100):
        jobs = work.runner.jobs()
        active = [job for job in jobs if job.active]
        if not active and len(jobs) == known:
            return
        if active:
            active[-1].wait(WITHIN)
        known = len(jobs)  # one that ended while the page was drawn is not shown yet
        app.run()
    raise TimeoutError("the page does not come to rest")


def test_the_way_from_nothing_to_a_verdict(open_read, work, complaints):
    app = open_read("compare")
    assert complaints(app) == []
    assert not charts(app)
    assert "untrained copy reads" in words(app)
    # Only the packaged model is read unasked; what is read is drawn while another reads.
    assert [job.title for job in work.runner.jobs()] == ["Drawing the 2-D UMAP maps of tiny-llama"]
    work.runner.jobs()[0].wait(WITHIN)
    assert list(maps(app.run())) == ["chart-a"]
    button(app, "Compare").click().run()
    alone = 0
    for _ in range(12):
        active = [job for job in work.runner.jobs() if job.active]
        if not active:
            break
        active[-1].wait(WITHIN)
        app.run()
        alone += bool(maps(app)) and not charts(app)
    assert complaints(app) == []
    assert alone  # the maps stood before the rest was measured
    assert "UMAP of states" in maps(app)["chart-a"]["subtitle"]
    assert set(charts(app)) == CHARTS
    assert app.subheader[0].value.endswith(".")
    assert "beyond noise" in app.subheader[0].value


def test_a_sentence_on_top_says_what_differs_and_how_sure_that_is(open_compared, complaints):
    app = open_compared()
    assert complaints(app) == []
    assert app.title[0].value == "Compare"
    assert "difference beyond noise" in app.subheader[0].value
    told = words(app)
    for part in (
        "How alike:",
        "texts paired at random",
        "Single actions:",
        "Rule: the same texts are drawn for both models",
        "between pictures of two halves of A's texts",
        "layers A",
    ):
        assert part in told


def test_every_chart_and_table_has_a_name_and_every_chart_a_table(open_compared):
    app = open_compared()
    assert set(charts(app)) == CHARTS
    assert all(len(one.proto.alt) > 20 for one in app.get("plotly_chart"))
    assert all(len(one["alt"]) > 20 for one in maps(app).values())
    assert set(maps(app)) == {"chart-a", "chart-b"}
    assert all(len(one.proto.alt) > 10 for one in app.dataframe)
    for column in ("depth", "debiased", "chance_low", "shared_neighbours", "shuffled_low"):
        assert len(table(app, column))
    labels = [one.label for one in app.get("download_button")]
    assert labels == [
        "Differences (CSV)",
        "Actions (CSV)",
        "Actions (Parquet)",
        "Charts as HTML",
        "Receipt (JSON)",
    ]


def test_a_model_beside_itself_shows_no_difference(open_compared, work, complaints):
    app = open_compared(b="itself")
    settle(app, work)
    assert complaints(app) == []
    assert app.subheader[0].value.startswith("No difference beyond noise between B and A")
    assert "None of" in words(app)
    differences = table(app, "shuffled_low")
    assert (differences["difference"].dropna() == 0).all()
    assert set(differences["verdict"]) <= {"no difference beyond noise", "not computable"}
    a, b = (maps(app)[key]["places"] for key in ("chart-a", "chart-b"))
    assert (a == b).all()


def test_a_deep_link_brings_everything_back(open_compared, work, complaints):
    link = {"layer": "2", "tests_at": "shown", "paint": "moved", "b-layer": "0", "drawn": "pca"}
    app = open_compared(**link)
    settle(app, work)
    assert complaints(app) == []
    assert app.select_slider(key="layer").value == "2"
    assert app.selectbox(key="b-layer").value == "0"
    assert "layers A 2, B 0" in words(app)
    (frame,) = charts(app)["cka"]["layout"]["shapes"]
    assert (frame["x0"], frame["y0"]) == (0.5, 2.5)
    assert maps(app)["chart-b"]["legend"]["scale"]
    assert link.items() <= dict(app.query_params).items()


def test_three_sides_have_letters_and_tables_of_their_own(open_compared, work, complaints):
    app = open_compared(c="itself", **{"c-layer": "0", "against": "C", "items-of": "C"})
    settle(app, work)
    assert complaints(app) == []
    assert set(maps(app)) == {"chart-a", "chart-b", "chart-c"}
    assert set(table(app, "shuffled_low")["pair"]) == {"B − A", "C − A"}
    heads = [one.value for one in app.subheader[:2]]
    assert "between C and A" in heads[1] or "A, C" in heads[1]
    assert charts(app)["cka"]["layout"]["xaxis"]["title"]["text"] == "layer of C"
    names = [one["name"] for one in charts(app)["depth-gradient"]["data"] if one.get("name")]
    assert names == ["A", "B", "C"]


def test_a_selection_greys_the_rest_on_every_map_and_fills_the_table(open_compared, work, read):
    from core.runtime.selections import save_selection

    items = work.items(read.set_name)
    chosen = [str(one) for one in items.item[:5]]
    name = save_selection(work.store, chosen)
    app = open_compared(sel=name)
    for one in maps(app).values():
        assert one["chosen"] == [0, 1, 2, 3, 4]
    (trails,) = maps(app)["chart-b"]["arrows"]  # from A
    assert trails["rows"] == [0, 1, 2, 3, 4]
    start = numbers(trails["start"], "<f4").reshape(-1, 2)
    assert start == pytest.approx(maps(app)["chart-a"]["places"][:5])
    assert maps(app)["chart-a"]["arrows"] == []
    scored = set(items.texts()[:5])
    assert set(table(app, "shared_neighbours")["text"]) <= scored
    button(app, "Clear selection").click().run()
    assert len(table(app, "shared_neighbours")) > 5


def test_two_models_lie_on_one_map_with_a_slider_and_random_pairs(open_compared, work, complaints):
    app = open_compared()
    assert "chart-joint" not in maps(app)
    app.segmented_control(key="joint").set_value("B").run()
    assert app.query_params["joint"] == "B"
    for _ in range(5):  # in a browser the page looks again by itself
        settle(app, work)
        if "chart-joint" in maps(app):
            break
    assert complaints(app) == []
    one = maps(app)["chart-joint"]
    assert (one["frames"]["names"], one["frames"]["slides"]) == (["A", "B"], True)
    (arrows,) = one["arrows"]
    start = numbers(arrows["start"], "<f4").reshape(-1, 2)
    assert start == pytest.approx(one["places"][arrows["rows"]])
    assert "paired at random" in words(app)
    figures = table(app, "paired at random").set_index("figure")["value"]
    assert 0 < figures["alignment of the states"] < 1


@pytest.mark.parametrize(
    ("b", "said"),
    [
        ("courage", "Cannot read the model"),
        ("folder:/nowhere/at/all", "nowhere/at/all"),
        ("hub:owner/name@never", "owner/name"),
    ],
)
def test_a_side_that_cannot_be_says_why_and_the_rest_goes_on(open_compared, b, said):
    app = open_compared(b=b, c="copy")
    assert not app.exception
    assert any(said in one.value for one in app.error)
    assert "chart-b" in maps(app)  # the copy takes the place


def test_nobody_to_compare_with_is_said(open_compared, complaints):
    app = open_compared(b="nobody")
    assert complaints(app) == []
    assert "Nobody stands beside A yet" in app.info[0].value
    assert not charts(app)
    next(one for one in app.button if "untrained copy" in one.label).click().run()
    assert app.selectbox(key="b").value == "copy"
    assert not app.info


def test_the_untrained_copy_is_held_against_the_trained_model(open_compared, complaints):
    app = open_compared(untrained="1")
    assert complaints(app) == []
    assert "A, trained" in app.selectbox(key="b").options
    told = words(app)
    assert told.index("untrained copy") < told.index("◆")


def test_where_both_sides_read_other_templates_the_difference_stands_under_each(
    open_compared, work, complaints
):
    app = open_compared()
    assert "under each of" not in words(app)
    for number in range(2):
        study = study_of(
            work,
            work.items(dict(app.query_params)["set"]),
            ModelSpec.parse(dict(app.query_params)["model"]),
            ReadSpec(),
        )
        who = untrained(work, study) if number else study
        spec = CompareSpec().diagnosis(Side(who, 1, "mean"))
        made = phrasings(work, four_tests(work.store, who, spec).open())
        while (job := work.runner.ensure(made)) is not None:
            job.wait(WITHIN)
            assert job.state == "done", job.error
        app.run()
        assert ("B − A under each of 6 templates" in words(app)) == bool(number)
    assert complaints(app) == []


def test_every_model_answers_the_same_prompt(open_compared, work, complaints):
    app = open_compared(prompt="Lying to a friend is morally", dose="20")
    button(app, "Ask").click().run()
    work.runner.jobs()[0].wait(WITHIN)
    app.run()
    assert complaints(app) == []
    told = words(app)
    assert "**A** leans to" in told
    assert "**B** leans to" in told
    answers = table(app, "mass")
    assert set(answers["side"]) == {"A", "B"}
    assert answers[answers["own"]]["text"].unique().tolist() == ["Lying to a friend is morally"]


def test_an_empty_prompt_is_refused_in_words(open_compared, work):
    app = open_compared(prompt=" ")
    button(app, "Ask").click().run()
    work.runner.jobs()[0].wait(WITHIN)
    app.run()
    assert not app.exception
    assert any("prompt" in one.value.lower() or "action" in one.value.lower() for one in app.error)


def test_a_model_is_held_against_its_steered_self(open_compared, work, complaints):
    app = open_compared(b="steered", layer="2", **{"b-dose": "30", "b-at": "1"})
    assert complaints(app) == []
    assert "care-harm +30% after layer 1" in words(app)
    assert "Below layer 1 it is the plain model" in words(app)
    # A reading for each step of a slider would be too many.
    assert all(job.title.startswith("Drawing") for job in work.runner.jobs())
    button(app, "Compare").click().run()
    settle(app, work)
    assert complaints(app) == []
    assert set(charts(app)) == CHARTS
    a, b = (maps(app)[key]["places"] for key in ("chart-a", "chart-b"))
    assert (a != b).any()
    values = table(app, "depth").pivot(index=["test", "layer"], columns="side", values="value")
    below = values[values.index.get_level_values("layer") < 1].dropna()
    assert (below["A"] == below["B"]).all()
    above = values[values.index.get_level_values("layer") == 2].dropna()
    assert (above["A"] != above["B"]).any()


def test_a_strength_of_0_is_the_model_itself(open_compared, work, complaints):
    app = open_compared(b="steered", **{"b-dose": "0"})
    settle(app, work)
    assert complaints(app) == []
    assert app.subheader[0].value.startswith("No difference beyond noise between B and A")


def test_a_recipe_steers_a_side_and_a_damaged_one_is_refused(open_compared, work, read, model_text):
    from core.activations.prompts import ReadSpec
    from core.comparison.steered import axis_recipe
    from core.models.spec import ModelSpec

    app = open_compared(b="recipe:broken", c="nobody")
    assert not app.exception
    assert any("recipe in this address is damaged" in one.value for one in app.error)
    folder = ModelSpec.parse(model_text)
    study = study_of(work, work.items(read.set_name), folder, ReadSpec())
    word = axis_recipe(study, "care-harm", -0.2, 1).packed()
    app = open_compared(b=f"recipe:{word}")
    assert not app.exception
    assert "care-harm -20% after layer 1" in words(app)
