"""An aligned dictionary on the stage: one slider, a map that follows it, its control arms."""

import shutil

import numpy as np
import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.alignment.jobs import trained_arm
from core.alignment.moves import SHARES, moves, places
from core.alignment.shares import BESIDE, OWN
from core.maps.view import ViewSpec
from core.models.spec import ModelSpec
from core.sae.shelf import keep_dictionary
from core.steering.aligned import aligned_axis
from tests.core.sae.saesets import made_dictionary
from tests.pages.align.test_page import QUICK, aligned, balanced
from tests.pages.steer.steerpages import answers, settle, words
from tests.pages.steer.test_stage import parts

__all__ = ["aligned", "balanced"]

BASE = made_dictionary(96, k=6)
SPEC = QUICK(latents=3, seeds=1)


@pytest.fixture
def study(aligned, balanced, root, work):
    """Return the study of a cache with a kept alignment, which the pages of this test use."""
    shutil.copytree(aligned, root, dirs_exist_ok=True)
    query = balanced[1]
    return study_of(work, work.items(query["set"]), ModelSpec.parse(query["model"]), ReadSpec())


@pytest.fixture
def axis(study, work):
    return aligned_axis(trained_arm(work, study, BASE, SPEC, "repaired", 0).dictionary, BASE)


@pytest.fixture
def open_stage(axis, balanced, open_page, work):
    """Return a function that opens the stage with the aligned dictionary at 80 %."""

    def opened(**query):
        asked = {name: balanced[1][name] for name in ("model", "set")}
        asked |= {"at": "1", axis: "80", "op": "align", **query}
        app = open_page("steer", **{name: one for name, one in asked.items() if one is not None})
        settle(work)
        return app.run()

    return opened


def moving(app, work):
    """Ask where texts move, and wait for it."""
    app.button(key="shares-start").click().run()
    settle(work)
    return app.run()


def test_one_slider_moves_the_map_from_untouched_to_aligned_and_beyond(
    open_stage, axis, study, work, complaints
):
    app = open_stage()
    assert list(parts(app)) == ["sliders"]  # where texts move is asked for
    app = moving(app, work)
    assert complaints(app) == []
    given = parts(app)
    slider, picture = given["sliders"], given["map"]
    assert [one["name"] for one in slider["axes"]] == picture["axes"] == [axis]
    assert (slider["least"], slider["notch"], slider["most"]) == (0, 100, 150)
    assert slider["strengths"] == {axis: 80}
    after = trained_arm(work, study, BASE, SPEC, "repaired", 0).dictionary.digest
    change = moves(work, study, BASE, SPEC, "repaired", after).open()  # as the page of Align has it
    several = places(work.store, study, ViewSpec(1, "mean"), change)
    assert picture["paths"]["knots"] == list(SHARES)
    ways = np.reshape(picture["paths"]["ways"], several.shape)
    assert not ways[0].any()
    plain = np.column_stack([picture["x"], picture["y"]])
    np.testing.assert_allclose(plain, several[0], rtol=1e-5)
    np.testing.assert_allclose(plain + ways[4], several[4], atol=1e-4)
    assert np.abs(ways[4]).max() > 1e-3
    app.session_state[axis] = 0  # as the component's report does
    app.run()
    assert complaints(app) == []
    assert (answers(app)["change"] == 0).all()
    assert parts(app)["map"] == picture  # it is not sent again


def test_it_stands_beside_the_arms_that_were_trained_with_it(open_stage, work):
    app = moving(open_stage(), work)
    picture = parts(app)["map"]
    assert len(picture["fan"]["ways"]) == 2 * len(BESIDE) * len(SHARES)
    assert "At 100 % texts move by " in picture["told"][4]
    assert "random latents, as long: " in picture["told"][4]
    (table,) = [one.value for one in app.dataframe if "chance low" in one.value]
    assert table["arm"].unique().tolist() == [OWN, *BESIDE]
    assert table["share"].tolist() == list(SHARES) * 4


@pytest.mark.parametrize("query", [{"picture": "axes"}, {"picture": "umap"}, {"op": "replace"}])
def test_each_picture_and_operation_moves(open_stage, work, complaints, query):
    app = moving(open_stage(**query), work)
    assert complaints(app) == []
    assert any(parts(app)["map"]["paths"]["ways"])


def test_one_that_lies_on_the_shelf_is_taken_from_there(open_stage, axis, study, work, complaints):
    after = trained_arm(work, study, BASE, SPEC, "repaired", 0).dictionary
    digest = keep_dictionary(work.store, after, study.card)
    app = open_stage(**{axis: None, "at": "2"})
    assert app.selectbox(key="aligned-shelf").options == [
        f"Layer 1: repaired, seed 0 · {digest[:6]}"
    ]
    next(one for one in app.button if one.label == "Take it").click().run()
    assert complaints(app) == []
    assert (app.session_state[axis], app.session_state["at"]) == (100, 1)
    assert parts(app)["sliders"]["strengths"] == {axis: 100}


def test_elsewhere_the_map_says_where_it_follows(open_stage):
    for query in ({"seen": "2"}, {"at": "2"}, {"also": "2"}):
        app = open_stage(**query)
        assert "steer after layer 1 alone, and show that layer" in words(app)
        assert list(parts(app)) == ["sliders"]
