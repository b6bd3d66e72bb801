"""States of single tokens at one layer: what a dictionary is trained and judged on.

The first token of every document is left out: it is an attention sink whose norm swamps the rest.
"""

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.extraction import TOKEN_BUDGET
from core.activations.prompts import batches, collate
from core.activations.traces import token_states
from core.runtime.arrays import (
    StoredDtype,
    create_array_file,
    map_array_file,
    to_float32,
    to_stored,
)
from core.runtime.progress import Report, part, silent
from core.runtime.resumable import Journal, only_one
from core.runtime.store import (
    ARRAY_FILE,
    CacheError,
    Key,
    Store,
    clear_disk_errors,
    fingerprint,
    library_version,
)
from core.sae.training.corpora import Documents

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_KIND: Final = "tokens"
_FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class TokenStates:
    """States of all tokens of some documents, document by document, mapped from disk."""

    parts: tuple[NDArray[Any], ...]
    """Shape ``(n, d_model)`` each, float32 or bfloat16; ``rows`` decodes them."""

    document: NDArray[np.int64]
    """Number of each token's document, shape ``(n_tokens,)``, never falling."""

    def __len__(self) -> int:
        return len(self.document)

    @property
    def d_model(self) -> int:
        """Width of a state."""
        return int(self.parts[0].shape[1])

    def rows(self, which: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return some states in float32, shape ``(n, d_model)``."""
        found = np.empty((len(which), self.d_model), np.float32)
        start = 0
        for one in self.parts:
            here = (which >= start) & (which < start + len(one))
            found[here] = to_float32(one[which[here] - start])
            start += len(one)
        return found

    @classmethod
    def of(cls, states: NDArray[np.float32], document: NDArray[np.int64]) -> "TokenStates":
        """Wrap states that lie in memory."""
        return cls((states,), document)


def states_key(
    model: "OpenModel", documents: Documents, layer: int, dtype: StoredDtype
) -> dict[str, Any]:
    """Return the content key of some documents' states."""
    return {
        "format": _FORMAT,
        "model": model.card.identity,
        "compute": f"{model.card.device} {model.card.dtype}",
        "layer": layer,
        "documents": documents.digest,
        "stored": dtype,
        "versions": {name: library_version(name) for name in ("torch", "transformers", "nnsight")},
    }


def read_tokens(
    store: Store,
    model: "OpenModel",
    documents: Documents,
    layer: int,
    *,
    dtype: StoredDtype = "bfloat16",
    report: Report = silent,
) -> TokenStates:
    """Return the states of some documents at one layer, read as far as they are not stored.

    Each source is stored on its own, so that another mixture reads only what is new. A killed run
    loses at most the batch it was in.

    Args:
        store: Where states are kept.
        model: An open model.
        documents: What is read.
        layer: Decoder layer; layers behind it are not run.
        dtype: How states are stored; bfloat16 rounds by at most 0.4 %.
        report: Told the number of tokens read.

    Raises:
        CoreError: A state is NaN or infinite.
        CacheError: The disk is full or cannot be written.
        Cancelled: The person cancelled; batches done so far stay.
    """
    counts = np.array([len(ids) - 1 for ids in documents.tokens])
    found, done = [], 0
    for one in documents.parts():
        end = done + one.positions
        own = part(report, done / documents.positions, end / documents.positions)
        found.append(_load_or_read(store, model, one, states_key(model, one, layer, dtype), own))
        done = end
    return TokenStates(tuple(found), np.repeat(np.arange(len(counts)), counts))


def _load_or_read(
    store: Store, model: "OpenModel", documents: Documents, key: Key, report: Report
) -> NDArray[Any]:
    """Return the stored states of one source; of two processes one reads, the other waits."""
    stored = store.open_array(_KIND, key)
    if stored is not None:
        return stored
    run = fingerprint({**key, "budget": _budget(model)})
    waiting = "another process reads the same tokens: waiting for it"
    with only_one(store, f"tokens-{run[:16]}", report, documents.positions, waiting):
        stored = store.open_array(_KIND, key)
        return _read(store, model, documents, key, run, report) if stored is None else stored


def _budget(model: "OpenModel") -> int:
    return TOKEN_BUDGET.get(model.card.device, TOKEN_BUDGET["cpu"])


def _read(
    store: Store, model: "OpenModel", documents: Documents, key: Key, run: str, report: Report
) -> NDArray[Any]:
    """Fill the array batch by batch in a folder of its own, then publish it."""
    folder = store.root / "partial" / run
    path, ready = folder / ARRAY_FILE, folder / "batches.txt"
    with clear_disk_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        if not (ready.exists() and path.exists()):
            ready.unlink(missing_ok=True)
            create_array_file(path, (documents.positions, model.card.d_model), key["stored"])
            ready.touch()  # last: its presence says that the array has its full size
        cut = batches([len(ids) for ids in documents.tokens], _budget(model))
        array = map_array_file(path, writable=True)
        _fill(model, documents, key, cut, array, Journal(ready), report)
        del array
    return _publish(store, key, path)


def _publish(store: Store, key: Key, path: Path) -> NDArray[Any]:
    with store.writing(_KIND, key) as target:
        shutil.move(path, target / ARRAY_FILE)
    with clear_disk_errors(store.root):
        shutil.rmtree(path.parent)
    stored = store.open_array(_KIND, key)
    if stored is None:
        raise CacheError("What was just read is gone: another process cleared the cache.")
    return stored


def _fill(
    model: "OpenModel",
    documents: Documents,
    key: Key,
    cut: Iterable[list[int]],
    array: NDArray[Any],
    journal: Journal,
    report: Report,
) -> None:
    """Read every batch that the journal does not name yet."""
    starts = np.concatenate([[0], np.cumsum([len(ids) - 1 for ids in documents.tokens])])
    finished, read, began = 0, 0, time.monotonic()
    for number, rows in enumerate(cut):
        size = sum(len(documents.tokens[row]) - 1 for row in rows)
        if not journal.has(number):
            rate = f" · {read / (time.monotonic() - began):,.0f} per second" if read else ""
            note = f"reading tokens · {finished:,} of {len(array):,}{rate}"
            report(finished, len(array), note)
            states = _batch_states(model, [documents.tokens[row] for row in rows], key["layer"])
            for row, own in zip(rows, states, strict=True):
                array[starts[row] : starts[row + 1]] = to_stored(own, key["stored"])
            journal.add(number)
            read += size
        finished += size
    report(finished, len(array), "storing what was read")


def _batch_states(
    model: "OpenModel", rows: list[tuple[int, ...]], layer: int
) -> list[NDArray[np.float32]]:
    """Return each document's states without its first token and padding."""
    batch = collate([list(ids) for ids in rows], model.tokenizer.pad_token_id or 0)
    states = token_states(model, batch, layer).numpy()
    return [own[1 : len(ids)] for own, ids in zip(states, rows, strict=True)]
