"""A model's reading of many texts: one pooled state per text, layer and pooling, kept for ever.

What is kept: the residual stream after every decoder layer and the embedding output, pooled in
float32, one memory-mapped array per layer and pooling under its content key.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.backends import backend_of
from core.activations.finite import check_finite
from core.activations.prompts import (
    PaddingSide,
    Pooling,
    ReadSpec,
    batches,
    collate,
    encode,
    pooling_masks,
)
from core.activations.room import InParts, token_budget
from core.layers import EMBEDDING
from core.runtime.arrays import create_array_file, let_go, map_array_file, to_float32, to_stored
from core.runtime.progress import Report, silent
from core.runtime.resumable import Journal, only_one
from core.runtime.store import ARRAY_FILE, Store, clear_disk_errors, fingerprint, library_version

if TYPE_CHECKING:
    import torch

    from core.models.open_models import ModelCard, OpenModel

#: Told the real tokens of a batch, bool ``(batch, tokens)``, gives layer -> what is done to its
#: output ``(batch, tokens, d_model)`` while the batch is read.
Edits = Callable[["torch.Tensor"], Mapping[int, Callable[["torch.Tensor"], "torch.Tensor"]]]

#: Tokens, padding included, that one batch holds at most; more gains nothing on the device.
TOKEN_BUDGET: Final = {"cpu": 512, "mps": 4096, "cuda": 16384, "vllm": 16384}

_FORMAT: Final = 1


class Steered(NamedTuple):
    """By which recipe a model is steered while it reads."""

    digest: str
    """The recipe's digest."""

    word: str
    """The recipe as one word."""


@dataclass(frozen=True)
class Plan:
    """Which prompts are read by which model and how: the identity of a set of stored states."""

    spec: ReadSpec
    """How texts are read."""

    model: str
    """Content identity of the model."""

    compute: str
    """Device type and dtype of the forward pass, e.g. ``cpu float32``."""

    n_layers: int
    """Number of decoder layers."""

    d_model: int
    """Width of the residual stream."""

    prompts: tuple[str, ...] = field(repr=False)
    """Different prompts, sorted."""

    rows: NDArray[np.int64] = field(repr=False)
    """Row of each text's prompt in the stored arrays, shape ``(n_texts,)``."""

    digest: str
    """Fingerprint of the prompts."""

    steered: Steered | None = None
    """How the residual stream is edited while the prompts are read; None: not at all."""

    @property
    def layers(self) -> range:
        """All layer indices: ``EMBEDDING``, then the decoder layers."""
        return range(EMBEDDING, self.n_layers)

    @property
    def size(self) -> int:
        """Bytes of all stored states."""
        width = 4 if self.spec.dtype == "float32" else 2
        return len(self.layers) * len(self.spec.poolings) * len(self.prompts) * self.d_model * width

    def key(self, layer: int, pooling: Pooling) -> dict[str, Any]:
        """Return the content key of one array."""
        return {**self.base_key(), "layer": layer, "pooling": pooling, "stored": self.spec.dtype}

    def measured_key(self, layer: int, pooling: Pooling) -> dict[str, Any]:
        """Return the content key of what is measured from one array."""
        return {**self.key(layer, pooling), **self.weighing()}

    def weighing(self) -> dict[str, Any]:
        """Return what keys of measured things say of rows; nothing if texts count once."""
        if self.spec.centred_over == "texts":
            return {}
        return {"centred over rows": fingerprint(np.bincount(self.rows).tolist())}

    def fitted_rows(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows of states ``(n_prompts, d)`` that scalers are fitted to."""
        return states if self.spec.centred_over == "texts" else states[self.rows]

    def base_key(self) -> dict[str, Any]:
        """Return what all arrays of the plan share."""
        steered = {} if self.steered is None else {"steered": self.steered.digest}
        return {
            **steered,
            "format": _FORMAT,
            "model": self.model,
            "compute": self.compute,
            "template": self.spec.template,
            "strip": self.spec.strip,
            "max_tokens": self.spec.max_tokens,
            "prompts": self.digest,
            "versions": {
                name: library_version(name) for name in ("torch", "transformers", "nnsight")
            },
        }


def make_plan(card: "ModelCard", texts: Sequence[str], spec: ReadSpec) -> Plan:
    """Return what has to be read for some texts; the texts' order and repeats do not matter.

    Args:
        card: The model, as described before loading.
        texts: At least one text, repeats allowed.
        spec: How texts are read.

    Raises:
        CoreError: There is no text.
    """
    if not len(texts):
        raise CoreError("There is no text to read: choose a set with at least one action.")
    all_prompts = [spec.prompt(text) for text in texts]
    prompts = tuple(sorted(set(all_prompts)))
    position = {prompt: row for row, prompt in enumerate(prompts)}
    return Plan(
        spec=spec,
        model=card.identity,
        compute=card.compute,
        n_layers=card.n_layers,
        d_model=card.d_model,
        prompts=prompts,
        rows=np.array([position[prompt] for prompt in all_prompts]),
        digest=fingerprint(prompts),
    )


class LostStatesError(CoreError):
    """States that were stored are gone, or were damaged and set aside."""


@dataclass(frozen=True)
class States:
    """Stored states of a plan, opened layer by layer and never all at once."""

    plan: Plan
    """What was read."""

    store: Store
    """Where it lies."""

    def prompt_states(self, layer: int, pooling: Pooling) -> NDArray[np.float32]:
        """Return one array, a row per different prompt, shape ``(n_prompts, d_model)``, read-only.

        Raises:
            LostStatesError: The array is not stored, or was damaged and set aside.
        """
        stored = self.store.open_array("acts", self.plan.key(layer, pooling))
        if stored is None:
            raise LostStatesError(
                f"The states of layer {layer} ({pooling}) are not stored any more. "
                "Read the model again; layers that are still there are kept."
            )
        return to_float32(stored)

    def text_states(self, layer: int, pooling: Pooling) -> NDArray[np.float32]:
        """Return one array, a row per text of the plan, shape ``(n_texts, d_model)``."""
        return self.prompt_states(layer, pooling)[self.plan.rows]


def open_states(store: Store, plan: Plan) -> States | None:
    """Return the states if every layer and pooling of the plan is stored, else None."""
    wanted = ((layer, pooling) for layer in plan.layers for pooling in plan.spec.poolings)
    if all(store.has("acts", plan.key(layer, pooling)) for layer, pooling in wanted):
        return States(plan, store)
    return None


def read_prompts(
    model: "OpenModel",
    encoded: Sequence[list[int]],
    poolings: Sequence[Pooling],
    side: PaddingSide = "right",
    report: Report = silent,
    edits: Edits | None = None,
) -> NDArray[np.float32]:
    """Read one batch of tokenised prompts with whatever reads this model.

    Args:
        model: An open model.
        encoded: Tokens of each prompt.
        poolings: Which pooled states.
        side: Where shorter prompts are padded.
        report: Told what a remote model's server says.
        edits: What is done to the residual stream meanwhile; only where this process reads.

    Returns:
        Shape ``(n_layers + 1, n_poolings, batch, d_model)``; entry 0 is the embedding output.

    Raises:
        CoreError: A state is NaN or infinite.
    """
    pad = model.tokenizer.pad_token_id or 0
    batch = collate(encoded, pad, side)
    masks = pooling_masks(batch["attention_mask"], poolings)
    made = None if edits is None else edits(batch["attention_mask"].bool())
    pooled = backend_of(model, made)(model, batch, masks, report)
    layers = range(EMBEDDING, model.card.n_layers)
    finite = pooled.isfinite().all(dim=3).all(dim=1)
    check_finite(model, finite, layers, encoded, steered=edits is not None)
    states: NDArray[np.float32] = pooled.numpy()
    return states


def read_texts(model: "OpenModel", texts: Sequence[str], spec: ReadSpec) -> NDArray[np.float32]:
    """Read a few texts at once without storing anything, e.g. a sentence just typed.

    Returns:
        Shape ``(n_layers + 1, n_poolings, n_texts, d_model)``; entry 0 is the embedding output.

    Raises:
        CoreError: A text has no token, or a state is NaN or infinite.
    """
    encoded = encode(model, [spec.prompt(text) for text in texts], spec.max_tokens)
    parts = InParts(model).read(lambda some: read_prompts(model, some, spec.poolings), encoded)
    return np.concatenate(parts, axis=2)


def check_model(model: "OpenModel", plan: Plan) -> None:
    """Refuse a model that is no longer the one planned for: its states would bear a wrong name.

    Raises:
        CoreError: A folder or file has changed since it was described.
    """
    card = model.card
    if (card.identity, card.compute) != (plan.model, plan.compute):
        raise CoreError(
            f"{card.name} has changed since it was last looked at, so what it says now cannot be "
            "put beside what was read before. Start Moralscope again to read it as a new model."
        )


def load_or_extract(
    store: Store,
    plan: Plan,
    open_model: "Callable[[], OpenModel]",
    report: Report = silent,
    edits: Edits | None = None,
) -> States:
    """Return the plan's states, running the model only for what is not stored yet.

    A killed run loses at most the batch it was in; the next run goes on. Two processes that want
    the same states do the work once: the second waits for the first.

    Args:
        store: Where states are kept.
        plan: What to read.
        open_model: Called only if something has to be read.
        report: Told how far it is, in tokens with their padding; its note counts prompts.
        edits: What is done while a steered plan is read.

    Raises:
        ValueError: The plan is steered and there are no edits, or the other way round.
        CacheError: The disk is full or cannot be written.
        CoreError: The model has changed since the plan was made, or a state is NaN or infinite.
        Cancelled: The person cancelled; batches done so far stay.
    """
    if (edits is None) != (plan.steered is None):
        raise ValueError("a steered plan needs edits, a plain one none")
    states = open_states(store, plan)
    if states is not None:
        return states
    model = open_model()
    check_model(model, plan)
    most = TOKEN_BUDGET.get(model.card.device, TOKEN_BUDGET["cpu"])
    run = fingerprint(
        {
            **plan.base_key(),
            "poolings": plan.spec.poolings,
            "stored": plan.spec.dtype,
            "budget": most,
        }
    )
    waiting = "another process reads the same texts: waiting for it"
    with only_one(store, f"acts-{run[:16]}", report, len(plan.prompts), waiting):
        if open_states(store, plan) is None:
            _extract(store, plan, model, store.root / "partial" / run, most, report, edits)
    return States(plan, store)


def _extract(
    store: Store,
    plan: Plan,
    model: "OpenModel",
    folder: Path,
    most: int,
    report: Report,
    edits: Edits | None,
) -> None:
    """Fill the missing arrays batch by batch in ``folder``, then publish them."""
    missing = [
        (layer, pooling)
        for layer in plan.layers
        for pooling in plan.spec.poolings
        if not store.has("acts", plan.key(layer, pooling))
    ]
    encoded = encode(model, plan.prompts, plan.spec.max_tokens)
    with clear_disk_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        arrays, budget = _open_partial(folder, plan, missing, token_budget(model.card, most), most)
        cut = list(batches([len(ids) for ids in encoded], budget))
        read = partial(_read_batch, model, plan, edits, InParts(model))
        _fill(plan, read, encoded, cut, arrays, Journal(folder / "batches.txt"), report)
        arrays.clear()
    _publish(store, plan, missing, folder)


def _partial_file(folder: Path, layer: int, pooling: Pooling) -> Path:
    return folder / f"{layer}.{pooling}.safetensors"


def _open_partial(
    folder: Path,
    plan: Plan,
    missing: Sequence[tuple[int, Pooling]],
    budget: int,
    most: int,
) -> tuple[dict[tuple[int, Pooling], NDArray[Any]], int]:
    """Map the half-filled arrays of an earlier run, or create them all.

    The budget cuts the batches that the journal numbers, so a run keeps the one it began with,
    whatever is free by now; one that wrote none down began with ``most``.
    """
    shape = (len(plan.prompts), plan.d_model)
    paths = {pair: _partial_file(folder, *pair) for pair in missing}
    ready, begun = folder / "batches.txt", folder / "budget.txt"
    if not all(path.exists() for path in (ready, *paths.values())):
        ready.unlink(missing_ok=True)
        for path in paths.values():
            create_array_file(path, shape, plan.spec.dtype)
        begun.write_text(str(budget))
        ready.touch()  # last: its presence says that every array has its full size
    arrays = {pair: map_array_file(path, writable=True) for pair, path in paths.items()}
    return arrays, int(begun.read_text()) if begun.exists() else most


def _read_batch(
    model: "OpenModel",
    plan: Plan,
    edits: Edits | None,
    parts: InParts,
    encoded: Sequence[list[int]],
    report: Report,
) -> NDArray[np.float32]:
    def read(some: Sequence[list[int]]) -> NDArray[np.float32]:
        return read_prompts(model, some, plan.spec.poolings, "right", report, edits)

    return np.concatenate(parts.read(read, encoded), axis=2)


def _fill(
    plan: Plan,
    read_batch: Callable[[Sequence[list[int]], Report], NDArray[np.float32]],
    encoded: Sequence[list[int]],
    cut: Sequence[list[int]],
    arrays: dict[tuple[int, Pooling], NDArray[Any]],
    journal: Journal,
    report: Report,
) -> None:
    """Run every batch that the journal does not name yet; a line is written after its rows are.

    What is done is told in tokens, not in texts: short texts come first, and the time left would
    be taken from their pace.
    """
    costs = [len(rows) * max(len(encoded[row]) for row in rows) for rows in cut]
    whole = sum(costs)
    finished, done, read, began = 0, 0, 0, time.monotonic()
    for number, (rows, cost) in enumerate(zip(cut, costs, strict=True)):
        if not journal.has(number):
            rate = f" · {read / (time.monotonic() - began):.0f} per second" if read else ""
            report(done, whole, f"reading texts · {finished:,} of {len(encoded):,}{rate}")
            some = [encoded[row] for row in rows]
            states = read_batch(some, _noted(report, done, whole))
            for (layer, pooling), array in arrays.items():
                entry = states[layer - EMBEDDING, plan.spec.poolings.index(pooling)]
                array[rows] = to_stored(entry, plan.spec.dtype)
                let_go(array)
            journal.add(number)
            read += len(rows)
        finished += len(rows)
        done += cost
    report(done, whole, "storing what was read")


def _noted(report: Report, done: int, whole: int) -> Report:
    """Return a report that tells what happens within a batch, the whole standing still."""
    return lambda _, __, note: report(done, whole, f"reading texts {note}")


def _publish(
    store: Store, plan: Plan, missing: Sequence[tuple[int, Pooling]], folder: Path
) -> None:
    """Link the filled arrays into the store; they leave ``folder`` only when all are published."""
    for layer, pooling in missing:
        with store.writing("acts", plan.key(layer, pooling)) as target:
            source = _partial_file(folder, layer, pooling)
            try:
                (target / ARRAY_FILE).hardlink_to(source)
            except OSError:  # a file system without hard links
                shutil.copyfile(source, target / ARRAY_FILE)
    with clear_disk_errors(store.root):
        shutil.rmtree(folder)
