"""Long work that a killed run can go on with: one process at a time, a journal of what is done."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from core.runtime.progress import Report
from core.runtime.store import Store


@contextmanager
def only_one(store: Store, name: str, report: Report, total: int, waiting: str) -> Iterator[None]:
    """Hold a lock between processes; while another has it, wait where Cancel is heard.

    Args:
        store: Where locks lie.
        name: What is made.
        report: Asked between two looks at the lock.
        total: Steps of the work.
        waiting: What a person reads meanwhile.
    """
    lock = store.lock(name)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            report(0, total, waiting)
    try:
        yield
    finally:
        lock.release()


class Journal:
    """Numbers of finished batches in a file, one a line, each written after the batch is."""

    def __init__(self, path: Path) -> None:
        """Open a journal that exists."""
        whole, _, torn = path.read_text().rpartition("\n")
        if torn:  # a full disk cut it: the next number must not be written onto its end
            os.truncate(path, path.stat().st_size - len(torn))
        self._path = path
        self._done = set(whole.split("\n"))

    def has(self, number: int) -> bool:
        """Tell whether a batch was finished."""
        return str(number) in self._done

    def add(self, number: int) -> None:
        """Write down that a batch is finished."""
        with self._path.open("a") as file:
            file.write(f"{number}\n")
        self._done.add(str(number))
