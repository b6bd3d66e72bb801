"""What steering costs where nothing is at stake: neutral sentences, plain against steered."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.prompts import collate, encode
from core.activations.traces import held_logits, resumed_logits
from core.steering.edits import LayerEdit, Steering
from core.steering.recipes import Positions

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

#: Sentences without moral content, written for this project.
NEUTRAL: Final = (
    "The train to the coast leaves at nine and takes about two hours.",
    "Add the flour slowly and stir until the dough is smooth.",
    "The library is on the second floor, next to the lifts.",
    "Rain is expected in the north, with sunny spells later in the day.",
    "Water boils at a lower temperature high up in the mountains.",
    "The meeting was moved to Thursday because the room was booked.",
    "She painted the kitchen yellow and the hall a light grey.",
    "The river bends twice before it reaches the old stone bridge.",
    "Most of the shops on this street open at ten in the morning.",
    "He plays the piano in the evening and reads before bed.",
    "The table is made of oak and seats eight people.",
    "A new version of the program was released last week.",
)


#: A divergence counts as equal to another if it lies within this share of it.
TOLERANCE: Final = 0.05
#: Passes after which a strength of equal divergence is given up.
_MOST_PASSES: Final = 8
#: Divergence grows with a small strength's square; the slope found on the way stays within these.
_SLOPE, _FLATTEST, _STEEPEST = 2.0, 0.5, 6.0


class SentenceCosts(NamedTuple):
    """What edits cost on each held sentence, summed over its tokens after the first."""

    kl: NDArray[np.float64]
    """Divergence of the edited from the plain next token, nats, ``(sentences,)``."""

    surprise: NDArray[np.float64]
    """Minus the log probability of what stands there, with the edits, ``(sentences,)``."""

    tokens: NDArray[np.int64]
    """Tokens after the first, ``(sentences,)``."""


class Cost(NamedTuple):
    """What edits cost on the neutral sentences, over every token after the first."""

    kl: float
    """Divergence of the steered from the plain next token, nats per token."""

    perplexity: float
    """With the edits."""


@dataclass(frozen=True, eq=False)
class Neutral:
    """Sentences as the plain model reads them, held after one layer."""

    layer: int
    """Decoder layer: edits below it cannot be asked about."""

    batch: "dict[str, torch.Tensor]"
    """What is read."""

    output: Any
    """What the layer gives."""

    logs: "tuple[torch.Tensor, ...]"
    """The plain model's log probabilities of each sentence's tokens but the first, each
    ``(tokens, vocabulary)``."""


def hold_neutral(model: "OpenModel", layer: int) -> Neutral:
    """Let the plain model read the neutral sentences and hold them after a layer."""
    return hold_sentences(model, encode(model, NEUTRAL, 64), layer)


def hold_sentences(model: "OpenModel", ids: Sequence[list[int]], layer: int) -> Neutral:
    """Let the plain model read sentences and hold them after a layer.

    Args:
        model: The open model.
        ids: Tokens of each, two or more; all log probabilities over the vocabulary are held.
        layer: Decoder layer.
    """
    batch = collate(ids, model.tokenizer.pad_token_id or 0)
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    logits, output = held_logits(model, batch, layer, keep=0)
    return Neutral(layer, batch, output, _logs(batch, logits))


def _logs(batch: "dict[str, torch.Tensor]", logits: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
    """Return log probabilities of each sentence's tokens but the first."""
    import torch

    # Sentence by sentence: over a whole vocabulary each step is memory-bound.
    lengths = batch["attention_mask"].sum(dim=1).tolist()
    return tuple(
        torch.log_softmax(one[: length - 1], dim=1)
        for one, length in zip(logits, lengths, strict=True)
    )


def cost_of(
    model: "OpenModel", held: Neutral, edits: Sequence[LayerEdit], positions: Positions
) -> Cost:
    """Return what edits cost on held neutral sentences: one pass, of the steered model alone.

    A sentence stands for a written text: ``generated`` moves all its tokens but the first.
    """
    found = sentence_costs(model, held, edits, positions)
    tokens = int(found.tokens.sum())
    kl, surprise = (float(one.sum()) / tokens for one in (found.kl, found.surprise))
    return Cost(max(kl, 0.0), float(np.exp(min(surprise, 700))))


def sentence_costs(
    model: "OpenModel", held: Neutral, edits: Sequence[LayerEdit], positions: Positions
) -> SentenceCosts:
    """Return what edits cost on each held sentence, as ``cost_of``."""
    import torch

    logs = held.logs
    if edits:
        moved: Positions = "not first" if positions == "generated" else positions
        rows = torch.ones(len(held.batch["input_ids"]), dtype=torch.bool)
        steering = Steering.of(edits, moved, rows, model.module.device)
        steering.aim(held.batch["attention_mask"].bool(), prompt=True)
        logits = resumed_logits(
            model, held.batch, held.layer, held.output, steering.editors, keep=0
        )
        logs = _logs(held.batch, logits)
    surprise = [
        -float(after.gather(1, ids[1 : len(after) + 1, None]).double().sum())
        for after, ids in zip(logs, held.batch["input_ids"].cpu(), strict=True)
    ]
    kl = [
        float((after.exp() * (after - before)).sum(dim=1).double().sum()) if edits else 0.0
        for after, before in zip(logs, held.logs, strict=True)
    ]
    return SentenceCosts(np.array(kl), np.array(surprise), np.array([len(one) for one in logs]))


def equal_strength(
    kl: Callable[[float], float], target: float, start: float
) -> tuple[float, float]:
    """Return the strength at which a divergence is within ``TOLERANCE`` of a target, and it.

    Secant steps in the logarithms of both.

    Args:
        kl: Strength above 0 -> divergence.
        target: Above 0.
        start: Where to begin, above 0.

    Returns:
        NaN for both where it is not found: the divergence jumps, or never gets there.
    """
    strength, slope, before = start, _SLOPE, None
    for _ in range(_MOST_PASSES):
        found = kl(strength)
        if abs(found / target - 1) <= TOLERANCE:
            return strength, found
        if not 0 < found < math.inf:
            before, strength = None, strength * (2 if found == 0 else 0.5)
            continue
        if before is not None:
            slope = math.log(found / before[1]) / math.log(strength / before[0])
            slope = min(max(slope, _FLATTEST), _STEEPEST)
        before = strength, found
        strength *= (target / found) ** (1 / slope)
    return math.nan, math.nan


def neutral_cost(model: "OpenModel", edits: Sequence[LayerEdit], positions: Positions) -> Cost:
    """Return what edits cost on the neutral sentences, as ``cost_of``."""
    lowest = min((edit.layer for edit in edits), default=0)
    return cost_of(model, hold_neutral(model, lowest), edits, positions)
