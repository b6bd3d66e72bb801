"""What goes wrong on the steering page: a clear sentence, nothing lost, the next run works."""

import time

import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.models.spec import ModelSpec
from core.steering import jobs as steering_jobs
from core.steering.history import runs
from tests.pages.steer.steerpages import WITHIN, answers, settle, words, write

LONG = {"tokens": "200", "samples": "1", "care-harm": "40"}


def started(app):
    """Press Write and wait until a token is there."""
    app.button(key="write").click().run()
    job = job_of(app)
    end = time.monotonic() + WITHIN
    while job.live.written is None and job.active and time.monotonic() < end:
        time.sleep(0.005)
    return job


def job_of(app):
    from pages.shared.bench import workbench

    return workbench().runner.get(steering_jobs.write_key(app.session_state["owner"]))


@pytest.fixture
def slow(monkeypatch):
    """Let every token take a moment, so that there is time to do something meanwhile."""
    from core.steering import generation

    step = generation.step_logits

    def slowly(*args, **kwargs):
        time.sleep(0.03)
        return step(*args, **kwargs)

    monkeypatch.setattr(generation, "step_logits", slowly)


def works(app, work, complaints):
    """Check that the next run is written and kept."""
    app.session_state["tokens"] = 3
    before = len(runs(work.store))
    write(app, work)
    assert complaints(app) == []
    assert len(runs(work.store)) == before + 1


def test_stop_keeps_the_texts_so_far_marked(open_steer, complaints, work, slow):
    app = open_steer(**LONG)
    started(app)
    app.run().button(key="stop").click().run()
    settle(work)
    app.run().run()
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert run.stopped
    assert 0 < len(run.receipt["plain_ids"][0]) < 200
    assert "Stopped after" in words(app)
    works(app, work, complaints)
    assert not runs(work.store)[0].stopped


def test_write_is_not_offered_while_it_writes_and_a_late_click_does_nothing(
    open_steer, complaints, work, slow
):
    app = open_steer(**{**LONG, "tokens": "20"})
    write_button = app.button(key="write")
    assert not write_button.disabled
    job = started(app)
    write_button.click().run()  # a browser may still show it for a moment
    assert job_of(app) is job
    assert app.button(key="write").disabled
    settle(work)
    app.run().run()
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert not run.stopped
    assert not app.button(key="write").disabled


def test_stop_during_the_first_token_is_said_and_the_next_run_works(
    open_steer, complaints, work, monkeypatch
):
    from core.steering import generation

    step, app = generation.step_logits, open_steer(**LONG)

    def stopping(*args, **kwargs):
        logits = step(*args, **kwargs)
        job_of(app).cancel()
        return logits

    monkeypatch.setattr(generation, "step_logits", stopping)
    write(app, work)
    (run,) = runs(work.store)  # the token in hand is written to its end
    assert run.stopped
    assert len(run.receipt["plain_ids"][0]) == 1
    monkeypatch.setattr(generation, "step_logits", step)
    works(app, work, complaints)


def test_stop_while_it_waits_leaves_nothing_and_says_so(open_steer, complaints, work):
    app = open_steer(**LONG)
    hold = work.runner.submit("hold", "holding", lambda report: wait_for(report))
    end = time.monotonic() + WITHIN
    while hold.note != "holding" and time.monotonic() < end:  # else writing, urgent, goes first
        time.sleep(0.005)
    app.button(key="write").click().run()
    assert "waiting for “holding”" in words(app)
    app.button(key="stop").click().run()
    hold.cancel()
    settle(work)
    app.run().run()
    assert complaints(app) == []
    assert "Stopped before the first token" in words(app)
    assert runs(work.store) == []
    works(app, work, complaints)


def wait_for(report):
    while True:
        report(0, 1, "holding")
        time.sleep(0.01)


def test_a_strength_that_makes_nan_is_a_sentence_and_the_next_run_works(
    open_steer, complaints, work, monkeypatch
):
    from core.steering import edits as steering_edits

    norm = steering_edits.residual_norm
    monkeypatch.setattr(steering_edits, "residual_norm", lambda *_: 1e39)
    app = write(open_steer(**LONG), work)
    told = complaints(app)
    assert any("At this strength the model's numbers are no longer finite" in one for one in told)
    assert any("so it cannot write" in one for one in told)
    assert runs(work.store) == []
    monkeypatch.setattr(steering_edits, "residual_norm", norm)
    app.slider(key="care-harm").set_value(10).run()
    works(app, work, complaints)


def test_a_model_that_changes_meanwhile_leaves_the_run_and_takes_the_next(
    open_steer, complaints, work, slow
):
    app = open_steer(**LONG)
    job = started(app)
    app.sidebar.toggle(key="untrained").set_value(True).run()
    settle(work)
    assert job.state == "done"
    (run,) = runs(work.store)
    assert not run.stopped
    assert complaints(app) == []
    read = [one for one in app.button if one.label == "Read them"]
    read[0].click().run()
    for _ in range(3):
        settle(work)
        app.run()
    assert complaints(app) == []
    works(app, work, complaints)
    assert runs(work.store)[0].recipe.identity != run.recipe.identity


def test_a_tab_that_closes_leaves_no_lock_and_its_run_in_the_history(
    open_steer, complaints, work, slow
):
    app = open_steer(**{**LONG, "tokens": "30"})
    job = started(app)
    del app  # nobody looks any more
    other = open_steer(**{"care-harm": "-40"})
    write(other, work)
    assert complaints(other) == []
    assert job.state == "done"
    mine, theirs = runs(work.store)
    assert mine.recipe.terms[0].strength == -0.4
    assert theirs.recipe.terms[0].strength == 0.4
    assert words(other).count("the edit ran") == 1


@pytest.mark.parametrize("prompt", ["", " \n\t ", "\x00"])
def test_an_empty_prompt_is_a_sentence_and_the_actions_still_answer(
    prompt, open_steer, complaints, work
):
    app = open_steer(**{"care-harm": "40"})
    app.text_area(key="prompt").set_value(prompt).run()
    write(app, work)
    told = complaints(app)
    assert told
    assert all("prompt" in one.lower() for one in told)
    assert runs(work.store) == []
    assert len(answers(app)) >= 5
    app.text_area(key="prompt").set_value("He").run()
    works(app, work, complaints)


def test_a_prompt_of_100_kilobytes_is_refused_with_its_limit(open_steer, complaints, work):
    app = open_steer(**{"care-harm": "40"})
    app.text_area(key="prompt").set_value("word " * 20_000).run()
    write(app, work)
    assert any("4,000" in one for one in complaints(app))
    assert runs(work.store) == []
    app.text_area(key="prompt").set_value("He").run()
    works(app, work, complaints)


def test_control_characters_are_written_on_as_they_stand(open_steer, complaints, work):
    app = open_steer(**{"care-harm": "40"})
    app.text_area(key="prompt").set_value("A\x07\x1b[31m\u202e\ufeffb\r\n<b>").run()
    write(app, work)
    assert complaints(app) == []
    (run,) = runs(work.store)
    assert run.prompt.startswith("A\x07\x1b[31m\u202e\ufeffb")


def test_only_models_with_a_chat_template_offer_it(open_steer, complaints, work, read, model_text):
    app = open_steer()
    assert "chat" not in [one.key for one in app.toggle]
    app = open_steer(chat="1")  # a link may ask for it; then it can be switched off
    write(app, work)
    assert any("no chat template" in one and "Switch chat off" in one for one in complaints(app))
    app.toggle(key="chat").set_value(False).run()
    works(app, work, complaints)
    study = study_of(work, work.items(read.set_name), ModelSpec.parse(model_text), ReadSpec())
    model = work.shelf.get(study.card.spec)
    model.tokenizer.chat_template = "{% for one in messages %}{{ one.content }}{% endfor %}"
    assert "chat" in [one.key for one in open_steer().toggle]
