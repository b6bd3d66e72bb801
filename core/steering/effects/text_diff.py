"""Two texts beside each other: which words differ, how fluent each is, where an axis lights up."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import collate
from core.activations.traces import step_logits, token_states
from core.statistics.words import WORD
from core.steering.directions import Direction

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

Mark = Literal["same", "only here"]
_WORDS: Final = re.compile(rf"\s+|{WORD}|[^\w\s]")
#: Words whose repetition is looked for: a run of three that was there before.
_RUN: Final = 3


class Piece(NamedTuple):
    """Some words of a text."""

    text: str
    """The words with their blanks."""

    mark: Mark
    """Whether the other text has them, too."""


def differing(plain: str, steered: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts cut into what they share and what only one has."""
    one, other = _WORDS.findall(plain), _WORDS.findall(steered)
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    left: list[Piece] = []
    right: list[Piece] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        mark: Mark = "same" if kind == "equal" else "only here"
        if b > a:
            left.append(Piece("".join(one[a:b]), mark))
        if d > c:
            right.append(Piece("".join(other[c:d]), mark))
    return left, right


def repetition(text: str) -> float:
    """Return the share of runs of three words that occurred before, in [0, 1]; NaN if too short.

    Where a script has no blanks, characters count as words.
    """
    words = [word.lower() for word in _WORDS.findall(text) if word.strip()]
    runs = [tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)]
    if not runs:
        return float("nan")
    return 1 - len(set(runs)) / len(runs)


def perplexity(
    model: "OpenModel", prompt: Sequence[int], written: Sequence[Sequence[int]]
) -> list[float]:
    """Return how surprising each continuation is to the plain model; NaN for an empty one.

    Args:
        model: An open model.
        prompt: Tokens of the prompt.
        written: Tokens of each continuation.
    """
    import torch

    result = []
    for ids in written:
        if not ids:
            result.append(float("nan"))
            continue
        batch = collate([[*prompt, *ids]], model.tokenizer.pad_token_id or 0)
        batch = {name: one.to(model.module.device) for name, one in batch.items()}
        logits = step_logits(model, batch, None, {}, keep=len(ids) + 1)[0, :-1]
        logs = torch.log_softmax(logits.double(), dim=1)
        surprise = -logs.gather(1, torch.tensor(ids)[:, None]).mean()
        result.append(float(torch.exp(surprise.clamp(max=700))))
    return result


class TokenProjection(NamedTuple):
    """A text token by token, and how far each lies along a direction."""

    tokens: list[str]
    """Tokens as text."""

    value: NDArray[np.float64]
    """Cosine of the token's state with the direction, in [-1, 1]; NaN for the first token."""


def project_tokens(
    model: "OpenModel",
    prompt: Sequence[int],
    ids: Sequence[int],
    direction: Direction,
    centre: NDArray[np.floating],
) -> TokenProjection:
    """Return where a written text lights up along a direction, read by the plain model.

    Args:
        model: An open model.
        prompt: Tokens of the prompt; they are read but not shown.
        ids: Tokens of the text.
        direction: Which axis, at which layer.
        centre: Mean state of the items there, ``(d_model,)``: what is common is taken off.

    Raises:
        CoreError: The direction names no layer.
    """
    if direction.layer < 0:
        raise CoreError(
            f"{direction.name} names no layer to be read at. Choose a direction with a layer."
        )
    batch = collate([[*prompt, *ids]], model.tokenizer.pad_token_id or 0)
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    states = token_states(model, batch, direction.layer)[0].numpy().astype(np.float64) - centre
    length = np.linalg.norm(states, axis=1)
    along = states @ direction.vector / np.where(length > 0, length, 1)
    along[0] = np.nan  # an attention sink, many times as long as the rest
    words = [model.tokenizer.decode([token]) for token in ids]
    return TokenProjection(words, along[len(prompt) :])
