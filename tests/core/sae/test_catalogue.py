"""The catalogue: names become places on the hub; what is not read is refused before a download."""

import re

import pytest

from core.sae.catalogue import published, releases, releases_for, saelens_list
from core.sae.dictionary import DictionaryError


@pytest.mark.parametrize(
    ("release", "name", "repo", "path", "model"),
    [
        (
            "gemma-scope-2-270m-pt-res",
            "layer_12_width_16k_l0_medium",
            "google/gemma-scope-2-270m-pt",
            "resid_post/layer_12_width_16k_l0_medium",
            "google/gemma-3-270m",
        ),
        (
            "gemma-scope-2-1b-it-res-all",
            "layer_25_width_262k_l0_big",
            "google/gemma-scope-2-1b-it",
            "resid_post_all/layer_25_width_262k_l0_big",
            "google/gemma-3-1b-it",
        ),
        (
            "qwen-scope-3-8b-base-w64k-l100",
            "layer35",
            "Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_100",
            "layer35.sae.pt",
            "Qwen/Qwen3-8B-Base",
        ),
    ],
)
def test_a_name_becomes_a_place_on_the_hub(release, name, repo, path, model):
    found = published(release, name)
    assert (found.repo, found.path, found.told.model_name) == (repo, path, model)
    assert found.told.name == f"{release}/{name}"


def test_releases_are_found_by_model():
    names = [release.name for release in releases_for("google/gemma-3-270m")]
    assert names == ["gemma-scope-2-270m-pt-res", "gemma-scope-2-270m-pt-res-all"]
    for short in ("gemma-3-270m", "gemma-3-270m (packaged)"):  # as people see it
        assert [release.name for release in releases_for(short)] == names
    assert releases_for("nobody/knows") == []
    assert {one.model for one in releases_for("gemma-3-270m-it")} == {"google/gemma-3-270m-it"}


def test_an_unknown_name_is_told_what_there_is(monkeypatch):
    with pytest.raises(DictionaryError, match=r"no dictionary 'layer_18'\. It has 52, such as"):
        published("gemma-scope-2-270m-pt-res", "layer_18")
    monkeypatch.setattr("core.sae.catalogue.saelens_list", dict)
    with pytest.raises(DictionaryError, match="with the package sae-lens installed many more"):
        published("gpt2-small-res-jb", "blocks.8.hook_resid_pre")


def test_a_name_of_another_list_brings_what_its_files_do_not_say(monkeypatch):
    entry = {
        "conversion_func": None,
        "model": "gpt2-small",
        "repo_id": "some/repo",
        "config_overrides": {"normalize_activations": "none"},
        "saes": [{"id": "a", "path": "sub/a/", "norm_scaling_factor": 0.5}, {"id": "b", "path": 7}],
    }
    other = entry | {"conversion_func": "llama_scope"}
    monkeypatch.setattr("core.sae.catalogue.saelens_list", lambda: {"mine": entry, "other": other})
    found = published("mine", "a")
    assert (found.repo, found.path) == ("some/repo", "sub/a")
    assert (found.told.model_name, found.told.scale) == ("gpt2-small", 0.5)
    assert found.told.config == {"normalize_activations": "none"}
    assert published("mine", "b").path == "7"
    with pytest.raises(DictionaryError, match=r"not read here \(llama_scope\).*save_model"):
        published("other", "a")
    with pytest.raises(DictionaryError, match=r"no dictionary 'c'\. It has 2, such as a, b"):
        published("mine", "c")


@pytest.fixture(scope="module")
def listed():
    found = saelens_list()
    if not found:
        pytest.skip("sae-lens is not installed")
    return found


@pytest.mark.slow
def test_the_table_is_what_saelens_lists(listed):
    ours = r"gemma-scope-2-.*-res(-all)?|qwen-scope-.*"
    theirs = {name: entry for name, entry in listed.items() if re.fullmatch(ours, name)}
    assert set(releases()) == set(theirs)
    for name, entry in theirs.items():
        release = releases()[name]
        assert (release.model, release.repo) == (entry["model"], entry["repo_id"])
        assert dict(release.paths) == {one["id"]: one["path"] for one in entry["saes"]}


@pytest.mark.slow
def test_a_release_only_saelens_lists_is_found(listed):
    found = published("gemma-3-1b-res-matryoshka-dc", "blocks.0.hook_resid_post")
    assert found.repo == "chanind/gemma-3-1b-batch-topk-matryoshka-saes-w-32k-l0-40"
    with pytest.raises(DictionaryError, match="a layout that is not read here"):
        published("llama_scope_lxr_8x", "l0r_8x")
