"""The human side: actions with their ten-dimensional moral vectors, strata and splits.

A source (the built-in set, the official archive, a person's own table) becomes ``Items``: one row
per annotation and foundation, in an order that does not depend on the order of the source's rows.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from core import CoreError
from core.dataset import archive
from core.dataset.annotations import FILTER_VERSION, Annotations, read_annotations
from core.dataset.columns import ColumnMapping, tells_people
from core.dataset.files import check_file
from core.dataset.items import Counts, Items, Provenance, item_table, people_of
from core.dataset.splits import diagnosis_rows, strata
from core.runtime.progress import Report, part, silent
from core.runtime.store import TABLE_FILE, Artefact, Store, file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Counts",
    "ItemSpec",
    "Items",
    "Provenance",
    "StoredSet",
    "builtin",
    "load_or_read",
    "open_set",
    "stored_sets",
]

Sample = Literal["all", "diagnosis"]
Source = Literal["builtin", "file"]

#: Kind of the artefact in the store.
KIND: Final = "items"
#: The set that comes with the project.
BUILTIN_FILE: Final = Path(__file__).resolve().parents[1] / "data" / "everyday.tsv"
BUILTIN_NAME: Final = "Everyday actions (written for this project)"
AUTHORED_NOTE: Final = "Written for this project, not human-annotated."
SEVERAL_NOTE: Final = "Rows of several people are kept: a text counts once for each of them."
SAMPLED_NOTE: Final = "A stratified sample: rare grades are oversampled, it is no population."

#: Hex digits of a digest that ``open_set`` asks for at least.
MIN_DIGITS: Final = 8

#: Part of the key of a set that carries who graded its rows, or in which situation.
_PEOPLE: Final = {"people": 1}
_META: Final = b"moralscope"


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
    """Which column holds what; None: guessed from the columns' names and values."""

    sample: Sample = "all"
    """``diagnosis`` draws the paper's stratified sample: up to 300 per grade, 150 typical."""

    split_seed: int = 42
    """Seed of the split by text."""

    sample_seed: int = 42
    """Seed of the diagnosis sample."""

    skip_bad_rows: bool = False
    """Keep the good rows of a person's own table and count the bad ones, instead of refusing."""

    several: bool = False
    """Keep the rows of the official table that several people graded: for a human ceiling."""


def load_or_read(store: Store, spec: ItemSpec, report: Report = silent) -> Items:
    """Return the items, from the store if they were read before.

    Raises:
        CoreError: The file cannot be read, or holds values that are not allowed.
    """
    spec = _located(spec)
    table = _stored(store, spec)
    if table is None:
        items = (
            _sample(store, spec, report)
            if spec.sample == "diagnosis"
            else _read(store, spec, report)
        )
        told = _PEOPLE if people_of(items.table) else {}
        store.save_table(KIND, _key(spec) | told, _with_meta(items))
    else:
        items = _from_stored(table)
    report(1.0, 1.0, "Items ready")
    if spec.name and spec.name != items.provenance.name:
        return replace(items, provenance=replace(items.provenance, name=spec.name))
    return items


def _stored(store: Store, spec: ItemSpec) -> "pa.Table | None":
    """Return the table of a set read before; None where it has to be read.

    Sets of a table that tells people have a key of their own: earlier ones did not carry them.
    """
    table = store.open_table(KIND, _key(spec) | _PEOPLE)
    if table is not None:
        return table
    table = store.open_table(KIND, _key(spec))
    path = spec.path if spec.source == "file" else None
    if table is not None and path is not None and path.exists() and tells_people(path):
        return None
    return table


def builtin(store: Store, report: Report = silent) -> Items:
    """Return the set written for this project (not human-annotated); needs no file."""
    return load_or_read(store, ItemSpec(source="builtin"), report)


def _located(spec: ItemSpec) -> ItemSpec:
    """Return the spec with the path and the SHA-256 of its file filled in."""
    path = BUILTIN_FILE if spec.source == "builtin" else spec.path
    if path is not None and (path.exists() or not spec.sha256):
        check_file(path)
        return replace(spec, path=path, sha256=file_sha256(path))
    if not spec.sha256:
        raise CoreError(
            "No table was named. Choose a file, or the set that comes with the project."
        )
    return spec


def _key(spec: ItemSpec) -> dict[str, Any]:
    """Return what decides the content; the file's name and place do not."""
    key: dict[str, Any] = {
        "sha256": spec.sha256,
        "source": spec.source,
        "mapping": _mapping_key(spec.mapping) if spec.mapping else None,
        "filter": FILTER_VERSION,
        "sample": spec.sample,
        "split_seed": spec.split_seed,
        "skip_bad_rows": spec.skip_bad_rows,
    }
    key |= {"several": True} if spec.several else {}
    return key | ({"sample_seed": spec.sample_seed} if spec.sample == "diagnosis" else {})


def _mapping_key(mapping: ColumnMapping) -> dict[str, str]:
    """Return the mapping without the roles added later where they are empty: keys stay as made."""
    later = ("pole", "grade")
    return {role: name for role, name in asdict(mapping).items() if name or role not in later}


def _read(store: Store, spec: ItemSpec, report: Report) -> Items:
    if spec.path is None or not spec.path.exists():
        raise CoreError(
            f"The table {spec.name or spec.sha256[:12]} is no longer in the store. Name its file "
            "again."
        )
    read = read_annotations(
        spec.path,
        store.root,
        spec.mapping,
        skip_bad_rows=spec.skip_bad_rows,
        several=spec.several,
        id_prefix="everyday" if spec.source == "builtin" else "socialchem",
        report=part(report, 0.0, 0.7),
    )
    if not read.table.num_rows:
        raise CoreError(f"No row of {read.name} passed the filter: {_reasons(read.dropped)}.")
    report(0.7, 1.0, "Numbering and splitting")
    table = item_table(read.table, spec.split_seed)
    return Items.of(table, _provenance(spec, read))


def _reasons(dropped: Mapping[str, int]) -> str:
    return "; ".join(f"{reason}, {count:,}" for reason, count in dropped.items()) or "it has none"


def _sample(store: Store, spec: ItemSpec, report: Report) -> Items:
    whole = load_or_read(store, replace(spec, sample="all", name=""), part(report, 0.0, 0.9))
    stratum = strata(whole.foundation, whole.pole, whole.grade)
    sampled = whole.take(diagnosis_rows(whole.item, stratum, spec.sample_seed))
    notes = [note for note in (sampled.provenance.note, SAMPLED_NOTE) if note]
    note = " ".join(dict.fromkeys(notes))
    return replace(sampled, provenance=replace(sampled.provenance, note=note))


def _provenance(spec: ItemSpec, read: Annotations) -> Provenance:
    counts = Counts(read.rows, read.kept, 0, 0, read.repeated_ids, read.dropped)
    if spec.source == "builtin":
        return Provenance(
            name=BUILTIN_NAME,
            kind="builtin",
            licence="as the project",
            citation="",
            authored=True,
            note=AUTHORED_NOTE,
            sha256=spec.sha256,
            counts=counts,
        )
    own = read.kind == "own"
    return Provenance(
        name=spec.name or read.name,
        kind=read.kind,
        licence="not stated" if own else archive.LICENCE,
        citation="" if own else archive.CITATION,
        authored=False,
        note=SAMPLED_NOTE if read.drawn else _several_note(spec, read),
        sha256=spec.sha256,
        counts=counts,
    )


def _several_note(spec: ItemSpec, read: Annotations) -> str:
    return SEVERAL_NOTE if spec.several and read.kind == "official" else ""


def _with_meta(items: Items) -> "pa.Table":
    record = {"digest": items.digest, "provenance": asdict(items.provenance)}
    return items.table.replace_schema_metadata({_META: json.dumps(record).encode()})


def _read_meta(metadata: Mapping[bytes, bytes]) -> tuple[str, Provenance]:
    record = json.loads(metadata[_META])
    fields = record["provenance"]
    return record["digest"], Provenance(**fields | {"counts": Counts(**fields["counts"])})


def _from_stored(table: "pa.Table") -> Items:
    digest, provenance = _read_meta(table.schema.metadata)
    return Items(table.replace_schema_metadata(None), provenance, digest)


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

    artefact: Artefact
    """The artefact, for ``Store.delete``."""


def stored_sets(store: Store) -> list[StoredSet]:
    """List every set of items in the store, newest first; what cannot be read is left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for artefact in store.artefacts():
        if artefact.kind != KIND:
            continue
        path = store.root / KIND / artefact.digest / TABLE_FILE
        try:
            digest, provenance = _read_meta(pq.read_schema(path).metadata)
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
            continue
        sample = artefact.key["sample"]
        found.append(StoredSet(digest, sample, provenance, artefact.size, artefact.made, artefact))
    return found


def open_set(store: Store, digest: str) -> Items:
    """Return a stored set by the digest of its items, or a beginning of it (8 digits or more).

    Raises:
        CoreError: No stored set, or several, have this digest.
    """
    matching = [
        entry
        for entry in stored_sets(store)
        if len(digest) >= MIN_DIGITS and entry.digest.startswith(digest)
    ]
    if len({entry.digest for entry in matching}) > 1:
        raise CoreError(f"Several stored sets begin with {digest}. Give more of its digits.")
    for entry in matching:
        table = store.open_table(KIND, entry.artefact.key)
        if table is not None:
            return _from_stored(table)
    raise CoreError(
        f"No stored set of items has the digest {digest}. Name its table again, or choose one of "
        "the stored sets."
    )
