"""The command ``evidence``: three findings a layer as a table, JSON or CSV."""

import csv
import json

import pytest

from core.models.open_models import Shelf
from tests.core.cli.commands import no_weights


def test_evidence_is_an_aligned_table_of_three_findings_a_layer(run, model, actions):
    status, out, err = run("evidence", model, "--items", actions)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    head = next(line for line in lines if line.startswith("layer "))
    table = lines[lines.index(head) + 1 : lines.index("", lines.index(head))]
    assert len(table) == 4 * 3
    assert {line[head.index("finding") :][:15].strip() for line in table} == {
        "Same foundation",
        "Same pole",
        "Typicality",
    }
    verdicts = {line[head.index("verdict") :] for line in table}
    assert verdicts <= {
        "not distinguishable from chance",
        "no better than word counts",
        "beyond chance and word counts",
        "not computable",
    }
    assert lines[-1].startswith("Typicality  ")


def test_evidence_as_json_and_csv_hold_the_same_numbers(run, model, actions, tmp_path):
    call = ("evidence", model, "--items", actions, "--layer", "-1", "--layer", "2")
    status, out, err = run(*call, "--json")
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record["model"]["model"].startswith("folder:")
    assert [row["layer"] for row in record["findings"]] == [-1] * 3 + [2] * 3
    target = tmp_path / "found.csv"
    status, out, _ = run(*call, "--csv", target)
    assert out == f"Wrote 6 findings to {target}.\n"
    rows = list(csv.DictReader(target.read_text().splitlines()))
    for row, same in zip(rows, record["findings"], strict=True):
        assert row["verdict"] == same["verdict"]
        assert float(row["observed_high"]) == pytest.approx(same["observed_high"])
        assert same["words_low"] <= same["words"] <= same["words_high"]


def test_what_cannot_be_computed_is_null_in_json(run, model, tmp_path):
    path = tmp_path / "neutral.csv"
    rows = [f"walking past house number {number},care-harm,0" for number in range(12)]
    path.write_text("\n".join(["action,foundation,judgement", *rows]) + "\n")
    record = json.loads(run("evidence", model, "--items", path, "--layer", 1, "--json")[1])
    typicality = record["findings"][2]
    assert (typicality["observed"], typicality["verdict"]) == (None, "not computable")
    assert " – " in run("evidence", model, "--items", path, "--layer", 1)[1]


def test_a_layer_that_cannot_be_measured_says_why(run, model, actions):
    _, out, _ = run("evidence", model, "--items", actions, "--pooling", "last", "--json")
    record = json.loads(out)
    assert "same for every text" in record["problems"]["-1"]
    assert {row["layer"] for row in record["findings"]} == {0, 1, 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layer", "7"], "has no layer 7. Its layers are 0 to 2, and -1"),
        (["--pooling", "mean_all"], "reads the poolings mean and last, not"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_read(
    words, said, run, model, actions, monkeypatch
):
    monkeypatch.setattr(Shelf, "get", no_weights)
    status, out, err = run("evidence", model, "--items", actions, *words)
    assert (status, out) == (2, "")
    assert said in err


def test_a_csv_that_cannot_be_written_is_one_sentence(run, model, actions, tmp_path):
    path = tmp_path / "no" / "found.csv"
    status, _, err = run("evidence", model, "--items", actions, "--layer", 0, "--csv", path)
    assert (status, err) == (
        2,
        f"{path} cannot be written: No such file or directory. Name another file.\n",
    )


def test_where_nothing_was_measured_the_command_fails_with_the_reason(run, model, actions):
    asked = ("evidence", model, "--items", actions, "--pooling", "last", "--layer", -1)
    status, out, err = run(*asked)
    assert (status, out) == (2, "")
    assert "the last state is the same for every text" in err
