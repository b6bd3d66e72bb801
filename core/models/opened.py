"""A model that is open: what a trace, a forward pass or a reading needs of it."""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.models.card import ModelCard

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class OpenModel:
    """A model ready to run. Hold ``lock`` around every forward pass, traced or plain."""

    card: ModelCard
    """What was known before opening, with the folder it was opened from."""

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
