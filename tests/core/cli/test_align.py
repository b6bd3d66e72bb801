"""The command ``align``: run in-process on the tiny Llama with a made dictionary."""

import json

import pytest

from core.__main__ import main
from core.alignment.paper import FAULTS, TERMS
from core.alignment.report import MEANS, SAYINGS, UNTOUCHED
from core.alignment.spec import NEEDED
from core.foundations import FOUNDATIONS
from core.sae.files import load_folder, save_folder
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import balanced_rows


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("align") / "cache"


@pytest.fixture(scope="module")
def words(tmp_path_factory, tiny_llama_folder):
    """Return the words that name model, items and dictionary, and little training."""
    folder = tmp_path_factory.mktemp("named")
    rows = ["\t".join(map(str, row)) for row in balanced_rows()]
    table = folder / "table.tsv"
    table.write_text("\n".join(["action\tfoundation\tjudgement\tagreement", *rows]) + "\n")
    kept = save_folder(made_dictionary(n_latents=96, k=6), folder / "made")
    model = f"folder:{tiny_llama_folder}?device=cpu"
    named = [model, "--items", table, "--dictionary", f"folder:{kept}"]
    return [*named, "--latents", 3, "--steps", 20, "--seeds", 1, "--kl", 0.001]


@pytest.fixture
def run(capsys, monkeypatch, cache):
    monkeypatch.setenv("MORALSCOPE_CACHE", str(cache))

    def call(*words):
        status = main(["align", *map(str, words)])
        return status, *capsys.readouterr()

    return call


def test_the_verdict_stands_above_all_arms_and_a_second_call_finds_it_kept(run, words, tmp_path):
    status, out, _ = run(*words)
    assert status == 0
    assert any(said in out for said in SAYINGS.values())
    assert [arm for arm in (UNTOUCHED, *NEEDED, MEANS) if f"\n{arm}" not in out] == []
    status, again, err = run(*words, "--keep", "--out", tmp_path / "aligned")
    assert (status, again.startswith(out)) == (0, True)
    assert "On the shelf as" in again
    assert "aligning" not in err
    after = load_folder(tmp_path / "aligned")
    assert after.info.training["aligned"]["arm"] == "repaired"


def test_one_json_object_holds_every_seed_and_every_difference(run, words):
    status, out, _ = run(*words, "--json")
    [told] = json.loads(out)["divergences"]
    assert (status, told["target"]) == (0, 0.001)
    assert set(told["arms"]) == {UNTOUCHED, *NEEDED, MEANS}
    assert len(told["arms"][UNTOUCHED]["CKA here"]) == 1
    assert set(told["repaired minus"]) == set(told["arms"]) - {"repaired"}
    assert "NaN" not in out


def test_the_papers_recipe_is_told_with_its_terms_and_faults(run, words, tmp_path):
    status, out, _ = run(
        *words, "--recipe", "paper", "--arms", "LoReFT", "--out", tmp_path / "papers"
    )
    assert status == 0
    assert "paper minus" in out
    for told in (*TERMS, *FAULTS.values(), "Objective: ", "LoReFT"):
        assert told in out
    after = load_folder(tmp_path / "papers")
    assert after.info.training["aligned"]["arm"] == "paper"


def test_the_objective_can_be_named(run, words, tmp_path):
    status, out, _ = run(*words, "--objective", "rsa", "--out", tmp_path / "rsa")
    assert status == 0
    assert "Objective: " not in out
    after = load_folder(tmp_path / "rsa")
    assert after.info.training["aligned"]["spec"]["objective"] == "rsa"


def test_each_foundation_is_left_out_once(run, words, monkeypatch):
    status, _, err = run(*words, "--leave-out")
    assert status == 2
    assert "needed to leave it out" in err
    monkeypatch.setattr("core.alignment.left_out.FEWEST", 1)  # the tiny set has few test texts
    status, out, _ = run(*words, "--leave-out")
    assert status == 0
    for name in FOUNDATIONS:
        assert f"\n{name}" in out.partition("Each foundation's test texts")[2]
    status, out, _ = run(*words, "--leave-out", "--json")
    told = json.loads(out)["left out"]
    assert len(told) == 2 * len(FOUNDATIONS)
    assert set(told[0]) >= {"foundation", "untouched", "without", "gain"}
    assert "NaN" not in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--kl", "0"], "above 0"),
        (["--seeds", "0"], "seeds is 0"),
        (["--latents", "0"], "latents is 0"),
        (["--dictionary", "nothing"], "no dictionaries named"),
    ],
)
def test_what_cannot_be_aligned_is_one_sentence(run, words, change, said):
    status, out, err = run(*words, *change)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_tests_and_a_second_set_stand_below(run, words, tmp_path):
    rows = [(f"{one[0]} once more", *one[1:]) for one in balanced_rows()]
    table = tmp_path / "second.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    table.write_text("\n".join([*lines, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    asked = (*words, "--tests", "--second", table)
    status, out, _ = run(*asked)
    assert status == 0
    assert "second.tsv, which is not trained on:" in out
    assert "The four tests at 0.001 nats" in out
    status, told, _ = run(*asked, "--json")
    kept = json.loads(told)
    assert kept["second set"]["texts"] == len(rows)
    found = {(row["where"], row["arm"], row["over"]) for row in kept["four tests"]}
    sets = {"test texts", "second.tsv", "pleasantness"}
    [own] = kept["divergences"]
    reached = [arm for arm in ("repaired", "shuffled", "random latents") if own["arms"][arm]["AUC"]]
    assert reached
    assert found >= {(where, arm, UNTOUCHED) for where in sets for arm in reached}
    assert {where for where, *_ in found} == sets
