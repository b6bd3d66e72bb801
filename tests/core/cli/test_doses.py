"""The command ``doses``: run in-process on the tiny Llama."""

import json

import pytest

from core.foundations import FOUNDATIONS
from core.steering.effects import matched_controls, safe_ranges
from tests.core.cli.commands import no_weights
from tests.core.steering.steeringsets import balanced_rows


@pytest.fixture
def words(tmp_path, model):
    """Return the words that name model and items."""
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    table = tmp_path / "table.tsv"
    table.write_text("\n".join(["action\tfoundation\tjudgement\tagreement", *rows]) + "\n")
    return [model, "--items", table]


def test_ranges_are_told_written_and_measured_once(run, words, tmp_path, monkeypatch):
    path = tmp_path / "doses.json"
    status, out, _ = run("doses", *words, "--out", path)
    assert (status, out.splitlines()[0].split()) == (0, ["layer", *FOUNDATIONS])
    told = json.loads(path.read_text())
    assert told["command"].startswith("python -m core doses ")
    assert {axis: list(one) for axis, one in told["ranges"].items()} == {
        axis: ["0", "1", "2"] for axis in FOUNDATIONS
    }
    assert (told["said"], "0 sweeps" in out) == ({}, True)
    monkeypatch.setattr("core.models.open_models.Shelf.get", no_weights)
    status, again, _ = run("doses", *words, "--layer", "1")
    assert (status, again.splitlines()[1]) == (0, out.splitlines()[2])


def test_judged_pushes_say_what_they_do_and_are_kept(run, words, tmp_path, monkeypatch):
    monkeypatch.setattr(matched_controls, "CONTROLS", 4)
    monkeypatch.setattr(safe_ranges, "SAFE_KL", 1e9)
    path = tmp_path / "doses.json"
    status, out, _ = run("doses", *words, "--layer", "1", "--judge", "--out", path)
    assert (status, "5 sweeps" in out) == (0, True)
    assert "care-harm, layer 1: Pushed (+40%): " in out
    said = json.loads(path.read_text())["said"]
    assert {axis: list(one) for axis, one in said.items()} == {axis: ["1"] for axis in FOUNDATIONS}
    status, again, _ = run("doses", *words, "--layer", "1")
    assert (status, again) == (0, out[: out.index("Wrote it")])


def test_a_layer_that_there_is_not_is_a_sentence(run, words):
    status, _, err = run("doses", *words, "--layer", "7")
    assert status != 0
    assert "no layer 7 to steer at. Choose 0 to 2." in err
