"""Dictionaries: sparse autoencoders of a layer's residual stream, whoever trained them.

A latent is one direction of the residual stream with a rule that says when it is on. A state ``x``
is written as ``x ≈ b_dec + Σ_k f_k(x) · W_dec[k]`` with few positive ``f_k``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.runtime.store import fingerprint

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

    from core.models.card import ModelCard

#: What makes latents sparse. BatchTopK is trained with a batch-wide choice and used as JumpReLU.
Activation = Literal["relu", "topk", "jumprelu"]
#: Dense codes held at once: 2**24 cells are 64 MB.
_BLOCK_CELLS: Final = 2**24
_TENSORS: Final = ("w_enc", "b_enc", "w_dec", "b_dec")


class DictionaryError(CoreError):
    """A dictionary cannot be read, or does not belong to this model or layer."""


@dataclass(frozen=True)
class DictionaryInfo:
    """What is known about a dictionary beside its weights."""

    name: str
    """Short name for people."""

    layer: int
    """Decoder layer whose output it takes apart."""

    activation: Activation
    """When a latent is on."""

    k: int | None = None
    """Latents on per token, for ``topk``."""

    centred: bool = False
    """Whether ``b_dec`` is subtracted from a state before it is encoded."""

    model: str = ""
    """Content identity of the model; empty where the file does not say."""

    model_name: str = ""
    """The model as the file names it, such as ``google/gemma-3-270m``."""

    source: str = ""
    """Where it came from."""

    training: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """How it was trained, JSON values; empty if unknown."""

    def __post_init__(self) -> None:
        if self.activation not in get_args(Activation):
            raise DictionaryError(
                f"{self.name} has the activation {str(self.activation)[:40]!r}; known are "
                f"{', '.join(get_args(Activation))}."
            )
        if self.activation == "topk" and not (isinstance(self.k, int) and self.k > 0):
            raise DictionaryError(f"{self.name} is TopK but does not say how many latents are on.")
        if self.layer < 0:
            raise DictionaryError(f"{self.name} does not say which decoder layer it belongs to.")


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A sparse autoencoder, in float32 on one device."""

    info: DictionaryInfo
    """What is known about it."""

    w_enc: "torch.Tensor"
    """Shape ``(d_model, n_latents)``."""

    b_enc: "torch.Tensor"
    """Shape ``(n_latents,)``."""

    w_dec: "torch.Tensor"
    """Shape ``(n_latents, d_model)``: a latent's direction in the residual stream, any length."""

    b_dec: "torch.Tensor"
    """Shape ``(d_model,)``."""

    threshold: "torch.Tensor | None" = None
    """Shape ``(n_latents,)``, for ``jumprelu``: below it a latent is off."""

    def __post_init__(self) -> None:
        d_model, n_latents = self.w_enc.shape if self.w_enc.ndim == 2 else (0, 0)
        wanted = {
            "w_enc": (d_model, n_latents),
            "b_enc": (n_latents,),
            "w_dec": (n_latents, d_model),
            "b_dec": (d_model,),
        }
        tensors = {name: getattr(self, name) for name in _TENSORS}
        if self.info.activation == "jumprelu":
            tensors["threshold"], wanted["threshold"] = self.threshold, (n_latents,)
        for name, tensor in tensors.items():
            _check_tensor(self.info.name, name, tensor, wanted[name])
        if self.info.k is not None and self.info.k > n_latents:
            raise DictionaryError(
                f"{self.info.name} has {n_latents} latents, of which {self.info.k} cannot be on."
            )

    @property
    def d_model(self) -> int:
        """Width of the states it takes apart."""
        return int(self.w_enc.shape[0])

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return int(self.w_enc.shape[1])

    @property
    def digest(self) -> str:
        """SHA-256 over weights and rule: what a recipe and a cache key name it by."""
        kept = self.__dict__.get("_digest")
        if kept is None:
            kept = self._hash()
            self.__dict__["_digest"] = kept
        return str(kept)

    def _hash(self) -> str:
        rule = asdict(self.info)
        about = {name: rule[name] for name in ("layer", "activation", "k", "centred")}
        sha = hashlib.sha256(fingerprint(about).encode())
        for name in (*_TENSORS, "threshold"):
            tensor = getattr(self, name)
            if tensor is not None:
                sha.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return sha.hexdigest()

    def to(self, device: "torch.device | str") -> "Dictionary":
        """Return the dictionary on another device."""
        moved = {name: getattr(self, name).to(device) for name in _TENSORS}
        threshold = None if self.threshold is None else self.threshold.to(device)
        return Dictionary(self.info, threshold=threshold, **moved)

    def encode(self, states: "torch.Tensor") -> "torch.Tensor":
        """Return how strongly each latent is on.

        Args:
            states: Residual stream, shape ``(..., d_model)``, any float type.

        Returns:
            Float32, shape ``(..., n_latents)``, never negative, mostly 0.
        """
        import torch

        inputs = states.to(self.w_enc.device).float()
        if self.info.centred:
            inputs = inputs - self.b_dec
        before = inputs @ self.w_enc + self.b_enc
        codes = torch.relu(before)
        if self.threshold is not None:
            return codes * (before > self.threshold)
        if self.info.k is None:
            return codes
        best = codes.topk(self.info.k, dim=-1, sorted=False)
        return torch.zeros_like(codes).scatter_(-1, best.indices, best.values)

    def decode(self, codes: "torch.Tensor") -> "torch.Tensor":
        """Return the states that codes stand for.

        Args:
            codes: Shape ``(..., n_latents)``.

        Returns:
            Float32, shape ``(..., d_model)``.
        """
        return codes.to(self.w_dec.device) @ self.w_dec + self.b_dec

    def direction(self, latent: int) -> NDArray[np.float32]:
        """Return a latent's unit direction in the residual stream, shape ``(d_model,)``.

        Raises:
            DictionaryError: There is no such latent, or it writes nothing.
        """
        if not 0 <= latent < self.n_latents:
            raise DictionaryError(
                f"{self.info.name} has no latent {latent}. Choose 0 to {self.n_latents - 1:,}."
            )
        row: NDArray[np.float32] = self.w_dec[latent].cpu().numpy()
        length = float(np.linalg.norm(row))
        if length == 0:
            raise DictionaryError(
                f"Latent {latent} of {self.info.name} writes nothing: it is dead."
            )
        return (row / length).astype(np.float32)


def _check_tensor(owner: str, name: str, tensor: Any, shape: tuple[int, ...]) -> None:
    import torch

    if tensor is None or tuple(tensor.shape) != shape or 0 in shape:
        found = "missing" if tensor is None else f"of shape {tuple(tensor.shape)}"
        raise DictionaryError(f"{owner} is damaged: {name} is {found}, it should be {shape}.")
    if tensor.dtype != torch.float32:
        raise TypeError(f"{name} must be float32, not {tensor.dtype}")
    if not bool(torch.isfinite(tensor).all()):
        raise DictionaryError(
            f"{owner} is damaged: {name} holds numbers that are not finite. Fetch or train it "
            "again."
        )


def check_fits(dictionary: Dictionary, card: "ModelCard") -> None:
    """Refuse a dictionary of another width, depth or model.

    Args:
        dictionary: Any dictionary.
        card: The model whose states it is to take apart.

    Raises:
        DictionaryError: It belongs to another model.
    """
    info = dictionary.info
    if dictionary.d_model != card.d_model:
        raise DictionaryError(
            f"{info.name} takes states of {dictionary.d_model:,} coordinates apart; {card.name} "
            f"has {card.d_model:,}. Choose a dictionary of this model."
        )
    if info.layer >= card.n_layers:
        raise DictionaryError(
            f"{info.name} belongs to layer {info.layer}; {card.name} has layers 0 to "
            f"{card.n_layers - 1}. Choose a dictionary of this model."
        )
    if info.model and info.model != card.identity:
        raise DictionaryError(
            f"{info.name} was trained on another model ({info.model_name or info.model}) than "
            f"{card.name}. Choose that model, or a dictionary of this one."
        )


def sparse_codes(dictionary: Dictionary, states: NDArray[np.float32]) -> "csr_array":
    """Encode many states, block by block, so that dense codes never lie in memory all at once.

    Args:
        dictionary: The dictionary.
        states: Shape ``(n, d_model)``, finite.

    Returns:
        Float32, shape ``(n, n_latents)``, rows in the order of ``states``.
    """
    import torch
    from scipy.sparse import csr_array, vstack

    block = max(1, _BLOCK_CELLS // dictionary.n_latents)
    parts = []
    with torch.no_grad():
        for start in range(0, len(states), block):
            part = np.ascontiguousarray(states[start : start + block])
            parts.append(csr_array(dictionary.encode(torch.from_numpy(part)).cpu().numpy()))
    if not parts:
        return csr_array((0, dictionary.n_latents), dtype=np.float32)
    return csr_array(vstack(parts, format="csr"))
