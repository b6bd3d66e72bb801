"""The human side: actions with their ten-dimensional moral vectors, strata and splits.

A source (the built-in set, the official archive, a person's own table) becomes ``Items``: one row
per annotation and foundation, in an order that does not depend on the order of the source's rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.progress import Report, silent
from core.store import Store
from core.tables import ColumnMapping

if TYPE_CHECKING:
    import pyarrow as pa

Sample = Literal["all", "diagnosis"]
Source = Literal["builtin", "file"]

#: Kind of the artefact in the store.
KIND: Final = "items"


@dataclass(frozen=True)
class ItemSpec:
    """What has to be known to read a set of items, and to find it again in the store."""

    source: Source = "builtin"
    """The set that comes with the project, or a file."""

    path: Path | None = None
    """The file; may be None for a file read before, when ``sha256`` is given."""

    sha256: str = ""
    """SHA-256 of the file (64 hex digits); empty: taken from the file at ``path``."""

    name: str = ""
    """Shown to people; empty: the file's name. Not part of the content's identity."""

    mapping: ColumnMapping | None = None
    """Which column holds what; None: guessed from the column names."""

    sample: Sample = "all"
    """``diagnosis`` draws the paper's stratified sample: up to 300 per grade, 150 typical."""

    split_seed: int = 42
    """Seed of the split by text."""

    sample_seed: int = 42
    """Seed of the diagnosis sample."""

    skip_bad_rows: bool = False
    """Keep the good rows of a person's own table and count the bad ones, instead of refusing."""


@dataclass(frozen=True)
class Counts:
    """How many rows went in, stayed, and why the others did not."""

    rows: int
    """Rows read from the source."""

    annotations: int
    """Annotations kept by the filter (203,431 in the official table)."""

    items: int
    """Rows after flattening by foundation (251,334 in the official table), or after sampling."""

    texts: int
    """Different action texts."""

    repeated_ids: int = 0
    """Source rows whose id stood in an earlier row already."""

    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason in words -> rows dropped for it; a row counts under its first reason."""


@dataclass(frozen=True)
class Provenance:
    """Where a set comes from and what may be said about it."""

    name: str
    """Shown to people."""

    kind: str
    """``builtin``, ``official``, ``vectors`` or ``own``."""

    licence: str
    """Licence of the texts and labels."""

    citation: str
    """How to cite the source; empty where there is none."""

    authored: bool
    """True for labels written for this project: not human-annotated."""

    note: str
    """One sentence to stand beside every result from this set; empty where none is due."""

    sha256: str
    """SHA-256 of the source file."""

    counts: Counts
    """Rows read, kept, dropped."""


class UniqueTexts(NamedTuple):
    """The different texts of a set, so that a model reads each one once."""

    texts: list[str]
    """Sorted by code point, no repeats."""

    index: NDArray[np.int64]
    """Shape ``(n_items,)``: position of each item's text in ``texts``."""


@dataclass(frozen=True, eq=False)
class Items:
    """Items in canonical order (by ``item``), whatever the order of the source's rows.

    Columns of ``table``: ``item`` (stable id), ``annotation`` (the source's id, the only column
    that may follow the source's row order), ``text``, ``text_group``, ``foundation`` (int8, index
    into ``FOUNDATIONS``), ``pole``, ``grade`` (float32 in [0, 1]), ``judgement`` and ``agreement``
    (float32, null where the source has none), ``vector`` (10 x float32), ``split``, ``words``.
    """

    table: "pa.Table"
    """One row per item."""

    provenance: Provenance
    """Where the set comes from."""

    digest: str
    """SHA-256 (64 hex digits) of the content; other row order of the source, same digest."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @cached_property
    def item(self) -> NDArray[np.str_]:
        """Stable ids, shape ``(n,)``: 16 hex digits, ``-2``, ``-3`` for exact repeats."""
        raise NotImplementedError

    @cached_property
    def foundation(self) -> NDArray[np.int8]:
        """Index into ``FOUNDATIONS``, shape ``(n,)``."""
        raise NotImplementedError

    @cached_property
    def pole(self) -> NDArray[np.str_]:
        """``virtue``, ``vice`` or ``neutral``, shape ``(n,)``."""
        raise NotImplementedError

    @cached_property
    def grade(self) -> NDArray[np.float32]:
        """Typicality in [0, 1] on the item's own foundation, shape ``(n,)``; neutral is 0."""
        raise NotImplementedError

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """``train``, ``validation`` or ``test``, shape ``(n,)``; no text stands in two splits."""
        raise NotImplementedError

    def texts(self) -> list[str]:
        """Return the action texts as they stand in the source, one per item."""
        raise NotImplementedError

    def vectors(self) -> NDArray[np.float32]:
        """Return the moral vectors, shape ``(n, 10)``, columns in ``DIMENSIONS`` order."""
        raise NotImplementedError

    def unique_texts(self) -> UniqueTexts:
        """Return the sorted different texts and each item's position among them."""
        raise NotImplementedError

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Items":
        """Return the chosen items, in canonical order; the digest follows the content."""
        raise NotImplementedError


@dataclass(frozen=True)
class StoredSet:
    """A set of items that lies in the store, listed without reading its rows."""

    digest: str
    """Digest of the items: what ``open_set`` takes."""

    sample: Sample
    """Whole or the diagnosis sample."""

    provenance: Provenance
    """Where the set comes from."""

    size: int
    """Payload in bytes."""

    made: float
    """Time of writing, seconds since 1970 UTC."""


def load_or_read(store: Store, spec: ItemSpec, report: Report = silent) -> Items:
    """Return the items, from the store if they were read before.

    Raises:
        CoreError: The file cannot be read, or holds values that are not allowed.
    """
    raise NotImplementedError


def builtin(store: Store, report: Report = silent) -> Items:
    """Return the set written for this project (not human-annotated); needs no file."""
    return load_or_read(store, ItemSpec(source="builtin"), report)


def stored_sets(store: Store) -> list[StoredSet]:
    """List every set of items in the store, newest first."""
    raise NotImplementedError


def open_set(store: Store, digest: str) -> Items:
    """Return a stored set by the digest of its items, or a beginning of it (8 digits or more).

    Raises:
        CoreError: No stored set, or several, have this digest.
    """
    raise NotImplementedError
