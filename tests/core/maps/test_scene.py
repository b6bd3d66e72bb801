"""A scene as plain data: what is sent is what was given, and JSON can hold it."""

import base64
import json

import numpy as np
import pandas as pd
import pytest

from core.foundations import FOUNDATIONS, POLES
from core.maps.landmarks import landmarks
from core.maps.projection import Trust
from core.maps.scene import (
    SHOWN,
    STEPS,
    Arrows,
    Curve,
    Frames,
    Line,
    Scene,
    encoded,
    held,
    legend_data,
    scene_data,
    words_data,
)
from core.maps.view import Colouring, Picture
from core.palette import FOUNDATION_COLOURS, POLE_COLOURS, UNKNOWN

N = 30


@pytest.fixture
def picture():
    points = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    points[3] = np.nan
    return Picture(points, Trust(0.9, 0.5, 0.1), 0.6, None)


@pytest.fixture
def poles():
    return np.array(POLES)[np.random.default_rng(1).integers(0, 3, N)]


@pytest.fixture
def by_foundation():
    data = np.array(FOUNDATIONS)[np.random.default_rng(2).integers(0, 5, N)]
    return Colouring("Foundation", data, dict(FOUNDATION_COLOURS))


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_places_categories_and_poles_arrive_as_they_are(picture, poles, by_foundation):
    data = json.loads(json.dumps(scene_data(Scene(picture, by_foundation, poles)), allow_nan=False))
    places = numbers(data["places"], "<f4").reshape(-1, 2)
    assert np.array_equal(places, picture.points, equal_nan=True)
    assert [FOUNDATIONS[one] for one in numbers(data["category"], "u1")] == list(by_foundation.data)
    assert [POLES[one] for one in numbers(data["pole"], "u1")] == list(poles)
    assert data["colours"] == list(FOUNDATION_COLOURS.values())
    assert (data["chosen"], data["marked"], data["own"], data["axes"]) == ([], [], None, None)
    assert "frames" not in data


def test_selection_rings_star_axes_and_limits(picture, poles, by_foundation):
    rows = np.arange(N)
    data = scene_data(
        Scene(
            Picture(picture.points, None, np.nan, ("right", "up")),
            by_foundation,
            poles,
            chosen=rows < 4,
            marked=rows == 7,
            own=np.float32([0.5, -1]),
            limits=[(-1.0, 2.0), (-3.0, 4.0)],
        )
    )
    assert (data["chosen"], data["marked"]) == ([0, 1, 2, 3], [7])
    assert (data["own"], data["axes"]) == ([0.5, -1.0], ["right", "up"])
    assert data["limits"] == [[-1, 2], [-3, 4]]


@pytest.mark.parametrize("diverging", [False, True])
def test_numbers_become_steps_of_a_scale_and_none_is_a_colour_of_its_own(picture, poles, diverging):
    values = np.linspace(-1.2, 1.2, N)
    values[5] = np.nan
    colours = Colouring("Residual", values, span=(-1, 1), diverging=diverging)
    data = scene_data(Scene(picture, colours, poles))
    steps = numbers(data["category"], "u1")
    assert data["colours"][steps[5]] == UNKNOWN
    assert len(data["colours"]) == STEPS + 1
    rest = np.delete(steps, 5)
    assert (rest[0], rest[-1]) == (0, STEPS - 1)  # what lies beyond is as strong as the ends
    assert (np.diff(rest.astype(int)) >= 0).all()
    assert data["legend"]["scale"]["span"] == [-1, 1]
    assert len(data["legend"]["scale"]["steps"]) == STEPS


def test_a_scale_without_width_is_no_division_by_zero(picture, poles):
    colours = Colouring("Length", np.full(N, 3.0), span=(3.0, 3.0))
    assert set(numbers(scene_data(Scene(picture, colours, poles))["category"], "u1")) == {0}


def test_lines_arrows_and_frames_travel_with_their_layer_and_frame(picture, poles, by_foundation):
    corners = np.float32([[0, 0], [1, 2], [3, 1]])
    ends = np.float32([[0, 1], [np.nan, 2]])
    places = np.stack([picture.points, -picture.points])
    data = scene_data(
        Scene(
            picture,
            by_foundation,
            poles,
            lines=[Line(corners, "#123456", dash=(4, 2), label=".5", frame=1)],
            arrows=[Arrows(ends, ends + 1, "#654321", "Moved", np.array([2, 9]), heads=False)],
            frames=Frames(["A", "B"], places, at=1, slides=True),
        )
    )
    (line,), (arrows,) = data["lines"], data["arrows"]
    assert numbers(line.pop("points"), "<f4").tolist() == corners.ravel().tolist()
    rest = {"colour": "#123456", "layer": "Contours", "width": 1.5, "label": ".5"}
    assert line == {**rest, "dash": [4, 2], "frame": 1}
    assert np.array_equal(numbers(arrows["start"], "<f4"), ends.ravel(), equal_nan=True)
    assert (arrows["rows"], arrows["layer"], arrows["heads"]) == ([2, 9], "Moved", False)
    assert data["frames"] == {
        "names": ["A", "B"],
        "at": 1,
        "slides": True,
        "span": None,
        "centres": [],
        "curve": None,
    }


def test_a_curve_is_five_numbers_for_each_frame(picture, poles, by_foundation):
    value = np.array([0.1, np.nan])
    interval, chance = np.array([[0, 0.2], [np.nan, np.nan]]), np.array([[-0.1, 0.1]] * 2)
    frames = Frames(
        ["0", "1"],
        np.stack([picture.points] * 2),
        curve=Curve("Typicality", value, interval, chance),
    )
    told = scene_data(Scene(picture, by_foundation, poles, frames=frames))["frames"]["curve"]
    assert told["title"] == "Typicality"
    first, second = numbers(told["numbers"], "<f4").reshape(2, 5)
    assert first == pytest.approx([0.1, 0, 0.2, -0.1, 0.1])
    assert np.isnan(second[:3]).all()


def test_middles_are_five_numbers_for_each_pole(picture, poles, by_foundation):
    members = np.zeros((N, 10), bool)
    members[4:20, 2] = True
    found = landmarks(picture.points, members)
    data = scene_data(Scene(picture, by_foundation, poles, centres=found))
    middles = numbers(data["centres"], "<f4").reshape(10, 5)
    assert middles[2] == pytest.approx([*found.place[2], *found.shape[2]], rel=1e-6)
    assert np.isnan(middles[0, :2]).all()


def test_the_legend_names_categories_and_poles_once(by_foundation, poles):
    told = legend_data(by_foundation)
    assert [name for name, _ in told["names"]] == list(FOUNDATIONS)
    assert told["poles"] == [[pole, ""] for pole in POLES]
    assert told["scale"] is None
    told = legend_data(Colouring("Pole", poles, dict(POLE_COLOURS)))
    assert told["names"] == []
    assert told["poles"] == [[pole, POLE_COLOURS[pole]] for pole in POLES]


def test_words_are_shortened_and_neutral_ones_have_no_grade():
    table = pd.DataFrame(
        {
            "text": ["<b>short</b>", "x" * 1000],
            "foundation": ["care-harm", "care-harm"],
            "pole": ["vice", "neutral"],
            "grade": [0.5, 0.0],
        }
    )
    told = words_data(table)
    assert told.texts[0] == "<b>short</b>"  # set as text where it is shown
    assert len(told.texts[1]) == SHOWN
    assert told.name == words_data(table).name != words_data(table[:1]).name
    assert told.notes == ["care-harm · vice · grade 0.5", "care-harm · neutral"]


def test_what_is_held_is_named_by_its_content():
    assert held({"a": 1}) == held({"a": 1}) != held({"a": 2})
    assert numbers(encoded([1, 2], "<f4"), "<f4").tolist() == [1, 2]
