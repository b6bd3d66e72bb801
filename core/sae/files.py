"""Dictionaries on disk: every layout that is read, and the one that is written.

Written is the layout of SAELens 6 (``cfg.json`` and ``sae_weights.safetensors``), so that
``sae_lens.SAE.load_from_disk`` opens it; what SAELens does not know stands in its metadata.
"""

import io
import json
import math
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import uuid4

from core.runtime.paths import shown_path
from core.sae.dictionary import Dictionary, DictionaryError
from core.sae.layouts.dictionary_learning import from_dictionary_learning
from core.sae.layouts.gemma_scope import from_gemma_scope
from core.sae.layouts.qwen_scope import from_qwen_scope
from core.sae.layouts.saelens import OWN, from_saelens
from core.sae.layouts.shared import UNTOLD, Hints
from core.sae.layouts.sparsify import from_sparsify
from core.sae.weights import read_json, read_safetensors, read_torch_file

if TYPE_CHECKING:
    import torch

WeightDtype = Literal["float32", "bfloat16"]

SAELENS_CONFIG: Final = "cfg.json"
SAELENS_WEIGHTS: Final = "sae_weights.safetensors"
SAELENS_SCALER: Final = "activation_scaler.json"
GEMMA_CONFIG: Final = "config.json"
GEMMA_WEIGHTS: Final = "params.safetensors"
QWEN_SUFFIX: Final = ".sae.pt"
SPARSIFY_WEIGHTS: Final = "sae.safetensors"
LEARNED_CONFIG: Final = "config.json"
LEARNED_WEIGHTS: Final = "ae.pt"
#: The files of each layout that lie in a folder, weights last.
LAYOUTS: Final = (
    (SAELENS_CONFIG, SAELENS_SCALER, SAELENS_WEIGHTS),
    (GEMMA_CONFIG, GEMMA_WEIGHTS),
    (SAELENS_CONFIG, SPARSIFY_WEIGHTS),
    (LEARNED_CONFIG, LEARNED_WEIGHTS),
)
_READ: Final = (
    f"Read are folders of SAELens ({SAELENS_CONFIG}, {SAELENS_WEIGHTS}), Gemma Scope 2 "
    f"({GEMMA_WEIGHTS}), sparsify ({SAELENS_CONFIG}, {SPARSIFY_WEIGHTS}) and dictionary_learning "
    f"({LEARNED_CONFIG}, {LEARNED_WEIGHTS}), and files of Qwen-Scope (layer12{QWEN_SUFFIX})."
)
_ARCHITECTURES: Final = {"relu": "standard", "topk": "topk", "jumprelu": "jumprelu"}
_FORMAT: Final = "6.0.0"  # the first SAELens that reads this layout


def load_folder(path: Path, told: Hints = UNTOLD) -> Dictionary:
    """Load a dictionary, whichever of the known layouts it has; nothing in it is executed.

    Args:
        path: A folder, or one of its files.
        told: What is known beside what the files say.

    Raises:
        DictionaryError: Not there, no known layout, half-written, damaged, of another hook point,
            or its rule has no exact form here.
    """
    path = path.expanduser().absolute()
    if not path.exists():
        raise DictionaryError(f"There is no {shown_path(path)}. {_READ}")
    told = told if told.source else replace(told, source=f"folder:{path}")
    if path.is_file() and path.name.endswith(".pt") and path.name != LEARNED_WEIGHTS:
        return from_qwen_scope(path.parts, read_torch_file(path), told)
    folder = path.parent if path.is_file() else path
    if (folder / SPARSIFY_WEIGHTS).is_file() and not (folder / SAELENS_WEIGHTS).is_file():
        described = _described(folder / SAELENS_CONFIG)
        return from_sparsify(
            folder.name, described, read_safetensors(folder / SPARSIFY_WEIGHTS), told
        )
    if (folder / LEARNED_WEIGHTS).is_file():
        described = _described(folder / LEARNED_CONFIG)
        weights = read_torch_file(folder / LEARNED_WEIGHTS)
        return from_dictionary_learning(folder.parts, described, weights, told)
    if any((folder / name).is_file() for name in (SAELENS_CONFIG, SAELENS_WEIGHTS)):
        return _load_saelens(folder, told)
    if (folder / GEMMA_WEIGHTS).is_file():
        described = _described(folder / GEMMA_CONFIG)
        weights = read_safetensors(folder / GEMMA_WEIGHTS)
        return from_gemma_scope(folder.parts, described, weights, told)
    return load_folder(_only_qwen_file(folder), told)


def _described(config: Path) -> dict[str, Any]:
    return read_json(config) if config.is_file() else {}


def _load_saelens(folder: Path, told: Hints) -> Dictionary:
    for name in (SAELENS_CONFIG, SAELENS_WEIGHTS):
        if not (folder / name).is_file():
            raise DictionaryError(
                f"{folder.name} is incomplete: {name} is missing. Copy, download or train it again."
            )
    scaler = folder / SAELENS_SCALER
    if told.scale is None and scaler.is_file():
        told = replace(told, scale=_number(read_json(scaler).get("scaling_factor")))
    cfg = read_json(folder / SAELENS_CONFIG)
    return from_saelens(folder.name, cfg, read_safetensors(folder / SAELENS_WEIGHTS), told)


def _number(value: object) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None  # type: ignore[arg-type]


def _only_qwen_file(folder: Path) -> Path:
    found = sorted(folder.glob(f"layer*{QWEN_SUFFIX}"))
    if not found:
        raise DictionaryError(f"{folder.name} holds no dictionary. {_READ}")
    if len(found) > 1:
        raise DictionaryError(
            f"{folder.name} holds {len(found)} dictionaries, one a layer. Name one, such as "
            f"folder:{shown_path(found[0])}."
        )
    return found[0]


def save_folder(dictionary: Dictionary, path: Path, dtype: WeightDtype = "float32") -> Path:
    """Write a dictionary in the layout of SAELens 6; the same dictionary gives the same bytes.

    Args:
        dictionary: Any dictionary.
        path: Its folder, made if need be; an older dictionary in it is replaced.
        dtype: Number format of the two matrices, of which ``bfloat16`` keeps 8 bits of precision
            in half the space. Biases and thresholds are always float32.

    Returns:
        The folder.

    Raises:
        DictionaryError: It cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    weights = _weights(dictionary, dtype)
    text = json.dumps(_config(dictionary), indent=1, sort_keys=True, ensure_ascii=False)
    part = path / f".{uuid4().hex}.part"
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Configuration last: a folder without one is known to be half-written.
        (path / SAELENS_CONFIG).unlink(missing_ok=True)
        try:
            save_file(weights, part)
            part.replace(path / SAELENS_WEIGHTS)
            part.write_text(text, encoding="utf-8")
            part.replace(path / SAELENS_CONFIG)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DictionaryError(
            f"The dictionary cannot be written to {path.name} ({reason}). Free some space or "
            "choose another folder."
        ) from error
    return path


def folder_zip(dictionary: Dictionary) -> bytes:
    """Return the folder that ``save_folder`` writes as one zip file."""
    buffer = io.BytesIO()
    with TemporaryDirectory() as folder, zipfile.ZipFile(buffer, "w") as packed:
        for path in sorted(save_folder(dictionary, Path(folder) / "dictionary").iterdir()):
            packed.write(path, path.name)
    return buffer.getvalue()


def _weights(dictionary: Dictionary, dtype: WeightDtype) -> "dict[str, torch.Tensor]":
    import torch

    matrix = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    weights = {
        "W_enc": dictionary.w_enc.to(matrix),
        "W_dec": dictionary.w_dec.to(matrix),
        "b_enc": dictionary.b_enc,
        "b_dec": dictionary.b_dec,
    }
    if dictionary.threshold is not None:
        weights["threshold"] = dictionary.threshold
    return {name: tensor.cpu().contiguous() for name, tensor in weights.items()}


def _config(dictionary: Dictionary) -> dict[str, Any]:
    info = dictionary.info
    rule = {"k": info.k} if info.activation == "topk" else {}
    return {
        "architecture": _ARCHITECTURES[info.activation],
        **rule,
        "d_in": dictionary.d_model,
        "d_sae": dictionary.n_latents,
        "dtype": "float32",  # in which it computes, however it is stored
        "device": "cpu",
        "apply_b_dec_to_input": info.centred,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": _FORMAT,
            "sae_lens_training_version": None,
            "model_name": info.model_name,
            "hook_name": f"blocks.{info.layer}.hook_resid_post",
            OWN: {"name": info.name, "model": info.model, "training": dict(info.training)},
        },
    }
