"""Several pieces of the same work at once, one thread of arithmetic each.

Many mid-sized steps (sorting, small factorisations, clustering) gain little from several threads of
arithmetic; several pieces side by side gain nearly all. And since each piece runs on one thread,
its last digit does not depend on the number of cores.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

from core.runtime.memory import main_memory
from core.runtime.progress import Report
from core.runtime.torch_device import working_device

T = TypeVar("T")
R = TypeVar("R")

#: More side by side would multiply the memory they need.
MOST_WORKERS: Final = 8
#: Bytes of states that are always worked on at once: a layer of 16,000 texts and 4,096 coordinates.
_MOST_BYTES: Final = 2**28
#: What working on states takes at most, in units of them (``tests/benchmarks/bench_scale.py``).
_TIMES: Final = 9
#: Seconds between two reports, so that Cancel is heard while a piece runs.
_LOOK: Final = 0.3


def workers(piece_bytes: int) -> int:
    """Return how many pieces run at once: one per core, one on a GPU, fewer if they are large.

    Beyond the least, pieces take half of what is free at most.

    Args:
        piece_bytes: Size of the array that a piece works on.
    """
    if working_device() == "cuda":
        return 1
    alive = getattr(os, "sched_getaffinity", None)
    cores = len(alive(0)) if alive else os.cpu_count() or 1
    room = max(_MOST_BYTES, main_memory().free // (2 * _TIMES)) // max(piece_bytes, 1)
    return max(1, min(cores, room, MOST_WORKERS))


def each(
    work: Callable[[T], R], pieces: Iterable[T], count: int, report: Report, note: str
) -> Iterator[tuple[T, R]]:
    """Yield each piece with its result, in the order in which they are done.

    Args:
        work: What is done; called in threads of its own.
        pieces: On what.
        count: How many at once.
        report: Told after each piece, and while waiting.
        note: What is being done; the number of finished pieces is added.

    Raises:
        Cancelled: The report asked to stop; pieces that run are finished first.
    """
    # Two pieces that import it at the same time would find it half made.
    import sklearn.cluster
    import sklearn.metrics  # noqa: F401
    import torch
    from threadpoolctl import threadpool_limits

    todo, usual = list(pieces), torch.get_num_threads()
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(count, "piece", initializer=_calm) as pool,
    ):
        waiting: dict[Future[R], T] = {pool.submit(work, piece): piece for piece in todo}
        try:
            while waiting:
                report(len(todo) - len(waiting), len(todo), _told(note, todo, waiting))
                ready = wait(waiting, _LOOK, FIRST_COMPLETED).done
                torch.set_num_threads(usual)  # what threads that start elsewhere begin with
                for future in ready:
                    yield waiting.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _told(note: str, todo: Sized, waiting: Sized) -> str:
    return f"{note} · {len(todo) - len(waiting)} of {len(todo)}"


def _calm() -> None:
    """Keep the arithmetic of the present thread on this thread."""
    import torch
    from threadpoolctl import threadpool_limits

    # Asked first: torch sets a thread up at its first step, with the number that is usual then, and
    # what was set before is lost. With two threads a product's last digit is another.
    torch.get_num_threads()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="openmp")
