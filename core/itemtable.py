"""The table of items: stable ids, canonical order, text groups, splits, the content's digest."""

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core.foundations import DIMENSIONS
from core.sampling import split_of, text_group

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
    splits = [split_of(group, split_seed) for group in groups]
    words = [min(len(text.split()), np.iinfo(np.int16).max) for text in unique]
    names = [
        name if count == 1 else f"{name}-{count}"
        for name, count in zip(base[order].tolist(), repeat.tolist(), strict=True)
    ]
    columns = {
        "item": pa.array(names, pa.string()),
        "annotation": ordered["annotation"],
        "text": ordered["text"],
        "text_group": pa.array(groups, pa.string()).take(place),
        **{name: ordered[name] for name in ("foundation", "pole", "grade")},
        **{name: ordered[name] for name in ("judgement", "agreement", "vector")},
        "split": pa.array(splits, pa.string()).take(place),
        "words": pa.array(words, pa.int16()).take(place),
    }
    return pa.table(columns).combine_chunks()


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
    order = np.lexsort((annotation, agreement, judgement, base))
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
    for name in CONTENT:
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
