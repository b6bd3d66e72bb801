import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.models.open_models import ModelError, ModelSpec, describe, open_model
from core.runtime.store import Store

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = ModelSpec("hub", "tiny/llama", device="cpu")


def refusal(spec: ModelSpec, store: Store) -> str:
    with pytest.raises(ModelError) as error:
        describe(spec, store)
    return str(error.value)


def hub_answers(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def model_info(*_, **__):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)


def hub_error(name: str, status: int) -> Exception:
    import httpx2
    from huggingface_hub import errors

    request = httpx2.Request("GET", "https://huggingface.co/tiny/llama")
    error: Exception = getattr(errors, name)(
        "refused", response=httpx2.Response(status, request=request)
    )
    return error


@pytest.fixture
def downloaded(tiny_llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay the tiny model out as the hub's download cache does."""
    cache = tmp_path / "hub"
    repository = cache / "models--tiny--llama"
    shutil.copytree(tiny_llama_folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    return repository / "snapshots" / COMMIT


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("RepositoryNotFoundError", 401, "The hub knows no model tiny/llama"),
        ("GatedRepoError", 403, "is gated: accept its terms at https://huggingface.co/tiny/llama"),
        ("RevisionNotFoundError", 404, "has no revision 'main'"),
        ("HfHubHTTPError", 403, "refuses access"),
        ("HfHubHTTPError", 500, "cannot be reached"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(name, status, reason, store, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub_answers(monkeypatch, hub_error(name, status))
    assert reason in refusal(HUB, store)


def test_a_name_that_does_not_resolve_is_no_network(store, monkeypatch, tmp_path):
    import httpx2

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub_answers(monkeypatch, httpx2.ConnectError("Name or service not known"))
    assert "cannot be reached" in refusal(HUB, store)


def test_without_network_a_folder_is_proposed(store, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    message = refusal(HUB, store)
    assert "cannot be reached" in message
    assert "folder:/its/path" in message


def test_without_network_an_earlier_download_opens(downloaded, store):
    card = describe(HUB, store)
    assert card.identity == f"hub:tiny/llama@{COMMIT}"
    assert card.folder == downloaded
    assert open_model(card, store).layers == "model.layers"


def test_the_hub_is_asked_which_commit_a_branch_means(downloaded, store, monkeypatch):
    files = [SimpleNamespace(rfilename=path.name) for path in downloaded.iterdir()]
    answer = SimpleNamespace(
        sha=COMMIT, siblings=files, card_data=None, gated="manual", safetensors=None
    )
    hub_answers(monkeypatch, answer)
    card = describe(HUB, store)
    assert card.folder == downloaded
    assert card.n_parameters == describe(replace(HUB, dtype="bfloat16"), store).n_parameters > 0
    assert "gated" in card.licence


def test_what_is_missing_is_downloaded_once_at_the_described_commit(
    tiny_llama_folder, tmp_path, store, monkeypatch
):
    snapshot = tmp_path / "hub" / "models--tiny--llama" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    fetched: list[str] = []

    def hf_hub_download(_repo: str, name: str, *, revision: str) -> str:
        assert revision == COMMIT
        if not (snapshot / name).exists():
            fetched.append(name)
            shutil.copy(tiny_llama_folder / name, snapshot / name)
        return str(snapshot / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hf_hub_download)
    names = [*(path.name for path in tiny_llama_folder.iterdir()), "flax_model.msgpack"]
    siblings = [SimpleNamespace(rfilename=name) for name in names]
    total = SimpleNamespace(total=123)
    hub_answers(
        monkeypatch,
        SimpleNamespace(
            sha=COMMIT, siblings=siblings, card_data=None, gated=False, safetensors=total
        ),
    )
    card = describe(HUB, store)
    assert (card.folder, card.n_parameters, card.commit) == (None, 123, COMMIT)
    assert sorted(fetched) == ["config.json", "tokenizer.json", "tokenizer_config.json"]
    notes: list[str] = []
    model = open_model(card, store, lambda _done, _total, note: notes.append(note))
    assert model.card.folder == snapshot
    assert sorted(fetched) == sorted(set(names) - {"flax_model.msgpack"})
    assert any("Downloading tiny/llama: model.safetensors" in note for note in notes)
    assert describe(HUB, store).folder == snapshot


def test_an_untrained_control_downloads_no_weights(downloaded, store, monkeypatch):
    (downloaded / "model.safetensors").unlink()
    files = [SimpleNamespace(rfilename=path.name) for path in downloaded.iterdir()]
    files.append(SimpleNamespace(rfilename="model.safetensors"))
    hub_answers(
        monkeypatch,
        SimpleNamespace(sha=COMMIT, siblings=files, card_data=None, gated=False, safetensors=None),
    )
    card = describe(HUB.untrained(), store)
    assert card.folder == downloaded
    assert card.identity.startswith("untrained:")
    assert open_model(card, store).layers == "model.layers"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["config.json", "tokenizer.json", "pytorch_model.bin"], "only pickled weights"),
        (["config.json", "tokenizer.json"], "has no weights"),
        (["config.json", "model.safetensors"], "no tokenizer on the hub"),
        (["model.gguf"], "gguf:/path/to/it"),
        (["adapter_config.json", "adapter_model.safetensors"], "merge_and_unload"),
        (
            ["config.json", "tokenizer.json", "model.safetensors", "adapter_config.json"],
            "holds an adapter (adapter_config.json, such as LoRA), which is not applied here",
        ),
    ],
)
def test_a_hub_model_that_cannot_be_opened_is_refused_before_the_download(
    files, reason, store, monkeypatch
):
    siblings = [SimpleNamespace(rfilename=name) for name in files]
    answer = SimpleNamespace(
        sha=COMMIT, siblings=siblings, card_data=None, gated=False, safetensors=None
    )
    hub_answers(monkeypatch, answer)
    assert reason in refusal(HUB, store)
