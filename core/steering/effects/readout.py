"""A model's moral judgement without writing a text: the next token after "is morally".

The read-out of a prompt is the log of the probability that the next token is one of the good words,
minus the same for the wrong words. Plain and steered rows run in one batch, one forward pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling, collate, encode, pooling_masks
from core.activations.traces import (
    held_logits,
    held_output,
    resumed_logits,
    resumed_states,
    step_logits,
)
from core.models.opened import text_ids
from core.steering.edits import Editor, LayerEdit, Steering
from core.steering.recipes import Positions

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel

#: Next words that approve and that condemn, as they stand after "is morally".
GOOD: Final = ("right", "good", "acceptable", "correct", "admirable", "praiseworthy", "permissible")
WRONG: Final = (
    "wrong",
    "bad",
    "unacceptable",
    "incorrect",
    "reprehensible",
    "repugnant",
    "corrupt",
)
#: Rows of one forward pass: their logits over 262,000 words are 1 MB each.
BATCH: Final = 32


@dataclass(frozen=True)
class WordSets:
    """Words that are compared; each counts by its first token with a blank before it."""

    good: tuple[str, ...] = GOOD
    """Approving."""

    wrong: tuple[str, ...] = WRONG
    """Condemning."""

    def tokens(self, model: "OpenModel") -> tuple[list[int], list[int]]:
        """Return the first token of each word, those that both sides share left out.

        Raises:
            CoreError: Nothing is left on a side: the tokenizer does not tell the words apart.
        """
        sides = []
        for words in (self.good, self.wrong):
            spaced = [f" {word}" for word in words if word.strip()]
            sides.append({ids[0] for ids in text_ids(model, spaced, bare=True) if ids})
        good, wrong = sides[0] - sides[1], sides[1] - sides[0]
        if not good or not wrong:
            raise CoreError(
                f"{model.card.name} does not tell these words apart by their first token. Choose "
                "other words for one side."
            )
        return sorted(good), sorted(wrong)


class ReadOut(NamedTuple):
    """Read-outs before and after steering."""

    plain: NDArray[np.float64]
    """Log odds of good against wrong, shape ``(n,)``."""

    steered: NDArray[np.float64]
    """The same with steering, shape ``(n,)``."""

    kl: NDArray[np.float64]
    """Kullback-Leibler divergence of the steered next token from the plain one, nats, ``(n,)``."""

    mass: NDArray[np.float64]
    """Probability that the plain next token is one of the words at all, ``(n,)``."""

    @property
    def shift(self) -> NDArray[np.float64]:
        """Steered minus plain, ``(n,)``."""
        return self.steered - self.plain


def read_out(
    model: "OpenModel",
    prompts: Sequence[str],
    edits: Sequence[LayerEdit],
    positions: Positions,
    words: WordSets | None = None,
    *,
    max_tokens: int = 256,
) -> ReadOut:
    """Return the read-out of prompts, plain and steered.

    Args:
        model: An open model.
        prompts: What the model reads, e.g. ``Lying to a friend is morally``.
        edits: What steering does.
        positions: Which tokens are moved; ``generated`` moves the last one only.
        words: The words that are compared.
        max_tokens: Longer prompts lose their middle.

    Raises:
        CoreError: There is no prompt, one has no token or is no text, or steering made numbers that
            are not finite.
    """
    good, wrong = (words or WordSets()).tokens(model)
    encoded = _encoded(model, prompts, max_tokens)
    parts = []
    for start in range(0, len(encoded), BATCH):
        plain, steered = _logits(model, encoded[start : start + BATCH], edits, positions)
        parts.append(_compared(plain, steered, good, wrong))
    return ReadOut(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def next_logits(
    model: "OpenModel",
    prompts: Sequence[str],
    edits: Sequence[LayerEdit],
    positions: Positions,
    *,
    max_tokens: int = 256,
) -> "torch.Tensor":
    """Return the logits of the word after each prompt, every row steered.

    Returns:
        Float32, ``(n, vocabulary)``.

    Raises:
        CoreError: There is no prompt, one has no token or is no text, or steering made numbers that
            are not finite.
    """
    import torch

    encoded = _encoded(model, prompts, max_tokens)
    parts = []
    for start in range(0, len(encoded), BATCH):
        part = encoded[start : start + BATCH]
        parts.append(_last(model, part, edits, positions, torch.ones(len(part), dtype=torch.bool)))
    return torch.cat(parts)


@dataclass(frozen=True, eq=False)
class Held:
    """Prompts that the plain model has read, held after one layer.

    Steering from that layer on changes nothing before it: a slider asks often, and only the layers
    above are run again.
    """

    layer: int
    """Decoder layer."""

    logits: "torch.Tensor"
    """After each prompt without steering, float32 ``(n, vocabulary)``; empty if not asked for."""

    parts: "tuple[tuple[dict[str, torch.Tensor], Any], ...]"
    """Batches, each with the layer's output."""


def hold(
    model: "OpenModel",
    prompts: Sequence[str],
    layer: int,
    *,
    max_tokens: int = 256,
    logits: bool = True,
) -> Held:
    """Let the plain model read prompts and hold them after a layer.

    Args:
        model: An open model.
        prompts: What it reads.
        layer: The first layer that may be steered later.
        max_tokens: Longer prompts lose their middle.
        logits: Whether what comes after them is asked for; else the layers above are not run.

    Raises:
        CoreError: There is no prompt, or one has no token or is no text.
    """
    import torch

    encoded = _encoded(model, prompts, max_tokens)
    parts, found = [], []
    for start in range(0, len(encoded), BATCH):
        batch = _batch(model, encoded[start : start + BATCH])
        if not logits:
            parts.append((batch, held_output(model, batch, layer)))
            continue
        after, output = held_logits(model, batch, layer)
        found.append(_finite(after[:, -1]))
        parts.append((batch, output))
    return Held(layer, torch.cat(found) if logits else torch.empty(0), tuple(parts))


def steered_logits(
    model: "OpenModel", held: Held, edits: Sequence[LayerEdit], positions: Positions
) -> "torch.Tensor":
    """Return the logits after held prompts, every row steered, float32 ``(n, vocabulary)``.

    Raises:
        CoreError: Steering made numbers that are not finite.
    """
    return arms_logits(model, held, [edits], positions)[0]


def arms_logits(
    model: "OpenModel", held: Held, arms: Sequence[Sequence[LayerEdit]], positions: Positions
) -> "list[torch.Tensor]":
    """Return the logits after held prompts for several ways to steer them, in one pass.

    Args:
        model: An open model.
        held: The prompts.
        arms: Edits of each arm, at the held layer or above.
        positions: Which tokens are moved.

    Returns:
        Per arm float32 ``(n, vocabulary)``.

    Raises:
        CoreError: Steering made numbers that are not finite.
    """
    import torch

    if not any(arms):
        return [held.logits] * len(arms)
    found: list[list[torch.Tensor]] = [[] for _ in arms]
    for wide, output, edits in arm_batches(model, held, arms, positions):
        after = resumed_logits(model, wide, held.layer, output, edits)
        for part, logits in zip(found, _finite(after[:, -1]).chunk(len(arms)), strict=True):
            part.append(logits)
    return [torch.cat(part) for part in found]


def arms_states(
    model: "OpenModel",
    held: Held,
    arms: Sequence[Sequence[LayerEdit]],
    positions: Positions,
    pooling: Pooling,
    layer: int,
) -> NDArray[np.float32]:
    """Return held prompts' states at a layer for several ways to steer them, in one pass.

    Args:
        model: An open model.
        held: The prompts.
        arms: Edits of each arm, at the held layer or above.
        positions: Which tokens are moved.
        pooling: Which pooled state.
        layer: Decoder layer, the held one or above.

    Returns:
        Shape ``(arms, n, d_model)``.

    Raises:
        CoreError: Steering made numbers that are not finite.
    """
    parts = []
    for wide, output, edits in arm_batches(model, held, arms, positions):
        masks = pooling_masks(wide["attention_mask"], (pooling,))
        states = _finite(resumed_states(model, wide, held.layer, output, layer, masks, edits)[0])
        parts.append(states.numpy().reshape(len(arms), -1, states.shape[1]))
    return np.concatenate(parts, axis=1)


def arm_batches(
    model: "OpenModel", held: Held, arms: Sequence[Sequence[LayerEdit]], positions: Positions
) -> "Iterator[tuple[dict[str, torch.Tensor], Any, dict[int, Callable[[Any], Any]]]]":
    """Yield held batches, repeated for each arm, with the layer's output and all arms' editors."""
    import torch

    if any(edit.layer < held.layer for edits in arms for edit in edits):
        raise ValueError(f"these prompts are held after layer {held.layer}, above an edit")
    for batch, output in held.parts:
        rows = torch.arange(len(arms)).repeat_interleave(len(batch["input_ids"]))
        wide = {name: one.repeat(len(arms), 1) for name, one in batch.items()}
        editors: dict[int, list[Editor]] = {}
        for number, edits in enumerate(arms):
            steering = Steering.of(edits, positions, rows == number, model.module.device)
            steering.aim(wide["attention_mask"].bool(), prompt=True)
            for layer, editor in steering.editors.items():
                editors.setdefault(layer, []).append(editor)
        in_turn = {layer: _in_turn(some) for layer, some in editors.items()}
        yield wide, _repeated(output, len(arms)), in_turn


def _repeated(output: Any, times: int) -> Any:
    """Repeat a layer's output over the batch; what else a layer gives is the same for every row."""
    if isinstance(output, tuple):
        return (output[0].repeat(times, 1, 1), *output[1:])
    return output.repeat(times, 1, 1)


def _in_turn(editors: "Sequence[Editor]") -> "Callable[[torch.Tensor], torch.Tensor]":
    """Apply editors of disjoint rows."""

    def edit(hidden: "torch.Tensor") -> "torch.Tensor":
        for one in editors:
            hidden = one(hidden)
        return hidden

    return edit


def log_odds(
    model: "OpenModel", logits: "torch.Tensor", words: WordSets | None = None
) -> NDArray[np.float64]:
    """Return the log odds of good against wrong words from logits ``(n, vocabulary)``, ``(n,)``."""
    good, wrong = (words or WordSets()).tokens(model)
    odds = _side(logits, good) - _side(logits, wrong)
    return np.asarray(odds.numpy(), np.float64)


def _side(logits: "torch.Tensor", words: list[int]) -> "torch.Tensor":
    return logits[:, words].double().logsumexp(dim=1)


def compared(
    model: "OpenModel", plain: "torch.Tensor", steered: "torch.Tensor", words: WordSets
) -> ReadOut:
    """Return the read-out from the logits after plain and steered prompts."""
    return ReadOut(*_compared(plain, steered, *words.tokens(model)))


def _encoded(model: "OpenModel", prompts: Sequence[str], max_tokens: int) -> list[list[int]]:
    if not prompts:
        raise CoreError("There is no action to ask about. Type one or more.")
    if any("\ud800" <= letter <= "\udfff" for prompt in prompts for letter in prompt):
        raise CoreError("An action holds half a character. Type or paste it again.")
    return encode(model, prompts, max_tokens)


def _logits(
    model: "OpenModel",
    encoded: Sequence[list[int]],
    edits: Sequence[LayerEdit],
    positions: Positions,
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the last logits of plain and steered rows, each ``(batch, vocabulary)``."""
    import torch

    arms = torch.arange(2 * len(encoded)) >= len(encoded)
    if not edits:  # equal rows of a batch differ in their last bits
        plain = _last(model, encoded, edits, positions, arms[: len(encoded)])
        return plain, plain
    logits = _last(model, [*encoded, *encoded], edits, positions, arms)
    return logits[: len(encoded)], logits[len(encoded) :]


def _last(
    model: "OpenModel",
    encoded: Sequence[list[int]],
    edits: Sequence[LayerEdit],
    positions: Positions,
    steered: "torch.Tensor",
) -> "torch.Tensor":
    """Return the last logits of all rows, some of them steered, ``(batch, vocabulary)``."""
    batch = _batch(model, encoded)
    steering = Steering.of(edits, positions, steered, model.module.device)
    steering.aim(batch["attention_mask"].bool(), prompt=True)
    return _finite(step_logits(model, batch, None, steering.editors)[:, -1])


def _batch(model: "OpenModel", encoded: Sequence[list[int]]) -> "dict[str, torch.Tensor]":
    batch = collate(encoded, model.tokenizer.pad_token_id or 0, "left")
    return {name: one.to(model.module.device) for name, one in batch.items()}


def _finite(logits: "torch.Tensor") -> "torch.Tensor":
    if not logits.isfinite().all():
        raise CoreError(
            "At this strength the model's numbers are no longer finite. Choose a smaller strength, "
            "or a later layer."
        )
    return logits


def _compared(
    plain: "torch.Tensor", steered: "torch.Tensor", good: list[int], wrong: list[int]
) -> tuple[NDArray[np.float64], ...]:
    import torch

    # Over a vocabulary of 262,000 words float64 takes a tenth of a second, and adds no figure that
    # is shown; only the odds, which are differences of near values, are taken in it.
    before, after = (torch.log_softmax(one, dim=1) for one in (plain, steered))

    def odds(logits: "torch.Tensor") -> "torch.Tensor":
        return _side(logits, good) - _side(logits, wrong)

    kl = (after.exp() * (after - before)).sum(dim=1).clamp(min=0)
    mass = before[:, good + wrong].exp().sum(dim=1)
    found = (odds(plain), odds(steered), kl, mass)
    return tuple(np.asarray(one.numpy(), np.float64) for one in found)
