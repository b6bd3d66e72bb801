"""A model that is open: what a trace, a forward pass or a reading needs of it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Final

from core.models.card import ModelCard
from core.models.spec import ModelError
from core.models.tokenizers import appended

if TYPE_CHECKING:
    from nnsight import TransformersModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from core.models.served import Served

_SHOWN_TEXT: Final = 80  # characters of a text in a message
#: Texts tokenised at once: what a tokenizer knows of each token takes a hundred times its number.
_AT_ONCE: Final = 4_096


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

    served: "Served | None" = None
    """vLLM's process, where that reads; ``module`` then has no weights."""


def text_ids(model: OpenModel, texts: Sequence[str], *, bare: bool = False) -> list[list[int]]:
    """Tokenise texts, each with what the tokenizer puts before it and without what it appends.

    Args:
        model: An open model.
        texts: Any texts.
        bare: Without what the tokenizer puts before a text, too.

    Raises:
        ModelError: A token is none of the model's: it would end a GPU process.
    """
    call: Any = model.tokenizer
    behind = 0 if bare else len(appended(model.tokenizer))
    found: list[list[int]] = []
    for start in range(0, len(texts), _AT_ONCE):
        some = list(texts[start : start + _AT_ONCE])
        found += call(some, add_special_tokens=not bare)["input_ids"]
    known = model.card.vocabulary
    for text, ids in zip(texts, found, strict=True):
        if max(ids, default=0) >= known:
            token = next(one for one in ids if one >= known)
            shown = shorten(text, _SHOWN_TEXT, placeholder=" …")
            raise ModelError(
                f"{model.card.name} has {known:,} tokens, but its tokenizer reads {shown!r} with "
                f"number {token:,}, {call.convert_ids_to_tokens(token)!r}. Leave that out, or copy "
                "the tokenizer that belongs to the model."
            )
    return [list(ids)[: len(ids) - behind] for ids in found]
