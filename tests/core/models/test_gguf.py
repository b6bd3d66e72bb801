import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.models import gguf
from core.models.gguf_header import GgufError, check_length, read_header, write_without_vocabulary
from core.models.open_models import ModelSpec, describe, open_model
from core.models.quiet import quiet
from core.runtime.progress import Cancelled
from core.runtime.store import Store

TEXTS = ["It is wrong to lie.", "  Ü 12\n</s> kind", "x"]


def _llama_cpp_order(weight: np.ndarray, n_heads: int) -> np.ndarray:
    """Reorder rotary rows as llama.cpp does: halves become interleaved pairs."""
    split = weight.reshape(n_heads, 2, len(weight) // n_heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weight.shape))


def _tensor_name(name: str) -> str:
    parts = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.layers": "blk",
    }
    for old, new in parts.items():
        name = name.replace(old, new)
    return name


def _write_tokenizer(writer: Any, folder: Path) -> None:
    import json

    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in ("<pad>", "<s>", "</s>") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(value=True)


def write_gguf(
    folder: Path,
    path: Path,
    *,
    without: str = "",
    architecture: str = "llama",
    add: dict[str, Any] | None = None,
    only: int | None = None,
) -> Path:
    """Write the tiny Llama as llama.cpp would; ``without`` leaves out one tensor or "tokenizer",
    ``add`` states more in its head, ``only`` so many tensors are written."""
    from gguf import GGUFWriter
    from safetensors.numpy import load_file

    writer = GGUFWriter(path, architecture)
    writer.add_block_count(3)
    writer.add_context_length(256)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_license("mit")
    if without != "tokenizer":
        _write_tokenizer(writer, folder)
    for name, value in (add or {}).items():
        writer.kv_data[0].pop(name, None)
        writer.add_string(name, value) if isinstance(value, str) else writer.add_uint16(name, value)
    for name, weight in list(load_file(folder / "model.safetensors").items())[:only]:
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        if name != without:
            writer.add_tensor(
                _tensor_name(name), _llama_cpp_order(weight, heads) if heads else weight
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def tiny_gguf(tiny_llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tiny_llama_folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def logits_of(module: Any, ids: list[int]) -> Any:
    import torch

    with torch.no_grad():
        return module(torch.tensor([ids])).logits


# --- the head ---------------------------------------------------------------------------------


def test_the_head_states_the_measures(tiny_gguf):
    header = read_header(tiny_gguf)
    assert header.architecture == "llama"
    assert (header.number("block_count"), header.number("embedding_length")) == (3, 32)
    assert header.vocabulary == 300
    assert header.n_parameters == 2 * 300 * 32 + 3 * (2 * 1024 + 2 * 512 + 3 * 2048 + 64) + 32
    check_length(tiny_gguf, header)


def test_the_head_agrees_with_the_gguf_library(tiny_gguf):
    from gguf import GGUFReader

    ours, theirs = read_header(tiny_gguf), GGUFReader(tiny_gguf)
    assert list(ours.fields) == [name for name in theirs.fields if not name.startswith("GGUF.")]
    assert ours.data == theirs.data_offset
    for entry, tensor in zip(ours.tensors, theirs.tensors, strict=True):
        assert (entry.name, entry.shape) == (tensor.name, tuple(tensor.shape.tolist()))
        assert ours.data + entry.offset == tensor.data_offset


def test_leaving_out_the_vocabulary_leaves_the_tensors(tiny_gguf, tmp_path):
    from gguf import GGUFReader

    slim = tmp_path / "slim.gguf"
    write_without_vocabulary(tiny_gguf, read_header(tiny_gguf), slim)
    before, after = GGUFReader(tiny_gguf), GGUFReader(slim)
    assert slim.stat().st_size < tiny_gguf.stat().st_size
    assert "tokenizer.ggml.tokens" not in after.fields
    assert after.fields["llama.vocab_size"].contents() == 300
    for old, new in zip(before.tensors, after.tensors, strict=True):
        assert old.name == new.name
        np.testing.assert_array_equal(old.data, new.data)


@pytest.mark.parametrize("kept", [0, 3, 20, 60, 5000])
def test_a_head_cut_short_is_refused(kept, tiny_gguf, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:kept])
    with pytest.raises(GgufError, match=r"cut short|not a GGUF file"):
        read_header(path)


def test_tensors_cut_short_are_refused_before_anything_is_loaded(tiny_gguf, tmp_path, store):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:-1000])
    with pytest.raises(GgufError, match=r"is cut short: it has [\d,]+ bytes"):
        describe(ModelSpec("gguf", str(path), device="cpu"), store)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04" + bytes(100), "is not a GGUF file"),
        (b"GGUF\x01\x00\x00\x00" + bytes(100), "version 1"),
        (b"GGUF\x00\x00\x00\x03" + bytes(100), "big endian"),
        (b"GGUF\x03\x00\x00\x00" + bytes(16), "holds nothing that names its architecture"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 200, "its head cannot be read"),
    ],
)
def test_a_foreign_file_is_refused(content, reason, tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError, match=reason):
        read_header(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GgufError, match="There is no file"):
        read_header(tmp_path / "no.gguf")


# --- conversion -------------------------------------------------------------------------------


def test_a_converted_model_computes_what_the_original_computes(tiny_gguf, llama_spec, store):
    import torch

    spec = ModelSpec("gguf", str(tiny_gguf), device="cpu")
    original = open_model(describe(llama_spec, store), store)
    converted = open_model(describe(spec, store), store)
    for text in TEXTS:
        ids = original.tokenizer(text)["input_ids"]
        assert converted.tokenizer(text)["input_ids"] == ids
        assert torch.equal(logits_of(converted.module, ids), logits_of(original.module, ids))


def test_a_converted_model_equals_transformers_own_reading_of_the_file(tiny_gguf, store):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = gguf.convert_file(tiny_gguf, store)
    place = {"gguf_file": tiny_gguf.name}
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(tiny_gguf.parent, **place, dtype=torch.float32)
        ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tiny_gguf.parent, **place)
    for opened in (gguf.open_tokenizer(folder), AutoTokenizer.from_pretrained(folder)):
        assert opened(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]
        assert opened.padding_side == tokenizer.padding_side
        assert opened.special_tokens_map == tokenizer.special_tokens_map
    ids = tokenizer(TEXTS[1])["input_ids"]
    assert torch.equal(logits_of(plain.eval(), ids), logits_of(ours.eval(), ids))


def test_a_card_says_the_same_before_and_after_conversion(tiny_gguf, store):
    spec = ModelSpec("gguf", str(tiny_gguf), device="cpu")
    before = describe(spec, store)
    model = open_model(before, store)
    after = describe(spec, store)
    assert before.folder is None
    assert after.folder == model.card.folder
    assert (before.identity, before.architecture) == (after.identity, type(model.module).__name__)
    assert after.n_parameters == sum(p.numel() for p in model.module.parameters())
    assert after.licence == "mit (stated in the file)"
    assert (after.n_layers, after.vocabulary) == (3, model.module.config.vocab_size)


def test_a_conversion_gives_its_memory_back(tiny_gguf, store, monkeypatch):
    given_back = []
    monkeypatch.setattr(gguf, "release", given_back.append)
    gguf.convert_file(tiny_gguf, store)
    assert given_back == ["cpu"]


def test_a_second_conversion_finds_the_first(tiny_gguf, tmp_path, store, monkeypatch):
    folder = gguf.convert_file(tiny_gguf, store)
    copy = tmp_path / "renamed.gguf"
    shutil.copy(tiny_gguf, copy)
    monkeypatch.setattr(gguf, "_convert", lambda *_: pytest.fail("converted again"))
    assert gguf.convert_file(copy, store) == folder


def test_a_damaged_conversion_is_made_again(tiny_gguf, store):
    folder = gguf.convert_file(tiny_gguf, store)
    (folder / "model.safetensors").write_bytes(b"")
    assert gguf.convert_file(tiny_gguf, store) == folder
    assert (folder / "model.safetensors").stat().st_size > 100_000
    assert "was damaged" in store.notices[0]


def test_progress_names_the_steps_and_never_runs_back(tiny_gguf, store):
    seen: list[tuple[float, str]] = []
    gguf.convert_file(tiny_gguf, store, lambda done, total, note: seen.append((done / total, note)))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    notes = " ".join(note for _, note in seen)
    for step in ("identify", "Checking", "Dequantising tensor 1 of 30", "tokenizer", "Sealing"):
        assert step in notes


def test_a_cancelled_conversion_leaves_nothing(tiny_gguf, store):
    def cancel(_done: float, _total: float, note: str) -> None:
        if note.startswith("Dequantising tensor 5"):
            raise Cancelled

    with pytest.raises(Cancelled):
        gguf.convert_file(tiny_gguf, store, cancel)
    assert list((store.root / gguf.KIND).iterdir()) == []
    assert gguf.convert_file(tiny_gguf, store).is_dir()


def test_nothing_is_printed(tiny_gguf, store, capfd):
    gguf.convert_file(tiny_gguf, store)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"without": "model.layers.1.mlp.up_proj.weight"}, r"lacks 1 weights, such as .*up_proj"),
        ({"without": "tokenizer"}, "carries no tokenizer"),
        ({"architecture": "rwkv7"}, "'rwkv7' cannot be converted. Possible"),
        ({"architecture": "general"}, "'general' cannot be converted. Possible"),
        ({"architecture": "clip"}, r"x\.gguf holds the encoder of pictures or sounds"),
        ({"architecture": "whisper"}, "holds a recogniser of speech, not a language model"),
        ({"architecture": "nomic-bert"}, "holds an encoder"),
        ({"add": {"general.type": "adapter"}}, "holds an adapter"),
        ({"add": {"general.type": "imatrix"}}, "holds the importance matrix"),
        ({"only": 0}, "holds a vocabulary alone"),
        ({"add": {"split.no": 1, "split.count": 3}}, "part 2 of 3 of a split GGUF"),
        ({"add": {"llama.block_count": "many"}}, "'many' as llama.block_count, which is no whole"),
        ({"architecture": "mamba"}, "recurrent model"),
        ({"architecture": "t5"}, "not a causal language model"),
    ],
)
def test_a_gguf_that_is_no_whole_language_model_is_refused(
    options, reason, tiny_llama_folder, tmp_path, store
):
    path = write_gguf(tiny_llama_folder, tmp_path / "x.gguf", **options)
    spec = ModelSpec("gguf", str(path), device="cpu")
    with pytest.raises(Exception, match=reason) as refusal:
        open_model(describe(spec, store), store)
    assert refusal.type.__name__ in ("GgufError", "ModelError")
    assert str(tmp_path) not in str(refusal.value)


def test_a_part_is_told_how_it_is_joined(tiny_llama_folder, tmp_path):
    path = tmp_path / "kind-00002-of-00003.gguf"
    write_gguf(tiny_llama_folder, path, add={"split.no": 1, "split.count": 3})
    command = "'llama-gguf-split --merge kind-00001-of-00003.gguf kind.gguf'"
    with pytest.raises(GgufError, match=f"{command}, and name kind.gguf") as refusal:
        read_header(path)
    assert "etch" not in str(refusal.value)
    write_gguf(tiny_llama_folder, path, add={"split.no": 0, "split.count": 1})  # one part is all
    assert read_header(path).architecture == "llama"


@pytest.mark.parametrize("name", ["qwen2moe", "qwen3moe", "gpt-oss", "minimax-m2", "qwen35"])
def test_architectures_are_known_as_files_spell_them(name, tiny_llama_folder, tmp_path):
    path = write_gguf(tiny_llama_folder, tmp_path / "x.gguf", architecture=name)
    gguf.check_architecture(read_header(path))


def test_the_architectures_named_as_possible_are_those_that_pass(tiny_llama_folder, tmp_path):
    path = write_gguf(tiny_llama_folder, tmp_path / "x.gguf", architecture="rwkv7")
    with pytest.raises(GgufError, match="Possible: ") as refusal:
        gguf.check_architecture(read_header(path))
    possible = str(refusal.value).partition("Possible: ")[2].partition(". Use")[0].split(", ")
    assert {"llama", "gemma3", "qwen3moe", "gpt-oss"} < set(possible)
    assert not {"general", "tokenizer", "mamba", "t5", "deci", "qwen2_moe"} & set(possible)
    for name in possible:
        write_gguf(tiny_llama_folder, path, architecture=name)
        gguf.check_architecture(read_header(path))
        assert gguf.causal_class(name)


def test_too_little_memory_is_told_with_the_numbers(tiny_gguf, store, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(GgufError, match=r"needs 0\.0 GB of memory; 0\.0 GB are free"):
        gguf.convert_file(tiny_gguf, store)


@pytest.mark.slow
def test_two_processes_convert_once_between_them(tiny_gguf, tmp_path):
    script = (
        "import sys; from pathlib import Path; from core.models import gguf\n"
        "from core.runtime.store import Store; notes = []\n"
        "folder = gguf.convert_file(Path(sys.argv[1]), Store(Path(sys.argv[2])),"
        " lambda d, t, n: notes.append(n))\n"
        "print(folder, any(n.startswith('Dequantising') for n in notes))"
    )
    command = [sys.executable, "-c", script, str(tiny_gguf), str(tmp_path)]
    root = str(Path(__file__).parents[3])
    place = os.environ | {"PYTHONPATH": root}
    running = [
        subprocess.Popen(
            command,
            cwd=root,
            env=place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert said[0][0] == said[1][0]
    assert sorted(line[1] for line in said) == ["False", "True"]
    kept = Store(tmp_path)
    assert len([entry for entry in kept.artefacts() if entry.kind == gguf.KIND]) == 1


# --- the packages -----------------------------------------------------------------------------


def test_packages_that_are_not_installed_are_named(monkeypatch, store):
    monkeypatch.setitem(sys.modules, gguf.PACKAGE, None)
    with pytest.raises(GgufError, match=r"not installed .*pip install -r requirements\.txt"):
        describe(ModelSpec(device="cpu"), store)


def test_a_missing_part_is_named(monkeypatch, tmp_path):
    pieces = SimpleNamespace(chunk_paths=lambda: [tmp_path / "part00"])
    monkeypatch.setitem(sys.modules, gguf.PACKAGE, pieces)
    with pytest.raises(GgufError, match="part00 missing"):
        gguf.packaged_chunks()


def test_pieces_with_other_content_are_refused(tiny_gguf, monkeypatch, store):
    monkeypatch.setattr(gguf, "packaged_chunks", lambda: [tiny_gguf])
    with pytest.raises(GgufError, match=r"give SHA-256 [0-9a-f]{16}… instead of a5fd3b62230aa5ec…"):
        gguf.convert_packaged(store)
    assert list((store.root / gguf.KIND).iterdir()) == []


@pytest.mark.gemma
def test_the_licence_of_the_packaged_model_is_at_hand():
    licence = gguf.packaged_licence()
    assert "Gemma Terms of Use" in licence.summary
    assert "reassembles the public GGUF file" in licence.notice
    assert "Gemma" in licence.terms.read_text(encoding="utf-8")


@pytest.mark.gemma
def test_the_packaged_model_is_described_before_its_conversion(store):
    card = describe(ModelSpec(device="cpu"), store)
    assert card.identity == f"gguf:{gguf.PACKAGED_SHA256}"
    assert card.folder is None
    assert (card.architecture, card.n_layers, card.d_model) == ("Gemma3ForCausalLM", 18, 640)
    assert card.n_parameters == 268_098_176


@pytest.mark.slow
@pytest.mark.gemma
@pytest.mark.skipif("MORALSCOPE_TEST_PLAIN" not in os.environ, reason="takes a minute and 3 GB")
def test_the_converted_gemma_equals_transformers_own_reading(gemma, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    whole = tmp_path / "packaged.gguf"
    with whole.open("wb") as file:
        for piece in gguf.packaged_chunks():
            file.write(piece.read_bytes())
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(
            tmp_path, gguf_file=whole.name, dtype=torch.float32
        ).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, gguf_file=whole.name)
    ours, theirs = gemma.module.state_dict(), plain.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    texts = [*TEXTS, "<bos><start_of_turn>user\n 家 döner \t 123"]
    ids = tokenizer(texts)["input_ids"]
    assert gemma.tokenizer(texts)["input_ids"] == ids
    assert torch.equal(logits_of(gemma.module, ids[-1]), logits_of(plain, ids[-1]))
