"""The commands ``items`` and ``fetch``: sets that are stored, read from a table, or fetched."""

from core.cli.desk import Desk
from core.dataset import archive
from core.dataset import sets as dataset_sets
from core.dataset.items import Items
from core.dataset.sets import ItemSpec
from core.wording import SHOWN_DIGITS, Lines, aligned, bytes_text, facts


def list_items(desk: Desk) -> Lines:
    """List the stored sets, newest first."""
    sets = dataset_sets.stored_sets(desk.work.store)
    if not sets:
        yield "No set is stored yet. 'builtin' is always there; name a table to store another."
        return
    head = ("digest", "sample", "rows", "texts", "size", "kind", "name")
    rows = [
        (
            entry.digest[:SHOWN_DIGITS],
            entry.sample,
            f"{entry.provenance.counts.items:,}",
            f"{entry.provenance.counts.texts:,}",
            bytes_text(entry.size),
            entry.provenance.kind,
            entry.provenance.name,
        )
        for entry in sets
    ]
    yield from aligned(head, rows, left=(0, 1, 5, 6))


def add_items(desk: Desk, spec: ItemSpec, guessed: Lines) -> Lines:
    """Read a table into a stored set; tell what became of its rows, and what was guessed."""
    yield from _items_told(desk.watch(desk.work.add_items(spec)))
    yield from guessed


def fetch(desk: Desk) -> Lines:
    """Fetch the official archive and read it; licence and citation come first."""
    yield f"Licence   {archive.LICENCE} ({archive.LICENCE_URL})"
    yield f"Citation  {archive.CITATION}"
    yield f"Source    {archive.ARCHIVE_URL}"
    yield ""
    items: Items = desk.watch(desk.work.fetch_archive())
    yield from _items_told(items)
    counts = items.provenance.counts
    same = (counts.annotations, counts.items) == archive.PUBLISHED
    yield (
        f"The published table gives {archive.PUBLISHED[0]:,} annotations and "
        f"{archive.PUBLISHED[1]:,} rows: "
        f"{'the same' if same else 'NOT the same; this is another version of it'}."
    )


def _items_told(items: Items) -> Lines:
    source, counts = items.provenance, items.provenance.counts
    yield from facts(
        {
            "name": source.name,
            "digest": items.digest,
            "kind": source.kind,
            "licence": source.licence,
            "cite": source.citation,
            "note": source.note,
            "file sha256": source.sha256,
            "rows read": f"{counts.rows:,}",
            "annotations": f"{counts.annotations:,}",
            "rows": f"{counts.items:,}",
            "texts": f"{counts.texts:,}",
            "repeated ids": f"{counts.repeated_ids:,}" if counts.repeated_ids else "",
            "dropped": f"{sum(counts.dropped.values()):,}",
        }
    )
    yield from (f"  {number:,}  {reason}" for reason, number in counts.dropped.items())
