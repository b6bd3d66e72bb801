"""The command ``features``: run in-process on the tiny Llama with a made dictionary."""

import csv
import json

import pytest

from core.__main__ import main
from core.sae.files import save_folder
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import balanced_rows


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("features") / "cache"


@pytest.fixture(scope="module")
def named(tmp_path_factory, tiny_llama_folder):
    """Return the words that name model, items and dictionary."""
    folder = tmp_path_factory.mktemp("named")
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    table = folder / "table.tsv"
    table.write_text("\n".join(["action\tfoundation\tjudgement\tagreement", *rows]) + "\n")
    kept = save_folder(made_dictionary(n_latents=40, k=6), folder / "made")
    model = f"folder:{tiny_llama_folder}?device=cpu"
    return [model, "--items", str(table), "--permutations", "400"], f"folder:{kept}"


@pytest.fixture
def run(capsys, monkeypatch, cache):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(cache))

    def call(*words):
        status = main(["features", *map(str, words)])
        return status, *capsys.readouterr()

    return call


def test_counts_stand_beside_shuffled_labels_and_a_second_call_finds_all_kept(run, named):
    words, dictionary = named
    status, out, _ = run(*words, "--dictionary", dictionary, "--latents", "all")
    assert status == 0
    assert "of 40" in out
    assert "shuffled labels" in out
    assert out.count("\n") > 40
    status, again, err = run(*words, "--dictionary", dictionary, "--latents", "all")
    assert (status, again) == (0, out)
    assert "taking texts apart" not in err


def test_files_hold_every_latent(run, named, tmp_path):
    words, dictionary = named
    table = tmp_path / "latents.csv"
    status, out, _ = run(*words, "--dictionary", dictionary, "--latents", "all", "--csv", table)
    assert (status, "Wrote 40 latents" in out) == (0, True)
    with table.open(encoding="utf-8-sig") as file:
        assert {row["latent"] for row in csv.DictReader(file)} == {str(one) for one in range(40)}
    status, out, _ = run(*words, "--dictionary", dictionary, "--latents", "all", "--json")
    assert len(json.loads(out)["latents"]) == 40


def test_names_of_all_latents_are_written_and_stand_in_later_tables(run, named, tmp_path):
    words, dictionary = named
    path, table = tmp_path / "names.json", tmp_path / "latents.csv"
    status, out, _ = run(*words, "--dictionary", dictionary, "--names", path)
    names = json.loads(path.read_text())["names"]
    assert (status, len(names), "names of 40 latents" in out) == (0, 40, True)
    assert run(*words, "--dictionary", dictionary, "--latents", "all", "--csv", table)[0] == 0
    rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    assert {int(row["latent"]): row["name"] for row in rows} == dict(enumerate(names))


def test_a_dictionary_that_is_not_at_hand_is_named(run, named, tmp_path):
    words, _ = named
    status, _, err = run(*words)
    assert status == 2
    assert "named 'builtin'" in err
    status, _, err = run(*words, "--dictionary", "folder:/nowhere")
    assert (status, "There is no /nowhere" in err) == (2, True)
    wide = save_folder(made_dictionary(d_model=8), tmp_path / "wide")
    status, _, err = run(*words, "--dictionary", f"folder:{wide}")
    assert (status, "8 coordinates apart" in err) == (2, True)
