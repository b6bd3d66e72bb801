"""Arms of an evaluation and what they answer: one engine, one decoding, the same random numbers.

Every arm reads the same batches of prompts, and each prompt has random numbers of its own, so two
arms part only where their distributions do. Each batch is kept, so a stopped arm goes on.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from core import CoreError
from core.activations.decoding import Decoding, choose, end_tokens, next_inputs
from core.activations.prompts import collate
from core.activations.traces import step_logits
from core.models.opened import text_ids
from core.runtime.progress import Report, part, silent
from core.runtime.store import Key, Store, fingerprint, library_version
from core.steering.edits import LayerEdit, Steering
from core.steering.effects.text_diff import repetition
from core.steering.generation import check_room
from core.steering.recipes import Positions, Recipe, RecipeError

if TYPE_CHECKING:
    import torch

    from core.models.card import ModelCard
    from core.models.open_models import OpenModel

KIND: Final = "answers"
_FILE, _FORMAT = "answers.json", 1
#: Prompts that are answered at once.
BATCH: Final = 24
#: What a system prompt that asks for moral care says.
CARE: Final = (
    "Answer with moral care: notice who could be harmed, say so kindly, and do not help with harm."
)
#: How a base model is asked; what it writes after its answer is cut off.
_FRAME: Final = "Question: {prompt}\nAnswer:"
_NEXT: Final = re.compile(r"\n\s*(Question|Answer)\s*:")
_THOUGHT: Final = re.compile(r"<think>.*?(</think>|$)", re.DOTALL)


@dataclass(frozen=True)
class Arm:
    """One way to answer."""

    name: str
    """What tables call it."""

    recipe: Recipe | None = None
    """How the model is steered; None: not at all. Its prompt and decoding are not looked at."""

    control: bool = False
    """Whether a random push as long as the recipe's takes its place."""

    share: float = 1.0
    """Of the recipe's strength."""

    system: str = ""
    """A system prompt; base models read it before the question."""

    seed: int = 0
    """Of the random numbers; another one of the same arm tells what chance alone does."""

    def __post_init__(self) -> None:
        if not self.name.strip() or len(self.name) > 80:
            raise RecipeError("An arm needs a name of at most 80 characters.")

    @property
    def key(self) -> Key:
        """All that its answers depend on, beside model, prompts and decoding."""
        steering = None if self.recipe is None else replace(self.recipe, decoding=Decoding()).digest
        pushed = {} if self.recipe is None else {"control": self.control, "share": self.share}
        return {"recipe": steering, **pushed, "system": self.system, "seed": self.seed}


class Answer(NamedTuple):
    """What an arm wrote for one prompt."""

    text: str
    """Without a thinking block, and without what a base model goes on to ask."""

    tokens: int
    """Tokens written in all."""

    cut: bool
    """Whether it ran into the limit of tokens."""

    @property
    def words(self) -> int:
        """Its length."""
        return len(self.text.split())

    @property
    def repeated(self) -> float:
        """Share of its runs of three words that stood in it before; broken texts repeat."""
        share = repetition(self.text)
        return 0.0 if share != share else share


def answers(
    store: Store,
    model: "OpenModel",
    arm: Arm,
    edits: Sequence[LayerEdit],
    prompts: Sequence[str],
    decoding: Decoding,
    report: Report = silent,
) -> list[Answer]:
    """Return what an arm answers to each prompt.

    Args:
        store: Where finished batches are kept.
        model: The open model.
        arm: Which.
        edits: Its recipe, resolved.
        prompts: What is asked.
        decoding: How tokens are chosen; the arm's seed counts, not its own.
        report: Told the prompts done; may cancel, finished batches stay.

    Raises:
        CoreError: A prompt is too long for the model, or steering made numbers that are no longer
            finite.
    """
    found: list[Answer] = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        report(start, len(prompts), f"{arm.name} answers · {start} of {len(prompts)}")
        key = _key(model.card, arm, batch, decoding)
        kept = _open(store, key)
        if kept is None:
            positions = arm.recipe.positions if arm.recipe else "not first"
            say = part(report, start / len(prompts), (start + len(batch)) / len(prompts))
            kept = _write(model, arm, edits, positions, batch, decoding, say)
            with store.writing(KIND, key) as folder:
                (folder / _FILE).write_text(json.dumps(kept), encoding="utf-8")
        found += kept
    return found


def kept_answers(
    store: Store, card: "ModelCard", arm: Arm, prompts: Sequence[str], decoding: Decoding
) -> list[Answer] | None:
    """Return an arm's answers if all are kept; no weights are opened."""
    found: list[Answer] = []
    for start in range(0, len(prompts), BATCH):
        kept = _open(store, _key(card, arm, prompts[start : start + BATCH], decoding))
        if kept is None:
            return None
        found += kept
    return found


def _key(card: "ModelCard", arm: Arm, prompts: Sequence[str], decoding: Decoding) -> Key:
    return {
        "format": _FORMAT,
        "model": card.identity,
        "compute": f"{card.device} {card.dtype}",
        "arm": dict(arm.key),
        "decoding": asdict(replace(decoding, seed=0, samples=1)),
        "prompts": fingerprint(list(prompts)),
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def _open(store: Store, key: Key) -> list[Answer] | None:
    folder: Path | None = store.open(KIND, key)
    if folder is None:
        return None
    try:
        return [Answer(*one) for one in json.loads((folder / _FILE).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None


def _write(
    model: "OpenModel",
    arm: Arm,
    edits: Sequence[LayerEdit],
    positions: Positions,
    prompts: Sequence[str],
    decoding: Decoding,
    report: Report,
) -> list[Answer]:
    rows = _Rows(model, arm, prompts, decoding)
    for step, tokens in enumerate(_steps(model, rows, edits, positions, decoding)):
        note = f"{arm.name} answers {len(prompts)} prompts · token {step} of {decoding.tokens}"
        report(step, decoding.tokens, note)
        rows.take(tokens)
        if all(rows.ended):
            break
    return rows.answers()


class _Rows:
    """One batch of prompts and what was written after each."""

    def __init__(
        self, model: "OpenModel", arm: Arm, prompts: Sequence[str], decoding: Decoding
    ) -> None:
        chat = bool(model.tokenizer.chat_template)
        texts = [framed(model, one, arm.system) for one in prompts]
        self.starts = text_ids(model, texts, bare=chat)
        self.ended = [False] * len(prompts)
        self._tokenizer: Any = model.tokenizer
        self._ends, self._most = end_tokens(model), decoding.tokens
        self._ids: list[list[int]] = [[] for _ in prompts]
        self._cut = [False] * len(prompts)
        # By text, so that a prompt draws the same numbers whatever stands beside it.
        self._random = [
            np.random.default_rng([arm.seed, int(fingerprint(one)[:12], 16)]) for one in prompts
        ]
        check_room(model, max(map(len, self.starts)), decoding.tokens)

    def draws(self) -> list[float]:
        """Return the next random number of each row."""
        return [one.random() for one in self._random]

    def take(self, tokens: Sequence[int]) -> None:
        """Append a token to each row that goes on."""
        for row, token in enumerate(tokens):
            if self.ended[row]:
                continue
            if token in self._ends:
                self.ended[row] = True
                continue
            self._ids[row].append(token)
            self._cut[row] = len(self._ids[row]) >= self._most
            self.ended[row] = self._cut[row]

    def answers(self) -> list[Answer]:
        """Return what was written."""
        texts = self._tokenizer.batch_decode(self._ids, skip_special_tokens=True)
        return [
            Answer(_clean(text), len(ids), cut)
            for text, ids, cut in zip(texts, self._ids, self._cut, strict=True)
        ]


def framed(model: "OpenModel", prompt: str, system: str) -> str:
    """Return a prompt as the model is asked: by its chat template, or as question and answer."""
    tokenizer: Any = model.tokenizer
    if not tokenizer.chat_template:
        return (
            f"{system}\n\n{_FRAME.format(prompt=prompt)}"
            if system
            else _FRAME.format(prompt=prompt)
        )
    said = [{"role": "system", "content": system}] if system else []
    said.append({"role": "user", "content": prompt})
    from jinja2 import TemplateError

    try:
        # Templates that know no thinking leave the switch alone.
        return str(
            tokenizer.apply_chat_template(
                said, add_generation_prompt=True, tokenize=False, enable_thinking=False
            )
        )
    except TemplateError as error:
        raise CoreError(
            f"The chat template of {model.card.name} does not take this: {error}. Leave the system "
            "prompt out, or choose another model."
        ) from error


def _clean(text: str) -> str:
    """Return an answer without its thinking, and without the next question of a base model."""
    text = _THOUGHT.sub("", text)
    found = _NEXT.search(text)
    return (text[: found.start()] if found else text).strip()


def _steps(
    model: "OpenModel",
    rows: _Rows,
    edits: Sequence[LayerEdit],
    positions: Positions,
    decoding: Decoding,
) -> Iterator[list[int]]:
    """Yield the next token of every row; those of ended rows mean nothing."""
    import torch
    from transformers import DynamicCache

    batch = collate(rows.starts, model.tokenizer.pad_token_id or 0, "left")
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    every = torch.ones(len(rows.starts), dtype=torch.bool)
    steering = Steering.of(edits, positions, every, model.module.device)
    cache, mask = DynamicCache(config=model.module.config), batch["attention_mask"].bool()
    for step in range(decoding.tokens):
        steering.aim(mask, prompt=step == 0)
        logits = step_logits(model, batch, cache, steering.editors)[:, -1]
        _check_finite(logits)
        tokens = choose(logits, torch.tensor(rows.draws(), dtype=torch.float64), decoding)
        yield tokens.tolist()
        batch = next_inputs(batch, tokens)
        mask = ~torch.tensor(rows.ended, device=mask.device)[:, None]


def _check_finite(logits: "torch.Tensor") -> None:
    import torch

    if not torch.isfinite(logits).all():
        raise CoreError(
            "At this strength the model's numbers are no longer finite, so it cannot write. Choose "
            "a smaller strength, or a later layer."
        )


def parquet(prompts: Sequence[Any], arm: Arm, given: Sequence[Answer], path: Path) -> None:
    """Write an arm's answers as a Parquet file, a row per prompt.

    Args:
        prompts: The prompts, ``Prompt`` each.
        arm: Whose answers.
        given: One per prompt.
        path: Where to.
    """
    import pandas as pd

    rows = [
        {
            **one._asdict(),
            "arm": arm.name,
            "answer": answer.text,
            "tokens": answer.tokens,
            "cut": answer.cut,
            "repeated": answer.repeated,
        }
        for one, answer in zip(prompts, given, strict=True)
    ]
    pd.DataFrame(rows).to_parquet(path, index=False)
