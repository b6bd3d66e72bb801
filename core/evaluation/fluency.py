"""How odd each answer is to the plain model: its perplexity, kept batch by batch as answers are.

What is read is what a judge is shown: the question as the plain model is asked, then the text.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.evaluation.answers import BATCH, framed
from core.models.opened import text_ids
from core.runtime.progress import Report, silent
from core.runtime.store import Key, Store, fingerprint, library_version
from core.steering.effects.text_diff import perplexity

if TYPE_CHECKING:
    from core.models.card import ModelCard
    from core.models.open_models import OpenModel

KIND: Final = "answer perplexity"
_FILE, _FORMAT = "perplexity.json", 1


def perplexities(
    store: Store,
    model: "OpenModel",
    prompts: Sequence[str],
    texts: Sequence[str],
    report: Report = silent,
) -> NDArray[np.float64]:
    """Return each answer's perplexity under the plain model, ``(n,)``; NaN of an empty one.

    Args:
        store: Where finished batches are kept.
        model: The open model.
        prompts: What was asked.
        texts: As many answers.
        report: Told the answers done; may cancel, finished batches stay.
    """
    found: list[float] = []
    for asked, given in _batches(prompts, texts):
        report(len(found), len(texts), f"how odd the answers are · {len(found)} of {len(texts)}")
        key = _key(model.card, asked, given)
        kept = _open(store, key)
        if kept is None:
            kept = [_one(model, *both) for both in zip(asked, given, strict=True)]
            with store.writing(KIND, key) as folder:
                told = [None if np.isnan(one) else one for one in kept]
                (folder / _FILE).write_text(json.dumps(told), encoding="utf-8")
        found += kept
    return np.array(found)


def kept_perplexities(
    store: Store, card: "ModelCard", prompts: Sequence[str], texts: Sequence[str]
) -> NDArray[np.float64] | None:
    """Return the same if all of it is kept; no weights are opened."""
    found: list[float] = []
    for asked, given in _batches(prompts, texts):
        kept = _open(store, _key(card, asked, given))
        if kept is None:
            return None
        found += kept
    return np.array(found)


def _batches(
    prompts: Sequence[str], texts: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    for start in range(0, len(texts), BATCH):
        yield prompts[start : start + BATCH], texts[start : start + BATCH]


def _one(model: "OpenModel", prompt: str, text: str) -> float:
    chat = bool(model.tokenizer.chat_template)
    [asked] = text_ids(model, [framed(model, prompt, "")], bare=chat)
    # A base model writes the blank before its answer itself.
    [ids] = text_ids(model, [text if chat or not text else f" {text}"], bare=True)
    return perplexity(model, asked, [ids])[0]


def _key(card: "ModelCard", prompts: Sequence[str], texts: Sequence[str]) -> Key:
    return {
        "format": _FORMAT,
        "model": card.identity,
        "compute": f"{card.device} {card.dtype}",
        "answers": fingerprint([list(prompts), list(texts)]),
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def _open(store: Store, key: Key) -> list[float] | None:
    folder = store.open(KIND, key)
    if folder is None:
        return None
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return [np.nan if one is None else float(one) for one in told]
    except (OSError, ValueError, TypeError):
        return None
