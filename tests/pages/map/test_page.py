"""The map page: reading, controls, selection, search, a sentence of one's own."""

import json
import threading
from typing import Any, get_args

import numpy as np
import pytest

from core.activations import backends
from core.maps.projection import Trust
from core.maps.view import Picture
from core.models.open_models import describe
from core.models.spec import ModelSpec
from core.runtime.selections import save_selection
from core.sae.shelf import keep_dictionary
from core.statistics.scaling import Scaling
from pages.map import point
from pages.shared import selection
from pages.shared.maps import trust_line
from tests.core.sae.saesets import made_dictionary
from tests.pages.atlases import maps, mounted
from tests.pages.steer.steerpages import settle

COLOURS = ["foundation", "pole", "grade", "typicality", "residual", "split", "length"]


@pytest.fixture
def five(few, work):
    """Return the name of a stored selection of five items."""
    return save_selection(work.store, [str(one) for one in few.item[:5]])


def chart(app: Any, key: str) -> dict[str, Any]:
    (found,) = [one for one in app.get("plotly_chart") if one.key == key]
    figure: dict[str, Any] = json.loads(found.proto.spec)
    return figure


def keys(app: Any) -> list[str]:
    return [*maps(app), *(one.key for one in app.get("plotly_chart"))]


def drawn(app: Any) -> Any:
    """Return what the model's map shows, and in which colours."""
    one = maps(app)["chart-model"]
    return one["places"].tolist(), one["category"].tolist(), one["colours"]


def words(app: Any) -> str:
    return "\n".join(str(one.value) for one in (*app.markdown, *app.caption, *app.info))


def button(app: Any, label: str) -> Any:
    (found,) = [one for one in app.button if label in one.label]
    return found


def test_the_model_reads_the_set_at_a_button(open_page, model_text, work, complaints):
    app = open_page("map", model=model_text)
    assert keys(app)[0] == "chart-people"
    assert "chart-model" not in keys(app)
    button(app, "Read").click().run()
    (job,) = [one for one in work.runner.jobs() if one.lane == "model"]
    job.wait(60)
    app.run()
    assert complaints(app) == []
    assert keys(app)[:2] == ["chart-people", "chart-model"]
    for name in ("Same foundation", "Same pole", "Typicality", "shuffled", "word counts"):
        assert name in words(app)
    assert "model_typicality" in app.dataframe[0].value.columns
    assert len(app.dataframe[0].value) < len(work.items())
    assert "rows are shown" in words(app)


def test_nothing_is_read_unasked_but_the_packaged_model(open_page, model_text, work):
    open_page("map", model=model_text)
    assert work.runner.jobs() == []


def test_both_maps_hold_every_action_and_its_words(open_map, few):
    app = open_map()
    held = mounted(app)["legend-maps"]["held"]
    assert held["content"]["texts"] == few.texts()
    for key in ("chart-people", "chart-model"):
        one = maps(app)[key]
        assert one["words"] == held["name"]
        assert len(one["places"]) == len(one["category"]) == len(few)
        assert np.isfinite(one["places"]).all()


def test_maps_open_on_umap_and_an_address_says_what_else(open_map, complaints):
    app = open_map()
    assert app.segmented_control(key="method").value == "umap"
    assert "method" not in app.query_params
    assert "of the variance" not in words(app)
    app.segmented_control(key="method").set_value("pca").run()
    assert complaints(app) == []
    assert app.query_params["method"] == "pca"
    assert "of the variance" in words(app)


def test_every_map_says_how_far_to_trust_it(open_map):
    told = [one.value for one in open_map().caption if "Trustworthiness" in one.value]
    assert len(told) == 2
    assert all("random" in one and "mean nothing" in one for one in told)


def test_a_map_judged_by_a_sample_says_so_with_intervals():
    trust = Trust(0.912, 0.314, 0.0005, 1000, 0.01, 0.02)
    told = trust_line(Picture(np.zeros((6000, 2), np.float32), trust, 0.6, None))
    assert told.startswith("Trustworthiness 0.91 [0.90, 0.92] (random .50)")
    assert "keeps 31% [29%, 33%] of the 10 true neighbours (random 0.1%)" in told
    assert "by 1,000 sampled points ranked among all" in told


def test_every_colour_goes_into_the_address(open_map, complaints):
    app = open_map()
    for colour in COLOURS:
        app.selectbox(key="colour").set_value(colour).run()
        assert complaints(app) == []
        assert app.query_params.get("colour", "foundation") == colour


@pytest.mark.parametrize("colour", ["pole", "residual"])
def test_a_colour_comes_back_from_the_address(open_map, complaints, colour):
    app = open_map()
    app.selectbox(key="colour").set_value(colour).run()
    again = open_map(colour=colour)
    assert complaints(again) == []
    assert again.selectbox(key="colour").value == colour
    assert drawn(app) == drawn(again)


def test_a_layer_comes_from_the_address_and_goes_into_it(open_map, complaints):
    app = open_map()
    seen = [drawn(app)]
    for layer in ("emb", "0", "2"):
        app.select_slider(key="layer").set_value(layer).run()
        assert complaints(app) == []
        assert app.query_params["layer"] == layer
        assert drawn(app) not in seen
        seen.append(drawn(app))
    assert open_map(layer="emb").select_slider(key="layer").value == "emb"


def test_moral_axes_have_titles_and_can_be_chosen(open_map, complaints):
    app = open_map(method="axes", x="care", y="purity-degradation")
    assert complaints(app) == []
    assert app.selectbox(key="x").value == "care"
    app.selectbox(key="y").set_value("harm").run()
    assert app.query_params["y"] == "harm"
    for key in ("chart-people", "chart-model"):
        across, up = maps(app)[key]["axes"]
        assert "care" in across
        assert "harm" in up


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("scaling", one) for one in get_args(Scaling)[1:]),
        ("pooling", "last"),
        ("colour", "typicality"),
    ],
)
def test_a_change_of_measure_changes_the_picture(open_map, complaints, key, value):
    app = open_map()
    before = drawn(app)
    app.selectbox(key=key).set_value(value).run()
    assert complaints(app) == []
    assert app.query_params[key] == value
    assert drawn(app) != before


def test_the_last_token_of_the_embedding_gets_a_sentence_and_keeps_the_human_map(
    open_map, complaints
):
    app = open_map(layer="emb", pooling="last")
    told = complaints(app)
    assert len(told) == 1
    assert "same for every text" in told[0]
    assert "chart-people" in keys(app)
    assert app.dataframe


def test_three_dimensions_are_looked_at_not_selected(open_map, complaints):
    app = open_map(dims="3")
    assert complaints(app) == []
    assert not maps(app)
    deep = ("chart-people-3d", "chart-model-3d")
    kinds = {trace["type"] for key in deep for trace in chart(app, key)["data"]}
    assert kinds == {"scatter3d"}


def test_a_selection_comes_from_the_address(open_map, five, complaints):
    app = open_map(sel=five)
    assert complaints(app) == []
    assert "Selection" in words(app)
    assert len(app.dataframe[0].value) == 5
    for one in maps(app).values():
        assert one["chosen"] == [0, 1, 2, 3, 4]


def test_a_selection_survives_layer_colour_and_page(open_map, five, complaints):
    app = open_map(sel=five)
    app.select_slider(key="layer").set_value("2").run()
    app.selectbox(key="colour").set_value("residual").run()
    app.switch_page("../data/page.py").run()
    app.switch_page("../map/page.py").run()
    assert complaints(app) == []
    assert app.query_params["sel"] == five
    assert len(app.dataframe[0].value) == 5
    button(app, "Clear selection").click().run()
    assert "sel" not in app.query_params
    assert len(app.dataframe[0].value) > 5


def test_an_unknown_selection_is_left_out_with_a_notice(open_map, complaints):
    app = open_map(sel="0123456789ab")
    assert complaints(app) == []
    assert any("selection" in one.value for one in app.toast)
    assert "sel" not in app.query_params


@pytest.mark.parametrize(
    ("reported", "taken"),
    [
        ([4, 0], ["0", "4"]),
        ([], []),
        ([3, 10**9, -1, "2", None, 1.5], ["3"]),
        ("nonsense", []),
        ({"rows": [1]}, []),
    ],
)
def test_a_selection_that_a_map_reports_is_taken_if_it_can_be(few, monkeypatch, reported, taken):
    seen: list[list[str]] = []
    monkeypatch.setattr(selection, "choose", seen.append)
    selection.choose_rows(reported, few)
    assert sorted(seen[0]) == sorted(str(few.item[int(row)]) for row in taken)


def test_a_clicked_action_is_looked_at_and_may_become_the_prompt(open_map, few, complaints):
    app = open_map(point=str(few.item[3]))
    assert complaints(app) == []
    (near,) = [one.value for one in app.dataframe if "shared" in one.value.columns]
    assert list(near["near"]) == ["people"] * 10 + ["model"] * 10
    assert few.texts()[3] not in set(near["action"])
    (by_layer,) = [one.value for one in app.dataframe if "lead" in one.value.columns]
    assert len(by_layer) == 4
    assert "drawn at random it would be" in words(app)
    for one in maps(app).values():
        assert one["point"] == 3
        (lines,) = one["arrows"]
        texts = [few.texts()[row] for row in lines["rows"]]
        assert texts == list(near[near["near"] == "model"]["action"])
    button(app, "Make it the prompt").click().run()
    assert app.session_state["prompt"] == f"{few.texts()[3]} is morally"


def test_a_panel_closes_and_follows_a_click_and_the_layer(open_map, few, complaints):
    app = open_map(point=str(few.item[3]))
    before = next(one.value for one in app.dataframe if "shared" in one.value.columns)
    app.select_slider(key="layer").set_value("2").run()
    after = next(one.value for one in app.dataframe if "shared" in one.value.columns)
    assert not before.equals(after)
    button(app, "Close").click().run()
    assert complaints(app) == []
    assert "point" not in app.query_params
    assert [one["point"] for one in maps(app).values()] == [None, None]


@pytest.mark.parametrize("row", [-1, 10**9, "3", None, 2.5])
def test_a_click_on_what_is_none_changes_nothing(few, monkeypatch, row):
    held: dict[str, str] = {}
    monkeypatch.setattr(point.st, "session_state", held)
    point.click(row, few)
    assert held == {}
    point.click(2, few)
    assert held == {"point": str(few.item[2])}


def test_an_action_that_the_set_lacks_opens_nothing(open_map, complaints):
    app = open_map(point="nobody")
    assert complaints(app) == []
    assert not [one for one in app.dataframe if "shared" in one.value.columns]


def test_search_counts_and_rings_matches(open_map, few, complaints):
    app = open_map()
    assert [one["marked"] for one in maps(app).values()] == [[], []]
    app.text_input(key="q").set_value("friend").run()
    assert complaints(app) == []
    assert app.query_params["q"] == "friend"
    assert "friend" in words(app)
    wanted = [row for row, text in enumerate(few.texts()) if "friend" in text.casefold()]
    for key in ("chart-people", "chart-model"):
        assert maps(app)[key]["marked"] == wanted


@pytest.mark.parametrize("typed", ["", "   ", "zzzzqqq", "*" * 100, "<b>x</b>", "\\(['\"%"])
def test_search_takes_whatever_is_typed(open_map, complaints, typed):
    app = open_map()
    app.text_input(key="q").set_value(typed).run()
    assert complaints(app) == []
    assert len(maps(app)) == 2


def test_a_sentence_of_ones_own_is_placed_and_measured(open_map, complaints):
    app = open_map()
    app.text_input(key="say").set_value("Giving a lost child shelter").run()
    assert complaints(app) == []
    assert app.query_params["say"] == "Giving a lost child shelter"
    assert len(maps(app)["chart-model"]["own"]) == 2
    assert maps(app)["chart-people"]["own"] is None
    assert {"sentence-bands", "sentence-layers"} <= set(keys(app))
    near = [one.value for one in app.dataframe if "action" in one.value.columns]
    assert len(near[0]) == 10
    assert near[0]["cosine"].is_monotonic_decreasing


def test_a_sentence_keeps_its_place_at_every_layer_and_method(open_map, complaints):
    app = open_map(say="Giving a lost child shelter")
    for layer in ("emb", "2"):
        app.select_slider(key="layer").set_value(layer).run()
        assert complaints(app) == []
        assert maps(app)["chart-model"]["own"]
    app.segmented_control(key="method").set_value("axes").run()
    assert complaints(app) == []
    assert maps(app)["chart-model"]["own"]


@pytest.mark.parametrize("typed", ["   \t ", ".", "{action}", "é世🙂" * 130, "\x00 \x07"])
def test_a_sentence_may_be_anything(open_map, complaints, typed):
    app = open_map()
    app.text_input(key="say").set_value(typed[:400]).run()
    assert len(complaints(app)) <= 1
    assert "chart-model" in keys(app)


def test_a_sentence_that_is_in_the_set_is_nearest_to_itself(open_map, few):
    text = str(few.texts()[0])
    app = open_map(say=text)
    (near,) = [one.value for one in app.dataframe if "action" in one.value.columns]
    assert near["cosine"].iloc[0] == pytest.approx(1, abs=2e-3)


def test_an_untrained_control_is_a_model_of_its_own(open_map, complaints):
    app = open_map()
    app.toggle(key="untrained").set_value(True).run()
    assert complaints(app) == []
    assert app.query_params["untrained"] == "1"
    assert "untrained" in words(app)
    assert "chart-model" not in keys(app)
    assert button(app, "Read")


def test_a_cancelled_reading_goes_on_where_it_stopped(
    open_page, model_text, work, complaints, monkeypatch
):
    rows: list[int] = []
    held, go_on = threading.Event(), threading.Event()
    real = backends.pooled_states

    def slow(model: Any, batch: Any, masks: Any, edits: Any = None) -> Any:
        if len(rows) == 4:
            held.set()
            assert go_on.wait(60)
        rows.append(len(batch["input_ids"]))
        return real(model, batch, masks, edits)

    monkeypatch.setattr(backends, "pooled_states", slow)
    app = open_page("map", model=model_text)
    button(app, "Read").click().run()
    assert held.wait(60)
    app.run()
    assert app.get("progress")
    button(app, "Cancel").click().run()
    go_on.set()
    (job,) = [one for one in work.runner.jobs() if one.lane == "model"]
    job.wait(60)
    assert job.state == "cancelled"
    app.run()
    assert complaints(app) == []
    assert "Cancelled" in words(app)
    before = len(rows)
    button(app, "Read").click().run()
    next(one for one in work.runner.jobs() if one.lane == "model").wait(60)
    app.run()
    assert complaints(app) == []
    assert "chart-model" in keys(app)
    texts = len(set(work.items().texts()))
    assert sum(rows[before:]) < texts
    assert sum(rows) <= texts + max(rows[:before])


def test_a_reading_that_fails_says_why_and_can_be_tried_again(
    open_page, model_text, work, complaints, monkeypatch
):
    from core import CoreError

    def broken(*_: Any) -> Any:
        raise CoreError("The memory is full. Close something.")

    with monkeypatch.context() as patch:
        patch.setattr(backends, "pooled_states", broken)
        app = open_page("map", model=model_text)
        button(app, "Read").click().run()
        work.runner.jobs()[0].wait(60)
        app.run()
    assert complaints(app) == ["The memory is full. Close something."]
    assert "chart-people" in keys(app)
    button(app, "Read").click().run()
    work.runner.jobs()[0].wait(60)
    app.run()
    assert complaints(app) == []
    assert "chart-model" in keys(app)


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_one_click_lays_fields_of_typicality_over_both_maps(
    open_map, few, complaints, method, work
):
    app = open_map(method=method)
    settle(work)  # until all layers are drawn: only then are they frames of the map
    assert "chart-field-people" not in maps(app)
    app.segmented_control(key="field").set_value("vice").run()
    assert app.query_params["field"] == "vice"
    assert complaints(app) == []
    shown = maps(app)
    assert shown["chart-people"]["lines"] != shown["chart-field-people"]["lines"]
    frame = shown["chart-model"]["lines"][0]["frame"]
    assert shown["chart-model"]["frames"]["at"] == frame  # gone while the map moves elsewhere
    assert [one | {"frame": frame} for one in shown["chart-field-model"]["lines"]] == shown[
        "chart-model"
    ]["lines"]
    for key in ("people", "model", "field-people", "field-model"):
        one = shown[f"chart-{key}"]
        assert "vice" in one["subtitle"]
        assert one["legend"]["scale"]["span"] == [0.25, 0.75]
    for side in ("people", "model"):
        one = shown[f"chart-field-{side}"]
        kept = np.isfinite(one["places"]).all(axis=1)
        whole = shown["chart-model"]["places"]
        assert one["places"][kept].tolist() == whole[kept].tolist()
        assert kept.tolist() == (few.pole == "vice").tolist()
        assert one["lines"]
        assert one["arrows"]
    app.toggle(key="mixed").set_value(True).run()
    assert app.query_params["mixed"] == "1"
    for key in ("people", "model", "field-people", "field-model"):
        one = maps(app)[f"chart-{key}"]
        assert one["lines"] != shown[f"chart-{key}"]["lines"]
        assert "labels shuffled" in one["subtitle"]
    table = next(one.value for one in app.dataframe if "shuffled low" in one.value.columns)
    assert len(table) == 2
    assert "controls" in words(app) or "shuffled labels" in words(app)


def test_a_field_is_flat(open_map, complaints):
    app = open_map(field="virtue", dims="3")
    assert any("flat maps only" in one for one in complaints(app))
    assert {"chart-people-3d", "chart-model-3d"} <= set(keys(app))


def test_a_latent_colours_the_map_from_the_address(open_map, work, model_text, complaints):
    app = open_map(colour="latent", **{"latent-named": "7"})
    assert any("no dictionary" in one for one in complaints(app))
    keep_dictionary(
        work.store,
        made_dictionary(n_latents=48, k=6),
        describe(ModelSpec.parse(model_text), work.store),
    )
    app.run()
    assert complaints(app) == []
    button(app, "Take the texts apart").click().run()
    for job in work.runner.jobs():
        job.wait(60)
    app.run().run()
    assert complaints(app) == []
    title = maps(app)["chart-model"]["legend"]["title"]
    assert title == "Latent 7"
    before = drawn(app)
    app.text_input(key="latent-named").set_value("8").run()
    assert complaints(app) == []
    assert app.query_params["latent-named"] == "8"
    assert drawn(app) != before
    app.text_input(key="latent-named").set_value("theft").run()
    assert any("No latent has a name yet" in one for one in complaints(app))


def test_the_way_under_steering_colours_the_map_from_the_address(open_map, complaints):
    app = open_map(colour="moved", method="axes")
    assert complaints(app) == []
    assert "sliders of the Steer page are at zero" in words(app)
    app = open_map(**{"colour": "moved", "method": "axes", "care-harm": "20"})
    assert complaints(app) == []
    assert "care-harm +20%" in words(app)
    one = maps(app)["chart-model"]
    assert one["legend"]["title"] == "Moved, in map widths"
    assert len(set(one["category"].tolist())) > 5
