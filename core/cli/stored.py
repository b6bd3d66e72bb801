"""The command ``cache``: what is stored, whether it is whole, and how it is removed."""

import contextlib
from pathlib import Path
from typing import Final

from core import CoreError
from core.cli.desk import Desk
from core.runtime.progress import Report
from core.runtime.store import Store
from core.wording import SHOWN_DIGITS, Lines, aligned, bytes_text

#: Folders of the cache beside the artefacts.
SIDE_FOLDERS: Final = {
    "partial": "readings that are under way, or were stopped and can go on",
    "downloads": "the fetched archive and models",
    "verdicts": "what judges said, people among them",
    "sweeps": "jobs of sweeps, their logs and their parts of the table",
    "damaged": "what was set aside as damaged; it can be deleted by hand",
}


def list_cache(desk: Desk) -> Lines:
    """Tell what is stored, by kind, the largest first."""
    store = desk.work.store
    rows = [
        (kind, f"{len(sizes):,}", bytes_text(sum(sizes))) for kind, sizes in _kinds(store).items()
    ]
    yield f"Cache folder {store.root.resolve()}"
    if rows:
        yield ""
        yield from aligned(("kind", "number", "size"), rows, left=(0,))
        yield ""
        yield "Remove one kind with --clear KIND; it is made again when it is needed."
    else:
        yield "Nothing is stored."
    for folder, meaning in SIDE_FOLDERS.items():
        size = _bytes_in(store.root / folder)
        if size:
            yield f"Besides, {folder}/ holds {bytes_text(size)}: {meaning}."


def verify_cache(desk: Desk) -> Lines:
    """Hash every file of the cache anew; what is damaged is set aside, to be made again.

    Raises:
        CoreError: Something was damaged.
    """
    store = desk.work.store
    known = store.artefacts()

    def check(report: Report) -> list[str]:
        found = []
        for done, one in enumerate(known):
            report(done, len(known), f"checking files · {done:,} of {len(known):,}")
            fault = store.verify(one)
            if fault:
                found.append(f"{one.kind} {one.digest[:SHOWN_DIGITS]}: {fault}")
        return found

    key = {"verify": str(store.root), "artefacts": [one.digest for one in known]}
    damaged: list[str] = desk.job(key, "Checking the cache", check, "data")
    if damaged:
        raise CoreError(
            f"{len(damaged):,} of {len(known):,} artefacts were damaged. They are set aside in "
            f"damaged/ and made again when they are needed: {'; '.join(damaged)}."
        )
    yield f"All {len(known):,} artefacts are as they were written."


def _kinds(store: Store) -> dict[str, list[int]]:
    """Return the size of every artefact by kind, the largest kind first."""
    sizes: dict[str, list[int]] = {}
    for entry in store.artefacts():
        sizes.setdefault(entry.kind, []).append(entry.size)
    return dict(sorted(sizes.items(), key=lambda pair: -sum(pair[1])))


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be done with it
            size += path.stat().st_size if path.is_file() else 0
    return size


def clear_cache(desk: Desk, kind: str) -> Lines:
    """Remove every artefact of one kind.

    Raises:
        CoreError: There is none.
    """
    store = desk.work.store
    artefacts = [entry for entry in store.artefacts() if entry.kind == kind]
    if not artefacts:
        known = ", ".join(_kinds(store)) or "nothing"
        raise CoreError(f"Nothing of the kind {kind!r} is stored. Stored kinds: {known}.")
    for entry in artefacts:
        store.delete(entry)
    size = bytes_text(sum(entry.size for entry in artefacts))
    yield f"Removed {len(artefacts):,} of the kind {kind}, {size}."
