"""Where a dictionary's training tokens come from, and which tokens judge it.

Three parts can be mixed: a set's own actions (training split), text that the model writes itself,
and a text file of the user. What judges never shares a text with what trains: actions of the test
split, documents the model wrote after such actions, the last tenth of the file.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from core import CoreError
from core.activations.prompts import ReadSpec
from core.dataset.items import Items
from core.models.opened import text_ids
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent
from core.runtime.store import Store, file_sha256, fingerprint
from core.sae.training.sampled_text import sampled_documents

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

Source = Literal["items", "sampled", "file"]

#: Largest text file that is taken.
MOST_FILE_BYTES: Final = 50 * 2**20
#: Most training tokens of one part.
MOST_TOKENS: Final = 20_000_000
#: Share of a file's and of written documents that judge.
HELD_OUT: Final = 0.1
_FORMAT: Final = 1
#: Documents in a row that say nothing new, after which a set is exhausted.
_MOST_IDLE: Final = 2_000


class CorpusError(CoreError):
    """The training tokens that were asked for cannot be had."""


@dataclass(frozen=True)
class CorpusSpec:
    """Which tokens train a dictionary.

    A token is a position. Two are different where they, or the words before them, differ: only then
    do their states. First tokens of documents are read but never counted and never used.
    """

    items: int = 200_000
    """Different tokens of the set's training actions, at least; 0: none. Each action stands first
    alone, as the study reads it, then with others in documents, in another order each time. The
    first action of a document has nothing new before it, so it adds nothing to this count."""

    sampled: int = 0
    """Tokens that the model writes itself, half from nothing, half after a training action."""

    file: Path | None = None
    """A UTF-8 text file."""

    file_tokens: int = 200_000
    """Tokens taken from the file's beginning, at most."""

    length: int = 96
    """Tokens of a document, about."""

    seed: int = 0
    """Seed of orders and of written text."""

    def __post_init__(self) -> None:
        for name in ("items", "sampled", "file_tokens"):
            if not 0 <= getattr(self, name) <= MOST_TOKENS:
                raise CorpusError(
                    f"{getattr(self, name):,} tokens ({name}) cannot be had. Choose 0 to "
                    f"{MOST_TOKENS:,}."
                )
        if not 16 <= self.length <= 512:
            raise CorpusError(f"A document has 16 to 512 tokens, not {self.length}.")
        if self.seed < 0:
            raise CorpusError(f"The seed is {self.seed}; use a number from 0 up.")
        if not (self.items or self.sampled or self.file):
            raise CorpusError("There is nothing to train on: take items, written text or a file.")

    def key(self, items: Items, read: ReadSpec) -> dict[str, Any]:
        """Return what the tokens depend on, beside the model.

        Raises:
            CorpusError: The file is not there.
        """
        digest = None if self.file is None else file_sha256(_checked(self.file))
        texts = items.digest if self.items or self.sampled else ""
        return {
            "format": _FORMAT,
            "items": self.items,
            "sampled": self.sampled,
            "file": digest,
            "file_tokens": self.file_tokens if digest else 0,
            "length": self.length,
            "seed": self.seed,
            "set": texts,
            "template": read.template if texts else "",
            "strip": read.strip if texts else False,
        }


@dataclass(frozen=True, eq=False)
class Documents:
    """Tokenised texts in a fixed order."""

    tokens: tuple[tuple[int, ...], ...] = field(repr=False)
    """Tokens of each document, its first included; at least two."""

    sources: tuple[Source, ...] = field(repr=False)
    """Where each comes from."""

    @property
    def positions(self) -> int:
        """Tokens that count: all but the first of each document."""
        return sum(map(len, self.tokens)) - len(self.tokens)

    def parts(self) -> "list[Documents]":
        """Return the documents of each source on their own, in order of appearance."""
        return [
            Documents(
                tuple(
                    row for row, own in zip(self.tokens, self.sources, strict=True) if own == source
                ),
                (source,) * self.sources.count(source),
            )
            for source in dict.fromkeys(self.sources)
        ]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tokens."""
        return fingerprint(self.tokens)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents that train and documents that judge."""

    train: Documents
    """What trains."""

    held_out: Documents
    """What judges; no text of it trains."""

    texts: Mapping[str, int]
    """Different texts behind the documents: ``items train``, ``items held out``, ..."""

    def facts(self) -> dict[str, Any]:
        """Return what the corpus amounts to, JSON values: positions, distinct documents, texts."""
        return {
            "train": _facts(self.train),
            "held_out": _facts(self.held_out),
            "texts": dict(self.texts),
        }


def _facts(documents: Documents) -> dict[str, Any]:
    by_source: Counter[str] = Counter()
    for source, tokens in zip(documents.sources, documents.tokens, strict=True):
        by_source[source] += len(tokens) - 1
    return {
        "positions": documents.positions,
        "different_positions": len({one for row in documents.tokens for one in _prefixes(row)}),
        "documents": len(documents.tokens),
        "different_documents": len(set(documents.tokens)),
        "different_vocabulary_tokens": len({one for row in documents.tokens for one in row[1:]}),
        "positions_by_source": dict(by_source),
    }


def make_corpus(
    store: Store,
    model: "OpenModel",
    items: Items,
    read: ReadSpec,
    spec: CorpusSpec,
    report: Report = silent,
) -> Corpus:
    """Return the documents of a spec; only written text takes long, and is kept.

    Args:
        store: Where written text is kept.
        model: The open model: its tokenizer cuts, it writes.
        items: The set.
        read: How the study reads an action alone.
        spec: What is wanted.
        report: Told the number of tokens written.

    Raises:
        CorpusError: The set has no training or test actions, or the file is no UTF-8 text.
        Cancelled: The person cancelled.
    """
    parts: dict[Source, tuple[list[list[int]], list[list[int]]]] = {}
    texts: dict[str, int] = {}
    if spec.items or spec.sampled:
        train, test = _split(items)
        texts = {"items train": len(train), "items held out": len(test)}
    if spec.items:
        parts["items"] = (
            list(_until(_epochs(model, train, read, spec), spec.items)),
            _judging(model, test, read, spec),
        )
    if spec.sampled:
        parts["sampled"] = _written(store, model, (train, test), spec, report)
        texts["written train"], texts["written held out"] = map(len, parts["sampled"])
    if spec.file is not None:
        parts["file"] = _from_file(model, spec)
        texts["file pieces train"], texts["file pieces held out"] = map(len, parts["file"])
    return _joined(parts, texts)


def _joined(
    parts: Mapping[Source, tuple[list[list[int]], list[list[int]]]], texts: dict[str, int]
) -> Corpus:
    """Put the parts together; a held-out document that also trains is left out."""
    kept = [
        (name, tuple(row)) for name, (train, _) in parts.items() for row in train if len(row) > 1
    ]
    known = {row for _, row in kept}
    judging = {
        tuple(row): name
        for name, (_, held_out) in parts.items()
        for row in held_out
        if len(row) > 1 and tuple(row) not in known
    }
    if not kept or not judging:
        raise CorpusError(
            "Too little text: nothing is left to train on, or nothing to judge by. Take more "
            "tokens, or a longer file."
        )
    return Corpus(
        Documents(tuple(row for _, row in kept), tuple(name for name, _ in kept)),
        Documents(tuple(judging), tuple(judging.values())),
        texts,
    )


# --- the set's own actions ---


def _split(items: Items) -> tuple[list[str], list[str]]:
    """Return the different texts of the training and of the test split, sorted."""
    texts = np.array(items.texts(), dtype=object)
    train, test = (sorted(set(texts[items.split == name])) for name in ("train", "test"))
    if not train or not test:
        raise CorpusError(
            f"{items.provenance.name} has {len(train):,} training and {len(test):,} test actions; "
            "both are needed. Choose a larger set, or train on a text file alone."
        )
    return train, test


def _epochs(
    model: "OpenModel", texts: list[str], read: ReadSpec, spec: CorpusSpec
) -> Iterator[list[int]]:
    """Yield documents for ever: first each action alone as the study reads it, then joined."""
    rng = np.random.default_rng([spec.seed, 1])
    alone = text_ids(model, [read.prompt(text) for text in texts])
    yield from (alone[row] for row in rng.permutation(len(alone)))
    sizes = [len(ids) for ids in text_ids(model, [f"{text}. " for text in texts])]
    while True:
        order = [int(row) for row in rng.permutation(len(texts))]
        yield from _documents(model, texts, sizes, order, spec.length)


def _documents(
    model: "OpenModel", texts: list[str], sizes: list[int], order: list[int], length: int
) -> list[list[int]]:
    """Return documents of several actions joined by ". ", about ``length`` tokens each."""
    groups: list[list[str]] = [[]]
    filled = 0
    for row in order:
        if groups[-1] and filled + sizes[row] > length:
            groups.append([])
            filled = 0
        groups[-1].append(texts[row])
        filled += sizes[row]
    return text_ids(model, [". ".join(group) + "." for group in groups])


def _until(documents: Iterator[list[int]], positions: int) -> Iterator[list[int]]:
    """Yield documents until that many different positions have been seen."""
    seen: set[int] = set()
    idle = 0
    while len(seen) < positions:
        one = next(documents)
        before = len(seen)
        seen.update(_prefixes(one))
        if len(seen) > before:
            idle = 0
            yield one
            continue
        idle += 1
        if idle > _MOST_IDLE:
            raise CorpusError(
                f"These actions hold only {len(seen):,} different tokens, whatever their order. "
                "Ask for fewer, or take written text or a file besides."
            )


def _prefixes(tokens: Sequence[int]) -> Iterator[int]:
    """Yield a hash of each token with all before it, the first left out: equal, equal states."""
    state = hash(tuple(tokens[:1]))
    for token in tokens[1:]:
        state = hash((state, token))
        yield state


def _judging(
    model: "OpenModel", texts: list[str], read: ReadSpec, spec: CorpusSpec
) -> list[list[int]]:
    """Return every other test action alone and the rest joined, so that documents share nothing."""
    joined = texts[1::2]
    sizes = [len(ids) for ids in text_ids(model, [f"{text}. " for text in joined])]
    order = [int(row) for row in np.random.default_rng([spec.seed, 2]).permutation(len(joined))]
    alone = text_ids(model, [read.prompt(text) for text in texts[::2]])
    return [*alone, *(_documents(model, joined, sizes, order, spec.length) if joined else [])]


# --- text of other origin ---


def _written(
    store: Store,
    model: "OpenModel",
    splits: tuple[list[str], list[str]],
    spec: CorpusSpec,
    report: Report,
) -> tuple[list[list[int]], list[list[int]]]:
    """Let the model write; what judges goes on from test actions, never from training ones."""
    count = -(-spec.sampled // (spec.length - 1))
    wanted = (count, max(2, round(count * HELD_OUT)))
    starts = [
        _starts(model, texts, size, [spec.seed, 3 + which])
        for which, (texts, size) in enumerate(zip(splits, wanted, strict=True))
    ]
    whole = sampled_documents(
        store, model, [*starts[0], *starts[1]], spec.length, spec.seed, report
    )
    return whole[:count], whole[count:]


def _starts(
    model: "OpenModel", texts: list[str], count: int, seed: Sequence[int]
) -> list[list[int]]:
    """Return beginnings: in turn nothing and an action."""
    chosen = np.random.default_rng(seed).choice(len(texts), size=count)
    actions = text_ids(model, [f"{texts[row]}." for row in chosen])
    blank = _prefix(model) or [int(model.tokenizer.eos_token_id)]
    return [action if number % 2 else blank for number, action in enumerate(actions)]


def _from_file(model: "OpenModel", spec: CorpusSpec) -> tuple[list[list[int]], list[list[int]]]:
    """Cut a file into documents; the last tenth judges."""
    path = _checked(Path(str(spec.file)))
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path.name} is not UTF-8 text. Save it as UTF-8, or name a plain text file."
        ) from error
    ids = text_ids(model, [text], bare=True)[0][: spec.file_tokens]
    prefix = _prefix(model)
    step = spec.length - len(prefix)
    pieces = [[*prefix, *ids[start : start + step]] for start in range(0, len(ids), step)]
    judging = max(1, round(len(pieces) * HELD_OUT))
    return pieces[:-judging], pieces[-judging:]


def _checked(path: Path) -> Path:
    """Return a file's path, or refuse it."""
    path = path.expanduser()
    if not path.is_file():
        raise CorpusError(f"There is no text file {shown_path(path)}. Name a UTF-8 text file.")
    size = path.stat().st_size
    if not 0 < size <= MOST_FILE_BYTES:
        raise CorpusError(
            f"{path.name} has {size:,} bytes; a text file of 1 to {MOST_FILE_BYTES:,} is taken."
        )
    return path


def _prefix(model: "OpenModel") -> list[int]:
    """Return what the tokenizer puts before every text, such as BOS."""
    return text_ids(model, [""])[0]
