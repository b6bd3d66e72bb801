"""The stage: what the component is given, what it reports, and when the map cannot follow."""

import json

import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.foundations import FOUNDATIONS
from core.models.spec import ModelSpec
from core.steering.direction_files import axis_of, keep_direction
from core.steering.directions import direction_bytes
from pages.steer import stage
from tests.core.steering.steeringsets import made_direction
from tests.pages.steer.steerpages import answers, settle, words

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
    assert picture["axes"] == [*FOUNDATIONS, "others", "random"]
    assert (len(picture["along"]), len(picture["gram"])) == (14, 49)
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
    assert stage.taken(reported) == taken


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
    assert len(given["along"]) == 14 * len(few)
    assert len(given["bend"]["onto"]) == 7 * len(few)
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
    assert list(parts(app)) == ["sliders"]


def test_a_measured_dose_paints_its_safe_range(open_steer, complaints, work):
    app = open_steer(**STAGE)
    app.button(key="dose-start").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    safe = [one["safe"] for one in parts(app)["sliders"]["axes"]]
    assert safe[1:] == [None] * 4
    assert safe[0][0] <= 0 <= safe[0][1]


def test_the_table_says_how_far_beside_a_random_direction(open_steer):
    app = open_steer(**STAGE, **{"care-harm": "20", "loyalty-betrayal": "-10"})
    (table,) = [one.value for one in app.dataframe if "moved" in one.value]
    assert table["axis"].tolist() == [*FOUNDATIONS, "all together"]
    assert table["strength"].tolist()[:5] == [0.2, 0.1, -0.1, 0.1, 0.1]
    assert (table[["moved", "random"]] > 0).all(axis=None)
    # The same direction twice as far.
    assert table["random"][0] == pytest.approx(2 * table["random"][1], rel=1e-5)


def test_plain_sliders_are_one_switch_away_and_keep_the_strengths(open_steer, complaints):
    app = open_steer(**STAGE, **{"care-harm": "20"})
    app.toggle(key="plain").set_value(True).run()
    assert app.slider(key="care-harm").value == 20
    assert not app.get("bidi_component")
    app.toggle(key="plain").set_value(False).run()
    assert parts(app)["sliders"]["strengths"]["care-harm"] == 20
    assert complaints(app) == []
