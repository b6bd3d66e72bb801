"""The command ``compare``: one sentence, the table, files, a receipt whose command repeats it."""

import json
import shlex

import pandas as pd
import pytest

from core.__main__ import MENDABLE, main
from core.comparison.jobs import CompareSpec
from core.diagnosis.diagnosis import DiagnosisSpec
from core.measures.result import TESTS
from tests.core.steering.steeringsets import balanced_rows


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_llama_folder):
    """Return the words of a comparison with a copy, in a cache and with a table of its own."""
    root = tmp_path_factory.mktemp("compare")
    lines = ["action\tfoundation\tjudgement\tagreement"]
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    (root / "table.tsv").write_text("\n".join([*lines, *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORALSCOPE_CACHE", str(root / "cache"))
        patch.setattr(
            CompareSpec,
            "diagnosis",
            lambda spec, side: DiagnosisSpec(side.pooling, spec.tests, draws=20, shuffles=20),
        )
        yield root, [f"folder:{tiny_llama_folder}?device=cpu", str(root / "table.tsv")]


@pytest.fixture
def compare(desk, capsys):
    """Return a function that runs the command and returns its status and what it said."""
    _, (model, table) = desk

    def run(other, *options):
        status = main(["compare", model, other, "--items", table, *options])
        said = capsys.readouterr()
        return status, said.out or said.err.splitlines()[-1]

    return run


def test_it_says_what_differs_and_lists_the_four_tests_with_their_intervals(compare):
    status, text = compare("copy")
    assert status == 0
    lines = text.splitlines()
    assert any("beyond noise" in line and line.endswith(".") for line in lines)
    (head,) = [number for number, line in enumerate(lines) if line.startswith("test ")]
    names = [line.split("  ")[0] for line in lines[head + 1 : head + 5]]
    assert names == ["excess opposition", "typicality", "clusters", "linear probe"]
    rows = lines[head + 1 : head + 5]
    assert all("not computable" in row or row.count("[") == 4 for row in rows)
    assert sum("not computable" in row for row in rows) == 1  # all grades of the table are alike
    assert "How alike: CKA" in text
    assert "texts paired at random" in text


def test_a_model_beside_itself_differs_in_nothing(compare):
    status, text = compare("itself", "--json")
    assert status == 0
    record = json.loads(text)
    assert record["headline"].startswith("No difference beyond noise between B and A")
    assert {row["difference"] for row in record["differences"]} <= {0, None}


def test_two_number_formats_of_a_model_are_told_apart_beside_their_paired_differences(
    desk, compare
):
    _, (model, _) = desk
    status, text = compare(f"{model}&dtype=bfloat16")
    assert status == 0
    assert "A       tiny-llama · layer 1" in text
    assert "B       tiny-llama, bfloat16 · layer 1" in text
    (head,) = [n for n, line in enumerate(text.splitlines()) if line.startswith("test ")]
    rows = text.splitlines()[head + 1 : head + 5]
    assert sum(row.count("[") == 4 for row in rows) == 3  # each beside its interval and chance


def test_a_steered_self_is_the_model_below_the_edit_and_another_above(compare):
    steer = ("--steer", "care-harm=50", "--steer-layer", "1")
    below = json.loads(compare("steered", *steer, "--layer", "0", "--json")[1])
    assert all(row["difference"] in (0, None) for row in below["differences"])
    above = json.loads(compare("steered", *steer, "--layer", "2", "--json")[1])
    assert any(row["difference"] for row in above["differences"])
    assert "care-harm +50% after layer 1" in compare("steered", *steer)[1]


def test_the_receipts_command_gives_the_same_figures(desk, compare, tmp_path, capsys):
    first, again = tmp_path / "one.json", tmp_path / "other.json"
    steer = ("--steer", "care-harm=50", "--steer-layer", "1")
    assert compare("steered", *steer, "--layer", "2", "--receipt", str(first))[0] == 0
    record = json.loads(first.read_text())
    words = shlex.split(record["pairs"][0]["command"])
    assert words[:4] == ["python", "-m", "core", "compare"]
    assert main([*words[3:], "--receipt", str(again)]) == 0
    repeated = json.loads(again.read_text())
    assert repeated["pairs"] == record["pairs"]
    assert repeated["compared"] == record["compared"]
    for letter, side in record["sides"].items():
        figures = repeated["sides"][letter]["diagnosis"]["figures"]
        assert figures == side["diagnosis"]["figures"]
    capsys.readouterr()
    other = tmp_path / "copy.json"
    assert compare("copy", "--receipt", str(other))[0] == 0
    assert json.loads(other.read_text())["pairs"][0]["figures"] != record["pairs"][0]["figures"]


def test_a_csv_file_holds_the_paired_differences(compare, tmp_path):
    status, text = compare("copy", "--csv", str(tmp_path / "it.csv"))
    assert status == 0
    assert "Wrote 4 differences" in text
    table = pd.read_csv(tmp_path / "it.csv")
    assert len(table) == len(TESTS)
    assert {"difference", "low", "high", "verdict"} <= set(table)


@pytest.mark.parametrize(
    ("other", "options", "said"),
    [
        ("courage", (), "Cannot read the model 'courage'"),
        ("folder:/nowhere", (), "/nowhere"),
        ("steered", (), "steered --steer care-harm=10"),
        ("copy", ("--steer", "care=10"), "steered --steer care-harm=10"),
        ("steered", ("--steer", "care"), "Write AXIS=PERCENT"),
        ("steered", ("--steer", "courage=10"), "There is no axis 'courage'"),
        ("steered", ("--steer", "care-harm=10", "--steer-layer", "9"), "Choose layers 0 to 2"),
        ("steered", ("--steer", "care-harm=900"), "A strength must lie between"),
        ("recipe:broken", (), "damaged"),
        ("copy", ("--layer", "9"), "there is no layer 9"),
        ("copy", ("--other-layer", "-2"), "there is no layer -2"),
        ("copy", ("--pooling", "mean_all"), "Choose one of them"),
        ("copy", ("--other-pooling", "mean_all"), "Choose one of these"),
        ("copy", ("--csv", "/nowhere/at/all.csv"), "there is no folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(compare, other, options, said):
    status, text = compare(other, *options)
    assert status == MENDABLE
    assert said in text
