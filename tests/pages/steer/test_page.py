"""The steering page: open the model, read out, write, stop, keep, reopen from the address."""

import pytest

from core.steering.history import runs
from core.steering.recipes import unpacked
from tests.pages.steer.steerpages import answers, charts, settle, words, write


def test_the_read_out_answers_before_anything_is_written(open_steer, complaints):
    app = open_steer()
    assert complaints(app) == []
    assert {"mine", "answer"} <= set(charts(app))
    assert app.button(key="write")


def test_a_slider_moves_the_answers_and_shows_its_control(open_steer, complaints):
    app = open_steer(**{"care-harm": "20"})
    assert complaints(app) == []
    table = answers(app)
    assert (table["change"].abs() > 0).any()
    assert table["random"].notna().all()
    app.slider(key="care-harm").set_value(0).run()
    assert (answers(app)["change"] == 0).all()


def test_strength_zero_writes_the_same_text_and_says_so(open_steer, complaints, work):
    app = write(open_steer(), work)
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert run.same
    assert (run.changed_tokens, run.calls) == (0, 0)
    assert "byte for byte" in words(app).lower()


def test_a_run_is_kept_with_its_recipe_and_can_be_reopened(open_steer, complaints, work):
    app = write(open_steer(**{"care-harm": "40", "temperature": "0"}), work)
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert run.calls > 0
    assert run.recipe.terms[0].axis == "care-harm"
    word = run.recipe.packed()
    assert unpacked(word) == run.recipe
    again = open_steer(recipe=word, prompt=run.prompt)
    assert complaints(again) == []
    assert again.session_state["care-harm"] == 40
    again = write(again, work)
    (same,) = runs(work.store)
    assert (same.plain, same.steered) == (run.plain, run.steered)


def test_texts_say_what_wrote_them_and_whether_the_controls_say_something_else(open_steer, work):
    past = "The controls say something else now"
    app = open_steer(**{"care-harm": "40", "also": "0-1", "at": "2"})
    assert "Written with" not in words(app)
    app = write(app, work)
    assert "Written with care-harm +40% · after layer 0-2 · 4 tokens" in words(app)
    assert past not in words(app)
    changes = (
        (app.slider, "care-harm", 20, 40),
        (app.select_slider, "at", 1, 2),
        (app.text_area, "prompt", "He", app.session_state["prompt"]),
        (app.number_input, "seed", 5, 0),
        (app.text_input, "also", "1, 0", "0-1"),
    )
    for kind, key, other, same in changes:
        kind(key=key).set_value(other).run()
        assert (past in words(app)) == (key != "also"), key
        assert "Written with care-harm +40%" in words(app)
        kind(key=key).set_value(same).run()
        assert past not in words(app), key


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"recipe": "nonsense"}, "recipe"),
        ({"prompt": " "}, "prompt"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(query, said, open_steer, complaints, work):
    app = open_steer(**query)
    if "prompt" in query:
        app = write(app, work)
    assert any(said in one.lower() for one in complaints(app))
    assert runs(work.store) == []


def test_a_preset_a_box_and_a_reset_move_the_same_slider(open_steer, complaints):
    app = open_steer(loyalty="5")
    app.button(key="preset-More harmful").click().run()
    assert app.slider(key="loyalty").value == 0
    assert app.slider(key="care-harm").value == -10
    app.number_input(key="box-care-harm").set_value(7).run()
    assert app.slider(key="care-harm").value == 7
    assert app.query_params["care-harm"] in ("7", ["7"])
    app.slider(key="care-harm").set_value(12).run()
    assert app.number_input(key="box-care-harm").value == 12
    app.slider(key="loyalty").set_value(5).run()
    app.button(key="zero-care-harm").click().run()
    assert (app.slider(key="care-harm").value, app.slider(key="loyalty").value) == (0, 5)
    app.button(key="all-zero").click().run()
    assert app.slider(key="loyalty").value == 0
    assert complaints(app) == []


def test_a_run_is_marked_branched_compared_and_deleted(open_steer, complaints, work):
    app = write(open_steer(**{"care-harm": "40"}), work)
    app.slider(key="care-harm").set_value(-40).run()
    app = write(app, work)
    assert len(runs(work.store)) == 2
    older = runs(work.store)[1]
    app.selectbox(key="history-run").set_value(older.name).run()
    app.button(key="pinned").click().run()
    app.button(key="starred").click().run()
    app.text_input(key=f"note-{older.name}").set_value("look here").run()
    marked = runs(work.store)[0]
    assert (marked.name, marked.starred, marked.note) == (older.name, True, "look here")
    app.button(key="branch").click().run()
    assert app.slider(key="care-harm").value == 40
    app.selectbox(key="history-other").set_value(runs(work.store)[1].name).run()
    assert complaints(app) == []
    app.button(key="delete-run").click().run()
    assert complaints(app) == []
    assert older.name not in [run.name for run in runs(work.store)]
    labels = [one.label for one in app.get("download_button")]
    assert {"JSON", "Markdown", "Python script with its files"} <= set(labels)


def test_a_run_leads_to_the_readings_steered_so_beside_the_plain_ones(
    open_steer, work, monkeypatch
):
    import streamlit as st

    app = write(open_steer(**{"care-harm": "40"}), work)
    gone = []
    monkeypatch.setattr(st, "switch_page", lambda page, **_: gone.append(page.url_path))
    next(one for one in app.button if one.label == "Compare the readings").click().run()
    assert not app.exception
    assert gone == ["compare"]
    word = str(app.session_state["b"]).removeprefix("recipe:")
    assert unpacked(word) == runs(work.store)[0].recipe


def test_dose_and_leakage_are_measured_kept_and_drawn(open_steer, complaints, work):
    app = open_steer()
    app.button(key="dose-start").click().run()
    settle(work)
    app.run().button(key="leak-start").click().run()
    settle(work)
    app.run()
    assert complaints(app) == []
    assert {"dose-chart", "leak-chart"} <= set(charts(app))
    assert "safe from" in words(app)
    kinds = [one.kind for one in work.store.artefacts()]
    assert kinds.count("dose") == 2


def test_tokens_are_coloured_by_an_axis(open_steer, complaints, work):
    app = write(open_steer(**{"care-harm": "40", "lit": "care-harm"}), work)
    assert complaints(app) == []
    assert "background:rgba(" in words(app)


def test_a_recipe_of_another_set_or_a_newer_version_is_a_sentence(open_steer, complaints, work):
    import base64
    import zlib
    from dataclasses import replace

    app = write(open_steer(**{"care-harm": "40"}), work)
    (run,) = runs(work.store)
    foreign = replace(run.recipe, items="0" * 64)
    assert any("set" in one for one in complaints(open_steer(recipe=foreign.packed())))
    newer = base64.urlsafe_b64encode(zlib.compress(b'{"version": 99}')).decode()
    assert any("version 99" in one for one in complaints(open_steer(recipe=newer)))
    strong = replace(run.recipe, terms=(replace(run.recipe.terms[0], strength=1.5),))
    assert any("no controls" in one for one in complaints(open_steer(recipe=strong.packed())))
    assert complaints(app) == []


def test_every_chart_and_table_has_a_name(open_steer, work):
    app = write(open_steer(**{"care-harm": "40"}), work)
    assert all(len(one.proto.alt) > 20 for one in app.get("plotly_chart"))
    assert all(len(one.proto.alt) > 10 for one in app.dataframe)
