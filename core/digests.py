"""SHA-256 of large files, remembered so that an unchanged file is read only once."""

from pathlib import Path
from typing import Final

from core.progress import Report, silent
from core.store import Store, file_sha256

_KIND: Final = "digest"
_FILE: Final = "sha256"


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
