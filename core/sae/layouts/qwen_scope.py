"""Qwen-Scope: TopK over the raw residual stream."""

import re
from typing import TYPE_CHECKING, Final

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo
from core.sae.layouts.shared import Hints, built, take

if TYPE_CHECKING:
    from core.sae.layouts.shared import Tensors

_QWEN_FILE: Final = re.compile(r"layer(\d+)\.sae\.pt")
_QWEN_REPO: Final = re.compile(r"SAE-Res-(.+)-W\d+K-L0_\d+")
_QWEN_K: Final = re.compile(r"L0_(\d+)$")


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
    encoder, decoder = (take(info.name, weights, name) for name in ("W_enc", "W_dec"))
    biases = {own: take(info.name, weights, own) for own in ("b_enc", "b_dec")}
    turned = {"w_enc": encoder.transpose(0, -1), "w_dec": decoder.transpose(0, -1)}
    return built(info, {**biases, **{own: t.contiguous() for own, t in turned.items()}})
