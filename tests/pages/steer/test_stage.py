"""The stage: what the component is given, what it reports, and when the map cannot follow."""

import json
import re
import threading
import time
from dataclasses import replace

import pytest

from core import CoreError
from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.foundations import FOUNDATIONS
from core.models.spec import ModelSpec
from core.steering import generation
from core.steering import jobs as steering_jobs
from core.steering.direction_files import axis_of, keep_direction
from core.steering.directions import direction_bytes
from core.steering.effects import probes
from pages.steer.choice import DOSES, SHARES
from pages.steer.stage import sliders
from tests.core.steering.steeringsets import made_direction
from tests.pages.steer.steerpages import answers, charts, settle, words, write

STAGE = {"plain": ""}


def parts(app):
    """Return what the two mounts of the component are given: sliders, and map if there is one."""
    given = [json.loads(one.proto.json) for one in app.get("bidi_component")]
    return {one["part"]: one for one in given}


def test_sliders_and_map_are_given_the_set_and_the_strengths(open_steer, complaints, few):
    app = open_steer(**STAGE, **{"care-harm": "20"})
    assert complaints(app) == []
    given = parts(app)
    assert given["sliders"]["strengths"] == {**dict.fromkeys(FOUNDATIONS, 0), "care-harm": 20}
    assert [one["safe"] for one in given["sliders"]["axes"]] == [None] * 5
    picture = given["map"]
    assert len(picture["x"]) == len(picture["texts"]) == len(picture["group"]) == len(few)
    assert picture["axes"] == [*FOUNDATIONS, "others"]
    assert (len(picture["along"]), len(picture["gram"])) == (12, 36)
    assert len(picture["fan"]["ways"]) == 2 * 40 * len(picture["fan"]["lengths"])
    assert picture["groups"][picture["group"][0]][1] == few.pole[0]
    assert picture["fixed"] == {"others": 0}
    assert not [one for one in app.slider if one.key in FOUNDATIONS]
    assert (answers(app)["change"].abs() > 0).any()


def test_the_map_is_the_same_whatever_the_sliders_say(open_steer):
    app = open_steer(**STAGE)
    before = parts(app)["map"]
    app.session_state["care-harm"] = 30  # as the component's report does
    app.run()
    after = parts(app)
    assert after["map"] == before
    assert after["sliders"]["strengths"]["care-harm"] == 30
    assert app.query_params["care-harm"] in ("30", ["30"])
    assert (answers(app)["change"].abs() > 0).any()


@pytest.mark.parametrize(
    ("reported", "taken"),
    [
        ({"care-harm": 12, "loyalty-betrayal": -40}, {"care-harm": 12, "loyalty-betrayal": -40}),
        ({"care-harm": 41, "fairness-cheating": "9", "harm": 3}, {}),
        ({"care-harm": 0.5, "loyalty-betrayal": None}, {}),
        ("nonsense", {}),
        (None, {}),
    ],
)
def test_what_is_reported_is_taken_if_a_slider_can_say_it(reported, taken):
    assert sliders.taken(reported, FOUNDATIONS, DOSES) == taken


def test_a_share_is_taken_from_0_to_half_beyond_the_whole():
    reported = {"a": 150, "b": 151, "c": -1, "d": 20}
    assert sliders.taken(reported, "abc", SHARES) == {"a": 150}


def test_further_directions_move_the_map_too(open_steer, complaints, work, few, model_text):
    study = study_of(work, few, ModelSpec.parse(model_text), ReadSpec())
    content = direction_bytes(made_direction(layer=-2))
    axis = axis_of(keep_direction(work.store, "made.safetensors", content, study.card))
    app = open_steer(**STAGE, **{axis: "20"})
    assert complaints(app) == []
    given = parts(app)["map"]
    assert given["fixed"] == {"others": 1}
    others = 2 * given["axes"].index("others")
    assert any(given["along"][others : others + 2])
    plain = parts(open_steer(**STAGE))["map"]
    assert (plain["fixed"], plain["x"]) == ({"others": 0}, given["x"])


def test_on_moral_axes_each_point_has_a_path(open_steer, complaints, few):
    app = open_steer(**STAGE, picture="axes", x="loyalty")
    assert complaints(app) == []
    given = parts(app)["map"]
    assert len(given["along"]) == 12 * len(few)
    assert len(given["bend"]["onto"]) == 6 * len(few)
    assert given["titles"][0].startswith("loyalty")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"op": "project out"}, "Only adding a direction"),
        ({"at": "2", "also": "0"}, "reads what is steered below it"),
    ],
)
def test_where_the_map_cannot_follow_it_says_so_and_the_sliders_stay(query, said, open_steer):
    app = open_steer(**STAGE, **query)
    assert said in words(app)
    assert list(parts(app)) == ["sliders"]  # and no marks


def test_below_the_steered_layer_nothing_moves_and_it_says_so(open_steer, complaints):
    app = open_steer(**STAGE, **{"at": "2", "seen": "0", "care-harm": "20"})
    assert complaints(app) == []
    given = parts(app)
    assert "nothing moves here" in given["map"]["how"]
    assert not any(given["map"]["along"])
    assert given["found"]["settled"] is None


def test_at_the_steered_layer_it_is_exact_and_nothing_has_to_settle(open_steer):
    given = parts(open_steer(**STAGE, **{"care-harm": "20"}))
    assert given["map"]["how"].startswith("Exact")
    assert "paths" not in given["map"]
    assert given["found"]["settled"] is None


@pytest.mark.parametrize("picture", ["pca", "umap", "axes"])
def test_above_it_probes_are_followed_and_settle(picture, open_steer, complaints, work, few):
    asked = {"at": "0", "seen": "2", "picture": picture, "care-harm": "30"}
    app = open_steer(**STAGE, **asked)
    settle(work)
    app.run()
    assert complaints(app) == []
    given = parts(app)
    paths, found = given["map"]["paths"], given["found"]["settled"]
    assert len(paths["ways"]) == 6 * len(paths["knots"]) * 2 * len(paths["rows"])
    assert len(found["x"]) == len(found["y"]) == len(paths["rows"])
    assert set(few.split[paths["rows"]]) == {"test"}
    assert found["strengths"] == {**dict.fromkeys(FOUNDATIONS, 0), "care-harm": 0.3}
    assert 0 <= found["apart"] <= found["most"]
    assert given["map"]["signs"][-1][1] == "read by the model"
    app.session_state["care-harm"] = 0
    assert parts(app.run())["found"]["settled"] is None


def test_further_actions_arrive_when_the_map_asks_for_them_at_these_strengths(
    open_steer, complaints, work, monkeypatch
):
    monkeypatch.setattr(probes, "PROBES", 2)
    monkeypatch.setattr(probes, "AT_A_TIME", 1)
    app = open_steer(**STAGE, **{"at": "0", "seen": "2", "care-harm": "30"})
    settle(work)
    found = parts(app.run())["found"]["settled"]
    assert (found["own"], len(found["rows"]), found["batches"]) == (2, 2, 0)
    assert found["left"] > 0
    asked = {"strengths": found["strengths"], "batches": 1}
    app.session_state["stage-landed"] = {"further": asked}  # as the component's report does
    more = parts(app.run())["found"]["settled"]
    assert complaints(app) == []
    assert more["rows"][:2] == found["rows"]
    assert (more["own"], len(more["rows"]), more["batches"]) == (2, 3, 1)
    assert more["left"] == found["left"] - 1
    app.session_state["care-harm"] = 20  # they were asked for at other strengths
    assert len(parts(app.run())["found"]["settled"]["rows"]) == 2
    # While the model writes or reads, nobody else is followed.
    gate = threading.Event()
    job = work.runner.submit("busy", "Busy", lambda _: gate.wait(), "model")
    assert parts(app.run())["found"]["settled"]["left"] == 0
    gate.set()
    job.wait(5)


def test_probes_that_could_not_be_read_are_told_and_offered_again(
    open_steer, complaints, work, monkeypatch
):
    read = steering_jobs.read_probes

    def broken(*args, **kwargs):
        raise CoreError("The disk is full.")

    monkeypatch.setattr(steering_jobs, "read_probes", broken)
    app = open_steer(**STAGE, **{"at": "0", "seen": "2"})
    settle(work)
    app.run()
    assert any("The disk is full" in one for one in complaints(app))
    monkeypatch.setattr(steering_jobs, "read_probes", read)
    app.button(key="probes-start").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert "paths" in parts(app)["map"]


def test_in_a_umap_of_the_steered_layer_every_point_settles(open_steer, complaints, few):
    app = open_steer(**STAGE, **{"picture": "umap", "care-harm": "30"})
    assert complaints(app) == []
    given = parts(app)
    assert given["map"]["paths"]["rows"] is None
    assert len(given["found"]["settled"]["x"]) == len(few)


def test_several_steered_layers_are_not_followed_above_the_second(open_steer):
    asked = {"at": "0", "also": "1", "seen": "2"}
    app = open_steer(**STAGE, **asked)
    assert "several layers together" in words(app)


def test_a_measured_dose_paints_its_safe_range(open_steer, complaints, work):
    app = open_steer(**STAGE)
    app.button(key="dose-start").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    safe = [one["safe"] for one in parts(app)["sliders"]["axes"]]
    assert safe[1:] == [None] * 4
    assert safe[0][0] <= 0 <= safe[0][1]


def test_the_table_says_how_far_beside_control_directions_of_equal_length(open_steer):
    app = open_steer(**STAGE, **{"care-harm": "20", "loyalty-betrayal": "-10"})
    (table,) = [one.value for one in app.dataframe if "moved" in one.value]
    assert table["axis"].tolist() == [*FOUNDATIONS, "all together"]
    assert table["strength"].tolist()[:5] == [0.2, 0.1, -0.1, 0.1, 0.1]
    assert (table["moved"] > 0).all()
    assert ((table["low"] > 0) & (table["low"] < table["control"])).all()
    assert (table["control"] < table["high"]).all()
    # The same directions twice as far.
    assert table["control"][0] == pytest.approx(2 * table["control"][1], rel=1e-5)


def test_plain_sliders_are_one_switch_away_and_keep_the_strengths(open_steer, complaints):
    app = open_steer(**STAGE, **{"care-harm": "20"})
    app.toggle(key="plain").set_value(True).run()
    assert app.slider(key="care-harm").value == 20
    assert not app.get("bidi_component")
    app.toggle(key="plain").set_value(False).run()
    assert parts(app)["sliders"]["strengths"]["care-harm"] == 20
    assert complaints(app) == []


def test_written_texts_land_on_the_map_and_stand_in_its_table(open_steer, complaints, work, few):
    app = open_steer(**STAGE, **{"care-harm": "40", "tokens": "12"})
    assert parts(app)["found"]["marks"] == []
    before = parts(app)["map"]
    app = write(app, work)
    assert complaints(app) == []
    marks = parts(app)["found"]["marks"]
    assert next((one["written"], one["sentence"]) for one in marks) == ("plain", 0)
    assert {one["written"] for one in marks if not one["sentence"]} == {"plain", "steered"}
    assert all(isinstance(one[name], float) for one in marks for name in "xy")
    (table,) = [one.value for one in app.dataframe if "written" in one.value]
    assert table["text"].tolist() == [one["text"] for one in marks]
    assert parts(app)["map"] == before  # it is not sent again
    assert "landing" in charts(app)
    assert "landing-map" not in charts(app)


def test_texts_stand_in_boxes_of_the_stage_with_what_is_to_be_known_of_them(open_steer, work):
    app = open_steer(**STAGE, **{"care-harm": "40"})
    assert "space bar" in words(app)
    app = write(app, work)
    said = words(app)
    assert said.count("class='ms-box'") == 2
    assert "not held against controls" in said
    assert "Written with care-harm +40%" in said
    assert "text degenerates" not in said
    run = app.session_state["run"]
    odd = [10 * one for one in run.receipt["plain_perplexity"]]
    app.session_state["run"] = replace(run, receipt={**run.receipt, "steered_perplexity": odd})
    assert "text degenerates: perplexity" in words(app.run())
    assert "Stopped after" not in words(app)
    app.session_state["run"] = replace(run, stopped=True)
    boxes = [one for one in words(app.run()).splitlines() if "class='ms-box'" in one]
    assert "Stopped after" in boxes[0]


def test_while_it_is_written_the_boxes_say_how_far_and_show_the_text(open_steer, work, monkeypatch):
    step = generation.step_logits

    def slowly(*args, **kwargs):
        time.sleep(0.03)
        return step(*args, **kwargs)

    monkeypatch.setattr(generation, "step_logits", slowly)
    app = open_steer(**STAGE, **{"care-harm": "40", "tokens": "150"})
    app.button(key="write").click().run()
    said = words(app)
    assert said.count("ms-box ms-live") == 2
    assert re.search(r"token \d+ of 150", said)
    app.button(key="stop").click().run()
    settle(work)
    assert "Stopped after" in words(app.run().run())
