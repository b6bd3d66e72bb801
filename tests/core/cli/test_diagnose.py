"""The command ``diagnose``: the four tests as text and files, its receipt, its waterfall."""

import csv
import itertools
import json
import os
import random
import shlex
import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from core.cli import measure, progress_line
from core.cli.desk import Desk
from core.diagnosis import diagnosis, waterfall
from core.foundations import FOUNDATIONS
from core.measures.result import TESTS
from core.models.open_models import Shelf
from core.runtime.made import Made
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from core.wording import interval
from tests.core.cli.commands import call, no_weights, value_of

FEW = ("--draws", 20, "--shuffles", 20)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Return a table in which every foundation has every judgement."""
    draw = random.Random(1)
    words = ["help", "lie", "guests", "at", "the", "old", "bridge", "letters", "keep", "quietly"]
    lines = ["action,foundation,judgement,agreement"]
    for number in range(100):
        text = " ".join(draw.sample(words, 4)) + f" {number}"
        lines.append(f"{text},{FOUNDATIONS[number % 5]},{number // 5 % 5 - 2},{number // 25 + 1}")
    path = tmp_path_factory.mktemp("tables") / "graded.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory, tiny_llama_folder, graded):
    """Return a cache in which the mean states of the graded table were diagnosed."""
    root = tmp_path_factory.mktemp("diagnosed")
    words = ("diagnose", f"folder:{tiny_llama_folder}?device=cpu", "--items", graded, *FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORALSCOPE_CACHE", str(root))
        assert call(*words, "--csv", os.devnull) == 0
    return root


@pytest.fixture
def diagnose(run, model, graded, diagnosed, cache, monkeypatch):
    """Return a function that diagnoses the graded table quietly, in a copy of that cache."""
    shutil.copytree(diagnosed, cache)
    monkeypatch.setattr(progress_line, "GRACE", 1e9)

    def said(*words: object) -> tuple[int, str, str]:
        return run("diagnose", model, "--items", graded, *FEW, *words)

    return said


@pytest.fixture
def nothing_new(monkeypatch):
    """Let whatever would read, measure or store a figure fail."""
    writing = Store.writing

    def fail(*_, **__):
        raise AssertionError("this was measured before")

    def writing_else(store, kind, key):
        return fail() if kind in ("acts", "diagnosis", "waterfall") else writing(store, kind, key)

    monkeypatch.setattr(Shelf, "get", fail)
    monkeypatch.setattr(diagnosis, "each", fail)
    monkeypatch.setattr(Store, "writing", writing_else)


def table_rows(out: str, *first: str) -> list[str]:
    """Return the rows that begin with one of the words."""
    return [line for line in out.splitlines() if line.split()[:1] and line.split()[0] in first]


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_a_second_diagnosis_costs_nothing_and_needs_no_states(diagnose, run):
    run("cache", "--clear", "acts")
    status, out, err = diagnose()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "All of this was measured before: nothing to do."
    assert lines[-1].startswith("Rule: a model's whole 95 % interval")
    assert [row.split()[0] for row in table_rows(out, *TESTS)] == list(TESTS)
    assert all(row.count("[") >= 6 for row in table_rows(out, "gradient", "dimensional"))
    assert [row.split()[0] for row in table_rows(out, "emb", "0", "1", "2")] == [
        "emb",
        "0",
        "1",
        "2",
    ]
    assert "20 resamples of texts, 20 shuffles of labels, seed 0" in value_of(out, "random")


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_diagnosis_as_json_csv_table_and_receipt_hold_the_same_figures(diagnose, tmp_path):
    files = tmp_path / "figures.csv", tmp_path / "receipt.json"
    status, out, _ = diagnose("--json", "--receipt", files[1])
    record = json.loads(out)
    assert status == 0
    assert [score["test"] for score in record["scorecard"]] == list(TESTS)
    assert {row["layer"] for row in record["figures"]} == {-1, 0, 1, 2, None}
    assert {row["states"] for row in record["figures"]} == {"model", "untrained", "words", "length"}
    assert json.loads(files[1].read_text()) == record["receipt"]
    assert value_of(diagnose()[1], "figures") == f"sha256 {record['receipt']['figures']}"
    status, out, _ = diagnose("--csv", files[0], "--receipt", files[1])
    assert out.splitlines()[-2:] == [
        f"Wrote {len(record['figures']):,} figures to {files[0]}.",
        f"Wrote the receipt to {files[1]}.",
    ]
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    for row, same in zip(rows, record["figures"], strict=True):
        assert (row["test"], row["name"], row["part"]) == (same["test"], same["name"], same["part"])
        assert row["high"] == ("" if same["high"] is None else repr(same["high"]))
    whole = [row for row in record["figures"] if row["texts"] == "all"]
    assert len(diagnose("--table")[1].splitlines()) == len(diagnose()[1].splitlines()) + 2 + len(
        whole
    )


@pytest.mark.slow
def test_a_receipt_tells_a_changed_seed_and_scaling_and_a_rerun_is_the_same(
    diagnose, run, cache, tmp_path
):
    def receipt(*words):
        path = tmp_path / "receipt.json"
        status, _, err = diagnose("--no-control", "--receipt", path, *words)
        assert (status, err) == (0, "")
        return json.loads(path.read_text())

    plain, seeded, scaled = receipt(), receipt("--seed", 3), receipt("--scaling", "raw")
    assert len({one["figures"] for one in (plain, seeded, scaled)}) == 3
    assert {n for n in plain if plain[n] != seeded[n]} == {"measured", "command", "figures"}
    assert "--seed 3 --no-control" in seeded["command"]
    assert run("cache", "--clear", "diagnosis")[0] == 0
    assert receipt() == plain
    again = shlex.split(plain["command"])[3:]
    status, out, _ = run(*again)
    assert status == 0
    assert out.startswith("All of this was measured before: nothing to do.")
    assert value_of(out, "figures") == f"sha256 {plain['figures']}"


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_a_diagnosis_tells_what_people_reach_as_the_page_does(diagnose):
    told = "No text of this set was graded by several people, so there is no human ceiling."
    assert f"Human ceiling: {told}" in diagnose()[1].splitlines()
    found = json.loads(diagnose("--json")[1])["ceiling"]
    assert (found["texts"], found["reason"]) == (0, told)
    assert (found["agreement"], found["typicality"], found["r2_low"]) == (None, None, None)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_without_control_no_verdict_claims_an_untrained_copy(diagnose):
    record = json.loads(diagnose("--no-control", "--json")[1])
    assert record["receipt"]["untrained"] is None
    assert {score["untrained"] for score in record["scorecard"]} == {None}
    assert "beyond" not in {score["level"] for score in record["scorecard"]}
    assert "untrained" not in {row["states"] for row in record["figures"]}
    with_copy = json.loads(diagnose("--json")[1])
    assert None not in {score["untrained"] for score in with_copy["scorecard"]}


@pytest.mark.slow
def test_templates_and_untrained_seeds_stand_below_the_scorecard_and_are_kept(diagnose):
    asked = ("--templates", "--untrained-seeds")
    status, out, _ = diagnose(*asked)
    assert status == 0
    lines = out.splitlines()
    for test in TESTS:
        assert sum(line.startswith(f"{test}: 6 templates: ") for line in lines) == 1
        assert sum(line.startswith(f"{test}: Untrained copies, 5 seeds: ") for line in lines) == 1
    status, again, err = diagnose(*asked)
    assert err == ""
    assert again.splitlines() == ["All of this was measured before: nothing to do.", *lines]
    record = json.loads(diagnose(*asked, "--json")[1])
    assert [one["name"] for one in record["templates"]["read"]][::5] == ["own", "chat turn"]
    for score in record["scorecard"]:
        spread, seeds = (
            one[score["test"]] for one in (record["templates"]["spread"], record["untrained_seeds"])
        )
        assert spread["n"] == 6
        assert spread["total_low"] <= score["low"] < score["high"] <= spread["total_high"]
        assert score["untrained_high"] == max(one["high"] for one in seeds)
    quick = json.loads(diagnose("--json")[1])
    assert not {"templates", "untrained_seeds"} & set(quick)
    assert quick["receipt"]["figures"] == record["receipt"]["figures"]


@pytest.mark.usefixtures("diagnosed")
def test_seeds_without_an_untrained_copy_are_refused(diagnose):
    status, _, err = diagnose("--no-control", "--untrained-seeds")
    assert status != 0
    assert "no untrained copy to draw with more seeds" in err


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new")
def test_an_untrained_model_has_no_copy_of_its_own(diagnose):
    record = json.loads(diagnose("--untrained", "--json")[1])
    assert record["model"]["spec"].endswith("untrained=0&device=cpu")
    assert record["receipt"]["untrained"] is None
    assert "--no-control" not in record["receipt"]["command"]


@pytest.mark.slow
def test_a_layer_without_differences_is_told_and_the_others_are_measured(diagnose):
    status, out, err = diagnose("--pooling", "both", "--no-control")
    assert (status, err) == (0, "")
    _, last = out.split("\n\n\n")
    assert value_of(last, "states").startswith("pooling last, standardised")
    assert "At the embedding output the last state is the same for every text" in last
    embedding, first = (table_rows(last, name)[0].split() for name in ("emb", "0"))
    assert embedding[1:] == ["–"] * 4
    assert sum("[" in cell for cell in first) >= 3
    record = json.loads(diagnose("--pooling", "both", "--no-control", "--json")[1])
    assert list(record) == ["mean", "last"]
    assert list(record["last"]["problems"]) == ["-1"]
    assert record["mean"]["problems"] == {}
    assert {row["layer"] for row in record["last"]["figures"]} == {0, 1, 2, None}


@pytest.mark.slow
def test_without_resamples_figures_have_no_interval_and_no_verdict(diagnose):
    words = ("--draws", 0, "--shuffles", 0, "--no-control", "--json")
    status, out, err = diagnose(*words)
    assert (status, err) == (0, "")
    scores = json.loads(out)["scorecard"]
    assert [score["low"] for score in scores] == [None] * 4
    assert all(score["value"] is not None for score in scores)
    assert {score["level"] for score in scores} == {"nothing"}


@pytest.mark.parametrize("kept", [False, True])
def test_models_are_closed_before_their_states_are_measured(kept):
    happened: list[str] = []

    def made(kind: str, *needs: Made[Any]) -> Made[Any]:
        return Made(kind, {}, lambda: kept, lambda: None, lambda _: None, needs=needs)

    shelf = SimpleNamespace(close_all=lambda: happened.append("closed"))
    desk: Any = SimpleNamespace(
        make=lambda one: happened.append(one.kind), work=SimpleNamespace(shelf=shelf)
    )
    measure._read(desk, [made("tests", made("reading"), made("other reading"))])
    assert happened == ([] if kept else ["reading", "other reading", "closed"])


@pytest.mark.slow
def test_both_models_read_before_anything_is_measured(run, model, graded, monkeypatch):
    happened: list[str] = []
    make, close = Desk.make, Shelf.close_all

    def noted(desk: Desk, made: Made[Any]) -> Any:
        happened.append(made.kind)
        return make(desk, made)

    def closing(shelf: Shelf) -> None:
        happened.append("closed")
        close(shelf)

    monkeypatch.setattr(Desk, "make", noted)
    monkeypatch.setattr(Shelf, "close_all", closing)
    status, _, _ = run("diagnose", model, "--items", graded, *FEW)
    assert status == 0
    assert happened == [*("reading", "closed") * 2, "four tests", "four tests"]


# Its waterfall ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repaired(tmp_path_factory, tiny_llama_folder, graded, diagnosed):
    """Return a copy of that cache in which the waterfall was measured as well."""
    root = tmp_path_factory.mktemp("repaired") / "cache"
    shutil.copytree(diagnosed, root)
    words = ("diagnose", f"folder:{tiny_llama_folder}?device=cpu", "--items", graded, *FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORALSCOPE_CACHE", str(root))
        assert call(*words, "--waterfall", "--csv", os.devnull) == 0
    return root


@pytest.fixture
def repair(run, model, graded, repaired, cache, monkeypatch):
    """Return a function that diagnoses with the waterfall, quietly, in a copy of that cache."""
    shutil.copytree(repaired, cache)
    monkeypatch.setattr(progress_line, "GRACE", 1e9)

    def said(*words: object) -> tuple[int, str, str]:
        return run("diagnose", model, "--items", graded, *FEW, "--waterfall", *words)

    return said


@pytest.fixture
def no_repairs(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("this was repaired before")

    monkeypatch.setattr(waterfall, "chain", fail)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new", "no_repairs")
def test_the_waterfall_stands_below_the_scorecard_and_a_second_call_costs_nothing(repair, run):
    run("cache", "--clear", "acts")
    status, out, err = repair()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "All of this was measured before: nothing to do."
    begin = next(n for n, line in enumerate(lines) if line.startswith("From the paper's figure"))
    assert lines[begin - 2].startswith("Rule: a model's whole 95 % interval")
    tables = "\n".join(lines[begin:]).split("\n\n")[1:]
    assert [table.split(":")[0] for table in tables] == list(TESTS)
    for table in tables:
        _, head, first, *rest = table.splitlines()
        assert head.split() == ["step", "layer", "figure", "change", "why"]
        why = head.index("why")
        assert first.startswith("The paper's procedure ")
        assert first[:why].rstrip().endswith("–")  # the first step changed nothing
        assert rest[-1].startswith("Minus word counts ")
        assert rest[-1].count("[") == 2
        assert all(row[why - 2 : why] == "  " and row[why] != " " for row in (first, *rest))


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_new", "no_repairs")
def test_the_waterfall_in_json_ends_at_the_scorecards_figure(repair, run):
    status, out, err = repair("--json", "--scaling", "standardised")
    assert (status, err) == (0, "")
    found = json.loads(out)["waterfall"]
    assert list(found) == list(TESTS)
    for test, steps in found.items():
        for before, step in itertools.pairwise(steps):
            if None not in (before["figure"], step["figure"]):
                assert step["change"] == pytest.approx(step["figure"] - before["figure"])
            else:
                assert step["change"] is None
        assert [steps[0][name] for name in ("change", "change_low", "change_high")] == [None] * 3
        assert {type(step["layer"]) for step in steps[-2:]} == {int}, test
        assert all(step["why"] for step in steps)
    shown = next(line for line in repair()[1].splitlines() if line.startswith("Own text left"))
    own = next(step for step in found["gradient"] if step["step"].startswith("Own text left"))
    assert own["layer"] is None
    figure = Estimate(own["figure"], own["low"], own["high"])
    assert f"each pole's highest  {interval(figure, 3)}" in shown


@pytest.mark.slow
def test_the_last_repair_is_the_scorecard_with_standardised_states(repair):
    record = json.loads(repair("--json", "--scaling", "standardised", "--no-control")[1])
    for score in record["scorecard"]:
        step = record["waterfall"][score["test"]][-2]
        assert (step["layer"], step["step"]) == (score["layer"], "Layer chosen on other texts")
        assert step["figure"] == pytest.approx(score["value"])
        assert step["low"] == pytest.approx(score["low"], abs=1e-5)


@pytest.mark.slow
def test_the_waterfall_stands_once_beside_several_poolings(repair):
    record = json.loads(repair("--json", "--pooling", "both", "--no-control")[1])
    assert list(record) == ["mean", "last", "waterfall"]
    out = repair("--pooling", "both", "--no-control")[1]
    assert out.count("From the paper's figure") == 1


@pytest.mark.slow
def test_another_seed_is_another_waterfall_and_without_the_option_there_is_none(
    repair, run, model, graded
):
    first, other = (
        json.loads(repair("--json", "--no-control", "--seed", seed)[1])["waterfall"]
        for seed in (0, 1)
    )
    assert first != other
    assert "waterfall" not in json.loads(
        run("diagnose", model, "--items", graded, *FEW, "--json")[1]
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--draws", -1], "-1 resamples cannot be drawn. Choose --draws from 0 to 10,000."),
        (["--shuffles", 10**9], "1,000,000,000 shuffles cannot be drawn."),
        (["--seed", -1], "The seed is -1; use a number from 0 up."),
        (["--pooling", "mean_all"], "reads the poolings mean and last, not mean_all"),
        (["--template", "morally"], "exactly once"),
    ],
)
def test_a_diagnosis_that_cannot_be_is_refused_before_anything_is_read(
    words, said, run, model, actions, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("diagnose", model, "--items", actions, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--csv", "--receipt"])
def test_a_diagnosis_that_cannot_be_written_is_refused_before_anything_is_read(
    option, run, model, actions, tmp_path, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    path = tmp_path / "no" / "file"
    status, out, err = run("diagnose", model, "--items", actions, option, path)
    assert (status, out) == (2, "")
    assert err == f"{path} cannot be written: there is no folder {path.parent}.\n"


# Further controls -------------------------------------------------------------------------------


@pytest.mark.slow
def test_further_controls_stand_below_and_in_the_json_and_cost_nothing_twice(
    diagnose, run, monkeypatch
):
    status, out, _ = diagnose("--no-control", "--controls")
    assert status == 0
    below = out[out.index("Is it moral? Further controls") :]
    rows = table_rows(below, *TESTS)
    assert rows
    assert all("pleasantness" in row or "noise" in row or "computable" in row for row in rows)
    assert "Control tasks (Hewitt & Liang 2019)" in below
    assert "authored for this project, not human-annotated" in below
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, _ = diagnose("--no-control", "--controls", "--json")
    assert status == 0
    controls = json.loads(out)["controls"]
    assert len(controls["concept"]) == len(rows)
    assert {"real", "control", "difference", "keys", "shared"} <= set(controls["selectivity"])
    assert diagnose("--no-control", "--controls")[1].startswith("All of this was measured before")
    assert "controls" not in json.loads(diagnose("--no-control", "--json")[1])
