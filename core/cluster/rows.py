"""Rows of a sweep and what is kept of each: how it was sent, and its part of the table.

A row is named by what is asked: the model, its labels, the texts, how they are read and measured.
So the same row of two lists is one row, and a list can grow while it runs. Beside the artefacts:
``sweeps/<digest>/rows.parquet`` and ``job.json``; what the jobs write lies in ``sweeps/jobs``.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.leaderboard.model_list import Entry
from core.runtime.store import Store, clear_disk_errors, fingerprint, library_version

#: Folder beside the artefacts.
FOLDER: Final = "sweeps"
_PART: Final = "rows.parquet"
_SENT: Final = "job.json"


@dataclass(frozen=True)
class Row:
    """One row of a list that can be measured."""

    number: int
    """Its place in the list, from 1."""

    entry: Entry
    """What the list says; it has a model."""

    digest: str
    """What names it: 64 hex digits."""


@dataclass(frozen=True)
class Sent:
    """How a row was sent the last time."""

    on: Literal["slurm", "local"]
    """Where to."""

    job: str
    """Slurm's number of the job, or that of a process."""

    host: str = field(default_factory=socket.gethostname)
    """From which machine."""

    files: str = ""
    """What tells the model's files of that time from changed ones; empty: it is no folder."""

    stopped: bool = False
    """Whether it was cancelled."""


def rows_of(entries: Sequence[Entry], asked: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a list that can be measured.

    Args:
        entries: The list.
        asked: What is asked of every model, as a JSON value.
    """
    return [
        Row(number, entry, _digest(entry, asked))
        for number, entry in enumerate(entries, 1)
        if entry.spec is not None
    ]


def _digest(entry: Entry, asked: Mapping[str, Any]) -> str:
    return fingerprint(
        {
            "model": str(entry.spec),
            "aligned": entry.aligned,
            "name": entry.name,
            "labels": asdict(entry.labels),
            **({"aligned": entry.aligned} if entry.aligned else {}),
            "asked": dict(asked),
            "formats": [leaderboard_rows.FORMAT, DIAGNOSIS_FORMAT],
            "versions": [library_version(one) for one in ("torch", "transformers", "nnsight")],
        }
    )


def files_now(row: Row) -> str:
    """Return what tells a model's files from changed ones: names, sizes, times of a folder or file.

    Empty for models that are named by their content or revision.
    """
    spec = row.entry.spec
    if spec is None or spec.source not in ("folder", "gguf"):
        return ""
    place = Path(spec.location)
    paths = sorted(place.iterdir()) if place.is_dir() else [place]
    facts = [(path.name, path.stat()) for path in paths if path.is_file()]
    return fingerprint([[name, one.st_size, one.st_mtime_ns] for name, one in facts])


def jobs_folder(store: Store) -> Path:
    """Return the folder for what jobs write, made if need be.

    Raises:
        CacheError: The disk is full or the folder cannot be written.
    """
    folder = store.root.absolute() / FOLDER / "jobs"
    with clear_disk_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _file(store: Store, row: Row, name: str) -> Path:
    return store.root / FOLDER / row.digest / name


def keep_part(store: Store, row: Row, records: Sequence[dict[str, Any]]) -> None:
    """Keep a row's part of the table.

    Raises:
        CacheError: The disk is full or the folder cannot be written.
    """
    path = _file(store, row, _PART)
    with clear_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        leaderboard_rows.write(records, path)


def part(store: Store, row: Row) -> list[dict[str, Any]]:
    """Return a row's part of the table; empty if it has not ended, or cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _file(store, row, _PART)
    try:
        # By its path: Arrow's threads may still hold a file of Python's as the process ends, and
        # that aborts it.
        records: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException):
        return []
    return records


def keep_sent(store: Store, row: Row, sent: Sent) -> None:
    """Keep how a row was sent the last time.

    Raises:
        CacheError: The disk is full or the folder cannot be written.
    """
    path = _file(store, row, _SENT)
    aside = path.with_suffix(".new")
    with clear_disk_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(asdict(sent)))
        aside.replace(path)


def keep_stopped(store: Store, row: Row, sent: Sent) -> None:
    """Keep that a row was cancelled."""
    keep_sent(store, row, replace(sent, stopped=True))


def forget_part(store: Store, row: Row) -> None:
    """Take away a row's part of the table, before it is sent anew.

    Raises:
        CacheError: The folder cannot be written.
    """
    with clear_disk_errors(store.root):
        _file(store, row, _PART).unlink(missing_ok=True)


def sent_of(store: Store, row: Row) -> Sent | None:
    """Return how a row was sent the last time; None: it was not."""
    try:
        return Sent(**json.loads(_file(store, row, _SENT).read_text()))
    except (OSError, ValueError, TypeError):
        return None
