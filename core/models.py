"""Open models: weights, tokenizer, where the layers are, and the lock that guards them.

``describe`` needs no weights; ``open_model`` loads them; ``Shelf`` holds what is open in this
process. torch, transformers and nnsight are imported inside functions: they take seconds.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.modelcard import ModelCard, ModelError, describe
from core.modelspec import KNOWN, KnownModel, ModelSpec, SpecError
from core.progress import Report, silent
from core.store import Store

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "KNOWN",
    "KnownModel",
    "ModelCard",
    "ModelError",
    "ModelSpec",
    "OpenModel",
    "Shelf",
    "SpecError",
    "describe",
    "open_model",
]


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model ready to run. Hold ``lock`` around every forward pass, traced or plain."""

    card: ModelCard
    """What was known before opening."""

    lm: "TransformersModel"
    """nnsight wrapper around ``module``; traces start here."""

    module: "PreTrainedModel"
    """The transformers model, in eval mode, no parameter wants a gradient."""

    tokenizer: "PreTrainedTokenizerBase"
    """Pads on the left (nnsight sets it) and always has a pad token."""

    layers: str
    """Dotted path of the decoder layers, as ``lm.get`` takes it: ``model.layers``."""

    embedding: str
    """Dotted path of layer 0: its ``.input`` is the embedding output, shape (batch, token, d)."""

    lock: "threading.RLock"
    """Guards ``module`` in this process: neither nnsight nor plain forwards stand two threads."""


def open_model(card: ModelCard, store: Store, report: Report = silent) -> OpenModel:
    """Load the weights of a described model; convert or download them first if need be.

    Raises:
        ModelError: It no longer fits into memory, or cannot be downloaded.
        GgufError: The GGUF file or its packages cannot be used.
        Cancelled: The report asked to stop.
    """
    raise NotImplementedError


class Shelf:
    """The open models of this process, shared by its threads."""

    def __init__(self, store: Store) -> None:
        """Use ``store`` for converted weights; nothing is opened yet."""
        self._store = store

    def get(self, spec: ModelSpec, report: Report = silent) -> OpenModel:
        """Return the open model, opening it if needed and closing the least recently used ones.

        Raises:
            CoreError: As ``describe`` and ``open_model``.
        """
        raise NotImplementedError

    def is_open(self, spec: ModelSpec) -> bool:
        """Tell whether ``get`` would return at once."""
        raise NotImplementedError

    def close_all(self) -> None:
        """Close every model and give its memory back."""
        raise NotImplementedError
