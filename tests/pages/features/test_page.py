"""The features page: a dictionary, its moral latents, a passport that may be disbelieved."""

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.models.open_models import describe
from core.models.spec import ModelSpec
from core.runtime.progress import Cancelled
from core.sae.shelf import keep_dictionary, shelved
from core.steering.latents import latent_axis
from tests.core.sae.saesets import made_dictionary
from tests.pages.steer.steerpages import arrived, charts, settle

MADE = made_dictionary(n_latents=48, k=6)


@pytest.fixture
def card(open_read, work, model_text):
    del open_read  # it puts the cache into place
    return describe(ModelSpec.parse(model_text), work.store)


@pytest.fixture
def open_features(open_read, work, card):
    """Return a function that opens the page with a made dictionary and everything found."""
    keep_dictionary(work.store, MADE, card)

    def opened(**query):
        app = open_read("features", **query)
        button(app, "Find the moral latents").click().run()
        settle(work)
        return app.run()

    return opened


def button(app: AppTest, label: str):
    return next(one for one in app.button if label in one.label)


def said(app: AppTest) -> str:
    parts = (*app.markdown, *app.caption, *app.subheader, *app.info, *app.success)
    return "\n".join(str(one.value) for one in parts)


def shown(app: AppTest, key: str):
    return next(one for one in app.dataframe if (one.key or "").startswith(key)).value


def table_with(app: AppTest, column: str):
    [found] = [one.value for one in app.dataframe if column in one.value]
    return found


def test_without_a_dictionary_the_page_offers_to_load_or_train_one(open_read, complaints):
    app = open_read("features")
    assert complaints(app) == []
    assert "has been taken apart yet" in said(app)
    assert any(one.label == "Train" for one in app.button)  # everything is filled in


def test_latents_are_found_and_a_passport_opens(open_features, complaints):
    app = open_features(latents="all")
    assert complaints(app) == []
    assert "of 48" in said(app)
    assert "shuffled labels" in said(app)
    assert len(shown(app, "latents-table")) == 48
    assert {"passport-labels", "passport-centres", "passport-activation"} <= set(charts(app))
    first = int(app.session_state["latent"])
    assert f"Latent {first}" in said(app)
    assert "latent" not in app.query_params  # what opens by itself makes no step of the history
    app.button(key=next(one.key for one in app.button if one.key.startswith("near-"))).click().run()
    second = int(app.session_state["latent"])
    assert second != first
    assert app.query_params["latent"] in (str(second), [str(second)])


@pytest.mark.parametrize(
    ("label", "operation"), [("Steer with it", "add"), ("Set its value", "clamp")]
)
def test_a_latent_goes_to_the_steering_page(open_features, complaints, work, label, operation):
    """A link's query was lost: the page was come to without the latent."""
    app = open_features(latents="all", latent="7")
    app = arrived(button(app, label).click().run(), work)
    assert complaints(app) == []
    assert app.slider(key=latent_axis(MADE, 7)).value == 10
    assert (app.session_state["op"], app.session_state["at"]) == (operation, 1)


def test_an_address_opens_its_latent_and_its_order(open_features, complaints):
    app = open_features(latents="all", latent="7", sort="harm")
    assert complaints(app) == []
    assert "Latent 7" in said(app)
    assert set(shown(app, "latents-table")["dimension"]) == {"harm"}


def test_a_latent_is_tried_and_its_words_are_looked_up(open_features, complaints, work):
    app = open_features(latents="all")
    app.button(key="effect-start").click().run()
    settle(work)
    app.run()
    assert "effect-chart" in charts(app)
    assert "the only latent tried" in said(app)
    assert table_with(app, "controls low")["p"].between(0, 1).all()
    button(app, "Look up the words of 48 latents").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert "standard deviations" in said(app)


def test_latents_are_named_by_their_words_and_by_a_person(open_features, complaints, work):
    app = open_features(latents="all", latent="7", sentence="Robbing a friend")
    settle(work)
    app.run()
    assert (shown(app, "latents-table")["name"] == "").all()
    button(app, "Look up the words of 48 latents").click().run()
    settle(work)
    app.run().run()
    table = shown(app, "latents-table").set_index("latent")["name"]
    assert table.str.len().max() > 2
    named = next(one for one in app.text_input if one.label == "Your name for it")
    assert named.placeholder == table[7]
    named.set_value("[taking](http://x) $x$ <b>").run()
    assert complaints(app) == []
    assert (
        shown(app, "latents-table").set_index("latent")["name"][7] == "[taking](http://x) $x$ <b>"
    )
    assert r"\[taking\]\(http\://x\) \$x\$ \<b\>" in said(app)
    lit = next(one for one in app.button if (one.key or "").startswith("open-"))
    number, _, name = lit.label.partition(" · ")
    assert table[int(number)][:3] in name or int(number) == 7


def test_searches_answer_or_say_what_to_do(open_features, complaints):
    app = open_features(latents="all")
    app.text_input(key="find").set_value("a").run()
    assert "texts match" in said(app)
    assert complaints(app) == []
    app.text_input(key="find").set_value("no such words anywhere").run()
    assert any("No text of this set contains" in one for one in complaints(app))
    app.selectbox(key="by").set_value("number").run()
    app.text_input(key="find").set_value("11").run()
    assert shown(app, "latents-table")["latent"].tolist() == [11]
    app.text_input(key="find").set_value("48").run()
    assert any("Type 0 to 47" in one for one in complaints(app))
    app.selectbox(key="by").set_value("promotes").run()
    assert any("not looked up yet" in one for one in complaints(app))


def test_a_sentence_lights_up_token_by_token(open_features, complaints, work):
    app = open_features(latents="all")
    app.text_input(key="sentence").set_value("Robbing a friend").run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert "latents are on somewhere" in said(app)
    opened = next(one for one in app.button if (one.key or "").startswith("open-"))
    opened.click().run()
    assert f"Latent {opened.label.partition(' ')[0]}" in said(app)


def test_a_name_that_is_no_dictionary_is_refused_in_words(open_read, complaints, work):
    app = open_read("features", way="Load")
    app.text_input(key="bring").set_value("nonsense")
    button(app, "Load it").click().run()
    assert any("Cannot read the dictionary" in one for one in complaints(app))
    app.text_input(key="bring").set_value("folder:/nowhere")
    button(app, "Load it").click().run()
    settle(work)
    app.run()
    assert any("There is no /nowhere" in one for one in complaints(app))


def test_a_dictionary_of_another_width_is_refused_and_one_that_fits_is_shelved(
    open_read, complaints, work, card, tmp_path
):
    from core.sae.files import save_folder

    wide = save_folder(made_dictionary(d_model=8), tmp_path / "wide")
    fits = save_folder(MADE, tmp_path / "fits")
    app = open_read("features", way="Load")
    for folder in (wide, fits):
        app.text_input(key="bring").set_value(f"folder:{folder}")
        button(app, "Load it").click().run()
        settle(work)
        app.run()
        if folder == wide:
            assert any("8 coordinates apart" in one for one in complaints(app))
    assert complaints(app) == []
    [one] = shelved(work.store, card)
    assert one.n_latents == 48
    keep_dictionary(work.store, replace(MADE, b_dec=MADE.b_dec + 1), card)  # of the same name
    app.run()
    names = app.selectbox(key="dictionary").options
    assert len(set(names)) == 2  # told apart by their digests
    app.session_state["dictionary"] = next(
        each.digest[:12] for each in shelved(work.store, card) if each.digest != one.digest
    )
    app.run()
    app.button(key="bring-take").click().run()
    assert app.session_state["dictionary"] == one.digest[:12]
    assert complaints(app) == []


def test_a_dictionary_from_elsewhere_is_measured_when_asked(
    open_read, complaints, work, card, monkeypatch
):
    monkeypatch.setattr("core.sae.training.foreign_report.CONTROL_TOKENS", 3_000)
    keep_dictionary(work.store, MADE, card)
    app = open_read("features")
    assert "was not measured yet" in said(app)
    app.button(key="measure").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert "it misses" in said(app)
    assert "Whether its training saw them is not known" in said(app)
    assert table_with(app, "control")["control"].any()
    assert table_with(app, "from %")["latents"].sum() > 0
    assert {"worth", "density"} <= set(charts(app))


def test_a_dictionary_is_trained_here_and_then_chosen(open_read, complaints, work, card):
    app = open_read("features", way="Train")
    for key, value in (("train-tokens", 0), ("train-written", 400), ("train-epochs", 1)):
        app.number_input(key=key).set_value(value)
    app.number_input(key="train-k").set_value(4)
    app.selectbox(key="train-width").set_value(2)
    button(app, "Train").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    [one] = shelved(work.store, card)
    assert one.n_latents == 64
    app.run()
    assert "chosen above" in said(app)
    assert "held-out tokens it misses" in said(app)
    assert table_with(app, "control")["control"].any()
    assert len(table_with(app, "step")) > 0


def test_a_training_that_cannot_be_had_is_refused_and_a_stopped_one_goes_on(
    open_read, complaints, work, card, monkeypatch, tmp_path
):
    app = open_read("features", way="Train")
    app.text_input(key="train-file").set_value("/nowhere.txt")
    button(app, "Train").click().run()
    assert any("There is no text file /nowhere.txt" in one for one in complaints(app))
    text = tmp_path / "own.txt"
    text.write_text("A friend keeps a promise. " * 200)
    app.text_input(key="train-file").set_value(str(text))
    app.number_input(key="train-tokens").set_value(0)
    app.number_input(key="train-k").set_value(4)
    app.selectbox(key="train-width").set_value(2)
    with monkeypatch.context() as stopping:
        stopping.setattr("core.sae.training.trained.read_tokens", stopped)
        button(app, "Train").click().run()
        settle(work)
    app.run()
    assert "Cancelled" in said(app)
    button(app, "Go on").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert [one.n_latents for one in shelved(work.store, card)] == [64]


def stopped(*_args, **_more):
    raise Cancelled


def test_latents_come_to_the_steering_page_with_a_random_control(
    open_features, open_steer, complaints, work, card
):
    keep_dictionary(work.store, MADE, card)
    axis = latent_axis(MADE, 5)
    app = open_steer(**{axis: "20", "at": "1"})
    assert complaints(app) == []
    assert app.slider(key=axis).value == 20
    app = open_steer(**{axis: "0", "at": "1", "op": "clamp"})
    assert complaints(app) == []
    assert "at 0 it is switched off" in said(app)
    app = open_steer(**{axis: "20", "at": "2"})
    assert any("made at layer 1, not 2" in one for one in complaints(app))
    app = open_steer(**{f"latent:{'0' * 16}:5": "20", "at": "1"})
    assert any("not at hand" in one for one in complaints(app))
