"""What is made once and kept: its identity, how it is opened, how it is made, in one place.

Every wing tells what it keeps as functions that return a ``Made``; the runner makes one in a job,
pages open one and keep it between reruns, other work opens or makes one on its way.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from core.runtime.progress import Report, silent
from core.runtime.resumable import only_one
from core.runtime.store import Key, Store, fingerprint

T = TypeVar("T")

Lane = Literal["model", "layout", "data"]


@dataclass(frozen=True, eq=False)
class Made(Generic[T]):
    """One result that is made once, kept, and opened ever after."""

    kind: str
    """Its artefacts' kind in the store, or a word for what several artefacts make up."""

    key: Key
    """All that it depends on, in clear."""

    has: Callable[[], bool]
    """Tells whether all of it is stored, without checking its content."""

    open: Callable[[], T | None]
    """Opens it; None if it is not stored, or was damaged and set aside."""

    make: Callable[[Report], T]
    """Makes and keeps it, whatever is stored."""

    title: str = ""
    """What making it is called, for people."""

    lane: Lane = "layout"
    """Which jobs its own waits for."""

    needs: "tuple[Made[Any], ...]" = ()
    """What has to be there before, each made in a job of its own."""

    live: Any = None
    """What making fills while it runs, for watchers."""

    @cached_property
    def name(self) -> str:
        """Identity among all that is made: of its job, and of what a page keeps of it."""
        return fingerprint({"made": self.kind, "key": dict(self.key)})

    def get(self, report: Report = silent) -> T:
        """Return it, made only if it is not stored."""
        found = self.open()
        return self.make(report) if found is None else found


def artefact(
    store: Store,
    kind: str,
    key: Key,
    *,
    read: Callable[[Path], T | None],
    write: Callable[[Path, T], None],
    make: Callable[[Report], T],
    title: str = "",
    lane: Lane = "layout",
    waiting: str = "",
) -> Made[T]:
    """Return what is kept as one artefact of a store.

    Args:
        store: Where.
        kind: Its kind.
        key: Its content key.
        read: Reads it from its folder; None if it cannot: it is set aside and made again.
        write: Writes it into an empty folder.
        make: Makes it.
        title: What making it is called.
        lane: Which jobs making it waits for.
        waiting: Told while another process makes it; empty: both may make it side by side.
    """

    def opened() -> T | None:
        folder = store.open(kind, key)
        found = None if folder is None else read(folder)
        if folder is not None and found is None:
            store.reject(folder)
        return found

    def kept(report: Report) -> T:
        made = make(report)
        with store.writing(kind, key) as folder:
            write(folder, made)
        return made

    def alone(report: Report) -> T:
        name = f"{kind}-{fingerprint(dict(key))[:16]}"
        with only_one(store, name, report, 1, waiting):
            found = opened()
            return kept(report) if found is None else found

    once = alone if waiting else kept
    return Made(kind, key, partial(store.has, kind, key), opened, once, title, lane)


def write_json(name: str, of: Callable[[T], Any]) -> Callable[[Path, T], None]:
    """Return how a result is written as one JSON file, of what ``of`` makes of it."""

    def write(folder: Path, made: T) -> None:
        (folder / name).write_text(json.dumps(of(made)))

    return write


def read_json(name: str, to: Callable[[Any], T]) -> Callable[[Path], T]:
    """Return how a result is read from one JSON file, by what ``to`` makes of its content."""

    def read(folder: Path) -> T:
        return to(json.loads((folder / name).read_text()))

    return read


def several(
    kind: str,
    key: Key,
    parts: Sequence[Made[Any]],
    join: Callable[[list[Any]], T],
    *,
    title: str = "",
    note: str = "",
    lane: Lane = "layout",
) -> Made[T]:
    """Return what several kept things make up, made one after the other in one job.

    Args:
        kind: Word for the whole.
        key: All that the whole depends on.
        parts: What it is made of.
        join: Makes the whole of the parts, in their order.
        title: What making it is called.
        note: Told before each part; behind it stands how many are done.
        lane: Which jobs making it waits for.
    """

    def opened() -> T | None:
        found = []
        for one in parts:
            value = one.open()
            if value is None:
                return None
            found.append(value)
        return join(found)

    def make(report: Report) -> T:
        found = []
        for number, one in enumerate(parts):
            report(number, len(parts), f"{note} · {number} of {len(parts)}")
            found.append(one.get())
        return join(found)

    return Made(kind, key, lambda: all(one.has() for one in parts), opened, make, title, lane)
