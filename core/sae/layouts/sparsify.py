"""EleutherAI's sparsify: TopK over states less ``b_dec``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo
from core.sae.layouts.shared import (
    LAYER_OUTPUT,
    Hints,
    built,
    is_on,
    label,
    layer_of,
    linear_encoder,
    nothing_left,
    plain,
    take,
    transcoder,
    whole,
)

if TYPE_CHECKING:
    from core.sae.layouts.shared import Tensors


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
    if is_on(cfg, "transcode") or is_on(cfg, "skip_connection") or "W_skip" in weights:
        raise transcoder(name)
    chosen = cfg.get("activation") or "topk"
    other = [rule for rule in ("signed", "embed_skip", "gram_lookup") if is_on(cfg, rule)]
    if plain(chosen) != "topk" or other:
        what = other[0] if other else str(chosen)
        raise DictionaryError(
            f"{name} was trained by sparsify with {what[:40]!r}, a rule that is not read here. "
            "Choose a dictionary with the activation 'topk' and nothing beside."
        )
    hook = label(cfg, "hook_name") or folder
    if not LAYER_OUTPUT.fullmatch(hook) and "." not in hook:
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
    kept = linear_encoder(name, weights) | {
        "w_dec": take(name, weights, "W_dec"),
        "b_dec": take(name, weights, "b_dec"),
    }
    nothing_left(name, weights)
    return built(info, kept, widths)
