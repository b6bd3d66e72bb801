"""The layouts in which others publish dictionaries, and what their numbers mean here.

From tensors and a description to a ``Dictionary``, no disk. Layouts as SAELens 6.54 reads them
(``sae_lens/loading/pretrained_sae_loaders.py``); what a layout computes beside the plain rule is
folded into the weights where that is exact, and refused where it is not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import Activation, Dictionary, DictionaryError, DictionaryInfo

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, "torch.Tensor"]

#: Under this name our own facts stand in a SAELens ``metadata``.
OWN: Final = "moralscope"
_RULES: Final[Mapping[str, Activation]] = {
    "standard": "relu",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
}
_OLD_NAMES: Final = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}
#: What version 6 keeps in ``metadata``; everything else there tells of training, not of use.
_LABELS: Final = ("hook_name", "hook_name_out", "model_name", "model_from_pretrained_kwargs", OWN)
_LAYER_OUTPUT: Final = re.compile(
    r"(?:[A-Za-z_]+\.)*(?:layers|blocks|h)\.(\d+)(?:\.output|\.hook_resid_post)?"
)
_LAYER_INPUT: Final = re.compile(r"blocks\.(\d+)\.hook_resid_pre")
_GEMMA_LAYER: Final = re.compile(r"layer_(\d+)_")
_QWEN_FILE: Final = re.compile(r"layer(\d+)\.sae\.pt")
_QWEN_REPO: Final = re.compile(r"SAE-Res-(.+)-W\d+K-L0_\d+")
_QWEN_K: Final = re.compile(r"L0_(\d+)$")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
#: Places of dictionary_learning, as it names submodules and folders: ``resid_post_layer_3``.
_LEARNED_PLACE: Final = re.compile(r"([a-z_]+?)_?layer_?(\d{1,4})(?:_checkpoints)?")
_STREAM_AFTER: Final = ("resid", "resid_post", "resid_out", "residual", "residual_post")
_STREAM_BEFORE: Final = ("resid_pre", "residual_pre")
_LABEL_LIMIT: Final = 200
_SMALLEST_NORM: Final = 1e-8  # of a decoder row, as SAELens clamps it before it divides


@dataclass(frozen=True)
class Hints:
    """What is known of a dictionary from outside its files: a release's table, or the person."""

    name: str = ""
    """Short name, where the files state none; empty: that of their folder."""

    source: str = ""
    """Where it came from."""

    model_name: str = ""
    """The model, such as ``google/gemma-3-270m``."""

    k: int | None = None
    """Latents on per token, for a TopK dictionary whose files do not say it."""

    scale: float | None = None
    """Factor on the states before the dictionary was trained, if its files leave it out."""

    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Entries that replace those of ``cfg.json``."""


UNTOLD: Final = Hints()


def layer_of(name: str, hook: str) -> int:
    """Return the decoder layer whose output a hook point reads.

    Args:
        name: Of the dictionary, for messages.
        hook: As SAELens or transformers name it: ``blocks.9.hook_resid_post``,
            ``blocks.10.hook_resid_pre`` (the same stream), ``model.layers.9.output``.

    Raises:
        DictionaryError: It is no residual stream, or the one before the first layer.
    """
    after, before = _LAYER_OUTPUT.fullmatch(hook), _LAYER_INPUT.fullmatch(hook)
    if after:
        return int(after[1])
    if before and int(before[1]) > 0:
        return int(before[1]) - 1
    raise DictionaryError(
        f"{name} was trained at {hook[:80]!r}, which is not the output of a decoder layer. Choose "
        "a dictionary of the residual stream (blocks.N.hook_resid_post)."
    )


def from_saelens(name: str, cfg: Mapping[str, Any], tensors: "Tensors", told: Hints) -> Dictionary:
    """Build a dictionary from a SAELens folder, version 3 to 6.

    Args:
        name: Of its folder.
        cfg: Its ``cfg.json``.
        tensors: Its weights in float32.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, another hook point, or a rule that has no exact form here.
    """
    facts = _flat({**cfg, **told.config})
    own = _table(facts, OWN)
    name = _label(own, "name") or told.name or name
    layer = _saelens_layer(name, facts)
    activation = _rule(name, facts)
    info = DictionaryInfo(
        name,
        layer,
        activation,
        _k(facts, told) if activation == "topk" else None,
        _is_on(facts, "apply_b_dec_to_input", usual=True),
        _label(own, "model"),
        told.model_name or _label(facts, "model_name"),
        told.source,
        _table(own, "training"),
    )
    scale = _scale(name, facts, told)
    try:
        weights = _fold(info, facts, dict(tensors), scale)
    except (RuntimeError, IndexError) as error:
        raise DictionaryError(
            f"{name} is damaged: its tensors do not fit each other. Copy or download it again."
        ) from error
    return _dictionary(info, weights, facts)


def _flat(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Bring version 6, which keeps labels apart, and version 3 to 5 under the same names."""
    flat = {_OLD_NAMES.get(name, name): value for name, value in cfg.items()}
    metadata = _table(cfg, "metadata")
    return flat | {name: metadata[name] for name in _LABELS if name in metadata}


def _table(facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = facts.get(name)
    return value if isinstance(value, dict) else {}


def _label(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value[:_LABEL_LIMIT] if isinstance(value, str) else ""


def _k(facts: Mapping[str, Any], told: Hints) -> int | None:
    return told.k or whole(facts.get("k")) or whole(_table(facts, "activation_fn_kwargs").get("k"))


def whole(value: object) -> int | None:
    """Return a whole number, also one that a description states as text or as a float."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _plain(value: object) -> str:
    """Return a word as it is compared: ``TopK``, ``top_k`` and ``topk`` mean the same."""
    return re.sub(r"[\s_-]", "", str(value).lower())


def _is_on(facts: Mapping[str, Any], name: str, *, usual: bool = False) -> bool:
    """Return a yes or no, also one that a description states as a word."""
    value = facts.get(name)
    if isinstance(value, str):
        return _plain(value) not in ("false", "no", "none", "0", "")
    return usual if value is None else bool(value)


def _saelens_layer(name: str, facts: Mapping[str, Any]) -> int:
    hook, out = _label(facts, "hook_name"), _label(facts, "hook_name_out")
    if not hook:
        raise DictionaryError(
            f"{name} names no hook point, so its layer is unknown. Add it to the metadata of its "
            'cfg.json, such as "hook_name": "blocks.9.hook_resid_post".'
        )
    if "transcoder" in _plain(facts.get("architecture")) or (out and out != hook):
        raise _transcoder(name)
    if _is_on(_table(facts, "model_from_pretrained_kwargs"), "center_writing_weights"):
        raise DictionaryError(
            f"{name} was trained on states from which their mean was taken "
            "(center_writing_weights); states here are the model's own. Choose another dictionary."
        )
    return layer_of(name, hook)


def _transcoder(name: str) -> DictionaryError:
    return DictionaryError(
        f"{name} is a transcoder: it predicts one place of the model from another. Choose a "
        "dictionary of the residual stream."
    )


def _rule(name: str, facts: Mapping[str, Any]) -> Activation:
    function, stated = facts.get("activation_fn") or "relu", facts.get("architecture") or "standard"
    architecture = "topk" if _plain(function) == "topk" else stated
    rules = {_plain(known): rule for known, rule in _RULES.items()}
    known = _plain(function) in ("relu", "topk")
    if _plain(architecture) not in rules or not known:
        what = str(architecture) if known else f"{architecture} with {function}"
        raise DictionaryError(
            f"{name} has the architecture {what[:60]!r}; those read here are {', '.join(_RULES)}."
        )
    return rules[_plain(architecture)]


def _scale(name: str, facts: Mapping[str, Any], told: Hints) -> float:
    """Return the factor on the states that is not yet in the weights."""
    kind = facts.get("normalize_activations")
    kind = "expected_average_only_in" if kind is True else kind or "none"
    if _plain(kind) in ("none", "false"):
        return 1.0
    if _plain(kind) not in ("expectedaverageonlyin", "true"):
        raise DictionaryError(
            f"{name} changes each state by a rule of its own (normalize_activations "
            f"{str(kind)[:40]!r}), which is not in its weights. Choose a dictionary trained with "
            "'none' or 'expected_average_only_in'; a covariance whitening is folded by SAELens's "
            "own save_inference_model."
        )
    if told.scale is None or not 0 < told.scale < float("inf"):
        raise DictionaryError(
            f"{name} was trained on scaled states and does not state the scale. Put its "
            'activation_scaler.json, {"scaling_factor": ...}, beside cfg.json.'
        )
    return told.scale


def _take(name: str, tensors: "dict[str, torch.Tensor]", wanted: str) -> "torch.Tensor":
    if wanted not in tensors:
        found = ", ".join(sorted(tensors))[:120] or "nothing"
        raise DictionaryError(f"{name} is damaged: it lacks {wanted} and holds {found}.")
    return tensors.pop(wanted)


def _fold(
    info: DictionaryInfo,
    facts: Mapping[str, Any],
    tensors: "dict[str, torch.Tensor]",
    scale: float,
) -> "dict[str, torch.Tensor]":
    """Put into the weights what SAELens computes beside them; the codes stay the same numbers."""
    weights = {
        own: _take(info.name, tensors, theirs)
        for own, theirs in (
            ("w_enc", "W_enc"), ("b_enc", "b_enc"), ("w_dec", "W_dec"), ("b_dec", "b_dec"),
        )
    }  # fmt: skip
    weights["w_enc"], weights["w_dec"] = weights["w_enc"] * scale, weights["w_dec"] / scale
    weights["b_dec"] = weights["b_dec"] / scale
    by_norm = _is_on(facts, "rescale_acts_by_decoder_norm") and "topk" in _named(facts)
    if info.activation == "jumprelu":
        # BatchTopK's one threshold counts in units of the decoder rows, which were just scaled.
        weights |= _thresholds(tensors, weights["b_enc"], scale if by_norm else 1.0)
    if by_norm:
        norms = weights["w_dec"].norm(dim=-1).clamp(min=_SMALLEST_NORM)
        weights["w_enc"], weights["b_enc"] = weights["w_enc"] * norms, weights["b_enc"] * norms
        weights["w_dec"] = weights["w_dec"] / norms[:, None]
    factors = tensors.pop("scaling_factor", None)
    if factors is not None and _is_on(facts, "finetuning_scaling_factor"):
        weights["w_dec"] = weights["w_dec"] * factors.reshape(-1, 1)
    _nothing_left(info.name, tensors)
    return weights


def _nothing_left(name: str, tensors: "Tensors") -> None:
    if tensors:
        raise DictionaryError(
            f"{name} holds {', '.join(sorted(tensors))[:120]}, which its architecture does "
            "not have, so what it computes is uncertain. Choose another dictionary."
        )


def _named(facts: Mapping[str, Any]) -> str:
    return f"{_plain(facts.get('architecture'))} {_plain(facts.get('activation_fn'))}"


def _thresholds(
    tensors: "dict[str, torch.Tensor]", like: "torch.Tensor", scale: float
) -> "dict[str, torch.Tensor]":
    import torch

    if "log_threshold" in tensors:
        return {"threshold": tensors.pop("log_threshold").exp()}
    if "topk_threshold" in tensors:
        return {"threshold": torch.ones_like(like) * tensors.pop("topk_threshold") / scale}
    return {"threshold": tensors.pop("threshold")} if "threshold" in tensors else {}


def _dictionary(
    info: DictionaryInfo,
    weights: "Mapping[str, torch.Tensor]",
    facts: Mapping[str, Any] | None = None,
) -> Dictionary:
    """Build it, after the widths that a description states."""
    shape = tuple(weights["w_enc"].shape)
    stated = tuple((facts or {}).get(name) for name in ("d_in", "d_sae"))
    if any(
        told is not None and whole(told) not in shape[i : i + 1] for i, told in enumerate(stated)
    ):
        width, latents = (str(told)[:20] for told in stated)
        raise DictionaryError(
            f"{info.name} is damaged: its description states a width of {width} and {latents} "
            f"latents, its encoder has the shape {shape}."
        )
    return Dictionary(info, **weights)


def from_gemma_scope(
    folder: tuple[str, ...], config: Mapping[str, Any] | None, tensors: "Tensors", told: Hints
) -> Dictionary:
    """Build a dictionary from a folder of Gemma Scope 2: JumpReLU over the raw residual stream.

    Args:
        folder: Names on its path, such as ``(..., "resid_post", "layer_12_width_16k_l0_medium")``.
        config: Its ``config.json``, if it has one.
        tensors: Its ``params.safetensors`` in float32.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, another hook point, or none is stated.
    """
    name, config = told.name or folder[-1], config or {}
    weights = dict(tensors)
    out = _label(config, "hf_hook_point_out")
    if "affine_skip_connection" in weights or out not in ("", _label(config, "hf_hook_point_in")):
        raise _transcoder(name)
    if _plain(config.get("architecture", "jump_relu")) != "jumprelu":
        raise DictionaryError(
            f"{name} has the architecture {str(config['architecture'])[:60]!r}; Gemma Scope 2 is "
            "read with 'jump_relu' only."
        )
    layer = _gemma_layer(name, folder, _label(config, "hf_hook_point_in"))
    model = told.model_name or _gemma_model(_label(config, "model_name"))
    info = DictionaryInfo(name, layer, "jumprelu", model_name=model, source=told.source)
    kept = {own: _take(name, weights, own) for own in ("w_enc", "b_enc", "w_dec", "b_dec")}
    return _dictionary(info, {**kept, "threshold": _take(name, weights, "threshold")})


def _gemma_layer(name: str, folder: tuple[str, ...], hook: str) -> int:
    if hook:
        return layer_of(name, hook)
    kind, found = "/".join(folder[-2:-1]), _GEMMA_LAYER.match(folder[-1])
    if not kind.startswith("resid_post") or not found:
        raise DictionaryError(
            f"{name} has no config.json, and its folder, {'/'.join(folder[-2:])}, does not say "
            "that it reads the residual stream. Keep the names it has on the hub, such as "
            "resid_post/layer_12_width_16k_l0_medium."
        )
    return int(found[1])


def _gemma_model(stated: str) -> str:
    """Return the hub's id of a model as Gemma Scope 2 names it: ``gemma-v3-1b-pt``."""
    model = stated.replace("-v3", "-3")
    if "270m" in model:  # the one base model without a suffix
        model = model.removesuffix("-pt")
    return model if not model or "/" in model else f"google/{model}"


def from_qwen_scope(path: tuple[str, ...], tensors: "Tensors", told: Hints) -> Dictionary:
    """Build a dictionary from a file of Qwen-Scope: TopK over the raw residual stream.

    Args:
        path: Names on its path; the last is the file, such as ``layer12.sae.pt``, and one of them
            ends in ``L0_50`` unless ``told`` has ``k``.
        tensors: What the file holds, in float32: ``W_enc (n_latents, d_model)``, ``W_dec (d_model,
            n_latents)``, ``b_enc``, ``b_dec``.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, or the layer or k is stated nowhere.
    """
    found, weights = _QWEN_FILE.fullmatch(path[-1]), dict(tensors)
    if not found:
        raise DictionaryError(
            f"{path[-1]} does not say its layer. Keep the name that it has on the hub, such as "
            "layer12.sae.pt."
        )
    stated = [int(match[1]) for part in path[:-1] if (match := _QWEN_K.search(part))]
    if told.k is None and not stated:
        raise DictionaryError(
            f"{path[-1]} does not say how many latents are on per token. Keep it in a folder named "
            "as on the hub (ending in L0_50), or add ?k=50."
        )
    repos = [match[1] for part in path[:-1] if (match := _QWEN_REPO.search(part))]
    info = DictionaryInfo(
        told.name or path[-1].removesuffix(".sae.pt"),
        int(found[1]),
        "topk",
        told.k or stated[-1],
        model_name=told.model_name or (f"Qwen/{repos[-1]}" if repos else ""),
        source=told.source,
    )
    encoder, decoder = (_take(info.name, weights, name) for name in ("W_enc", "W_dec"))
    biases = {own: _take(info.name, weights, own) for own in ("b_enc", "b_dec")}
    turned = {"w_enc": encoder.transpose(0, -1), "w_dec": decoder.transpose(0, -1)}
    return _dictionary(info, {**biases, **{own: t.contiguous() for own, t in turned.items()}})


def from_sparsify(
    folder: str, cfg: Mapping[str, Any], tensors: "Tensors", told: Hints
) -> Dictionary:
    """Build a dictionary from a folder of EleutherAI's sparsify: TopK over states less ``b_dec``.

    Args:
        folder: Its name, which is the hook point: ``layers.9``, ``h.3``.
        cfg: Its ``cfg.json``.
        tensors: Its ``sae.safetensors`` in float32.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, another hook point, or a rule that has no exact form here.
    """
    name, weights = told.name or folder, dict(tensors)
    if _is_on(cfg, "transcode") or _is_on(cfg, "skip_connection") or "W_skip" in weights:
        raise _transcoder(name)
    chosen = cfg.get("activation") or "topk"
    other = [rule for rule in ("signed", "embed_skip", "gram_lookup") if _is_on(cfg, rule)]
    if _plain(chosen) != "topk" or other:
        what = other[0] if other else str(chosen)
        raise DictionaryError(
            f"{name} was trained by sparsify with {what[:40]!r}, a rule that is not read here. "
            "Choose a dictionary with the activation 'topk' and nothing beside."
        )
    hook = _label(cfg, "hook_name") or folder
    if not _LAYER_OUTPUT.fullmatch(hook) and "." not in hook:
        raise DictionaryError(
            f"{name} does not say its layer: sparsify names the folder by it, such as layers.9. "
            'Name the folder so, or add "hook_name": "layers.9" to its cfg.json.'
        )
    info = DictionaryInfo(
        name,
        layer_of(name, hook),
        "topk",
        told.k or whole(cfg.get("k")),
        centred=True,
        model_name=told.model_name,
        source=told.source,
    )
    widths = {"d_in": cfg.get("d_in"), "d_sae": cfg.get("num_latents") or None}
    kept = _linear_encoder(name, weights) | {
        "w_dec": _take(name, weights, "W_dec"),
        "b_dec": _take(name, weights, "b_dec"),
    }
    _nothing_left(name, weights)
    return _dictionary(info, kept, widths)


def _linear_encoder(name: str, tensors: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Take the encoder as ``torch.nn.Linear`` keeps it, one row a latent."""
    rows = _take(name, tensors, "encoder.weight")
    bias = _take(name, tensors, "encoder.bias")
    return {"w_enc": rows.transpose(0, -1).contiguous(), "b_enc": bias}


def from_dictionary_learning(
    folder: tuple[str, ...], config: Mapping[str, Any], tensors: "Tensors", told: Hints
) -> Dictionary:
    """Build a dictionary from a folder of dictionary_learning, by Marks, Karvonen and Mueller.

    Its classes differ in the name of the decoder's bias and in what they do with it: ``bias`` and
    ``b_dec`` are subtracted from a state before it is encoded, ``decoder.bias`` is not.

    Args:
        folder: Names on its path, such as ``(..., "resid_post_layer_3", "trainer_0")``.
        config: Its ``config.json``; empty if it has none.
        tensors: Its ``ae.pt`` in float32.
        told: What is known beside.

    Raises:
        DictionaryError: Damaged, another hook point, or a class that is not read here.
    """
    trainer, weights = _table(config, "trainer"), dict(tensors)
    place = len(folder) > 1 and _LEARNED_PLACE.fullmatch(folder[-2])
    name = told.name or "/".join(folder[-2:] if place else folder[-1:])
    bias = next((one for one in ("bias", "b_dec", "decoder.bias") if one in weights), "")
    activation = _learned_rule(name, _label(trainer, "dict_class"), bias, weights)
    layer = _learned_layer(name, folder, trainer)
    stated = weights.pop("k", None)
    held = whole(float(stated)) if stated is not None and stated.numel() == 1 else None
    k = told.k or held or whole(trainer.get("k"))
    info = DictionaryInfo(
        name,
        layer,
        activation,
        k if activation == "topk" else None,
        bias != "decoder.bias",
        model_name=told.model_name or _label(trainer, "lm_name"),
        source=told.source,
    )
    kept = _linear_encoder(name, weights) | {"b_dec": weights.pop(bias)}
    kept["w_dec"] = _take(name, weights, "decoder.weight").transpose(0, -1).contiguous()
    threshold = weights.pop("threshold", None)  # of TopK, it is only an estimate beside the rule
    if activation == "jumprelu" and threshold is not None:
        if threshold.numel() != 1 or not float(threshold) >= 0:
            raise DictionaryError(
                f"{name} states no threshold that was reached in training, so it cannot be used "
                "on one text at a time. Choose one that was trained longer."
            )
        kept["threshold"] = threshold.reshape(1).expand_as(kept["b_enc"]).contiguous()
    _nothing_left(name, weights)
    return _dictionary(
        info, kept, {"d_in": trainer.get("activation_dim"), "d_sae": trainer.get("dict_size")}
    )


def _learned_rule(name: str, stated: str, bias: str, tensors: "Tensors") -> Activation:
    """Return the rule of a class, by its name and, where none is stated, by what it keeps."""
    rules: dict[str, tuple[Activation, tuple[str, ...]]] = {
        "autoencoder": ("relu", ("bias", "decoder.bias")),
        "autoencodernew": ("relu", ("decoder.bias",)),
        "autoencodertopk": ("topk", ("b_dec",)),
        "batchtopksae": ("jumprelu", ("b_dec",)),
    }
    # Without a name, k may belong to TopK or to BatchTopK, which differ.
    guessed = "autoencoder" if bias in ("bias", "decoder.bias") and "k" not in tensors else ""
    rule = rules.get(_plain(stated) or guessed)
    if rule is None or bias not in rule[1] or "encoder.weight" not in tensors:
        what = f"of the class {stated[:40]!r}" if stated else "of a class its config.json omits"
        raise DictionaryError(
            f"{name} is a dictionary of dictionary_learning {what}, and holds "
            f"{', '.join(sorted(tensors))[:120]}. Read are AutoEncoder, AutoEncoderNew, "
            "AutoEncoderTopK and BatchTopKSAE, as trainer.dict_class names them."
        )
    return rule[0]


def _learned_layer(name: str, folder: tuple[str, ...], trainer: Mapping[str, Any]) -> int:
    """Return the layer, which the description or the path says together with the place."""
    places = [_label(trainer, "submodule_name"), *reversed(folder[-4:])]
    found = next((match for one in places if (match := _LEARNED_PLACE.fullmatch(one))), None)
    stated = whole(trainer.get("layer"))
    if found is None:
        raise DictionaryError(
            f"{name} does not say the place of the model that it reads. If that is the output of "
            'a decoder layer, add "submodule_name": '
            f'"resid_post_layer_{"N" if stated is None else stated}" to "trainer" in its '
            "config.json, or name its folder so."
        )
    place, layer = found[1].rstrip("_"), int(found[2])
    if stated is not None and stated != layer:
        raise DictionaryError(
            f"{name} states layer {stated} and the place {found[0]!r}, which contradict each "
            "other. Mend its config.json."
        )
    after = {"model.layers.%d.output": _STREAM_AFTER, "blocks.%d.hook_resid_pre": _STREAM_BEFORE}
    hook = next((form % layer for form, words in after.items() if place in words), found[0])
    return layer_of(name, hook)
