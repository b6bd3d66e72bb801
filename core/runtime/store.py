"""Artefacts on disk under a content key: written aside, renamed into place, opened memory-mapped.

Layout: ``<root>/<kind>/<digest>/{key.json, payload files}``. The digest is the SHA-256 of the
whole key; the key stands in clear in ``key.json`` beside the payload, with each file's size and
SHA-256, so that every artefact explains itself and a damaged one is noticed, set aside, made again.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from core import CoreError
from core.runtime.arrays import StoredDtype, create_array_file, map_array_file, to_stored
from core.runtime.paths import shown_path
from core.runtime.progress import Report, silent

if TYPE_CHECKING:
    import pyarrow as pa

Key = Mapping[str, Any]

FORMAT: Final = 1
ARRAY_FILE: Final = "array.safetensors"
TABLE_FILE: Final = "table.parquet"
KEY_FILE: Final = "key.json"
#: Payloads up to this size are hashed at their first opening in a process; larger ones once for
#: each time they were written, which is remembered in the store.
HASHED_BYTES: Final = 64 * 2**20
#: An unfinished folder older than this belongs to no living writer.
LEFTOVER_SECONDS: Final = 86_400
#: Trouble of this process or user while a file is checked: no sign of damage.
_NOT_THE_FILES_FAULT: Final = (
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EACCES,
    errno.EPERM,
)

_log = logging.getLogger(__name__)
_KIND: Final = "digest"
_FILE: Final = "sha256"


class CacheError(CoreError):
    """The cache folder cannot be read or written."""


@cache
def library_version(name: str) -> str:
    """Return a library's version. Keys name it hundreds of times, its metadata is read once."""
    return version(name)


def fingerprint(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of a JSON value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (64 hex digits) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def clear_disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into a ``CacheError`` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CacheError(
                f"The disk that holds {shown_path(folder)} is full. Nothing stored was lost: "
                "free some space or set MORALSCOPE_CACHE to a folder on another disk, and try "
                "again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise CacheError(
                f"The cache folder {shown_path(folder)} cannot be written. Give this user "
                "write access, or set MORALSCOPE_CACHE to a folder that can be written, and try "
                "again."
            ) from error
        raise


@dataclass(frozen=True)
class Artefact:
    """One finished artefact as it lies on disk."""

    kind: str
    """Family of the artefact, also its folder: ``items``, ``acts``, ``layout``, ..."""

    digest: str
    """SHA-256 of the key."""

    key: dict[str, Any]
    """The whole key in clear."""

    size: int
    """Payload in bytes."""

    made: float
    """Time of writing, seconds since 1970 UTC."""


class Store:
    """A folder of content-addressed artefacts, shared safely by several processes."""

    def __init__(self, root: Path) -> None:
        """Use ``root``, which is created at the first write."""
        self.root = root
        self.notices: list[str] = []
        self._checked: set[str] = set()
        self._mutex = threading.Lock()

    def folder(self, kind: str, key: Key) -> Path:
        """Return where the artefact lies or would lie."""
        return self.root / kind / fingerprint({"format": FORMAT, "kind": kind, "key": dict(key)})

    def has(self, kind: str, key: Key) -> bool:
        """Tell whether the artefact is there, without checking its content."""
        return (self.folder(kind, key) / KEY_FILE).is_file()

    def lock(self, name: str) -> FileLock:
        """Return a lock between processes; held by the one that makes the artefact ``name``.

        Raises:
            CacheError: The folder cannot be written.
        """
        folder = self.root / "locks"
        with clear_disk_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{name}.lock").open("a"):  # FileLock's own refusal names no way out
                pass
        return FileLock(folder / f"{name}.lock")

    @contextlib.contextmanager
    def writing(self, kind: str, key: Key) -> Iterator[Path]:
        """Yield an empty folder for the payload; a clean exit publishes it in one rename.

        If another process published the same key meanwhile, that one stays: same key, same content.

        Raises:
            CacheError: The disk is full or the folder cannot be written.
        """
        final = self.folder(kind, key)
        with clear_disk_errors(self.root):
            final.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
            try:
                yield temporary
                self._seal(temporary, kind, key)
                try:
                    temporary.rename(final)
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    @staticmethod
    def _seal(folder: Path, kind: str, key: Key) -> None:
        files = {
            str(path.relative_to(folder)): {
                "bytes": path.stat().st_size,
                "sha256": file_sha256(path),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        record = {
            "format": FORMAT,
            "kind": kind,
            "key": dict(key),
            "files": files,
            "made": time.time(),
        }
        (folder / KEY_FILE).write_text(json.dumps(record, indent=1, ensure_ascii=False))

    def open(self, kind: str, key: Key) -> Path | None:
        """Return the folder of a finished, undamaged artefact, or None if there is none.

        A damaged artefact is moved to ``<root>/damaged`` with a notice, and None is returned, so
        that the caller makes it again.
        """
        folder = self.folder(kind, key)
        if not folder.is_dir():
            return None
        with clear_disk_errors(self.root):
            fault = self._fault(folder)
        if fault is None:
            return folder
        self._set_aside(folder, fault)
        return None

    def _fault(self, folder: Path, *, anew: bool = False) -> str | None:
        """Say what is wrong with an artefact; ``anew``: whatever was checked before."""
        try:
            record = json.loads((folder / KEY_FILE).read_text())
            for name, facts in record["files"].items():
                path = folder / name
                if path.stat().st_size != facts["bytes"]:
                    return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
                seen = f"{path}:{path.stat().st_mtime_ns}"
                if seen in self._checked and not anew:
                    continue
                remembered = facts["bytes"] > HASHED_BYTES and folder.parent.name != _KIND
                found = self._remembered(path) if remembered and not anew else file_sha256(path)
                if found != facts["sha256"]:
                    return f"{name} has changed since it was written"
                self._checked.add(seen)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, OSError) and error.errno in _NOT_THE_FILES_FAULT:
                raise
            return f"its record cannot be read ({type(error).__name__})"
        return None

    def _remembered(self, path: Path) -> str:
        try:
            return content_sha256(self, path)
        except CacheError:  # nothing can be written here, so nothing is remembered
            return file_sha256(path)

    def verify(self, artefact: Artefact) -> str:
        """Hash every file of an artefact anew; set it aside if it is damaged.

        Returns:
            What is wrong with it; empty if it is whole.
        """
        folder = self.root / artefact.kind / artefact.digest
        with clear_disk_errors(self.root):
            fault = self._fault(folder, anew=True) or ""
        if fault:
            self._set_aside(folder, fault, whole=True)
        return fault

    def reject(self, folder: Path) -> None:
        """Set an artefact aside whose files are whole, but make no sense to their reader."""
        self._set_aside(folder, "its content cannot be read", whole=True)

    def _set_aside(self, folder: Path, fault: str, *, whole: bool = False) -> None:
        with self._mutex, clear_disk_errors(self.root):
            # Another process may have set it aside meanwhile, and even made it again.
            if not folder.is_dir() or (self._fault(folder) is None and not whole):
                return
            aside = self.root / "damaged"
            aside.mkdir(exist_ok=True)
            target = aside / f"{folder.parent.name}-{folder.name[:12]}-{time.time_ns()}"
            folder.rename(target)
        notice = (
            f"A stored artefact of kind {folder.parent.name} was damaged ({fault}). It was moved "
            f"to {shown_path(target)} and is made again."
        )
        _log.warning(notice)
        self.notices.append(notice)

    def save_array(
        self, kind: str, key: Key, values: NDArray[np.float32], dtype: StoredDtype = "float32"
    ) -> None:
        """Store one array as a safetensors file."""
        with self.writing(kind, key) as folder:
            target = create_array_file(folder / ARRAY_FILE, values.shape, dtype)
            target[...] = to_stored(values, dtype)
            del target

    def open_array(self, kind: str, key: Key) -> NDArray[Any] | None:
        """Map a stored array read-only; ``to_float32`` decodes it. None if it is not stored."""
        folder = self.open(kind, key)
        return None if folder is None else map_array_file(folder / ARRAY_FILE)

    def save_table(self, kind: str, key: Key, table: "pa.Table") -> None:
        """Store one Arrow table as Parquet."""
        import pyarrow.parquet as pq

        with self.writing(kind, key) as folder:
            pq.write_table(table, folder / TABLE_FILE, compression="zstd")

    def open_table(self, kind: str, key: Key) -> "pa.Table | None":
        """Read a stored table. None if it is not stored."""
        import pyarrow.parquet as pq

        folder = self.open(kind, key)
        return None if folder is None else pq.read_table(folder / TABLE_FILE)

    def artefacts(self, kind: str = "*") -> list[Artefact]:
        """List every finished artefact, newest first; what cannot be read is left out.

        Args:
            kind: Only those of one kind.
        """
        found = []
        for path in self.root.glob(f"{kind}/*/{KEY_FILE}"):
            try:
                record = json.loads(path.read_text())
                size = sum(facts["bytes"] for facts in record["files"].values())
                entry = Artefact(
                    record["kind"], path.parent.name, record["key"], size, record["made"]
                )
            except (OSError, ValueError, KeyError, TypeError):
                continue
            unfinished = path.parent.name.startswith(".new-")  # its writer was killed at the rename
            if path.parent.parent.name != "damaged" and not unfinished:
                found.append(entry)
        return sorted(found, key=lambda entry: -entry.made)

    def prepare(self) -> None:
        """Make the folder and tidy it; say at once if it cannot be a cache.

        Raises:
            CacheError: The path is no folder, or cannot be made one.
        """
        try:
            with clear_disk_errors(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"{shown_path(self.root)} cannot be the cache folder ({error.strerror}). Set "
                "MORALSCOPE_CACHE to a folder that can be made and written."
            ) from error
        self.sweep()

    def sweep(self) -> None:
        """Remove folders that a killed writer left unfinished more than a day ago."""
        for leftover in self.root.glob("*/.new-*"):
            with contextlib.suppress(OSError):
                if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                    shutil.rmtree(leftover, ignore_errors=True)

    def delete(self, artefact: Artefact) -> None:
        """Remove one artefact; it is made again when it is next asked for.

        Raises:
            CacheError: The folder cannot be written.
        """
        folder = self.root / artefact.kind / artefact.digest
        with clear_disk_errors(self.root), contextlib.suppress(FileNotFoundError):
            gone = folder.with_name(f".new-deleted-{artefact.digest[:12]}-{time.time_ns()}")
            folder.rename(gone)  # first: a half-deleted artefact would look damaged to a reader
            shutil.rmtree(gone)


def default_root() -> Path:
    """Return the cache folder: ``MORALSCOPE_CACHE``, else ``cache/`` beside ``core/``."""
    chosen = os.environ.get("MORALSCOPE_CACHE")
    return Path(chosen).expanduser() if chosen else Path(__file__).resolve().parents[2] / "cache"


def content_sha256(store: Store, path: Path, report: Report = silent) -> str:
    """Return the SHA-256 (64 hex digits) of a file, from memory if it has not changed.

    A file counts as unchanged while its real path, size and modification time (ns) are the same.

    Args:
        store: Where the digest is remembered.
        path: An existing file.
        report: Told before a file is read, about 1.5 GB a second.
    """
    real = path.resolve()
    facts = real.stat()
    key = {"path": str(real), "bytes": facts.st_size, "mtime_ns": facts.st_mtime_ns}
    folder = store.open(_KIND, key)
    if folder is not None:
        return (folder / _FILE).read_text()
    report(0, 1, f"Reading {path.name} to identify it")
    digest = file_sha256(real)
    with store.writing(_KIND, key) as folder:
        (folder / _FILE).write_text(digest)
    return digest
