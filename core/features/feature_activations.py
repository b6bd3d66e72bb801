"""Codes of a set: which latents are on at which token of which text, kept by latent.

The first token of a text is left out, as everywhere: it is an attention sink. Nothing is kept for
latents that are off, so a set of 3,000 texts with 32 latents per token takes about 10 MB.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.extraction import TOKEN_BUDGET, Plan, check_model
from core.activations.prompts import batches, collate, encode
from core.activations.traces import token_states
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import Key, Store
from core.sae.dictionary import Dictionary, check_fits, sparse_codes

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

    from core.models.open_models import OpenModel

#: How a text's tokens become one figure: the strongest, or the mean over all.
FeaturePooling = Literal["max", "mean"]

_FILE: Final = "codes.safetensors"
_WORDS: Final = "words.json"
_FORMAT: Final = 1


@dataclass(frozen=True, eq=False)
class FeatureActivations:
    """Activations of all latents on a set's prompts, first tokens left out."""

    by_latent: "csc_array"
    """Float32, shape ``(n_tokens, n_latents)``; tokens of one prompt stand together, in order."""

    prompt: NDArray[np.int64]
    """Row of each token's prompt in the plan, shape ``(n_tokens,)``, never falling."""

    token: NDArray[np.int64]
    """Vocabulary number of each token, shape ``(n_tokens,)``."""

    words: dict[int, str]
    """Text of each vocabulary number that occurs."""

    n_prompts: int
    """Prompts of the plan."""

    @property
    def n_tokens(self) -> int:
        """Tokens that were encoded."""
        return len(self.token)

    @property
    def n_latents(self) -> int:
        """Latents of the dictionary."""
        return int(self.by_latent.shape[1])

    def of(self, latent: int) -> NDArray[np.float32]:
        """Return a latent's activation on every token, shape ``(n_tokens,)``."""
        values = np.zeros(self.n_tokens, np.float32)
        where = slice(*self.by_latent.indptr[latent : latent + 2])
        values[self.by_latent.indices[where]] = self.by_latent.data[where]
        return values

    def density(self) -> NDArray[np.float64]:
        """Return the share of tokens on which each latent is on, shape ``(n_latents,)``."""
        on = np.diff(self.by_latent.indptr) / max(self.n_tokens, 1)
        return np.asarray(on, np.float64)

    def lengths(self) -> NDArray[np.int64]:
        """Return how many tokens of each prompt were encoded, shape ``(n_prompts,)``."""
        return np.bincount(self.prompt, minlength=self.n_prompts).astype(np.int64)

    def pooled(self, pooling: FeaturePooling) -> "csr_array":
        """Return each latent's activation per prompt, float32, shape ``(n_prompts, n_latents)``.

        A prompt of one token has none left and is 0 everywhere.
        """
        from scipy.sparse import csr_array

        shape = (self.n_prompts, self.n_latents)
        latent = np.repeat(np.arange(self.n_latents), np.diff(self.by_latent.indptr))
        cell = latent * np.int64(self.n_prompts) + self.prompt[self.by_latent.indices]
        # Cells never fall: latents come in order and a latent's tokens in the order of prompts.
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        if not len(starts):
            return csr_array(shape, dtype=np.float32)
        values = self.by_latent.data.astype(np.float64)
        if pooling == "max":
            merged = np.maximum.reduceat(values, starts)
        else:
            merged = np.add.reduceat(values, starts) / self.lengths()[cell[starts] % self.n_prompts]
        where = (cell[starts] % self.n_prompts, cell[starts] // self.n_prompts)
        return csr_array((merged.astype(np.float32), where), shape=shape)

    def tokens_of(self, prompt: int) -> slice:
        """Return where the tokens of a prompt stand."""
        first, last = np.searchsorted(self.prompt, [prompt, prompt + 1])
        return slice(int(first), int(last))


def kept_activations(
    store: Store, plan: Plan, dictionary: Dictionary, make: Callable[[Report], FeatureActivations]
) -> Made[FeatureActivations]:
    """Return a set's codes."""
    return artefact(
        store,
        "codes",
        activations_key(plan, dictionary),
        read=partial(_read, n_latents=dictionary.n_latents, n_prompts=len(plan.prompts)),
        write=_write,
        make=make,
    )


def activations_key(plan: Plan, dictionary: Dictionary) -> Key:
    """Return the content key of a set's codes."""
    # The plan's own "format" wins. Raise this one under another name, or no key will change.
    return {"format": _FORMAT, **plan.base_key(), "dictionary": dictionary.digest}


def _read(folder: Path, n_latents: int, n_prompts: int) -> FeatureActivations:
    from safetensors.numpy import load_file
    from scipy.sparse import csc_array

    kept = load_file(folder / _FILE)
    shape = (len(kept["token"]), n_latents)
    by_latent = csc_array((kept["values"], kept["rows"], kept["starts"]), shape=shape)
    words = {int(one): text for one, text in json.loads((folder / _WORDS).read_text()).items()}
    prompt, token = kept["prompt"].astype(np.int64), kept["token"].astype(np.int64)
    return FeatureActivations(by_latent, prompt, token, words, n_prompts)


def _write(folder: Path, codes: FeatureActivations) -> None:
    from safetensors.numpy import save_file

    arrays = {
        "values": codes.by_latent.data.astype(np.float32),
        "rows": codes.by_latent.indices.astype(np.int32),
        "starts": codes.by_latent.indptr.astype(np.int64),
        "prompt": codes.prompt.astype(np.int32),
        "token": codes.token.astype(np.int32),
    }
    save_file(arrays, folder / _FILE)
    (folder / _WORDS).write_text(json.dumps(codes.words, ensure_ascii=False), encoding="utf-8")


def read_activations(
    plan: Plan, model: "OpenModel", dictionary: Dictionary, report: Report = silent
) -> FeatureActivations:
    """Let the model read all prompts and take every token apart.

    Args:
        plan: What is read.
        model: The open model that the plan is for.
        dictionary: A dictionary of one of its layers.
        report: Told the number of prompts read.

    Raises:
        DictionaryError: The dictionary belongs to another model.
        CoreError: A state is NaN or infinite.
        Cancelled: The person cancelled.
    """
    check_fits(dictionary, model.card)
    check_model(model, plan)
    return _joined(model, list(_encoded(plan, model, dictionary, report)), len(plan.prompts))


class TokenFeatures(NamedTuple):
    """A text just typed, token by token."""

    words: tuple[str, ...]
    """Tokens as text, the first left out."""

    codes: "csr_array"
    """Activations, shape ``(n_tokens, n_latents)``."""

    def strongest(self, most: int) -> NDArray[np.int64]:
        """Return the latents that are on most strongly anywhere in it, strongest first."""
        peaks = self.codes.max(axis=0).toarray().ravel()
        order = np.argsort(-peaks, kind="stable")[:most].astype(np.int64)
        lit: NDArray[np.int64] = order[peaks[order] > 0]
        return lit


def features_of_text(
    model: "OpenModel", dictionary: Dictionary, text: str, max_tokens: int = 256
) -> TokenFeatures:
    """Let the model read a text and tell which latents are on at which token; nothing is kept.

    Args:
        model: The open model.
        dictionary: A dictionary of one of its layers.
        text: What is read, as it stands.
        max_tokens: A longer text loses its middle.

    Raises:
        DictionaryError: The dictionary belongs to another model.
        CoreError: The text is empty, holds half a character, or a state is NaN or infinite.
    """
    check_fits(dictionary, model.card)
    if not text.strip():
        raise CoreError("There is no text to take apart. Type a sentence.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise CoreError("The text holds half a character. Type or paste it again.")
    [ids] = encode(model, [text], max_tokens)
    batch = collate([ids], model.tokenizer.pad_token_id or 0)
    batch = {name: one.to(model.module.device) for name, one in batch.items()}
    states = token_states(model, batch, dictionary.info.layer)[0, 1:].numpy()
    tokenizer: Any = model.tokenizer
    words = tuple(tokenizer.decode([one]) for one in ids[1:])
    return TokenFeatures(words, sparse_codes(dictionary.to(model.module.device), states))


class _Part:
    """Codes of one batch, in the order of its prompts."""

    def __init__(self, rows: list[int], lengths: list[int], ids: list[int], codes: Any) -> None:
        self.prompt = np.repeat(np.array(rows, np.int64), lengths)
        self.ids, self.codes = ids, codes


def _encoded(
    plan: Plan, model: "OpenModel", dictionary: Dictionary, report: Report
) -> Iterator[_Part]:
    """Yield the codes of every prompt, batch by batch."""
    encoded = encode(model, plan.prompts, plan.spec.max_tokens)
    budget = TOKEN_BUDGET.get(model.card.device, TOKEN_BUDGET["cpu"])
    placed, pad, done = dictionary.to(model.module.device), model.tokenizer.pad_token_id or 0, 0
    cut = list(batches([len(ids) for ids in encoded], budget))
    # In tokens, not in texts: short texts come first, and the rest would seem to take as long.
    costs = [len(rows) * max(len(encoded[row]) for row in rows) for rows in cut]
    for before, rows in zip(accumulate(costs, initial=0), cut, strict=False):
        report(before, sum(costs), f"taking texts apart · {done:,} of {len(encoded):,}")
        some = [encoded[row] for row in rows]
        batch = collate(some, pad)
        batch = {name: one.to(model.module.device) for name, one in batch.items()}
        states = token_states(model, batch, dictionary.info.layer)
        mask = batch["attention_mask"].bool().cpu()
        mask[:, 0] = False  # padding stands at the right
        codes = sparse_codes(placed, states[mask].numpy())
        ids = [token for one in some for token in one[1:]]
        yield _Part(rows, [len(one) - 1 for one in some], ids, codes)
        done += len(rows)


def _joined(model: "OpenModel", parts: "list[_Part]", n_prompts: int) -> FeatureActivations:
    """Put batches into the order of prompts, by latent."""
    from scipy.sparse import csc_array, vstack

    prompt = np.concatenate([one.prompt for one in parts])
    order = np.argsort(prompt, kind="stable")
    token = np.concatenate([np.array(one.ids, np.int64) for one in parts])[order]
    by_latent = csc_array(vstack([one.codes for one in parts], format="csr")[order])
    by_latent.sort_indices()
    tokenizer: Any = model.tokenizer
    words = {int(one): tokenizer.decode([int(one)]) for one in np.unique(token)}
    return FeatureActivations(by_latent, prompt[order], token, words, n_prompts)
