import gc
import json
import subprocess
import sys
import threading
import weakref
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.models import open_models
from core.models.devices import Room
from core.models.open_models import ModelError, ModelSpec, Shelf, describe, find_layers, open_model
from core.runtime.progress import Cancelled
from core.runtime.store import Store

TEXTS = ["It is wrong to lie.", "Helping"]


def opened(spec: ModelSpec, store: Store) -> open_models.OpenModel:
    return open_model(describe(spec, store), store)


def test_importing_models_loads_no_model_library():
    check = (
        "import sys, core.models; "
        "print(sorted({'torch', 'transformers', 'nnsight', 'gguf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("fixture", "layers"),
    [("tiny_llama_folder", "model.layers"), ("tiny_gpt2_folder", "transformer.h")],
)
def test_an_open_model_is_at_rest_and_readable(fixture, layers, request, store):
    import torch

    spec = ModelSpec("folder", str(request.getfixturevalue(fixture)), device="cpu")
    model = opened(spec, store)
    assert (model.layers, model.embedding) == (layers, f"{layers}.0")
    assert not model.module.training
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert model.tokenizer.pad_token is not None
    batch = dict(model.tokenizer(TEXTS[:1], return_tensors="pt"))
    saved: list[Any] = []
    with model.lock, torch.no_grad():
        with model.lm.trace(batch):
            saved.append(model.lm.get(model.embedding).input.save())
            saved.append(model.lm.get(model.layers)[1].output.save())
        expected = model.module(**batch, output_hidden_states=True).hidden_states
    second = saved[1][0] if isinstance(saved[1], tuple) else saved[1]
    assert torch.equal(saved[0], expected[0])
    assert torch.equal(second, expected[2])


def test_weights_open_as_they_were_saved(llama_spec, store):
    import torch
    from safetensors.torch import load_file

    saved = load_file(Path(llama_spec.location) / "model.safetensors")
    state = opened(llama_spec, store).module.state_dict()
    assert saved.keys() == state.keys()
    assert all(torch.equal(saved[name], state[name]) for name in saved)


def test_a_missing_pad_token_becomes_the_end_token(gpt2_spec, store):
    tokenizer = opened(gpt2_spec, store).tokenizer
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"


def test_a_pad_token_that_the_model_has_no_row_for_is_replaced(copy_spec, store):
    from transformers import AutoTokenizer

    from core.activations.extraction import read_texts
    from core.activations.prompts import ReadSpec

    expected = read_texts(opened(copy_spec, store), TEXTS, ReadSpec())
    tokenizer = AutoTokenizer.from_pretrained(copy_spec.location)
    tokenizer.add_special_tokens({"pad_token": "<new pad>"})
    assert tokenizer.pad_token_id == len(tokenizer) - 1
    tokenizer.save_pretrained(copy_spec.location)
    model = opened(copy_spec, store)
    assert model.tokenizer.pad_token_id < model.card.vocabulary
    assert (read_texts(model, TEXTS, ReadSpec()) == expected).all()


def test_bfloat16_weights_are_bfloat16(llama_spec, store):
    import torch

    for spec in (llama_spec, llama_spec.untrained()):
        module = opened(replace(spec, dtype="bfloat16"), store).module
        assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("model_type", "path"),
    [
        ("llama", "model.layers"),
        ("gemma3_text", "model.layers"),
        ("qwen3", "model.layers"),
        ("gpt2", "transformer.h"),
        ("gpt_neox", "gpt_neox.layers"),
        ("opt", "model.decoder.layers"),
        ("falcon", "transformer.h"),
    ],
)
def test_the_layers_of_many_architectures_are_found(model_type, path):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(model_type, num_hidden_layers=2, vocab_size=50)
    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(config)
    assert find_layers(module, 2) == path
    with pytest.raises(ModelError, match="no list of 5 decoder layers"):
        find_layers(module, 5)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's own way")
def test_released_memory_goes_back_to_the_system():
    """Also what was freed between blocks that are still in use."""
    open_models.release("cpu")  # imports torch
    blocks = [b"x" * size for size in [64 * 1024] * 4000]  # too small for mappings of their own
    kept = blocks[-1:]
    before = psutil.Process().memory_info().rss
    del blocks
    open_models.release("cpu")
    assert before - psutil.Process().memory_info().rss > 200e6
    assert len(kept) == 1


def drawn(config, make):
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        return make(config)


@pytest.mark.parametrize("name", ["Gemma3Text", "Llama", "Qwen3", "GPT2", "Bloom", "OPT"])
@pytest.mark.parametrize("tied", [True, False])
def test_an_untrained_control_is_what_transformers_draws_without_a_second_head(
    name, tied, monkeypatch
):
    """A head that is the embedding is not drawn besides: at a real vocabulary that is 0.7 GB."""
    import torch
    import transformers
    from torch import nn

    sizes = {"num_key_value_heads": 2, "head_dim": 8} if name in ("Gemma3Text", "Qwen3") else {}
    sizes |= {"word_embed_proj_dim": 32, "ffn_dim": 64} if name == "OPT" else {}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
        **sizes,
    )
    expected = drawn(deepcopy(config), transformers.AutoModelForCausalLM.from_config)
    made, plain = [], nn.Linear.reset_parameters

    def counted(linear):
        made.append((linear.weight.device.type, tuple(linear.weight.shape)))
        plain(linear)

    monkeypatch.setattr(nn.Linear, "reset_parameters", counted)
    found = drawn(deepcopy(config), open_models._random_weights)
    assert (("cpu", (300, 32)) in made) == (not tied)
    for of in ("named_parameters", "named_buffers"):
        own, others = dict(getattr(found, of)()), dict(getattr(expected, of)())
        assert own.keys() == others.keys()
        assert all(torch.equal(one, others[key]) for key, one in own.items())
    ids = torch.arange(5, 15)[None]
    with torch.no_grad():
        own, others = (one.eval()(ids, output_hidden_states=True) for one in (found, expected))
    assert torch.equal(own.logits, others.logits)
    assert torch.equal(own.hidden_states[1], others.hidden_states[1])


def test_an_untrained_control_is_random_but_seeded(llama_spec, store):
    import torch

    def logits(spec: ModelSpec) -> torch.Tensor:
        model = opened(spec, store)
        with torch.no_grad():
            result: torch.Tensor = model.module(torch.tensor([[1, 50, 60, 70]])).logits
        return result

    torch.manual_seed(1)
    first = logits(llama_spec.untrained(5))
    torch.manual_seed(2)
    assert torch.equal(first, logits(llama_spec.untrained(5)))
    assert not torch.allclose(first, logits(llama_spec.untrained(6)), atol=1e-3)
    assert not torch.allclose(first, logits(llama_spec), atol=1e-3)


def test_a_control_leaves_the_global_generator_alone(llama_spec, store):
    import torch

    torch.manual_seed(3)
    before = torch.get_rng_state()
    opened(llama_spec.untrained(0), store)
    assert torch.equal(before, torch.get_rng_state())


def test_controls_have_identities_of_their_own(llama_spec, store):
    specs = [llama_spec, llama_spec.untrained(0), llama_spec.untrained(1)]
    assert len({describe(spec, store).identity for spec in specs}) == 3
    assert describe(specs[1], store).identity == describe(specs[1], store).identity


def test_what_reading_a_vocabulary_leaves_is_given_back_before_weights_come(
    llama_spec, store, monkeypatch
):
    happened: list[str] = []
    for name in ("_open_tokenizer", "release", "_load", "_draw"):
        real = getattr(open_models, name)

        def noted(*words, name=name, real=real):
            happened.append(name)
            return real(*words)

        monkeypatch.setattr(open_models, name, noted)
    for spec in (llama_spec, llama_spec.untrained()):
        open_models.open_model(describe(spec, store), store)
    assert happened == [
        *("_open_tokenizer", "release", "_load"),
        *("_open_tokenizer", "release", "_draw"),
    ]


def test_a_shelf_opens_a_model_once(llama_spec, store):
    shelf = Shelf(store)
    assert not shelf.is_open(llama_spec)
    model = shelf.get(llama_spec)
    assert shelf.is_open(llama_spec)
    assert shelf.get(llama_spec) is model
    assert shelf.get(replace(llama_spec, dtype="float32")) is model  # what auto means here
    shelf.close_all()
    assert not shelf.is_open(llama_spec)


def test_a_model_and_its_control_stay_open_together_until_another_comes(
    llama_spec, gpt2_spec, store
):
    shelf = Shelf(store)
    model, control = shelf.get(llama_spec), shelf.get(llama_spec.untrained())
    assert model.module is not control.module
    assert shelf.is_open(llama_spec)
    shelf.get(gpt2_spec)
    assert not shelf.is_open(llama_spec)
    assert not shelf.is_open(llama_spec.untrained())


def test_two_families_stay_open_if_asked_for(llama_spec, gpt2_spec, store):
    shelf = Shelf(store, families=2)
    shelf.get(llama_spec)
    shelf.get(gpt2_spec)
    assert shelf.is_open(llama_spec)
    assert shelf.is_open(gpt2_spec)


def test_a_control_replaces_its_model_when_both_do_not_fit(llama_spec, store, monkeypatch):
    shelf = Shelf(store)
    shelf.get(llama_spec)
    needed = describe(llama_spec.untrained(), store).needed_bytes
    monkeypatch.setattr(
        open_models, "room", lambda *_, **__: Room(needed * (1 if not shelf._open else 0), 10**12)
    )
    shelf.get(llama_spec.untrained())
    assert not shelf.is_open(llama_spec)
    assert shelf.is_open(llama_spec.untrained())


def test_nothing_of_a_closed_model_stays(llama_spec, gpt2_spec, store):
    shelf = Shelf(store)
    gone = weakref.ref(shelf.get(llama_spec).module)
    shelf.get(gpt2_spec)
    gc.collect()
    assert gone() is None


def test_a_folder_that_changed_is_opened_anew(copy_spec, store):
    folder, spec = Path(copy_spec.location), copy_spec
    shelf = Shelf(store)
    before = shelf.get(spec)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rms_norm_eps": 1e-3}))
    after = shelf.get(spec)
    assert after is not before
    assert after.card.identity != before.card.identity
    assert after.module.config.rms_norm_eps == 1e-3


def test_many_threads_open_one_model_once(llama_spec, store, monkeypatch):
    shelf, opened_models = Shelf(store), []
    slow = open_models.open_model
    entered = []
    monkeypatch.setattr(open_models, "open_model", lambda *a: (entered.append(1), slow(*a))[1])
    threads = [
        threading.Thread(target=lambda: opened_models.append(shelf.get(llama_spec)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened_models) == 4
    assert len(set(map(id, opened_models))) == 1
    assert len(entered) == 1


def test_a_cancelled_opening_leaves_the_shelf_usable(llama_spec, store):
    def cancel(_done: float, _total: float, note: str) -> None:
        if note.startswith("Loading the weights"):
            raise Cancelled

    shelf = Shelf(store)
    with pytest.raises(Cancelled):
        shelf.get(llama_spec, cancel)
    assert not shelf.is_open(llama_spec)
    assert shelf.get(llama_spec).layers == "model.layers"


@pytest.mark.slow
@pytest.mark.gemma
def test_the_packaged_model_opens_with_its_measures(gemma):
    card = gemma.card
    assert (card.n_layers, card.d_model, card.vocabulary) == (18, 640, 262_144)
    assert card.n_parameters == sum(p.numel() for p in gemma.module.parameters()) == 268_098_176
    assert card.architecture == type(gemma.module).__name__
    assert "Gemma Terms of Use" in card.licence
    assert gemma.tokenizer("hi there")["input_ids"] == [2, 2202, 993]
    assert gemma.tokenizer.padding_side == "left"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("config.json", {"vocab_size": -4}, "vocab_size"),
        ("config.json", {"hidden_act": 7}, "transformers cannot use"),
        ("config.json", {"architectures": 5}, "is 5, not a causal language model"),
        ("tokenizer_config.json", {"eos_token": 3}, "tokenizer .* cannot be opened"),
        ("tokenizer.json", {"added_tokens": [{"id": 1e308}]}, "tokenizer .* cannot be opened"),
    ],
)
def test_entries_of_the_wrong_type_are_told(copy_spec, store, file, change, words):
    path = Path(copy_spec.location) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=words) as refusal:
        open_model(describe(copy_spec, store), store)
    assert str(path.parent.parent) not in str(refusal.value)


@pytest.mark.parametrize(
    "entry", [5, {}, {"data_offsets": 1}, {"shape": [10**400]}, {"shape": [-1]}]
)
def test_a_head_of_weights_that_makes_no_sense_is_damage(copy_spec, store, entry):
    path = Path(copy_spec.location) / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    known = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    head = {"only": known | entry if isinstance(entry, dict) and entry else entry}
    raw = json.dumps(head).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + length :])
    with pytest.raises(ModelError, match="damaged head"):
        describe(copy_spec, store)
