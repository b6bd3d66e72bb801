"""Moralscope without a browser: ``python -m core``. Results to stdout, progress to stderr."""

import os

# Before anything loads torch: libgomp's waiting threads spin, which with one busy neighbour slows
# reading six times.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import argparse
import io
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TextIO, get_args

from core import CoreError, commands
from core.commands import Asked, Desk
from core.dataset import Sample
from core.jobs import Job
from core.modelspec import FORMS
from core.projection import LayoutSpec, Method
from core.prompts import PRESETS, Pooling
from core.scaling import Scaling
from core.workbench import BUILTIN, Workbench

#: Exit statuses: what a person can mend; Ctrl-C, as shells count it.
MENDABLE: Final = 2
STOPPED: Final = 130

#: Seconds before a job is worth a line.
GRACE: Final = 1.0
#: Seconds between two looks at a job.
LOOK: Final = 0.1
#: Seconds between two lines where they pile up in a file or a log.
PLAIN_PAUSE: Final = 5.0

Command = Callable[[Desk, argparse.Namespace], Iterable[str]]


class Stopped(KeyboardInterrupt):
    """Ctrl-C was pressed during a job, and the job has come to rest."""


# --- progress ---


class ProgressLine:
    """One line on a terminal that is written over; elsewhere a plain line every few seconds."""

    def __init__(self, job: Job, stream: TextIO) -> None:
        self._job, self._stream = job, stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._next = time.monotonic() + GRACE
        self._titled = False

    def show(self) -> None:
        """Show how far the job is, if it is time for it."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (LOOK if self._live else PLAIN_PAUSE)
        if not self._titled:
            self.say(self._job.title)
            self._titled = True
        if self._live:
            self._write("\r\x1b[K" + progress_text(self._job)[: _columns() - 1])
        else:
            self.say(progress_text(self._job))

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


def _columns() -> int:
    return shutil.get_terminal_size().columns


def progress_text(job: Job) -> str:
    """Write how far a job is: ``43 % · reading texts · 20 s left``."""
    parts = [f"{int(100 * job.fraction):3d} %", job.note or "waiting"]
    left = job.left
    if left is not None:
        parts.append(f"{commands.duration(left)} left")
    return " · ".join(parts)


def watch(job: Job) -> Any:
    """Show a job's progress on stderr until it ends, and return its result.

    Raises:
        CoreError: It failed.
        Stopped: Ctrl-C was pressed; a second one leaves without waiting for the job.
    """
    line = ProgressLine(job, sys.stderr)
    try:
        while job.active:
            line.show()
            job.wait(LOOK)
    except KeyboardInterrupt:
        job.cancel()
        line.say("Stopping after the present step. Ctrl-C again leaves at once.")
        job.wait()
        raise Stopped from None
    finally:
        line.clear()
    if job.state == "cancelled":
        raise Stopped
    if job.state == "failed":
        raise CoreError(job.error)
    return job.result


# --- commands ---


def _asked(args: argparse.Namespace) -> Asked:
    return Asked(args.model, args.items, args.preset, args.template, args.untrained)


def _items(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    if args.file is None:
        if args.name or args.map or args.skip_bad_rows or args.sample != "all":
            raise CoreError("Name the FILE that these options are for, or 'builtin'.")
        return commands.list_items(desk)
    spec = commands.item_spec(args.file, args.name, args.sample, dict(args.map))
    return commands.add_items(desk, replace(spec, skip_bad_rows=args.skip_bad_rows))


def _maps(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    spec = LayoutSpec(args.method, args.dims)
    return commands.maps(desk, _asked(args), args.pooling, args.scaling, spec)


def _evidence(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    measured = commands.measure(desk, _asked(args), args.pooling, args.scaling, args.layer)
    if args.csv is not None:
        return commands.write_csv(measured, args.csv)
    return [measured.json()] if args.json else measured.table()


def _cache(desk: Desk, args: argparse.Namespace) -> Iterable[str]:
    return (
        commands.list_cache(desk) if args.clear is None else commands.clear_cache(desk, args.clear)
    )


# --- arguments ---


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        "python -m core",
        description="Moralscope without a browser. Results go to stdout, progress to stderr.",
        epilog=f"MODEL is {FORMS}.\nSET is 'builtin', a digest of a stored set, or a table's path."
        "\n\nexample:\n  python -m core evidence packaged",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = top.add_subparsers(metavar="COMMAND", required=True)
    _add_items(add)
    _add(
        add,
        "fetch",
        lambda desk, _: commands.fetch(desk),
        "fetch the official Social-Chemistry-101 archive and read it",
        "fetch",
    )
    _add_describe(add)
    _add_reading(
        add,
        "read",
        lambda d, a: commands.read(d, _asked(a)),
        "let a model read the items",
        "read packaged --items builtin",
    )
    _add_maps(add)
    _add_evidence(add)
    _add_cache(add)
    return top


def _add(
    subparsers: Any, name: str, run: Command, summary: str, example: str
) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  python -m core {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.set_defaults(run=run)
    return added
