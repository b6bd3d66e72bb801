"""Items: actions with their moral vectors, strata and splits, in an order of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.itemtable import content_digest

if TYPE_CHECKING:
    import pyarrow as pa


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


@dataclass(frozen=True, eq=False)
class UniqueTexts:
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
        return self._strings("item")

    @cached_property
    def foundation(self) -> NDArray[np.int8]:
        """Index into ``FOUNDATIONS``, shape ``(n,)``."""
        values: NDArray[np.int8] = self.table["foundation"].to_numpy()
        return values

    @cached_property
    def pole(self) -> NDArray[np.str_]:
        """``virtue``, ``vice`` or ``neutral``, shape ``(n,)``."""
        return self._strings("pole")

    @cached_property
    def grade(self) -> NDArray[np.float32]:
        """Typicality in [0, 1] on the item's own foundation, shape ``(n,)``; neutral is 0."""
        values: NDArray[np.float32] = self.table["grade"].to_numpy()
        return values

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """``train``, ``validation`` or ``test``, shape ``(n,)``; no text stands in two splits."""
        return self._strings("split")

    def texts(self) -> list[str]:
        """Return the action texts as they stand in the source, one per item."""
        return list(self.table["text"].to_pylist())

    def vectors(self) -> NDArray[np.float32]:
        """Return the moral vectors, shape ``(n, 10)``, columns in ``DIMENSIONS`` order."""
        flat = self.table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values: NDArray[np.float32] = flat.reshape(len(self), len(DIMENSIONS))
        return values

    def unique_texts(self) -> UniqueTexts:
        """Return the sorted different texts and each item's position among them."""
        texts = self.texts()
        unique = sorted(set(texts))
        place = {text: number for number, text in enumerate(unique)}
        return UniqueTexts(unique, np.array([place[text] for text in texts], dtype=np.int64))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Items":
        """Return the chosen items, in canonical order; the digest follows the content."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else np.sort(rows)
        return Items.of(self.table.take(chosen), self.provenance)

    @classmethod
    def of(cls, table: "pa.Table", provenance: Provenance) -> "Items":
        """Return the items of a table in canonical order; digest and counts follow the content."""
        texts = len(table["text"].unique())
        counts = replace(provenance.counts, items=int(table.num_rows), texts=texts)
        return cls(
            table.replace_schema_metadata(None),
            replace(provenance, counts=counts),
            content_digest(table),
        )

    def _strings(self, column: str) -> NDArray[np.str_]:
        return np.array(self.table[column].to_pylist(), dtype=np.str_)
