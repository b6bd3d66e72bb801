"""Dictionaries by name: the text form, the files fetched, the commit kept, and no network."""

import shutil
from types import SimpleNamespace

import pytest

from core.runtime.progress import Cancelled
from core.sae.dictionary import DictionaryError
from core.sae.files import load_folder, save_folder
from core.sae.releases import DictionarySpec, load_dictionary
from tests.core.models.test_hub import COMMIT, hub_answers, hub_error
from tests.core.sae.saefolders import K, gemma_folder, qwen_file, saelens_folder

GEMMA = "sae:gemma-scope-2-270m-pt-res/layer_12_width_16k_l0_medium"
FOLDER = "resid_post/layer_12_width_16k_l0_medium"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a stand-in of the hub: a folder per repository, and what was downloaded from it."""
    cache, remote, fetched = tmp_path / "cache", tmp_path / "remote", []
    cache.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def names(repo):
        folder = remote / repo
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())

    def model_info(_self, repo, *, revision, timeout):
        assert timeout == 10
        if not (remote / repo).is_dir():
            raise hub_error("RepositoryNotFoundError", 401)
        if revision not in ("main", COMMIT):
            raise hub_error("RevisionNotFoundError", 404)
        siblings = [SimpleNamespace(rfilename=name) for name in names(repo)]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def hf_hub_download(repo, name, *, revision):
        assert revision == COMMIT
        target = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT / name
        if not target.exists():
            fetched.append(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / repo / name, target)
            refs = cache / f"models--{repo.replace('/', '--')}" / "refs"
            refs.mkdir(exist_ok=True)
            (refs / "main").write_text(COMMIT)
        return str(target)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    return SimpleNamespace(remote=remote, fetched=fetched)


def load(text, report=lambda *_: None):
    return load_dictionary(DictionarySpec.parse(text), report)


@pytest.mark.parametrize(
    "text",
    [
        GEMMA,
        f"{GEMMA}@{COMMIT}",
        "sae:qwen-scope-3-8b-base-w64k-l50/layer12",
        "sae:gemma-2-2b-res-matryoshka-dc/blocks.0.hook_resid_post",
        "folder:/some/where on disk/layer3.sae.pt?k=50",
        "hub:owner/name",
        "hub:owner/name/sub/folder@refs/pr/1",
        "hub:owner/name/layer0.sae.pt@main?k=100",
    ],
)
def test_the_text_form_is_read_back(text):
    assert str(DictionarySpec.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Forms: sae:gemma-scope-2"),
        ("gemma-scope-2-270m-pt-res", "Cannot read the dictionary 'gemma-scope-2-270m-pt-res'"),
        ("sae:gemma-scope-2-270m-pt-res", "Cannot read the dictionary"),
        ("hub:name", "Cannot read the dictionary"),
        ("hub:owner/name/../../etc", "Cannot read the dictionary"),
        ("folder:", "Cannot read the dictionary"),
        ("hub:owner/name@a b", "no branch, tag or commit"),
        ("hub:owner/name?k=some", "the only one is k"),
        ("hub:owner/name?layer=1", "the only one is k"),
        ("hub:owner/name?k=0", "1 or more"),
    ],
)
def test_a_text_that_means_nothing_is_told_the_forms(text, words):
    with pytest.raises(DictionaryError, match=words):
        DictionarySpec.parse(text)


def test_a_release_is_downloaded_once_at_one_commit(hub):
    there = gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt")
    gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt", kind="mlp_out")
    notes = []
    one = load(GEMMA, lambda _done, _total, note: notes.append(note))
    assert hub.fetched == [f"{FOLDER}/config.json", f"{FOLDER}/params.safetensors"]
    assert one.digest == load_folder(there).digest
    assert one.info.source == f"{GEMMA}@{COMMIT}"
    assert one.info.name == GEMMA.removeprefix("sae:")
    assert one.info.model_name == "google/gemma-3-270m"
    assert notes[-1].endswith("params.safetensors")
    assert load(one.info.source).digest == one.digest
    assert len(hub.fetched) == 2


def test_a_release_without_a_description_knows_its_layer_from_its_place(hub):
    gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt", config=None)
    assert load(GEMMA).info.layer == 12
    assert hub.fetched == [f"{FOLDER}/params.safetensors"]


def test_qwen_scope_knows_k_from_its_repository(hub):
    repo = "Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_50"
    qwen_file(hub.remote / repo)
    with pytest.raises(DictionaryError, match="40 latents, of which 50 cannot be on"):
        load("sae:qwen-scope-3-8b-base-w64k-l50/layer12")
    qwen_file(hub.remote / repo, "layer0.sae.pt")
    one = load(f"hub:{repo}/layer12.sae.pt?k={K}")
    assert hub.fetched == ["layer12.sae.pt"]
    assert (one.info.layer, one.info.k, one.info.model_name) == (12, K, "Qwen/Qwen3-8B-Base")
    assert one.info.source == f"hub:{repo}/layer12.sae.pt@{COMMIT}?k={K}"


def test_any_folder_of_the_hub_is_loaded(hub):
    saelens_folder(hub.remote / "some" / "one" / "deep" / "inside")
    saelens_folder(hub.remote / "some" / "root")
    assert load("hub:some/one/deep/inside").info.name == "one/deep/inside"
    assert load("hub:some/root").info.name == "root"
    save_folder(load(f"folder:{hub.remote}/some/root"), hub.remote / "some" / "ours")
    assert load("hub:some/ours").info.name == "root"  # it states its name
    with pytest.raises(DictionaryError, match=r"no dictionary at 'deep'\. It has 1, such as deep/"):
        load("hub:some/one/deep")


def test_a_folder_of_this_machine_needs_no_hub(tmp_path, monkeypatch):
    hub_answers(monkeypatch, AssertionError("the hub was asked"))
    kept = save_folder(load_folder(saelens_folder(tmp_path / "theirs")), tmp_path / "my own")
    one = load(f"folder:{kept}")
    assert one.info.source == f"folder:{kept}"
    assert one.digest == load_folder(tmp_path / "theirs").digest
    file = qwen_file(tmp_path / "plain")
    assert load(f"folder:{file}?k=3").info.k == 3


def test_refusals_of_the_hub_say_what_to_do(hub):
    with pytest.raises(DictionaryError, match="The hub knows no model nobody/here"):
        load("hub:nobody/here")
    saelens_folder(hub.remote / "some" / "one")
    with pytest.raises(DictionaryError, match="has no revision 'next'"):
        load("hub:some/one@next")
    with pytest.raises(DictionaryError, match="no dictionary 'layer_12'"):
        load("sae:gemma-scope-2-270m-pt-res/layer_12")


def test_without_network_what_was_downloaded_before_opens(hub, monkeypatch):
    gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt")
    before = load(GEMMA)
    hub_answers(monkeypatch, ConnectionError("no route"))
    again = load(GEMMA)
    assert again.digest == before.digest
    assert again.info == before.info
    with pytest.raises(DictionaryError, match=r"cannot be reached.*layer_9.*folder:/its/path"):
        load("sae:gemma-scope-2-270m-pt-res/layer_9_width_16k_l0_medium")


def test_a_download_that_breaks_says_that_what_is_there_stays(hub, monkeypatch):
    gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt")

    def broken(*_, **__):
        raise ConnectionError("reset")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    with pytest.raises(DictionaryError, match=r"stopped at resid_post.*What is there stays"):
        load(GEMMA)


def test_a_download_can_be_cancelled(hub):
    gemma_folder(hub.remote / "google" / "gemma-scope-2-270m-pt")

    def cancel(done, total, note):
        raise Cancelled

    with pytest.raises(Cancelled):
        load(GEMMA, cancel)
    assert hub.fetched == []


def test_a_dictionary_of_another_place_is_refused_by_name_too(hub):
    saelens_folder(hub.remote / "some" / "mlps", metadata={"hook_name": "blocks.1.hook_mlp_out"})
    with pytest.raises(DictionaryError, match="not the output of a decoder layer"):
        load("hub:some/mlps")
