"""Main memory: how much there is and is free, and how little of it freed heap keeps."""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
#: ``M_ARENA_MAX`` of glibc's ``malloc.h``.
_MOST_ARENAS: Final = -8


@dataclass(frozen=True)
class Room:
    """Memory of a device in bytes."""

    free: int
    """Free now."""

    total: int
    """In all."""


def main_memory() -> Room:
    """Return what this process may use: a container's limit counts, not only the machine's."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = int(memory.available), int(memory.total)
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return Room(free, total)
    reclaimable = int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    return Room(max(0, min(free, limit - used + reclaimable)), min(total, limit))


def share_heap() -> None:
    """Let the threads of this process share one heap, where the C library is glibc.

    Else each has its own and keeps up to 64 MB there of what it freed: 0.15 GB while a model reads.
    To be called before threads begin.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_MOST_ARENAS, 1)


def trim_heap() -> None:
    """Give free pages of the heap back to the system, where the C library is glibc.

    It keeps what was freed between blocks that are still in use: a gigabyte after a conversion.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
