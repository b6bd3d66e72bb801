"""The page of evaluations: from nothing to a verdict, pairs, a person's blind verdicts, files."""

import json
import shlex
import shutil

import pytest

from core.__main__ import main
from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec
from core.evaluation.endpoint import KEY, URL
from core.evaluation.prompts import builtin_prompts
from core.evaluation.spec import default_arms
from core.evaluation.trust import TOLD
from core.models.spec import ModelSpec
from core.workbench import Workbench
from tests.core.benches import done, finish
from tests.core.steering.steeringsets import balanced_rows
from tests.pages.steer.steerpages import charts, settle, words

QUICK = {"length": "10", "cost": "recipe", "ask-helpful": "0", "ask-understanding": "0"}
FEW = {"arm-moral-directions": "0", "arm-random-push": "0"}


@pytest.fixture(scope="module", autouse=True)
def few():
    """Let the project's prompts be few; 7 of 12 report."""
    kept = builtin_prompts()
    small = kept.take(slice(None, None, 10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pages.evaluate.questions.builtin_prompts", lambda: small)
        yield


@pytest.fixture(scope="module")
def balanced(tmp_path_factory, model_text):
    """Return a cache in which the tiny Llama has read a set, and the page's query."""
    folder = tmp_path_factory.mktemp("balanced")
    lines = ["action\tfoundation\tjudgement\tagreement"]
    lines += ["\t".join(map(str, row)) for row in balanced_rows()]
    (folder / "t.tsv").write_text("\n".join(lines) + "\n")
    work = Workbench.at(folder / "cache")
    items = done(work.add_items(ItemSpec("file", folder / "t.tsv"))).result
    study = study_of(work, items, ModelSpec.parse(model_text), ReadSpec())
    finish(work, reading(work, study))
    query = {"model": model_text, "set": items.digest[:12], "judge": model_text}
    return work.store.root, query | QUICK | FEW


@pytest.fixture
def open_balanced(balanced, root, open_page):
    shutil.copytree(balanced[0], root)
    return lambda **query: open_page("evaluate", **{**balanced[1], **query})


@pytest.fixture
def judged(open_balanced, work):
    """Return a function that opens the page where everything is judged."""
    app = open_balanced()
    button(app, "Answer and judge").click().run()
    settle(work)
    return open_balanced


def button(app, label):
    return next(one for one in app.button if label in one.label)


def progress(app):
    return " ".join(one.proto.text for one in app.get("progress"))


def test_nothing_begins_unasked_and_what_it_takes_is_said(open_balanced, work, complaints):
    app = open_balanced()
    assert complaints(app) == []
    assert work.runner.jobs() == []
    assert "3 arms (plain; " in words(app)
    assert "answer 7 questions" in words(app)
    assert "nothing leaves this machine" in words(app)


def test_a_judge_behind_an_address_says_what_it_takes_before(open_balanced, monkeypatch):
    monkeypatch.setenv(URL, "http://127.0.0.1:9/v1")
    monkeypatch.delenv(KEY, raising=False)
    app = open_balanced(judge="endpoint", **{"per-minute": "30"})
    told = words(app)
    assert "148 requests" in told  # 120 of the trial, 7 questions to two arms in both orders
    assert "about 5 min" in told
    assert "at your prices" not in told
    app.number_input(key="price-sent").set_value(1000.0).run()
    assert "at your prices" in words(app)


def test_the_way_to_a_verdict_and_the_answers(judged, complaints):
    app = judged()
    assert complaints(app) == []
    assert TOLD["chance"] in app.subheader[0].value  # a random model is no judge
    assert "evaluate-arms" in charts(app)
    assert "of 24 pairs" in words(app).lower()
    broken = judged(said="broken")
    [shown] = [one.value for one in broken.dataframe if "sign p" in one.value]
    if shown["broken"].iloc[1]:  # of the moral prompt, which is looked at
        assert "⚠ broken text" in words(broken)
    else:
        assert "No pair is like that" in words(broken)
    missing = judged(said="missing")
    assert "No pair is like that" in words(missing)


def test_answers_land_on_the_map_when_asked(judged, work, complaints):
    app = judged()
    button(app, "Put the answers on the map").click().run()
    settle(work)
    app = judged(landed="2")
    assert complaints(app) == []
    assert {"evaluate-map", "evaluate-ways"} <= set(charts(app))
    assert "beside plain again" in words(app)


def test_a_person_judges_blind_takes_back_and_agrees(judged):
    app = judged(who="Anne")
    assert "0 of " in progress(app)
    for _ in range(3):
        button(app, "Left is better").click().run()
    assert "3 of " in progress(app)
    button(app, "Undo").click().run()
    assert "2 of " in progress(app)
    app.text_input(key="who").set_value("Ben").run()
    assert "0 of " in progress(app)
    assert button(app, "Undo").disabled  # what Anne said is not Ben's to take back
    again = judged(who="Anne")
    assert "2 of " in progress(again)
    assert "moral prompt" not in [one.value for one in again.text]


def test_people_stand_beside_each_other_each_under_a_name(judged, complaints):
    app = judged(who="Anne")
    for _ in range(4):
        button(app, "Left is better").click().run()
    data = next(one for one in app.get("download_button") if "Verdicts" in one.label)
    assert data
    ben = judged(who="Ben")
    for _ in range(4):
        button(ben, "Tie").click().run()
    table = next(one.value for one in ben.dataframe if "judges" in one.value)
    assert "Anne and Ben" in list(table["judges"])
    assert list(table["judges"])[-1] == "all (α)"
    file = b'{"showing": "0", "label": "tie"}\n'
    uploader = ben.get("file_uploader")[-1]
    uploader.set_value(("v.jsonl", file, "application/jsonl")).run()
    button(ben, "Take them in").click().run()
    assert "belong to another run" in complaints(ben)[0]


def test_files_and_a_recipe_that_cannot_be_read(judged):
    app = judged()
    labels = {one.label for one in app.get("download_button")}
    assert {"Pairs (CSV)", "Pairs (Parquet)"} <= labels
    assert {"Report (Markdown)", "Report (JSON)", "Receipt (JSON)"} <= labels
    broken = judged(**{"arm-recipe": "???"})
    assert any(one.value for one in broken.error)


def test_the_command_beneath_the_page_makes_the_pages_table(
    open_balanced, balanced, work, model_text, tmp_path, monkeypatch, capsys
):
    items = work.items(balanced[1]["set"])
    study = study_of(work, items, ModelSpec.parse(model_text), ReadSpec())
    recipe = default_arms(study)[3].recipe.packed()
    asked = {"half": "all", "arm-recipe": recipe, "cost": "0.05", "ask-paper": "1"}
    app = open_balanced(**asked)
    rows = [{"prompt": f"May I {number}?", "dimension": "Safety"} for number in range(5)]
    data = "\n".join(map(json.dumps, rows))
    file = ("my own.jsonl", data.encode(), "application/jsonl")
    app.get("file_uploader")[0].set_value(file).run()
    button(app, "Answer and judge").click().run()
    settle(work)
    app.run()
    [shown] = [one.value for one in app.dataframe if "sign p" in one.value]
    words = shlex.split(app.get("code")[0].value)
    assert words[:4] == ["python", "-m", "core", "evaluate"]
    (tmp_path / "my own.jsonl").write_text(data)
    monkeypatch.chdir(tmp_path)
    assert main([*words[3:], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["prompts"]["n"], list(told["questions"])) == (5, ["safer", "paper"])
    arms = {name: one["all"] for name, one in told["questions"]["safer"]["arms"].items()}
    assert list(arms) == list(shown["arm"]) == ["plain again", "moral prompt", "your recipe"]
    for row in shown.to_dict("records"):
        one = arms[row["arm"]]
        assert [one[name] for name in ("win", "tie", "loss")] == [
            row[name] for name in ("win", "tie", "loss")
        ]
        assert one["net"] == [row["net"], row["net low"], row["net high"]]
        assert told["perplexity"][row["arm"]][0] == row["perplexity"]


def test_questions_of_ones_own_are_read(open_balanced):
    app = open_balanced()
    rows = [{"prompt": "May I?", "dimension": "Safety"}, {"prompt": "Well?", "dimension": "Safety"}]
    data = "\n".join([*map(json.dumps, rows), "{"]).encode()
    app.get("file_uploader")[0].set_value(("p.jsonl", data, "application/jsonl")).run()
    assert "answer 1 questions" in words(app)
    assert "Row 3 is left out" in words(app)


def test_flames_is_offered_and_until_then_the_projects_questions_stand(open_balanced, complaints):
    app = open_balanced(prompts="flames")
    assert complaints(app) == []
    assert "Flames is not here yet" in words(app)
    assert button(app, "Fetch Flames")
    assert "answer 7 questions" in words(app)
