"""What tests of dictionary files share: small dictionaries, written in each published layout."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

D_MODEL, N_LATENTS, K = 12, 40, 5
GEMMA_CONFIG = {
    "architecture": "jump_relu",
    "model_name": "gemma-v3-270m-pt",
    "hf_hook_point_in": "model.layers.12.output",
}


def weights(seed=0):
    """Return random weights under SAELens's names, with decoder rows of different lengths."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return {
        "W_enc": normal(D_MODEL, N_LATENTS),
        "b_enc": normal(N_LATENTS) / 10,
        "W_dec": normal(N_LATENTS, D_MODEL) * (0.5 + torch.rand(N_LATENTS, 1, generator=generator)),
        "b_dec": normal(D_MODEL),
    }


def states(n=64, seed=1):
    """Return random states, of which about half the latents are on."""
    return torch.randn(n, D_MODEL, generator=torch.Generator().manual_seed(seed)) * 2


def threshold():
    """Return a threshold for each latent, from 0 to 3."""
    return torch.linspace(0, 3, N_LATENTS)


def saelens_folder(folder: Path, tensors=None, *, metadata=None, dtype=torch.float32, **cfg):
    """Write a folder as SAELens 6 does; ``cfg`` replaces entries, None drops one."""
    known = {
        "architecture": "standard",
        "d_in": D_MODEL,
        "d_sae": N_LATENTS,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "tiny",
            "hook_name": "blocks.1.hook_resid_post",
            **(metadata or {}),
        },
    }
    entries = {name: value for name, value in {**known, **cfg}.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(entries))
    kept = weights() if tensors is None else tensors
    save_file(
        {name: tensor.to(dtype).contiguous() for name, tensor in kept.items()},
        folder / "sae_weights.safetensors",
    )
    return folder


def gemma_folder(root: Path, *, kind="resid_post", config=GEMMA_CONFIG, **change):
    """Write a folder as Gemma Scope 2 publishes it, and return it."""
    folder = root / kind / "layer_12_width_16k_l0_medium"
    folder.mkdir(parents=True)
    lower = {name.lower(): tensor for name, tensor in weights().items()}
    save_file({**lower, "threshold": threshold(), **change}, folder / "params.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def qwen_file(folder: Path, name="layer12.sae.pt", dtype=torch.float32):
    """Write a file as Qwen-Scope publishes it: transposed, pickled."""
    folder.mkdir(parents=True, exist_ok=True)
    turned = {n: (t.T if n[0] == "W" else t).contiguous().to(dtype) for n, t in weights().items()}
    torch.save(turned, folder / name)
    return folder / name


def sparsify_folder(folder: Path, tensors=None, **cfg):
    """Write a folder as EleutherAI's sparsify does; None drops an entry or a tensor."""
    w = weights()
    known = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "W_dec": w["W_dec"]}
    known |= {"b_dec": w["b_dec"], **(tensors or {})}
    entries = {"activation": "topk", "expansion_factor": 3, "normalize_decoder": True}
    entries |= {"num_latents": N_LATENTS, "k": K, "multi_topk": False, "skip_connection": False}
    entries |= {"transcode": False, "d_in": D_MODEL, **cfg}
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: one for name, one in entries.items() if one is not None}
    (folder / "cfg.json").write_text(json.dumps(kept))
    written = {name: one.contiguous() for name, one in known.items() if one is not None}
    save_file(written, folder / "sae.safetensors")
    return folder


def learned_folder(folder: Path, tensors=None, *, bias="bias", config=True, **trainer):
    """Write a folder as dictionary_learning does; None drops an entry or a tensor."""
    w = weights()
    known = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"]}
    known |= {"decoder.weight": w["W_dec"].T, bias: w["b_dec"], **(tensors or {})}
    entries = {"dict_class": "AutoEncoder", "activation_dim": D_MODEL, "dict_size": N_LATENTS}
    entries |= {"layer": 1, "lm_name": "tiny", "submodule_name": "resid_post_layer_1", **trainer}
    folder.mkdir(parents=True, exist_ok=True)
    if config:
        kept = {name: one for name, one in entries.items() if one is not None}
        (folder / "config.json").write_text(json.dumps({"trainer": kept, "buffer": {}}))
    written = {name: one.contiguous() for name, one in known.items() if one is not None}
    torch.save(written, folder / "ae.pt")
    return folder
