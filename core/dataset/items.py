"""Items: actions with their moral vectors, strata and splits, in an order of their own."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.dataset.columns import PEOPLE
from core.dataset.splits import split_of, text_group, units
from core.foundations import DIMENSIONS
from core.statistics.bootstrap import group_numbers
from core.statistics.words import count_words

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns that make the content; ``annotation`` is left out, it may follow the source's row order.
CONTENT: Final = (
    "item",
    "text",
    "text_group",
    "foundation",
    "pole",
    "grade",
    "judgement",
    "agreement",
    "vector",
    "split",
)
_ID_DIGITS: Final = 16


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
class Items:
    """Items in canonical order (by ``item``), whatever the order of the source's rows.

    Columns of ``table``: ``item`` (stable id), ``annotation`` (the source's id, the only column
    that may follow the source's row order), ``text``, ``text_group``, ``foundation`` (int8, index
    into ``FOUNDATIONS``), ``pole``, ``grade`` (float32 in [0, 1]), ``judgement`` and ``agreement``
    (float32, null where the source has none), ``vector`` (10 x float32), ``split``, ``words``; and
    where the source tells them ``person`` (who graded the row) and ``situation``.
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
        """``train``, ``validation`` or ``test``, ``(n,)``; no text or ``unit`` stands in two."""
        return self._strings("split")

    @cached_property
    def person(self) -> NDArray[np.str_] | None:
        """Who graded each row, shape ``(n,)``, empty if not told; None if the source never is."""
        return self._strings("person") if "person" in self.table.column_names else None

    @cached_property
    def situation(self) -> NDArray[np.str_] | None:
        """Situation of each row, shape ``(n,)``, empty if not told; None if it never is."""
        return self._strings("situation") if "situation" in self.table.column_names else None

    @cached_property
    def unit(self) -> NDArray[np.int64] | None:
        """Number of what each row is drawn with, ``(n,)``: as ``units``; None: it is the text."""
        if self.situation is None:
            return None
        groups = self.table["text_group"].to_pylist()
        return group_numbers(np.array(units(groups, self.situation.tolist())))

    def texts(self) -> list[str]:
        """Return the action texts as they stand in the source, one per item."""
        return list(self.table["text"].to_pylist())

    def vectors(self) -> NDArray[np.float32]:
        """Return the moral vectors, shape ``(n, 10)``, columns in ``DIMENSIONS`` order."""
        flat = self.table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values: NDArray[np.float32] = flat.reshape(len(self), len(DIMENSIONS))
        return values

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


def item_table(flat: "pa.Table", split_seed: int) -> "pa.Table":
    """Return the items of flattened annotations, sorted by id.

    Args:
        flat: As ``Annotations.table``: one row per annotation and foundation, any order.
        split_seed: Seed of the split by text.

    Returns:
        The columns of ``Items.table``; the same content whatever the order of the rows.
    """
    import pyarrow as pa

    base = _base_ids(flat)
    order, repeat = _canonical_order(flat, base)
    ordered = flat.take(pa.array(order))
    texts = ordered["text"].combine_chunks().dictionary_encode()
    unique, place = texts.dictionary.to_pylist(), texts.indices
    groups = [text_group(text) for text in unique]
    row_groups = pa.array(groups, pa.string()).take(place)
    own = row_groups.to_pylist()
    if "situation" in flat.column_names:
        own = units(own, ordered["situation"].to_pylist())
    splits = {unit: split_of(unit, split_seed) for unit in own}
    words = [min(count_words(text), np.iinfo(np.int16).max) for text in unique]
    names = [
        name if count == 1 else f"{name}-{count}"
        for name, count in zip(base[order].tolist(), repeat.tolist(), strict=True)
    ]
    columns = {
        "item": pa.array(names, pa.string()),
        "annotation": ordered["annotation"],
        "text": ordered["text"],
        "text_group": row_groups,
        **{name: ordered[name] for name in ("foundation", "pole", "grade")},
        **{name: ordered[name] for name in ("judgement", "agreement", "vector")},
        "split": pa.array([splits[unit] for unit in own], pa.string()),
        "words": pa.array(words, pa.int16()).take(place),
        **{name: ordered[name] for name in people_of(flat)},
    }
    return pa.table(columns).combine_chunks()


def people_of(table: "pa.Table") -> list[str]:
    """Return which of ``person`` and ``situation`` a table has."""
    return [name for name in PEOPLE if name in table.column_names]


def _vectors(table: "pa.Table") -> NDArray[np.float32]:
    flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    # Adding 0 turns -0.0 into 0.0: equal vectors must have equal bytes.
    values: NDArray[np.float32] = flat.reshape(-1, len(DIMENSIONS)) + np.float32(0)
    return values


def _base_ids(flat: "pa.Table") -> NDArray[np.str_]:
    """Return 16 hex digits of SHA-256 over text, foundation and vector, shape ``(n,)``."""
    vectors = _vectors(flat).astype("<f4")
    names = [
        hashlib.sha256(
            text.encode("utf-8", "surrogatepass") + b"\0" + bytes([foundation]) + vector.tobytes()
        ).hexdigest()[:_ID_DIGITS]
        for text, foundation, vector in zip(
            flat["text"].to_pylist(), flat["foundation"].to_pylist(), vectors, strict=True
        )
    ]
    return np.array(names, dtype=f"U{_ID_DIGITS}")


def _canonical_order(
    flat: "pa.Table", base: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sorting rows and, in that order, which repeat of its id each row is (from 1)."""
    annotation = np.array(flat["annotation"].to_pylist(), dtype=np.str_)
    agreement, judgement = _plain(flat["agreement"]), _plain(flat["judgement"])
    people = [np.array(flat[name].to_pylist(), dtype=np.str_) for name in people_of(flat)]
    order = np.lexsort((annotation, *people, agreement, judgement, base))
    ordered = base[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(order)])
    return order, np.arange(len(order)) - np.repeat(starts, lengths) + 1


def _plain(column: Any) -> NDArray[np.float32]:
    """Return a nullable column with NaN for null."""
    values: NDArray[np.float32] = column.to_numpy().astype("<f4")
    return values


def content_digest(table: "pa.Table") -> str:
    """Return the SHA-256 (64 hex digits) of the content of an item table, row by row."""
    digest = hashlib.sha256()
    for name in (*CONTENT, *people_of(table)):
        column = table[name]
        if name == "vector":
            data = _vectors(table).astype("<f4").tobytes()
        elif name in ("grade", "judgement", "agreement"):
            data = _plain(column).tobytes()
        elif name == "foundation":
            data = column.to_numpy().astype("<i1").tobytes()
        else:
            data = "\0".join(column.to_pylist()).encode("utf-8", "surrogatepass")
        digest.update(f"{name}:{len(data)}:".encode() + data)
    return digest.hexdigest()
