"""Dictionaries that differ from another one in a few latents, kept as what has changed.

A fine-tuned dictionary of 5,120 latents, 150 of them changed, takes 1 MB so instead of 26.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.sae.dictionary import Dictionary, DictionaryError, DictionaryInfo

if TYPE_CHECKING:
    import torch

KIND: Final = "aligned"
#: File of the changed latents.
WEIGHTS: Final = "patch.safetensors"
_ABOUT: Final = "patch.json"
_OF_A_MODEL: Final = ("layer", "model", "model_name")
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, eq=False)
class Patch:
    """What becomes of some latents of a dictionary; all others stay as they are, bit for bit."""

    latents: NDArray[np.int64]
    """Which, without repeats, shape ``(m,)``."""

    w_enc: "torch.Tensor"
    """Their encoder columns, float32, shape ``(d_model, m)``."""

    b_enc: "torch.Tensor"
    """Their biases, shape ``(m,)``."""

    w_dec: "torch.Tensor"
    """Their directions, shape ``(m, d_model)``."""

    @classmethod
    def of(cls, dictionary: Dictionary, latents: NDArray[np.int64]) -> "Patch":
        """Return some latents of a dictionary as they are."""
        import torch

        rows = torch.from_numpy(latents)
        return cls(
            latents,
            dictionary.w_enc[:, rows].clone(),
            dictionary.b_enc[rows].clone(),
            dictionary.w_dec[rows].clone(),
        )

    def applied(self, base: Dictionary, name: str, training: dict[str, Any]) -> Dictionary:
        """Return the whole dictionary.

        Args:
            base: What it was before.
            name: What it is called.
            training: How it came about, JSON values.

        Raises:
            DictionaryError: A number is not finite, or a latent is none of the base's.
        """
        import torch

        if len(self.latents) and not 0 <= self.latents.min() <= self.latents.max() < base.n_latents:
            raise DictionaryError(f"{name} changes latents that {base.info.name} does not have.")
        rows = torch.from_numpy(self.latents)
        w_enc, b_enc, w_dec = base.w_enc.clone(), base.b_enc.clone(), base.w_dec.clone()
        w_enc[:, rows], b_enc[rows], w_dec[rows] = (
            one.to(base.w_dec) for one in (self.w_enc, self.b_enc, self.w_dec)
        )
        info: DictionaryInfo = replace(base.info, name=name, source="aligned here")
        info = replace(info, training=training)
        return Dictionary(info, w_enc, b_enc, w_dec, base.b_dec, base.threshold)


def nothing(like: DictionaryInfo, d_model: int, n_latents: int) -> Dictionary:
    """Return a dictionary whose latents are never on: what was before a change of its own.

    Args:
        like: What is known of another one of the same model and layer.
        d_model: Width of the states.
        n_latents: How many.
    """
    import torch

    about = {name: getattr(like, name) for name in _OF_A_MODEL}
    shapes = ((d_model, n_latents), (n_latents,), (n_latents, d_model), (d_model,))
    return Dictionary(
        DictionaryInfo("nothing", activation="relu", source="made here", **about),
        *(torch.zeros(shape, device="cpu") for shape in shapes),
    )


def save_patch(patch: Patch, after: Dictionary, base: Dictionary, folder: Path) -> None:
    """Write a patch into an empty folder, with what it was made of."""
    import torch
    from safetensors.torch import save_file

    weights = {name: getattr(patch, name).contiguous() for name in ("w_enc", "b_enc", "w_dec")}
    save_file({**weights, "latents": torch.from_numpy(patch.latents)}, folder / WEIGHTS)
    about = {
        "name": after.info.name,
        "digest": after.digest,
        "base": base.digest,
        "training": dict(after.info.training),
    }
    if not base.w_dec.any():
        known = {name: getattr(base.info, name) for name in _OF_A_MODEL}
        about["nothing"] = {**known, "shape": list(base.w_enc.shape)}
    (folder / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def nothing_before(folder: Path) -> Dictionary | None:
    """Return what a patch changes where that is an empty dictionary; None where it is not."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))["nothing"]
        d_model, n_latents = about.pop("shape")
        return nothing(DictionaryInfo("", activation="relu", **about), d_model, n_latents)
    except (*_UNREADABLE, RuntimeError, DictionaryError):
        return None


def digests_of(folder: Path) -> tuple[str, str] | None:
    """Return the digests of a patched dictionary and of its base; None if it cannot be read."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        return str(about["digest"]), str(about["base"])
    except _UNREADABLE:
        return None


def open_patch(folder: Path, base: Dictionary) -> Dictionary | None:
    """Return a patched dictionary; None if it cannot be read or is none of this base."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        kept = load_file(folder / WEIGHTS)
        patch = Patch(kept["latents"].numpy(), kept["w_enc"], kept["b_enc"], kept["w_dec"])
        after = patch.applied(base, about["name"], about["training"])
        return after if after.digest == about["digest"] else None
    except (*_UNREADABLE, RuntimeError, SafetensorError, DictionaryError):
        return None
