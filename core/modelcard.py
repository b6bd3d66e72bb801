"""What is known about a model before its weights are loaded: identity, size, device, licence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core import CoreError
from core.modelspec import ModelSpec
from core.store import Store


class ModelError(CoreError):
    """A model cannot be found, or cannot be used here."""


@dataclass(frozen=True)
class ModelCard:
    """A described model: everything a picker, a cache key or a receipt needs."""

    spec: ModelSpec
    """What was asked for."""

    identity: str
    """Content identity: ``gguf:<sha256>``, ``hub:owner/name@<commit>``, ``folder:<sha256>`` or
    ``untrained:<sha256>``; the same content anywhere has the same identity."""

    name: str
    """Short name for people, as ``ModelSpec.label``."""

    architecture: str
    """Class in transformers, such as ``Gemma3ForCausalLM``."""

    n_layers: int
    """Number of decoder layers."""

    d_model: int
    """Width of the residual stream."""

    vocabulary: int
    """Rows of the embedding matrix."""

    n_parameters: int
    """Weights, tied ones counted once."""

    weight_bytes: int
    """Size of the weights in ``dtype``."""

    needed_bytes: int
    """Estimate of the memory needed to run it: weights and working space."""

    free_bytes: int
    """Memory free on the chosen device when the card was made."""

    total_bytes: int
    """Memory of the chosen device in all."""

    device: Literal["cpu", "cuda", "mps"]
    """Device chosen."""

    dtype: Literal["float32", "bfloat16"]
    """Number format chosen."""

    reason: str
    """Why this device and number format, in one sentence."""

    licence: str
    """Licence in one line."""

    folder: Path | None
    """Folder with the weights where they lie locally; None: conversion or download comes first."""

    @property
    def fits(self) -> bool:
        """Tell whether it fits into what was free when the card was made."""
        return self.needed_bytes <= self.free_bytes

    @property
    def key(self) -> dict[str, str]:
        """The model's part of a cache key: identity and number format."""
        return {"model": self.identity, "dtype": self.dtype}


def describe(spec: ModelSpec, store: Store) -> ModelCard:
    """Describe a model without loading its weights.

    Raises:
        ModelError: It is unknown, gated, out of reach offline, no causal language model, of an
            unsupported architecture, without safetensors weights or tokenizer, in need of remote
            code, or too large for this machine.
        GgufError: The GGUF file or its packages cannot be used.
    """
    raise NotImplementedError
