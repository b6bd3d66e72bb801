"""Gemma Scope 2: JumpReLU over the raw residual stream."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo
from core.sae.layouts.shared import Hints, built, label, layer_of, plain, take, transcoder

if TYPE_CHECKING:
    from core.sae.layouts.shared import Tensors

_GEMMA_LAYER: Final = re.compile(r"layer_(\d+)_")


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
    out = label(config, "hf_hook_point_out")
    if "affine_skip_connection" in weights or out not in ("", label(config, "hf_hook_point_in")):
        raise transcoder(name)
    if plain(config.get("architecture", "jump_relu")) != "jumprelu":
        raise DictionaryError(
            f"{name} has the architecture {str(config['architecture'])[:60]!r}; Gemma Scope 2 is "
            "read with 'jump_relu' only."
        )
    layer = _gemma_layer(name, folder, label(config, "hf_hook_point_in"))
    model = told.model_name or _gemma_model(label(config, "model_name"))
    info = DictionaryInfo(name, layer, "jumprelu", model_name=model, source=told.source)
    kept = {own: take(name, weights, own) for own in ("w_enc", "b_enc", "w_dec", "b_dec")}
    return built(info, {**kept, "threshold": take(name, weights, "threshold")})


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
