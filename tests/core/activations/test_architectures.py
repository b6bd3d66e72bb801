"""Every causal architecture of the installed transformers that can be built tiny in code."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.activations.extraction import read_prompts
from core.models.folder import read_shape
from core.models.open_models import ModelError, _wrap
from core.models.states_check import check_states
from tests.core.models.madecards import made_card

#: Sizes under all names that configurations use; each takes what it knows.
SIZES = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embedding_size", "d_embed"), 32),
    **dict.fromkeys(("word_embed_proj_dim",), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("decoder_layers", "encoder_layers"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads",), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "d_inner"), 64),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim"), 64),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), 300),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), 64),
    **dict.fromkeys(("head_dim", "rotary_dim", "hidden_size_per_layer_input"), 8),
    **dict.fromkeys(("moe_intermediate_size",), 16),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok",), 2),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 8),
    **{"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_ssm": 64, "mamba_d_state": 8},
    **{"mamba_expand": 2, "mamba_chunk_size": 16},
    **{"attn_layer_period": 2, "attn_layer_offset": 1},
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace"), 1),
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "is_decoder": True},
}
#: More numbers than this are no tiny model.
LARGEST = 3_000_000
TEXTS = [[11, 23, 37, 42, 55, 61, 73], [17, 29, 31]]


def tiny(kind) -> Any:
    """Return a random model of an architecture; None if it cannot be made small like this."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        whole = AutoConfig.for_model(kind)
        text = whole.get_text_config(decoder=True)
        known = set(text.to_dict()) | set(type(text).attribute_map)
        sizes = SIZES | ({"num_key_value_heads": 4} if "kv_lora_rank" in known else {})
        config = type(text)(**{name: size for name, size in sizes.items() if name in known})
        with torch.device("meta"):
            outline = AutoModelForCausalLM.from_config(config)
        if sum(one.numel() for one in outline.parameters()) > LARGEST:
            return None
        torch.default_generator.manual_seed(5)
        module = AutoModelForCausalLM.from_config(config).eval()
    except Exception:  # noqa: BLE001 - any configuration may refuse in its own way
        return None
    for parameter in module.parameters():  # layers of the usual 0.02 hardly change anything
        parameter.requires_grad_(requires_grad=False).mul_(2)
    return module


def opened(module, tokenizer) -> Any:
    """Open a built model as one that was loaded, proof of its states included."""
    shape = read_shape(module.config, module.config.model_type)
    card = replace(
        made_card(module.config.model_type, shape.n_layers, shape.d_model),
        architecture=shape.architecture,
        vocabulary=shape.vocabulary,
    )
    model = _wrap(card, module, tokenizer)
    check_states(model)
    return model


def furthest(model) -> float:
    """Return how far the last tokens' states, as they are read, lie from transformers' own."""
    import torch

    read = read_prompts(model, TEXTS, ("last",))[:-1, 0]  # the last one is before the final norm
    found = 0.0
    for row, ids in enumerate(TEXTS):
        with torch.no_grad():
            states = model.module(torch.tensor([ids]), output_hidden_states=True).hidden_states
        for mine, own in zip(read[:, row], states[:-1], strict=True):
            own_last = own[0, -1].numpy()
            found = max(found, float(np.linalg.norm(mine - own_last) / np.linalg.norm(own_last)))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of transformers' and nnsight's own, about odd architectures
def test_an_architecture_is_read_as_transformers_does_or_refused(gpt2_spec, store):
    import torch
    from transformers import AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    tokenizer = AutoTokenizer.from_pretrained(gpt2_spec.location)
    tokenizer.pad_token = tokenizer.eos_token
    agree, refused, wrong = [], {}, {}
    with torch.random.fork_rng(devices=[]):
        for kind in CAUSAL:
            module = tiny(kind)
            if module is None:
                continue
            try:
                far = furthest(opened(module, tokenizer))
            except ModelError as error:
                refused[kind] = str(error)
                continue
            if far <= 1e-5:
                agree.append(kind)
            else:
                wrong[kind] = far
    unclear = [text for text in refused.values() if "\n" in text or not text.endswith(".")]
    assert unclear == []
    assert {"roberta", "xlnet"} <= refused.keys()
    assert wrong == {}
    assert len(agree) >= 100
