import logging
import shutil
import warnings
from dataclasses import replace

import pytest
import torch

from core.models import folder as folders
from core.models import states_check
from core.models.open_models import ModelError, ModelSpec, describe, open_model
from core.models.states_kept import check_told, kept_check


def opened(spec, store):
    return open_model(describe(spec, store), store)


@pytest.fixture
def save(tmp_path, tiny_llama_folder):
    """Return a function that saves a random model of a configuration beside the tiny tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    def make(config, change=lambda _: None):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(3)
            model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            parameter.data.mul_(5)
        change(model)
        target = tmp_path / config.model_type
        model.save_pretrained(target)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_llama_folder / name, target / name)
        return ModelSpec("folder", str(target), device="cpu")

    return make


def roberta(**options):
    from transformers import RobertaConfig

    return RobertaConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        is_decoder=True,
        pad_token_id=1,
        **options,
    )


@pytest.mark.parametrize("fixture", ["llama_spec", "gpt2_spec"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("seed", [None, 0])
def test_states_of_tiny_models_are_transformers_own(fixture, dtype, seed, request, store):
    spec = replace(request.getfixturevalue(fixture), dtype=dtype, untrained_seed=seed)
    card = describe(spec, store)
    assert check_told(store, card) == ""
    open_model(card, store)
    assert kept_check(store, card).open().difference < (1e-5 if dtype == "float32" else 0.1)
    assert check_told(store, card).startswith("checked against transformers: ")


@pytest.mark.gemma
def test_the_first_token_of_gemma_is_a_sink(gemma):
    found = states_check.check_states(gemma)
    assert found.leading == "<bos>"
    assert found.times > 10


def test_positions_that_begin_behind_the_pad_token_are_refused(save, store):
    with pytest.raises(
        ModelError, match=r"roberta \(RobertaForCausalLM\) cannot be read here: in a "
    ):
        opened(save(roberta()), store)


@pytest.mark.parametrize("seed", [None, 0])
def test_what_libraries_say_of_an_encoder_stays_off_the_screen(save, store, monkeypatch, seed):
    """nnsight minds modules named ``output``, transformers a decoder that does not say it is."""
    config = roberta()
    config.is_decoder = False
    spec = replace(save(config), untrained_seed=seed)
    said = []
    listener = logging.Handler()
    monkeypatch.setattr(listener, "emit", lambda record: said.append(record.getMessage()))
    logging.getLogger("transformers").addHandler(listener)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(ModelError, match="cannot be read here: in a padded batch"):
                opened(spec, store)
    finally:
        logging.getLogger("transformers").removeHandler(listener)
    assert said == []
    assert [str(one.message) for one in warned] == []


def test_layers_that_put_tokens_before_texts_are_refused(save, store, monkeypatch):
    from transformers import XLNetConfig

    config = XLNetConfig(vocab_size=300, d_model=32, n_layer=2, n_head=4, d_inner=64)
    spec = save(config)
    with pytest.raises(ModelError, match="put tokens before texts"):
        describe(spec, store)
    monkeypatch.setattr(folders, "TIME_FIRST", frozenset())
    with pytest.raises(ModelError, match=r"a Tensor \(11, 1, 32\) for one text of 11 tokens"):
        opened(spec, store)


def test_a_last_layer_that_the_final_norm_does_not_read_is_refused(llama_spec, store):
    model = opened(llama_spec, store)
    states_check.check_states(model)
    model.module.model.norm.register_forward_pre_hook(lambda _, args: (2 * args[0] + 1,))
    with pytest.raises(ModelError, match="not what its final norm reads"):
        states_check.check_states(model)


@pytest.mark.parametrize(
    ("dtype", "advice"), [("float32", "fetch the model"), ("bfloat16", "=float32")]
)
def test_nan_in_the_weights_is_named_with_its_layer(dtype, advice, copy_spec, store):
    from pathlib import Path

    from safetensors.torch import load_file, save_file

    path = Path(copy_spec.location) / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = float("nan")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=rf"not finite numbers: layer 1, .*{advice}") as refused:
        opened(replace(copy_spec, dtype=dtype), store)
    assert ("dtype=float32" in str(refused.value)) == (dtype == "bfloat16")


@pytest.mark.gemma
def test_states_of_the_packaged_model_are_transformers_own(gemma):
    assert states_check.check_states(gemma).difference < 1e-5


def test_a_device_that_is_full_does_not_speak_against_the_architecture(llama_spec, store):
    model = open_model(describe(llama_spec, store), store)

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.module.forward = full
    with pytest.raises(ModelError, match="no memory left") as caught:
        states_check.check_states(model)
    assert "architecture" not in str(caught.value)
