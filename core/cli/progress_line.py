"""How far a job is, on a terminal or in a log: the only writing to stderr while work runs."""

import os
import shutil
import sys
import time
from typing import Any, Final, TextIO

from core import CoreError
from core.runtime.runner import Job
from core.wording import duration

#: Seconds between two looks at a job.
LOOK: Final = 0.1
#: Seconds before a job is worth a line that stays; importing torch takes two.
GRACE: Final = 3.0
#: Seconds between two lines where they pile up in a file or a log.
PLAIN_PAUSE: Final = 5.0


class ProgressLine:
    """One line on a terminal that is written over; elsewhere a plain line every few seconds."""

    def __init__(self, job: Job, stream: TextIO) -> None:
        self._job, self._stream = job, stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + GRACE
        self._titled = False

    def show(self) -> None:
        """Show how far the job is, where it is time for it."""
        due = time.monotonic() >= self._next
        if due and not self._titled:
            self.say(self._job.title)
            self._titled = True
        if self._live:
            columns = shutil.get_terminal_size().columns
            self._write("\r\x1b[K" + progress_text(self._job)[: columns - 1])
        elif due:
            self.say(progress_text(self._job))
            self._next = time.monotonic() + PLAIN_PAUSE

    def say(self, text: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self._live:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def progress_text(job: Job) -> str:
    """Write how far a job is: ``43 % · reading texts · 20 s left``."""
    note = job.note if job.note not in ("", "starting") else job.title
    parts = [f"{int(100 * job.fraction):3d} %", note]
    if job.left is not None:
        parts.append(f"{duration(job.left)} left")
    return " · ".join(parts)


def say(text: str) -> None:
    """Write a line beside the results."""
    sys.stderr.write(f"{text}\n")


def watch(job: Job) -> Any:
    """Show a job's progress on stderr until it ends, and return its result.

    Raises:
        CoreError: It failed.
        KeyboardInterrupt: Ctrl-C; the job has come to rest, unless it was pressed twice.
    """
    line = ProgressLine(job, sys.stderr)
    try:
        while job.active:
            line.show()
            job.wait(LOOK)
    except KeyboardInterrupt:
        job.cancel()
        line.say("Stopping after the present step. Ctrl-C again leaves at once.")
        while job.active:  # a wait without an end hears no Ctrl-C on some systems
            job.wait(LOOK)
        raise
    finally:
        line.clear()
    if job.state == "cancelled":
        raise KeyboardInterrupt
    if job.state == "failed":
        raise CoreError(job.error)
    return job.result
