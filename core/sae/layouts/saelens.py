"""SAELens, version 3 to 6: what it computes beside the plain rule is folded into the weights."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import Activation, Dictionary, DictionaryError, DictionaryInfo
from core.sae.layouts.shared import (
    Hints,
    built,
    is_on,
    label,
    layer_of,
    nothing_left,
    plain,
    table,
    take,
    transcoder,
    whole,
)

if TYPE_CHECKING:
    import torch

    from core.sae.layouts.shared import Tensors

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
_SMALLEST_NORM: Final = 1e-8  # of a decoder row, as SAELens clamps it before it divides


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
    own = table(facts, OWN)
    name = label(own, "name") or told.name or name
    layer = _saelens_layer(name, facts)
    activation = _rule(name, facts)
    info = DictionaryInfo(
        name,
        layer,
        activation,
        _k(facts, told) if activation == "topk" else None,
        is_on(facts, "apply_b_dec_to_input", usual=True),
        label(own, "model"),
        told.model_name or label(facts, "model_name"),
        told.source,
        table(own, "training"),
    )
    scale = _scale(name, facts, told)
    try:
        weights = _fold(info, facts, dict(tensors), scale)
    except (RuntimeError, IndexError) as error:
        raise DictionaryError(
            f"{name} is damaged: its tensors do not fit each other. Copy or download it again."
        ) from error
    return built(info, weights, facts)


def _flat(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Bring version 6, which keeps labels apart, and version 3 to 5 under the same names."""
    flat = {_OLD_NAMES.get(name, name): value for name, value in cfg.items()}
    metadata = table(cfg, "metadata")
    return flat | {name: metadata[name] for name in _LABELS if name in metadata}


def _k(facts: Mapping[str, Any], told: Hints) -> int | None:
    return told.k or whole(facts.get("k")) or whole(table(facts, "activation_fn_kwargs").get("k"))


def _saelens_layer(name: str, facts: Mapping[str, Any]) -> int:
    hook, out = label(facts, "hook_name"), label(facts, "hook_name_out")
    if not hook:
        raise DictionaryError(
            f"{name} names no hook point, so its layer is unknown. Add it to the metadata of its "
            'cfg.json, such as "hook_name": "blocks.9.hook_resid_post".'
        )
    if "transcoder" in plain(facts.get("architecture")) or (out and out != hook):
        raise transcoder(name)
    if is_on(table(facts, "model_from_pretrained_kwargs"), "center_writing_weights"):
        raise DictionaryError(
            f"{name} was trained on states from which their mean was taken "
            "(center_writing_weights); states here are the model's own. Choose another dictionary."
        )
    return layer_of(name, hook)


def _rule(name: str, facts: Mapping[str, Any]) -> Activation:
    function, stated = facts.get("activation_fn") or "relu", facts.get("architecture") or "standard"
    architecture = "topk" if plain(function) == "topk" else stated
    rules = {plain(known): rule for known, rule in _RULES.items()}
    known = plain(function) in ("relu", "topk")
    if plain(architecture) not in rules or not known:
        what = str(architecture) if known else f"{architecture} with {function}"
        raise DictionaryError(
            f"{name} has the architecture {what[:60]!r}; those read here are {', '.join(_RULES)}."
        )
    return rules[plain(architecture)]


def _scale(name: str, facts: Mapping[str, Any], told: Hints) -> float:
    """Return the factor on the states that is not yet in the weights."""
    kind = facts.get("normalize_activations")
    kind = "expected_average_only_in" if kind is True else kind or "none"
    if plain(kind) in ("none", "false"):
        return 1.0
    if plain(kind) not in ("expectedaverageonlyin", "true"):
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


def _fold(
    info: DictionaryInfo,
    facts: Mapping[str, Any],
    tensors: "dict[str, torch.Tensor]",
    scale: float,
) -> "dict[str, torch.Tensor]":
    """Put into the weights what SAELens computes beside them; the codes stay the same numbers."""
    weights = {
        own: take(info.name, tensors, theirs)
        for own, theirs in (
            ("w_enc", "W_enc"), ("b_enc", "b_enc"), ("w_dec", "W_dec"), ("b_dec", "b_dec"),
        )
    }  # fmt: skip
    weights["w_enc"], weights["w_dec"] = weights["w_enc"] * scale, weights["w_dec"] / scale
    weights["b_dec"] = weights["b_dec"] / scale
    by_norm = is_on(facts, "rescale_acts_by_decoder_norm") and "topk" in _named(facts)
    if info.activation == "jumprelu":
        # BatchTopK's one threshold counts in units of the decoder rows, which were just scaled.
        weights |= _thresholds(tensors, weights["b_enc"], scale if by_norm else 1.0)
    if by_norm:
        norms = weights["w_dec"].norm(dim=-1).clamp(min=_SMALLEST_NORM)
        weights["w_enc"], weights["b_enc"] = weights["w_enc"] * norms, weights["b_enc"] * norms
        weights["w_dec"] = weights["w_dec"] / norms[:, None]
    factors = tensors.pop("scaling_factor", None)
    if factors is not None and is_on(facts, "finetuning_scaling_factor"):
        weights["w_dec"] = weights["w_dec"] * factors.reshape(-1, 1)
    nothing_left(info.name, tensors)
    return weights


def _named(facts: Mapping[str, Any]) -> str:
    return f"{plain(facts.get('architecture'))} {plain(facts.get('activation_fn'))}"


def _thresholds(
    tensors: "dict[str, torch.Tensor]", like: "torch.Tensor", scale: float
) -> "dict[str, torch.Tensor]":
    import torch

    if "log_threshold" in tensors:
        return {"threshold": tensors.pop("log_threshold").exp()}
    if "topk_threshold" in tensors:
        return {"threshold": torch.ones_like(like) * tensors.pop("topk_threshold") / scale}
    return {"threshold": tensors.pop("threshold")} if "threshold" in tensors else {}
