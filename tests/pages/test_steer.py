"""The steering page: open the model, read out, write, stop, keep, reopen from the address."""

import json
import time
from typing import Any

import pytest

from core.history import runs
from core.recipes import unpacked

WITHIN = 120
SHORT = {"tokens": "4", "samples": "1"}


@pytest.fixture
def open_steer(open_read, work):
    """Return a function that opens the page and waits until the model is open."""

    def opened(**query: Any) -> Any:
        app = open_read("steer", **{**SHORT, **query})
        settle(work)
        return app.run()

    return opened


def settle(work: Any) -> None:
    end = time.monotonic() + WITHIN
    while any(job.active for job in work.runner.jobs()) and time.monotonic() < end:
        time.sleep(0.02)


def charts(app: Any) -> dict[str, Any]:
    return {one.key: json.loads(one.proto.spec) for one in app.get("plotly_chart")}


def words(app: Any) -> str:
    shown = (*app.markdown, *app.caption, *app.info, *app.success, *app.subheader, *app.get("html"))
    return "\n".join(str(getattr(one, "value", None) or one.proto) for one in shown)


def answers(app: Any) -> Any:
    """Return the table of the read-outs; AppTest knows no keys of tables."""
    (table,) = [one.value for one in app.dataframe if "change" in one.value]
    return table


def write(app: Any, work: Any) -> Any:
    app.button(key="write").click().run()
    settle(work)
    return app.run().run()


def test_the_read_out_answers_before_anything_is_written(open_steer, complaints):
    app = open_steer()
    assert complaints(app) == []
    assert any(key.startswith("answer") for key in charts(app))
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
