"""Plain and steered texts side by side, token by token, from the same random numbers.

Both arms of a sample are rows of one batch and draw the same uniform number at each step, so they
part only where steering changed the distribution. One trace per token with an explicit cache: the
text streams, and stops within one token.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core import CoreError
from core.activations.decoding import Decoding, choose, end_tokens, next_inputs
from core.activations.prompts import collate
from core.activations.traces import step_logits
from core.models.opened import text_ids
from core.steering.edits import Firings, LayerEdit, Steering
from core.steering.recipes import MOST_PROMPT, Positions, RecipeError

if TYPE_CHECKING:
    import torch

    from core.models.open_models import OpenModel


@dataclass(frozen=True, eq=False)
class Written:
    """Texts so far; the last one yielded is the whole."""

    plain: tuple[str, ...]
    """Continuations without steering, one per sample."""

    steered: tuple[str, ...]
    """Continuations with steering."""

    plain_ids: tuple[tuple[int, ...], ...]
    """Their tokens."""

    steered_ids: tuple[tuple[int, ...], ...]
    """Their tokens."""

    firings: Firings
    """How often edits ran."""

    finished: bool
    """Whether every row ended or reached its length."""

    @property
    def changed_tokens(self) -> int:
        """Tokens in which the arms differ, by position; a missing one counts."""
        pairs = zip(self.plain_ids, self.steered_ids, strict=True)
        return sum(
            sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))
            for one, other in pairs
        )


def prompt_ids(model: "OpenModel", prompt: str, *, chat: bool) -> list[int]:
    """Return a prompt's tokens.

    Raises:
        RecipeError: It is empty, too long, no text, or the model has no chat template.
        ModelError: The tokenizer is larger than the model.
    """
    text = _checked(prompt)
    # Without the end that some tokenizers append: the text goes on.
    [ids] = text_ids(model, [_in_chat(model, text) if chat else text], bare=chat)
    if not ids:
        raise RecipeError(f"{model.card.name} reads no token in this prompt. Type a few words.")
    return ids


def _checked(prompt: str) -> str:
    text = prompt.replace("\x00", "")
    if not text.strip():
        raise RecipeError("There is no prompt. Type a few words for the model to go on from.")
    if len(text) > MOST_PROMPT:
        raise RecipeError(
            f"The prompt has {len(text):,} characters; at most {MOST_PROMPT:,} are taken."
        )
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise RecipeError("The prompt holds half a character. Type or paste it again.")
    return text


def _in_chat(model: "OpenModel", text: str) -> str:
    """Return a prompt as the model's chat template wraps it."""
    from jinja2 import TemplateError

    tokenizer: Any = model.tokenizer
    if not tokenizer.chat_template:
        raise RecipeError(
            f"{model.card.name} has no chat template: it is a base model. Switch chat off."
        )
    message = [{"role": "user", "content": text}]
    try:
        return str(
            tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        )
    except TemplateError as error:
        raise RecipeError(
            f"The chat template of {model.card.name} does not work: {error}. Switch chat off."
        ) from error


def check_room(model: "OpenModel", prompt: int, tokens: int) -> None:
    """Refuse more than the model has positions for: beyond its table a GPU process dies."""
    config: Any = model.module.config.get_text_config(decoder=True)
    most = getattr(config, "max_position_embeddings", None)
    if most and prompt + tokens > most:
        raise RecipeError(
            f"{model.card.name} reads at most {most:,} tokens; the prompt has {prompt:,} and "
            f"{tokens:,} new ones are asked for. Shorten the prompt, or ask for fewer tokens."
        )


def write(
    model: "OpenModel",
    prompt: str,
    edits: Sequence[LayerEdit],
    positions: Positions,
    decoding: Decoding,
    stop: threading.Event | None = None,
) -> Iterator[Written]:
    """Yield the texts after each token.

    Args:
        model: An open model.
        prompt: What is continued.
        edits: What steering does; none: both arms are the same.
        positions: Which tokens are moved.
        decoding: How tokens are chosen.
        stop: Ends the writing before the next token.

    Raises:
        RecipeError: The prompt cannot be used.
        CoreError: Steering made numbers that are not finite.
    """
    import torch
    from transformers import DynamicCache

    ids = prompt_ids(model, prompt, chat=decoding.chat)
    check_room(model, len(ids), decoding.tokens)
    batch = collate([ids] * (2 * decoding.samples), model.tokenizer.pad_token_id or 0)
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    arms = torch.arange(2 * decoding.samples) >= decoding.samples
    steering = Steering.of(edits, positions, arms, model.module.device)
    rows = _Rows(model, decoding)
    cache, prompted = DynamicCache(config=model.module.config), True
    for _ in range(decoding.tokens):
        if stop is not None and stop.is_set():
            return
        going_on = (~rows.ended)[:, None].expand(batch["input_ids"].shape)
        steering.aim(going_on, prompt=prompted)
        logits = step_logits(model, batch, cache, steering.editors)[:, -1]
        if not edits:  # equal rows of a batch differ in their last bits
            logits = logits[: decoding.samples].repeat(2, 1)
        if not torch.isfinite(logits).all():
            raise CoreError(
                "At this strength the model's numbers are no longer finite, so it cannot write. "
                "Choose a smaller strength, or a later layer."
            )
        batch, prompted = next_inputs(batch, rows.draw(logits)), False
        yield rows.written(steering.firings)
        if rows.ended.all():
            return


class _Rows:
    """The tokens of all rows and how the next one is drawn."""

    def __init__(self, model: "OpenModel", decoding: Decoding) -> None:
        import torch

        self._tokenizer: Any = model.tokenizer
        self._decoding = decoding
        self._random = [
            np.random.default_rng([decoding.seed, sample]) for sample in range(decoding.samples)
        ]
        self._ids: list[list[int]] = [[] for _ in range(2 * decoding.samples)]
        self._ends = end_tokens(model)
        self.ended = torch.zeros(2 * decoding.samples, dtype=torch.bool)

    def draw(self, logits: "torch.Tensor") -> "torch.Tensor":
        """Take the next token of each row, ``(batch,)``; rows that ended are padded."""
        import torch

        drawn = [one.random() for one in self._random] * 2
        uniform = torch.tensor(drawn, dtype=torch.float64)  # float32 would round some to 1
        tokens = choose(logits, uniform, self._decoding)
        for row, token in enumerate(tokens.tolist()):
            if self.ended[row]:
                continue
            if token in self._ends:
                self.ended[row] = True
            else:
                self._ids[row].append(token)
        tokens[self.ended] = self._tokenizer.pad_token_id or 0
        return tokens

    def written(self, firings: Firings) -> Written:
        """Return the texts so far; whole lists are decoded, since a word can span tokens."""
        texts = self._tokenizer.batch_decode(self._ids, skip_special_tokens=True)
        half = len(texts) // 2
        ids = tuple(map(tuple, self._ids))
        long = max(map(len, ids)) >= self._decoding.tokens
        return Written(
            tuple(texts[:half]),
            tuple(texts[half:]),
            ids[:half],
            ids[half:],
            Firings(firings.calls, firings.tokens),
            bool(self.ended.all()) or long,
        )
