import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.models import devices
from core.models.devices import Room
from core.models.open_models import ModelError, ModelSpec, OpenModel, describe, open_model
from core.runtime.store import Store, file_sha256


def opened(spec: ModelSpec, store: Store) -> OpenModel:
    return open_model(describe(spec, store), store)


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_card_states_the_exact_measures(llama_spec, store):
    card = describe(llama_spec, store)
    embeddings = 2 * 300 * 32  # not tied
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32
    assert card.n_parameters == embeddings + 3 * layer + 32
    assert card.weight_bytes == 4 * card.n_parameters
    assert (card.architecture, card.n_layers, card.d_model, card.vocabulary) == (
        "LlamaForCausalLM",
        3,
        32,
        300,
    )
    assert (card.device, card.dtype) == ("cpu", "float32")
    assert card.fits
    assert card.licence == "not stated in the folder"


def test_tied_weights_count_once(gpt2_spec, store):
    layer = 12 * 32 * 32 + 13 * 32
    expected = 300 * 32 + 256 * 32 + 3 * layer + 2 * 32
    assert describe(gpt2_spec, store).n_parameters == expected
    assert describe(gpt2_spec.untrained(), store).n_parameters == expected


def test_bfloat16_halves_the_weights(llama_spec, store):
    full, half = (
        describe(replace(llama_spec, dtype=dtype), store) for dtype in ("float32", "bfloat16")
    )
    assert 2 * half.weight_bytes == full.weight_bytes
    assert full.identity == half.identity
    assert full.key != half.key


def test_the_same_content_elsewhere_has_the_same_identity(llama_spec, copy_spec, store):
    assert describe(copy_spec, store).identity == describe(llama_spec, store).identity


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_changes_the_identity(name, copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    before = describe(spec, store).identity
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if name[0] == "m" else content + b"\n")
    assert describe(spec, store).identity != before


def test_an_unchanged_folder_is_read_only_once(llama_spec, store, monkeypatch):
    first = describe(llama_spec, store)

    def unread(path):
        assert store.root in path.parents, f"read {path}"
        return file_sha256(path)

    monkeypatch.setattr("core.runtime.store.file_sha256", unread)
    assert (
        describe(llama_spec, store)
        == replace(first, free_bytes=describe(llama_spec, store).free_bytes)
        or describe(llama_spec, store).identity == first.identity
    )


def test_the_licence_is_read_from_the_readme(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Model")
    assert describe(spec, store).licence == "apache-2.0 (stated in its README.md)"


def refusal(spec: ModelSpec, store: Store) -> str:
    with pytest.raises(ModelError) as error:
        describe(spec, store)
    if spec.location:  # what lies where on this machine is nobody's business
        assert str(Path(spec.location).parent) not in str(error.value)
    return str(error.value)


def test_a_missing_folder_is_named(tmp_path, store, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "There is no folder in/no. Give" in refusal(ModelSpec.parse("folder:in/no"), store)


def test_a_folder_with_a_gguf_points_to_it(tmp_path, store, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    (tmp_path / "x.gguf").touch()
    asked = f"gguf:{tmp_path.name}/x.gguf"
    assert f"ask for {asked}." in refusal(ModelSpec("folder", str(tmp_path)), store)
    assert ModelSpec.parse(asked).location == str(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architectures": ["LlamaForSequenceClassification"]}, "not a causal language model"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "not a causal language model"),
        ({"model_type": "vit", "architectures": None}, "not a causal language model"),
        ({"model_type": "mamba", "architectures": None}, "recurrent model (mamba)"),
        ({"model_type": "nobody-knows"}, "knows no architecture 'nobody-knows'"),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
            "code from models is never run here",
        ),
    ],
)
def test_what_is_no_readable_language_model_is_refused(change, reason, copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    edit_config(folder, **change)
    assert reason in refusal(spec, store)


@pytest.mark.parametrize("alone", [False, True])
def test_weights_beside_an_adapter_are_not_read_without_it(alone, copy_spec, store):
    folder = Path(copy_spec.location)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    if alone:
        (folder / "config.json").unlink()
    assert "Merge it first: PeftModel" in refusal(copy_spec, store)
    assert "holds an adapter" in refusal(copy_spec.untrained(), store)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["model.safetensors.index.json"], "model.safetensors.index.json holds"),
        (["model.safetensors", "tokenizer.json"], "model.safetensors and 1 more holds"),
    ],
)
def test_a_clone_without_its_large_files_says_how_to_fetch_them(names, told, copy_spec, store):
    for name in names:
        (Path(copy_spec.location) / name).write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"
        )
    message = refusal(copy_spec, store)
    assert told in message
    assert "git lfs pull" in message


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_lists_nothing_is_refused(content, copy_spec, store):
    (Path(copy_spec.location) / "model.safetensors.index.json").write_text(content)
    assert "does not list weight files" in refusal(copy_spec, store)


def test_weights_of_another_size_than_configured_are_named_with_both(copy_spec, store, caplog):
    edit_config(Path(copy_spec.location), vocab_size=400)
    with pytest.raises(ModelError, match=r"lm_head.weight is 300 × 32 in the file and 400 × 32"):
        opened(copy_spec, store)
    assert "LOAD REPORT" not in caplog.text  # the sentence says it


def test_a_broken_configuration_is_refused(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    (folder / "config.json").write_text("{")
    assert "is no model configuration" in refusal(spec, store)


def test_a_folder_without_tokenizer_is_refused(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    (folder / "tokenizer.json").unlink()
    assert "tokenizer.save_pretrained(folder)" in refusal(spec, store)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    message = refusal(spec, store)
    assert "opening them can run code" in message
    assert "save_pretrained(new)" in message


def test_a_folder_without_weights_offers_its_untrained_control(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    (folder / "model.safetensors").unlink()
    assert "untrained control" in refusal(spec, store)
    assert describe(spec.untrained(), store).n_layers == 3


def test_weights_cut_short_are_refused(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "is cut short" in refusal(spec, store)


def test_a_missing_shard_is_named(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    shard = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model.safetensors", "b": shard}})
    )
    assert f"{shard} missing of 2" in refusal(spec, store)


def test_a_weight_that_is_not_there_is_not_made_up(copy_spec, store):
    from safetensors.torch import load_file, save_file

    folder, spec = Path(copy_spec.location), copy_spec
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 are missing, such as model\.layers\.1\.mlp\.up_proj"):
        opened(spec, store)


def test_a_model_too_large_for_the_machine_is_refused_with_the_numbers(
    llama_spec, store, monkeypatch
):
    monkeypatch.setattr("core.models.card.room", lambda *_, **__: Room(10**8, 3 * 10**8))
    message = refusal(llama_spec, store)
    assert "needs about 0.6 GB on cpu in float32, which has 0.3 GB" in message
    assert "dtype=bfloat16" in message


def test_a_full_machine_is_told_before_loading(llama_spec, store, monkeypatch):
    card = describe(llama_spec, store)
    monkeypatch.setattr("core.models.open_models.room", lambda *_, **__: Room(10**8, 3 * 10**9))
    with pytest.raises(ModelError, match=r"0\.1 GB of .* are free"):
        open_model(card, store)


def test_a_device_that_is_not_there_is_refused(store, monkeypatch):
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])
    assert "torch sees only cpu here" in refusal(ModelSpec(device="cuda"), store)
    assert "torch sees no CUDA GPU" in refusal(ModelSpec(spread=True), store)


def test_a_gpu_without_bfloat16_gets_float32(monkeypatch):
    monkeypatch.setattr(devices, "available_devices", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: False)
    assert devices.choose_place(ModelSpec()).dtype == "float32"
    with pytest.raises(ModelError, match="lacks it"):
        devices.choose_place(ModelSpec(dtype="bfloat16"))
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: True)
    assert devices.choose_place(ModelSpec()).dtype == "bfloat16"
