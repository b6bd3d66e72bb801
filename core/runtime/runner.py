"""Long work beside the screen: started once, watched by many, cancelled by anyone, heard of after.

A job lives in the process, not in a page: it survives page changes, reruns and closed tabs. Jobs of
one lane run one after the other (the lane ``model`` owns the model); lanes run side by side. An
answer that a person waits for goes before other work that waits; what runs is not interrupted.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Literal

from core import CoreError
from core.runtime.made import Lane, Made
from core.runtime.progress import Cancelled, Report

State = Literal["queued", "running", "done", "failed", "cancelled"]

#: Finished jobs that are remembered.
KEPT: Final = 50

#: A job's turn: urgent ones first, then in the order of asking, so that no two turns are equal.
_Turn = tuple[bool, int, "Job", Callable[[Report], Any]]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One piece of long work. Read its fields; only the runner writes them."""

    key: str
    """Identity of the work: the same key is not run twice at once."""

    title: str
    """What is being done, for people."""

    lane: Lane
    """Jobs of one lane wait for each other."""

    urgent: bool = False
    """Whether it goes before jobs of its lane that are not, as an answer to a person does."""

    state: State = "queued"
    """Where it stands."""

    fraction: float = 0.0
    """Share done, in [0, 1]."""

    note: str = ""
    """Present step."""

    started: float = 0.0
    """Monotonic seconds at the start, 0 while queued."""

    ended: float = 0.0
    """Monotonic seconds at the end, 0 before."""

    error: str = ""
    """What went wrong, for people; empty unless failed."""

    result: Any = field(default=None, repr=False)
    """What the work returned."""

    live: Any = field(default=None, repr=False)
    """What the work fills while it runs, for watchers; None if it fills nothing."""

    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _over: threading.Event = field(default_factory=threading.Event, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _heard: float = field(default=0.0, repr=False)
    _step: tuple[str, float, float] = field(default=("", 0.0, 0.0), repr=False)

    @property
    def active(self) -> bool:
        """Tell whether it waits or runs."""
        return self.state in ("queued", "running")

    @property
    def seconds(self) -> float:
        """Seconds it has run."""
        return (self.ended or time.monotonic()) - self.started if self.started else 0.0

    @property
    def left(self) -> float | None:
        """Seconds left in the present step, from its pace so far; None while unknown."""
        _, since, first = self._step
        passed, gained = self._heard - since, self.fraction - first
        if not self.active or not since or passed < 1 or gained <= 0:
            return None
        # Counted down between reports, so that it does not grow while a long batch runs.
        return max(passed * (1 - self.fraction) / gained - (time.monotonic() - self._heard), 0.0)

    def cancel(self) -> None:
        """Ask the work to stop at its next report; what it stored stays. Queued, it ends now."""
        self._stop.set()
        with self._turn:
            if self.state == "queued":
                self._end("cancelled")

    def wait(self, timeout: float | None = None) -> None:
        """Block until it has ended, or the seconds have passed."""
        self._over.wait(timeout)

    def _begin(self) -> bool:
        """Go from queued to running; False if it was cancelled while it waited."""
        with self._turn:
            if self.state != "queued":
                return False
            self.started, self.state = time.monotonic(), "running"
            return True

    def _end(self, state: State) -> None:
        self.ended = time.monotonic()
        self.state = state  # after the rest: who sees it sees everything else
        self._over.set()  # after the state: who has waited sees that it has ended

    def _report(self, done: float, total: float, note: str) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.fraction = min(done / total, 1.0) if total else 0.0
        self.note = note
        self._heard = time.monotonic()
        step = note.partition(" · ")[0]  # behind the dot stand changing counts
        if step != self._step[0]:
            self._step = (step, self._heard, self.fraction)


class Runner:
    """Runs jobs in one daemon thread per lane."""

    def __init__(self) -> None:
        """Start no thread until a lane has work."""
        self._jobs: dict[str, Job] = {}
        self._queues: dict[Lane, queue.PriorityQueue[_Turn]] = {}
        self._numbers = count()
        self._mutex = threading.Lock()

    def submit(
        self,
        key: str,
        title: str,
        work: Callable[[Report], Any],
        lane: Lane = "model",
        *,
        live: Any = None,
        urgent: bool = False,
    ) -> Job:
        """Queue some work, or return the job that already does it.

        Args:
            key: Identity of the work.
            title: What is being done, for people.
            work: Called with a report; what it returns becomes ``result``.
            lane: Which jobs it waits for.
            live: What the work fills while it runs; a job that is joined keeps its own.
            urgent: Whether it goes before work of its lane that waits and is not.
        """
        with self._mutex:
            present = self._jobs.get(key)
            if present is not None and present.active and not present._stop.is_set():
                return present
            job = Job(key, title, lane, urgent, live=live)
            self._jobs.pop(key, None)
            self._jobs[key] = job
            self._forget()
            if lane not in self._queues:
                self._queues[lane] = queue.PriorityQueue()
                threading.Thread(
                    target=self._serve, args=(self._queues[lane],), name=f"lane-{lane}", daemon=True
                ).start()
            self._queues[lane].put((not urgent, next(self._numbers), job, work))
        return job

    def ensure(self, made: Made[Any]) -> Job | None:
        """Start (or join) the job that makes something, or first what it needs; None if it is kept.

        Call it again when the job has ended: then comes the next need, or the thing itself.
        """
        if made.has():
            return None
        for need in made.needs:
            job = self.ensure(need)
            if job is not None:
                return job
        return self.submit(made.name, made.title, made.get, made.lane, live=made.live)

    def of(self, made: Made[Any]) -> Job | None:
        """Return the job on something or on what it needs: an active one, else the last that ended.

        None if no job was started on any of them.
        """
        jobs = [one for one in map(self.get, _chain(made)) if one is not None]
        return next((one for one in jobs if one.active), jobs[0] if jobs else None)

    def get(self, key: str) -> Job | None:
        """Return the latest job of that key, None if there was none."""
        return self._jobs.get(key)

    def jobs(self) -> list[Job]:
        """List the jobs, newest first."""
        with self._mutex:
            return list(self._jobs.values())[::-1]

    def ahead(self, job: Job) -> list[Job]:
        """Return the active jobs of its lane that a queued job waits for, the running one first."""
        if job.state != "queued":
            return []
        same = [other for other in self.jobs()[::-1] if other.lane == job.lane and other.active]
        # A stable sort: those of one kind stay in the order of asking.
        same.sort(key=lambda other: (other.state == "queued", not other.urgent))
        return same[: same.index(job)] if job in same else []

    def _forget(self) -> None:
        ended = [key for key, job in self._jobs.items() if not job.active]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[key]

    @staticmethod
    def _serve(waiting: "queue.PriorityQueue[_Turn]") -> None:
        while True:
            # No name here: an idle lane must not hold what a job worked on.
            _run(*waiting.get()[2:])


def _chain(made: Made[Any]) -> Iterator[str]:
    """Yield the names of something and of all that it needs, the last to be made first."""
    yield made.name
    for need in made.needs[::-1]:
        yield from _chain(need)


def _run(job: Job, work: Callable[[Report], Any]) -> None:
    """Do a job's work and write down how it ended, whatever it meets."""
    if not job._begin():
        return
    state: State = "failed"
    try:
        job._report(0.0, 0.0, "starting")
        job.result = work(job._report)
        job.fraction, state = 1.0, "done"
    except Cancelled:
        state = "cancelled"
    except CoreError as error:
        job.error = str(error)
    except BaseException as error:  # noqa: BLE001 - the lane must live on, even through SystemExit
        _log.exception("job %s failed", job.title)
        job.error = (
            f"{job.title} met an unexpected fault ({type(error).__name__}). What was "
            "stored before it is kept; the details are in the server's log."
        )
    job._end(state)
