"""Agreement with SAELens on the same weights, both ways: we open theirs, they open ours.

The package is imported here alone, and only by the tests that are marked slow (5 s).
"""

import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.files import load_folder, save_folder
from core.sae.layouts.shared import Hints
from tests.core.sae.saefolders import (
    D_MODEL,
    GEMMA_CONFIG,
    N_LATENTS,
    K,
    gemma_folder,
    qwen_file,
    states,
    threshold,
    weights,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saelens():
    """Return SAELens's classes and loaders, imported without its warnings failing the suite."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("sae_lens")
        from sae_lens.loading import pretrained_sae_loaders as loaders
        from sae_lens.saes import batchtopk_sae, jumprelu_sae, standard_sae, topk_sae
    return SimpleNamespace(
        SAE=package.SAE,
        loaders=loaders,
        standard=(standard_sae.StandardSAE, standard_sae.StandardSAEConfig),
        topk=(topk_sae.TopKSAE, topk_sae.TopKSAEConfig),
        jumprelu=(jumprelu_sae.JumpReLUSAE, jumprelu_sae.JumpReLUSAEConfig),
        batchtopk=(batchtopk_sae.BatchTopKTrainingSAE, batchtopk_sae.BatchTopKTrainingSAEConfig),
    )


def theirs(saelens, architecture, tensors=None, **cfg):
    """Return a dictionary of their class with the test weights."""
    kind, config = getattr(saelens, architecture)
    made = kind(config(d_in=D_MODEL, d_sae=N_LATENTS, **cfg))
    made.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    made.load_state_dict(weights() | (tensors or {}))
    return made


def agree(ours, sae):
    """Require the same codes and states to 1e-5, where neither all nor no latents are on."""
    x = states()
    with torch.no_grad():
        codes = sae.encode(x)
        back = sae.decode(codes)
    share = float((codes > 0).float().mean())
    assert 0.02 < share < 0.9
    torch.testing.assert_close(ours.encode(x), codes, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.decode(ours.encode(x)), back, atol=1e-5, rtol=1e-5)


THEIRS = [
    ("standard", {}, {}),
    ("standard", {}, {"apply_b_dec_to_input": False}),
    ("topk", {}, {"k": K}),
    ("topk", {}, {"k": K, "rescale_acts_by_decoder_norm": True}),
    ("jumprelu", {"threshold": threshold()}, {}),
    ("jumprelu", {"threshold": threshold()}, {"apply_b_dec_to_input": False}),
]


@pytest.mark.parametrize(("architecture", "tensors", "cfg"), THEIRS)
def test_we_open_what_they_save(saelens, tmp_path, architecture, tensors, cfg):
    sae = theirs(saelens, architecture, tensors, **cfg)
    sae.save_model(tmp_path)
    ours = load_folder(tmp_path)
    agree(ours, sae)
    assert ours.info.layer == 1


@pytest.mark.parametrize("rescaled", [False, True])
def test_we_open_batchtopk_finished_and_half_trained_alike(saelens, tmp_path, rescaled):
    tensors = {"topk_threshold": torch.tensor(1.5, dtype=torch.double)}
    options = {"k": K, "rescale_acts_by_decoder_norm": rescaled, "device": "cpu"}
    sae = theirs(saelens, "batchtopk", tensors, **options)
    sae.save_model(tmp_path / "half")
    sae.save_inference_model(tmp_path / "done")
    finished = saelens.SAE.load_from_disk(tmp_path / "done")
    for name in ("half", "done"):
        agree(load_folder(tmp_path / name), finished)


@pytest.mark.parametrize("rescaled", [False, True])
def test_a_scale_is_folded_as_they_fold_it(saelens, tmp_path, rescaled):
    tensors = {"topk_threshold": torch.tensor(1.5, dtype=torch.double)}
    options = {"k": K, "rescale_acts_by_decoder_norm": rescaled}
    scaled = {"normalize_activations": "expected_average_only_in"}
    sae = theirs(saelens, "batchtopk", tensors, **options, **scaled)
    sae.save_model(tmp_path / "half")
    (tmp_path / "half" / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 0.7}))
    sae.fold_activation_norm_scaling_factor(0.7)
    sae.save_inference_model(tmp_path / "done")
    finished = saelens.SAE.load_from_disk(tmp_path / "done")
    agree(load_folder(tmp_path / "half"), finished)


def ours(activation, *, centred):
    info = DictionaryInfo("ours", 7, activation, K if activation == "topk" else None, centred)
    kept = {name.lower(): tensor for name, tensor in weights().items()}
    return Dictionary(info, **kept, threshold=threshold() if activation == "jumprelu" else None)


@pytest.mark.parametrize("activation", ["relu", "topk", "jumprelu"])
@pytest.mark.parametrize("centred", [False, True])
def test_they_open_what_we_save(saelens, tmp_path, activation, centred):
    one = ours(activation, centred=centred)
    sae = saelens.SAE.load_from_disk(save_folder(one, tmp_path))
    agree(one, sae)
    assert sae.cfg.metadata.hook_name == "blocks.7.hook_resid_post"


def test_they_open_what_we_save_in_half_the_space(saelens, tmp_path):
    one = ours("jumprelu", centred=True)
    sae = saelens.SAE.load_from_disk(save_folder(one, tmp_path, dtype="bfloat16"))
    assert sae.W_dec.dtype == torch.float32
    agree(load_folder(tmp_path), sae)


def test_our_facts_survive_their_hands(saelens, tmp_path):
    info = DictionaryInfo(
        "ours", 7, "topk", K, centred=True, model="folder:abc", model_name="tiny",
        training={"fvu": 0.1, "seeds": [1, 2]},
    )  # fmt: skip
    kept = {name.lower(): tensor for name, tensor in weights().items()}
    save_folder(Dictionary(info, **kept), tmp_path / "a")
    saelens.SAE.load_from_disk(tmp_path / "a").save_model(tmp_path / "b")
    back, first = load_folder(tmp_path / "b"), load_folder(tmp_path / "a")
    assert back.digest == first.digest
    assert (back.info.name, back.info.model, back.info.training) == (
        info.name, info.model, info.training,
    )  # fmt: skip


def local_hub(saelens, monkeypatch, root):
    """Let their downloaders take files from a folder."""
    from huggingface_hub.errors import EntryNotFoundError

    def hf_hub_download(repo_id, filename, subfolder=None, force_download=False):
        path = root / (subfolder or "") / filename
        if not path.is_file():
            raise EntryNotFoundError(filename)
        return str(path)

    def shapes(_repo, filename):
        with safe_open(root / filename, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118

    monkeypatch.setattr(saelens.loaders, "hf_hub_download", hf_hub_download)
    monkeypatch.setattr(saelens.loaders, "get_safetensors_tensor_shapes", shapes)


def built(saelens, loaded):
    """Return the SAE that their own reading of a file makes."""
    config, tensors, _ = loaded
    return saelens.SAE.load_from_disk("", converter=lambda *_, **__: (config, tensors))


@pytest.mark.parametrize("config", [GEMMA_CONFIG, None])
def test_gemma_scope_is_read_as_they_read_it(saelens, tmp_path, monkeypatch, config):
    folder = gemma_folder(tmp_path, config=config)
    local_hub(saelens, monkeypatch, tmp_path)
    loaded = saelens.loaders.gemma_3_sae_huggingface_loader(
        "google/gemma-scope-2-270m-pt", str(folder.relative_to(tmp_path))
    )
    one = load_folder(folder)
    agree(one, built(saelens, loaded))
    assert loaded[0]["hook_name"] == f"blocks.{one.info.layer}.hook_resid_post"
    if config:
        assert one.info.model_name == loaded[0]["model_name"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_qwen_scope_is_read_as_they_read_it(saelens, tmp_path, monkeypatch, dtype):
    repo = f"Qwen/SAE-Res-Qwen3-8B-Base-W64K-L0_{K}"
    file = qwen_file(tmp_path / repo, dtype=dtype)
    local_hub(saelens, monkeypatch, tmp_path / repo)
    loaded = saelens.loaders.qwen_scope_sae_huggingface_loader(
        repo, file.name, cfg_overrides={"d_in": D_MODEL, "d_sae": N_LATENTS}
    )
    one = load_folder(file)
    agree(one, built(saelens, loaded))
    assert loaded[0]["hook_name"] == f"blocks.{one.info.layer}.hook_resid_post"
    assert one.info.model_name == loaded[0]["model_name"]


def test_agreement_notices_a_wrong_rule(saelens, tmp_path):
    sae = theirs(saelens, "topk", k=K)
    sae.save_model(tmp_path)
    for told, entries in ((Hints(k=K + 1), {}), (Hints(), {"apply_b_dec_to_input": False})):
        cfg = json.loads((tmp_path / "cfg.json").read_text()) | entries
        (tmp_path / "cfg.json").write_text(json.dumps(cfg))
        with pytest.raises(AssertionError, match="not close"):
            agree(load_folder(tmp_path, told), sae)
