"""Text that a model writes by itself: training tokens where no large text is at hand.

Batches are stored one by one under their content keys, so a stopped run goes on. On two CPU cores
Gemma 3 270M writes about 130 tokens per second.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from core.activations.decoding import Decoding, choose, end_tokens, next_inputs
from core.activations.prompts import collate
from core.activations.traces import step_logits
from core.runtime.progress import Report, silent
from core.runtime.store import Key, Store, fingerprint, library_version

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Documents written at once.
ROWS: Final = 64
_KIND: Final = "sampled"
_FILE: Final = "tokens.json"
_FORMAT: Final = 1
#: The model's own distribution, less the tokens beyond its thousand likeliest.
_PLAIN: Final = Decoding(temperature=1.0, top_k=1000, top_p=1.0)


def sampled_documents(
    store: Store,
    model: "OpenModel",
    starts: Sequence[Sequence[int]],
    length: int,
    seed: int,
    report: Report = silent,
) -> list[list[int]]:
    """Return what the model writes after each start, the start included.

    Args:
        store: Where finished batches are kept.
        model: An open model.
        starts: Tokens that a document begins with, at least one each.
        length: Tokens of a document in all; a document that the model ends is shorter.
        seed: Seed of the draws.
        report: Told the number of tokens written.

    Raises:
        CacheError: The disk is full or cannot be written.
        Cancelled: The person cancelled; finished batches stay.
    """
    found: list[list[int]] = []
    total = sum(max(length - len(start), 0) for start in starts)
    done = 0
    for number, first in enumerate(range(0, len(starts), ROWS)):
        batch = [list(start) for start in starts[first : first + ROWS]]
        key = _key(model, batch, length, seed, number)
        kept = _open(store, key)
        if kept is None:
            kept = _write(model, batch, length, [seed, number], _counted(report, done, total))
            with store.writing(_KIND, key) as folder:
                (folder / _FILE).write_text(json.dumps(kept))
        found += kept
        done += sum(max(length - len(start), 0) for start in batch)
    return found


def _counted(report: Report, before: int, whole: int) -> Report:
    """Return a report that counts one batch's tokens onto those before it."""

    def inner(done: float, total: float, note: str) -> None:
        del total
        count = f"{before + done:,.0f} of {whole:,} tokens"
        report(before + done, whole, f"{note} · {count}")

    return inner


def _key(
    model: "OpenModel", starts: Sequence[Sequence[int]], length: int, seed: int, number: int
) -> Key:
    return {
        "format": _FORMAT,
        "model": model.card.identity,
        "compute": f"{model.card.device} {model.card.dtype}",
        "starts": fingerprint(starts),
        "length": length,
        "seed": seed,
        "batch": number,
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def _open(store: Store, key: Key) -> list[list[int]] | None:
    folder = store.open(_KIND, key)
    if folder is None:
        return None
    kept: list[list[int]] = json.loads((folder / _FILE).read_text())
    return kept


def _write(
    model: "OpenModel", starts: list[list[int]], length: int, seed: list[int], report: Report
) -> list[list[int]]:
    """Let the model go on from each start, one token of every row per trace."""
    rows = [list(start) for start in starts]
    ended = [len(row) >= length for row in rows]
    ends = end_tokens(model)
    rng = np.random.default_rng(seed)
    written = 0
    for tokens in _steps(model, starts, rng):
        for row, token in enumerate(tokens):
            ended[row] = ended[row] or token in ends
            if not ended[row]:
                rows[row].append(token)
                ended[row] = len(rows[row]) >= length
                written += 1
        report(written, 0, "writing text")
        if all(ended):
            return rows
    return rows


def _steps(
    model: "OpenModel", starts: list[list[int]], rng: np.random.Generator
) -> Iterator[list[int]]:
    """Yield the next token of every row for ever; an ended row's tokens mean nothing."""
    import torch
    from transformers import DynamicCache

    batch = collate(starts, model.tokenizer.pad_token_id or 0, "left")
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    cache = DynamicCache(config=model.module.config)
    while True:
        logits = step_logits(model, batch, cache, {})[:, -1]
        tokens = choose(logits, torch.from_numpy(rng.random(len(starts))), _PLAIN)
        yield tokens.tolist()
        batch = next_inputs(batch, tokens)
