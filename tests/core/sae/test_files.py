"""Dictionary files: each layout by hand, what is folded, what is refused, and the way back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo
from core.sae.files import load_folder, save_folder
from core.sae.layouts.shared import Hints, layer_of
from tests.core.sae.saefolders import (
    D_MODEL,
    GEMMA_CONFIG,
    N_LATENTS,
    K,
    gemma_folder,
    learned_folder,
    qwen_file,
    saelens_folder,
    sparsify_folder,
    states,
    threshold,
    weights,
)


def direct(activation="relu", *, k=None, centred=True, tensors=None):
    """Return the dictionary that the test weights mean, made without any file."""
    own = {name.lower(): tensor for name, tensor in (tensors or weights()).items()}
    return Dictionary(DictionaryInfo("direct", 1, activation, k, centred), **own)


def same_function(one, other, atol=1e-5):
    x = states()
    codes = other.encode(x)
    assert (codes > 0).any()
    assert (codes == 0).any()
    torch.testing.assert_close(one.encode(x), codes, atol=atol, rtol=1e-5)
    torch.testing.assert_close(one.decode(one.encode(x)), other.decode(codes), atol=atol, rtol=1e-5)


def test_a_saelens_folder_computes_what_its_weights_mean(tmp_path):
    one = load_folder(saelens_folder(tmp_path / "mine"))
    same_function(one, direct())
    assert (one.info.name, one.info.layer, one.info.model_name) == ("mine", 1, "tiny")
    assert one.info.source == f"folder:{tmp_path / 'mine'}"
    uncentred = load_folder(saelens_folder(tmp_path / "b", apply_b_dec_to_input=False))
    same_function(uncentred, direct(centred=False))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_taken_to_float32_exactly(tmp_path, dtype):
    one = load_folder(saelens_folder(tmp_path, dtype=dtype))
    assert one.w_enc.dtype == torch.float32
    assert torch.equal(one.w_enc, weights()["W_enc"].to(dtype).float())


def test_topk_scaled_by_decoder_norms_is_folded(tmp_path):
    folder = saelens_folder(tmp_path, architecture="topk", k=K, rescale_acts_by_decoder_norm=True)
    one, w = load_folder(folder), weights()
    before = ((states() - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * w["W_dec"].norm(dim=1)
    best = before.topk(K)
    codes = torch.zeros_like(before).scatter(1, best.indices, best.values.relu())
    torch.testing.assert_close(one.encode(states()), codes, atol=1e-4, rtol=1e-5)
    expected = (codes / w["W_dec"].norm(dim=1)) @ w["W_dec"] + w["b_dec"]
    torch.testing.assert_close(one.decode(codes), expected, atol=1e-4, rtol=1e-5)
    plain = load_folder(saelens_folder(tmp_path / "plain", architecture="topk", k=K))
    assert not torch.allclose(plain.encode(states()), codes, atol=0.1)


def test_batchtopk_in_training_form_is_jumprelu_with_one_threshold(tmp_path):
    kept = weights() | {"topk_threshold": torch.tensor(1.5)}
    one = load_folder(saelens_folder(tmp_path, kept, architecture="batchtopk"))
    same_function(
        one, direct("jumprelu", tensors=weights() | {"threshold": torch.full((N_LATENTS,), 1.5)})
    )


def test_thresholds_kept_as_logarithms_are_read(tmp_path):
    kept = weights() | {"log_threshold": (threshold() + 0.1).log()}
    one = load_folder(saelens_folder(tmp_path, kept, architecture="jumprelu"))
    same_function(one, direct("jumprelu", tensors=weights() | {"threshold": threshold() + 0.1}))


def test_a_stated_scale_of_the_states_is_folded(tmp_path):
    folder = saelens_folder(tmp_path, normalize_activations="expected_average_only_in")
    with pytest.raises(DictionaryError, match="does not state the scale"):
        load_folder(folder)
    (folder / "activation_scaler.json").write_text('{"scaling_factor": 0.25}')
    one, inner, x = load_folder(folder), direct(), states()
    torch.testing.assert_close(one.encode(x), inner.encode(x * 0.25))
    torch.testing.assert_close(one.decode(one.encode(x)), inner.decode(inner.encode(x * 0.25)) * 4)
    told = load_folder(folder, Hints(scale=0.5))
    torch.testing.assert_close(told.encode(x), inner.encode(x * 0.5))


def test_a_folder_of_version_3_is_read(tmp_path):
    old = {
        "d_in": D_MODEL,
        "d_sae": N_LATENTS,
        "dtype": "torch.float32",
        "hook_point": "blocks.2.hook_resid_pre",
        "model_name": "gpt2-small",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
        "normalize_activations": False,
        "finetuning_scaling_factor": True,
    }
    factors = torch.linspace(0.5, 2, N_LATENTS)
    saelens_folder(tmp_path, weights() | {"scaling_factor": factors})
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    one = load_folder(tmp_path)
    finer = weights()
    finer["W_dec"] = finer["W_dec"] * factors[:, None]
    same_function(one, direct("topk", k=K, tensors=finer))
    assert (one.info.layer, one.info.model_name) == (1, "gpt2-small")


def test_gemma_scope_reads_raw_states(tmp_path):
    one = load_folder(gemma_folder(tmp_path))
    expected = direct("jumprelu", centred=False, tensors=weights() | {"threshold": threshold()})
    same_function(one, expected, atol=0)
    assert (one.info.layer, one.info.model_name) == (12, "google/gemma-3-270m")
    inferred = load_folder(gemma_folder(tmp_path / "b", kind="resid_post_all", config=None))
    assert inferred.digest == one.digest


def test_qwen_scope_is_turned_and_its_k_is_in_the_folder_name(tmp_path):
    file = qwen_file(tmp_path / f"SAE-Res-Qwen3-8B-Base-W64K-L0_{K}")
    one = load_folder(file)
    same_function(one, direct("topk", k=K, centred=False), atol=0)
    assert (one.info.layer, one.info.model_name) == (12, "Qwen/Qwen3-8B-Base")
    assert load_folder(file.parent).digest == one.digest
    half = load_folder(qwen_file(tmp_path / "b", dtype=torch.bfloat16), Hints(k=K))
    assert torch.equal(half.w_dec, weights()["W_dec"].bfloat16().float())
    qwen_file(tmp_path / "b", "layer3.sae.pt")
    with pytest.raises(DictionaryError, match=r"2 dictionaries.*folder:.*layer12\.sae\.pt"):
        load_folder(tmp_path / "b", Hints(k=K))


@pytest.mark.parametrize("activation", ["relu", "topk", "jumprelu"])
def test_what_is_written_is_read_back_the_same(tmp_path, activation):
    tensors = weights() | ({"threshold": threshold()} if activation == "jumprelu" else {})
    one = direct(activation, k=K if activation == "topk" else None, tensors=tensors)
    facts = {"model": "folder:abc", "model_name": "tiny", "training": {"seed": 3, "fvu": [0.5]}}
    one = replace(one, info=replace(one.info, **facts))
    back = load_folder(save_folder(one, tmp_path / "a"))
    assert back.digest == one.digest
    assert replace(back.info, source="") == one.info


def test_the_same_dictionary_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_folder(direct("topk", k=K), tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["cfg.json", "sae_weights.safetensors"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_bfloat16_halves_the_matrices_and_keeps_the_biases(tmp_path):
    one = direct("jumprelu", tensors=weights() | {"threshold": threshold()})
    save_folder(one, tmp_path / "full")
    back = load_folder(save_folder(one, tmp_path / "half", dtype="bfloat16"))
    assert torch.equal(back.w_dec, one.w_dec.bfloat16().float())
    assert torch.equal(back.threshold, one.threshold)
    assert torch.equal(back.b_dec, one.b_dec)
    sizes = [(tmp_path / n / "sae_weights.safetensors").stat().st_size for n in ("full", "half")]
    assert sizes[0] - sizes[1] == 2 * 2 * D_MODEL * N_LATENTS


def test_a_killed_write_leaves_a_folder_known_to_be_incomplete(tmp_path, monkeypatch):
    folder = save_folder(direct(), tmp_path / "a")
    monkeypatch.setattr(
        "json.dumps", lambda *_, **__: "\udc80"
    )  # the configuration cannot be written
    with pytest.raises(UnicodeEncodeError):
        save_folder(direct("topk", k=K), folder)
    assert [path.name for path in folder.iterdir()] == ["sae_weights.safetensors"]
    with pytest.raises(DictionaryError, match=r"incomplete: cfg\.json is missing"):
        load_folder(folder)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DictionaryError, match=r"cannot be written to inside \("):
        save_folder(direct(), tmp_path / "file" / "inside")


@pytest.mark.parametrize(
    ("hook", "layer"),
    [
        ("blocks.9.hook_resid_post", 9),
        ("blocks.10.hook_resid_pre", 9),
        ("model.layers.12.output", 12),
        ("model.layers.12", 12),
        ("transformer.h.0", 0),
        ("blocks.0.hook_resid_pre", None),
        ("blocks.9.hook_resid_mid", None),
        ("blocks.9.hook_mlp_out", None),
        ("blocks.9.attn.hook_z", None),
        ("model.layers.12.self_attn.o_proj.input", None),
        ("model.layers.12.post_feedforward_layernorm.output", None),
    ],
)
def test_only_outputs_of_decoder_layers_are_hook_points(hook, layer):
    if layer is None:
        with pytest.raises(DictionaryError, match="not the output of a decoder layer"):
            layer_of("it", hook)
    else:
        assert layer_of("it", hook) == layer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": {"hook_name": "blocks.1.hook_mlp_out"}}, "not the output of a decoder layer"),
        ({"metadata": {"hook_name": ""}}, "names no hook point"),
        ({"metadata": {"hook_name_out": "blocks.1.hook_mlp_out"}}, "is a transcoder"),
        (
            {"metadata": {"model_from_pretrained_kwargs": {"center_writing_weights": True}}},
            "from which their mean was taken",
        ),
        ({"architecture": "gated"}, "architecture 'gated'; those read here are standard, topk"),
        ({"architecture": "jumprelu_transcoder"}, "is a transcoder"),
        ({"activation_fn": "tanh-relu"}, "standard with tanh-relu"),
        ({"normalize_activations": "layer_norm"}, "a rule of its own"),
        ({"architecture": "topk"}, "does not say how many latents are on"),
        ({"architecture": "topk", "k": N_LATENTS + 1}, "cannot be on"),
        ({"architecture": "jumprelu"}, "threshold is missing"),
        ({"d_in": 640}, f"states a width of 640 and {N_LATENTS} latents"),
    ],
)
def test_what_has_no_exact_meaning_here_is_refused(tmp_path, change, words):
    with pytest.raises(DictionaryError, match=words):
        load_folder(saelens_folder(tmp_path, **change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W_enc": torch.full((D_MODEL, N_LATENTS), float("nan"))}, "not finite"),
        ({"W_dec": torch.zeros(N_LATENTS, D_MODEL + 1)}, "w_dec is of shape"),
        ({"W_enc": torch.zeros(D_MODEL)}, "is damaged"),
        ({"b_gate": torch.zeros(N_LATENTS)}, "holds b_gate, which its architecture does not have"),
        ({"threshold": torch.ones(N_LATENTS)}, "holds threshold"),
        ({"W_dec": None}, "lacks W_dec and holds b_dec"),
    ],
)
def test_damaged_weights_are_named(tmp_path, change, words):
    tensors = {name: t for name, t in (weights() | change).items() if t is not None}
    with pytest.raises(DictionaryError, match=words):
        load_folder(saelens_folder(tmp_path, tensors))


def test_tensors_that_do_not_fit_each_other_are_damage_even_where_they_are_folded(tmp_path):
    kept = weights() | {"W_dec": torch.ones(N_LATENTS + 1, D_MODEL)}
    folder = saelens_folder(
        tmp_path, kept, architecture="topk", k=K, rescale_acts_by_decoder_norm=True
    )
    with pytest.raises(DictionaryError, match="do not fit each other"):
        load_folder(folder)


@pytest.mark.parametrize("layout", ["saelens", "gemma", "qwen"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_damage(tmp_path, layout, share):
    file = {
        "saelens": lambda: saelens_folder(tmp_path) / "sae_weights.safetensors",
        "gemma": lambda: gemma_folder(tmp_path) / "params.safetensors",
        "qwen": lambda: qwen_file(tmp_path / f"L0_{K}"),
    }[layout]()
    whole = file.read_bytes()
    load_folder(file)
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DictionaryError, match="cut short"):
        load_folder(file)


def by_hand(x, *, centred=True, k=None, threshold=-1.0):
    """Encode and decode by the formulas of the papers, in numpy and without this project."""
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in weights().items()}
    x = x.numpy().astype(np.float64)
    codes = np.maximum((x - w["b_dec"] if centred else x) @ w["W_enc"] + w["b_enc"], 0)
    codes[codes <= threshold] = 0
    if k is not None:
        for row in codes:
            row[np.argsort(-row)[k:]] = 0
    return codes, codes @ w["W_dec"] + w["b_dec"]


def agrees_by_hand(one, **rule):
    x = states()
    codes, back = by_hand(x, **rule)
    np.testing.assert_allclose(one.encode(x).numpy(), codes, atol=1e-4)
    np.testing.assert_allclose(one.decode(one.encode(x)).numpy(), back, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, {}),
        ({"dict_class": None}, {}),
        ({"bias": "decoder.bias", "dict_class": "AutoEncoderNew"}, {"centred": False}),
        (
            {"bias": "b_dec", "dict_class": "AutoEncoderTopK",
             "tensors": {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(9.0)}},
            {"k": K},
        ),
        ({"bias": "b_dec", "dict_class": "AutoEncoderTopK", "k": str(K)}, {"k": K}),
        (
            {"bias": "b_dec", "dict_class": "BatchTopKSAE",
             "tensors": {"k": torch.tensor(K), "threshold": torch.tensor(2.5)}},
            {"threshold": 2.5},
        ),
    ],
    ids=["relu", "no class", "new", "topk", "k as text", "batchtopk"],
)  # fmt: skip
def test_dictionary_learning_computes_what_its_classes_say(tmp_path, change, rule):
    folder = learned_folder(tmp_path / "trainer_0", **change)
    one = load_folder(folder)
    agrees_by_hand(one, **rule)
    assert (one.info.layer, one.info.model_name) == (1, "tiny")
    assert load_folder(folder / "ae.pt").digest == one.digest
    assert load_folder(save_folder(one, tmp_path / "ours")).digest == one.digest


def test_dictionary_learning_says_its_place_in_the_description_or_the_path(tmp_path):
    def layer(path, **change):
        return load_folder(learned_folder(tmp_path / path, **change)).info.layer

    untold = {"submodule_name": None, "layer": None}
    assert layer("a/resid_out_layer3/10_32768", **untold) == 3
    assert layer("b/resid_post_layer_2/trainer_1", config=False) == 2
    assert layer("b/resid_post_layer_2_checkpoints/trainer_1_step_8", config=False) == 2
    assert layer("c", submodule_name="resid_pre_layer_3", layer="3") == 2
    for path, change, words in [
        (
            "d/mlp_out_layer3",
            untold,
            "'mlp_out_layer3', which is not the output of a decoder layer",
        ),
        ("e", {"submodule_name": "attn_out_layer_1"}, "not the output of a decoder layer"),
        ("f", {"submodule_name": None}, '"submodule_name": "resid_post_layer_1" to "trainer"'),
        ("g", {"layer": 5}, "states layer 5 and the place 'resid_post_layer_1'"),
        ("h", {"submodule_name": "resid_pre_layer_0", "layer": 0}, "not the output of a decoder"),
    ]:
        with pytest.raises(DictionaryError, match=words):
            layer(path, **change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dict_class": "GatedAutoEncoder"}, "of the class 'GatedAutoEncoder', and holds bias"),
        ({"dict_class": "JumpReluAutoEncoder"}, "class 'JumpReluAutoEncoder'"),
        ({"bias": "b_dec", "dict_class": None}, "of a class its config.json omits"),
        ({"bias": "b_dec", "dict_class": "AutoEncoder"}, "Read are AutoEncoder, "),
        ({"bias": "b_dec", "dict_class": "AutoEncoderTopK"}, "does not say how many latents"),
        ({"bias": "b_dec", "dict_class": "BatchTopKSAE"}, "threshold is missing"),
        (
            {
                "bias": "b_dec",
                "dict_class": "BatchTopKSAE",
                "tensors": {"threshold": torch.tensor(-1.0)},
            },
            "states no threshold that was reached",
        ),
        ({"tensors": {"r_mag": torch.zeros(3)}}, "holds r_mag"),
        ({"tensors": {"decoder.weight": None}}, "lacks decoder.weight"),
        ({"activation_dim": 99}, "states a width of 99"),
    ],
)
def test_dictionary_learning_of_another_kind_is_named(tmp_path, change, words):
    with pytest.raises(DictionaryError, match=words) as refusal:
        load_folder(learned_folder(tmp_path / "trainer_0", **change))
    assert "hub" not in str(refusal.value)


@pytest.mark.parametrize("folder", ["layers.1", "h.1"])
def test_sparsify_computes_topk_over_states_without_the_decoders_bias(tmp_path, folder):
    one = load_folder(sparsify_folder(tmp_path / folder))
    agrees_by_hand(one, k=K)
    assert (one.info.layer, one.info.k) == (1, K)
    named = sparsify_folder(tmp_path / "mine", hook_name="layers.1", activation="TopK", k=str(K))
    assert load_folder(named / "sae.safetensors").digest == one.digest
    old = sparsify_folder(
        tmp_path / "old" / folder, activation=None, num_latents=None, signed=False, d_in="12"
    )
    assert load_folder(old).digest == one.digest


@pytest.mark.parametrize(
    ("folder", "change", "words"),
    [
        ("layers.1", {"transcode": True}, "is a transcoder"),
        ("layers.1", {"tensors": {"W_skip": torch.ones(D_MODEL, D_MODEL)}}, "is a transcoder"),
        ("layers.1", {"activation": "groupmax"}, "with 'groupmax', a rule that is not read"),
        ("layers.1", {"signed": "true"}, "with 'signed', a rule"),
        ("layers.1", {"k": None}, "does not say how many latents are on"),
        ("layers.1", {"d_in": 13}, "states a width of 13"),
        ("layers.1", {"tensors": {"W_dec": None}}, "lacks W_dec"),
        ("layers.1.mlp", {}, "not the output of a decoder layer"),
        ("mine", {}, "does not say its layer: sparsify names the folder"),
    ],
)
def test_sparsify_of_another_kind_is_named(tmp_path, folder, change, words):
    with pytest.raises(DictionaryError, match=words) as refusal:
        load_folder(sparsify_folder(tmp_path / folder, **change))
    assert "incomplete" not in str(refusal.value)


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        ({"architecture": "topk", "k": K}, {"architecture": "TopK", "k": str(K)}),
        ({"architecture": "topk", "k": K}, {"architecture": "top_k", "k": float(K)}),
        ({"d_in": D_MODEL}, {"d_in": str(D_MODEL), "d_sae": float(N_LATENTS)}),
        ({"apply_b_dec_to_input": False}, {"apply_b_dec_to_input": "False"}),
        ({"architecture": "standard"}, {"architecture": "Standard", "activation_fn": "ReLU"}),
        ({"normalize_activations": "none"}, {"normalize_activations": "None"}),
    ],
)
def test_the_same_in_another_spelling_is_the_same(tmp_path, plain, other):
    one, two = (
        load_folder(saelens_folder(tmp_path / name, **cfg))
        for name, cfg in (("a", plain), ("b", other))
    )
    assert one.digest == two.digest


def test_gemma_folders_of_other_places_are_refused(tmp_path):
    mlp = GEMMA_CONFIG | {"hf_hook_point_in": "model.layers.12.post_feedforward_layernorm.output"}
    for number, (change, words) in enumerate(
        [
            ({"kind": "mlp_out", "config": mlp}, "not the output of a decoder layer"),
            ({"kind": "attn_out", "config": None}, "does not say that it reads the residual"),
            ({"config": GEMMA_CONFIG | {"hf_hook_point_out": "x"}}, "is a transcoder"),
            ({"affine_skip_connection": torch.zeros(2)}, "is a transcoder"),
            ({"config": GEMMA_CONFIG | {"architecture": "topk"}}, "'jump_relu' only"),
            ({"w_dec": torch.zeros(3, N_LATENTS, D_MODEL)}, "w_dec is of shape"),
        ]
    ):
        with pytest.raises(DictionaryError, match=words):
            load_folder(gemma_folder(tmp_path / str(number), **change))


def test_qwen_files_without_layer_or_k_are_refused(tmp_path):
    with pytest.raises(DictionaryError, match=r"add \?k=50"):
        load_folder(qwen_file(tmp_path / "plain"))
    with pytest.raises(DictionaryError, match="does not say its layer"):
        load_folder(qwen_file(tmp_path / "L0_5", "sae.pt"))
    torch.save({"W_enc": torch.zeros(3)}, tmp_path / "layer0.sae.pt")
    with pytest.raises(DictionaryError, match="lacks W_dec"):
        load_folder(tmp_path / "layer0.sae.pt", Hints(k=K))


def test_what_is_no_dictionary_is_told_what_would_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DictionaryError, match=r"^There is no absent\. Read are folders of SAELens"):
        load_folder(tmp_path / "absent")
    with pytest.raises(DictionaryError, match=rf"^{tmp_path.name} holds no dictionary"):
        load_folder(tmp_path)
    (tmp_path / "cfg.json").write_text("{}")
    with pytest.raises(
        DictionaryError, match=rf"^{tmp_path.name} is incomplete: sae_weights\.safetensors is"
    ):
        load_folder(tmp_path)
    save_file(weights(), tmp_path / "sae_weights.safetensors")
    for text, words in (
        ("{", "^cfg.json is .*no JSON"),
        ("[]", "no JSON object"),
        ("{}", "names no hook point"),
    ):
        (tmp_path / "cfg.json").write_text(text)
        with pytest.raises(DictionaryError, match=words):
            load_folder(tmp_path)
