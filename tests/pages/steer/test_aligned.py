"""An aligned dictionary on the steering page: a slider of its own, texts, a link that brings it."""

import pytest

from core.models.open_models import describe
from core.models.spec import ModelSpec
from core.sae.shelf import keep_dictionary
from core.steering.aligned import aligned_axis, is_aligned
from core.steering.history import runs
from tests.core.sae.saesets import made_dictionary
from tests.pages.steer.steerpages import answers, words, write
from tests.pages.steer.test_stage import parts

BEFORE, AFTER = (made_dictionary(48, k=6, seed=seed) for seed in (0, 1))
AXIS = aligned_axis(AFTER, BEFORE)
ASKED = {AXIS: "80", "at": "1", "op": "align"}


@pytest.fixture
def open_aligned(open_steer, work, model_text):
    """Return a function that opens the page where both dictionaries are at hand."""
    card = describe(ModelSpec.parse(model_text), work.store)
    for one in (BEFORE, AFTER):
        keep_dictionary(work.store, one, card)
    return lambda **query: open_steer(**{**ASKED, **query})


def test_a_link_brings_its_slider_alone_and_the_read_out_answers(open_aligned, complaints):
    app = open_aligned(plain="1")
    assert complaints(app) == []
    assert app.slider(key=AXIS).value == 80
    assert (app.slider(key=AXIS).min, app.slider(key=AXIS).max) == (0, 150)
    assert answers(app)["change"].abs().max() > 0
    app.slider(key=AXIS).set_value(0).run()
    assert complaints(app) == []
    assert (answers(app)["change"] == 0).all()


def test_elsewhere_the_map_says_where_it_follows(open_aligned):
    for query in ({"seen": "2"}, {"at": "2"}, {"also": "2"}):
        app = open_aligned(plain="", **query)
        assert "steer after layer 1 alone, and show that layer" in words(app)
        assert list(parts(app)) == ["sliders"]


@pytest.mark.parametrize("operation", ["align", "replace"])
def test_texts_are_written_with_it_and_kept_with_their_recipe(
    open_aligned, work, complaints, operation
):
    app = write(open_aligned(op=operation, **{AXIS: "150"}), work)
    assert complaints(app) == []
    [run] = runs(work.store)
    assert (run.recipe.operation, run.recipe.terms[0].axis) == (operation, AXIS)
    assert run.recipe.terms[0].strength == 1.5
    assert "Python script with its files" not in {one.label for one in app.get("download_button")}


def test_a_run_with_it_opens_again_from_its_address(open_aligned, open_page, work, complaints):
    from tests.pages.steer.test_links import address, opened

    write(open_aligned(), work)
    [run] = runs(work.store)
    app = opened(open_page, work, address(run))
    assert complaints(app) == []
    assert app.session_state[AXIS] == 80
    assert app.session_state["op"] == "align"


def test_with_plain_sliders_it_stands_in_their_place(open_aligned, complaints):
    app = open_aligned(plain="1")
    assert complaints(app) == []
    assert app.slider(key=AXIS).value == 80
    assert not [one for one in app.slider if one.key == "care-harm"]


def test_without_one_the_page_says_where_it_comes_from(open_steer, complaints):
    app = open_steer(op="align", plain="")
    assert complaints(app) == []
    assert "No aligned dictionary is here" in words(app)
    assert "once one is here" in words(app)
    assert not app.get("bidi_component")


def test_another_layer_or_a_missing_dictionary_is_a_sentence(open_aligned, complaints):
    app = open_aligned(at="2")
    assert any("spliced in at its own layer, 1" in one for one in complaints(app))
    gone = "aligned:" + ":".join(("0" * 16, "1" * 16))
    assert is_aligned(gone)
    app = open_aligned(**{AXIS: "0", gone: "50"})
    assert any("is not at hand" in one for one in complaints(app))


def test_a_direction_and_a_dictionary_do_not_mix(open_aligned, complaints):
    app = open_aligned(op="add", **{"care-harm": "10"})
    assert complaints(app) == []
    assert not [one for one in app.slider if one.key == AXIS]
