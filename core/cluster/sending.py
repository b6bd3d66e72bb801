"""Rows are sent once: what is done stays, what runs is let be, what failed is sent again."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from core import CoreError
from core.cluster import schedulers
from core.cluster.command import RowCommand
from core.cluster.rows import (
    Row,
    Sent,
    files_now,
    forget_part,
    jobs_folder,
    keep_sent,
    keep_stopped,
    sent_of,
)
from core.cluster.states import ACTIVE, DUE, Standing, row_standings
from core.runtime.store import Store, clear_disk_errors

Command = Callable[[Row], RowCommand]
LocalCommand = Callable[[Row, int], RowCommand]

#: Only one process decides at a time what is sent.
_LOCK: Final = "sweeps"
#: Seconds between two looks at rows of this machine.
LOOK: Final = 0.2


def to_slurm(store: Store, rows: Sequence[Row], command: Command) -> Iterator[str]:
    """Send the rows that are due, those of equal needs as one array; yield what came of it.

    A refusal is a sentence, and the other rows go on.

    Raises:
        CacheError: The disk is full or the folder cannot be written.
    """
    schedulers.submitit()
    with store.lock(_LOCK):
        due = _due(store, rows)
        for needs in dict.fromkeys(row.entry.needs for row in due):
            together = [row for row in due if row.entry.needs == needs]
            for row in together:
                forget_part(store, row)
            try:
                with clear_disk_errors(store.root):
                    sent = schedulers.send_slurm(together, command, jobs_folder(store))
            except schedulers.RefusedError as refused:
                yield str(refused)
                continue
            for row, one in sent.items():
                keep_sent(store, row, replace(one, files=files_now(row)))
            told = ", ".join(str(row.number) for row in together)
            yield f"Sent row {told} to Slurm as job {sent[together[0]].job.partition('_')[0]}."


def _due(store: Store, rows: Sequence[Row]) -> list[Row]:
    found = row_standings(store, rows)
    return [row for row in rows if found[row.number].state in DUE]


def run_local(
    store: Store,
    rows: Sequence[Row],
    command: LocalCommand,
    parallel: int,
) -> Iterator[Standing]:
    """Run the rows that are due as processes of this machine; yield each as it ends.

    Rows that run here already are waited for. Who stops this stops the rows it started.

    Args:
        store: Where rows are kept.
        rows: Those of it that can be measured.
        command: What each row runs, given which of the places side by side it has, from 0.
        parallel: Rows at the same time, at least 1.

    Raises:
        CacheError: The disk is full or the folder cannot be written.
    """
    schedulers.submitit()
    left = list(rows)
    running: dict[Row, _Running] = {}
    try:
        while left or running:
            _fill(store, left, running, command, parallel)
            over = [row for row, one in running.items() if not schedulers.runs(one.sent)]
            for row in over:
                del running[row]
                yield row_standings(store, [row])[row.number]
            time.sleep(0 if over else LOOK)
    except BaseException:
        for row, one in running.items():
            if one.own:
                schedulers.stop(one.sent)
                with contextlib.suppress(CoreError):  # what is told is why this was stopped
                    keep_stopped(store, row, one.sent)
        raise


def _fill(
    store: Store,
    left: list[Row],
    running: "dict[Row, _Running]",
    command: LocalCommand,
    parallel: int,
) -> None:
    """Start rows from those that are left until no more may run."""
    while left and len(running) < parallel:
        slot = min(set(range(parallel)) - {one.slot for one in running.values()})
        row = left.pop(0)
        with schedulers.undisturbed():
            one = _start(store, row, command, slot)
            if one is not None:
                running[row] = one


class _Running(NamedTuple):
    """A row that runs on this machine."""

    sent: Sent
    """How it was sent."""

    slot: int
    """Which of the places for rows side by side it has, from 0."""

    own: bool
    """Whether it was started here, and not by another process before."""


def _start(store: Store, row: Row, command: LocalCommand, slot: int) -> _Running | None:
    """Start a row if it is due; None if it is not, and does not run on this machine either."""
    with store.lock(_LOCK):
        now = row_standings(store, [row])[row.number]
        if now.state not in DUE:
            here = now.sent is not None and now.sent.on == "local" and schedulers.runs(now.sent)
            return _Running(now.sent, slot, own=False) if now.sent and here else None
        forget_part(store, row)
        with clear_disk_errors(store.root):
            sent = schedulers.send_local(row, command(row, slot), jobs_folder(store))
        sent = replace(sent, files=files_now(row))
        try:
            keep_sent(store, row, sent)
        except CoreError:  # nobody would know of it
            schedulers.stop(sent)
            raise
        return _Running(sent, slot, own=True)


def began(store: Store, row: Row) -> None:
    """Keep which job a row runs in, where a person sent it with a script of their own."""
    job = schedulers.this_job()
    known = sent_of(store, row)
    if job is not None and (known is None or known.stopped or known.job != job.job):
        forget_part(store, row)
        keep_sent(store, row, replace(job, files=files_now(row)))


def cancel(store: Store, rows: Sequence[Row]) -> Iterator[str]:
    """Stop those rows that wait or run; yield a line for each."""
    found = row_standings(store, rows)
    for row in rows:
        sent = found[row.number].sent
        if found[row.number].state not in ACTIVE or sent is None:
            continue
        try:
            schedulers.stop(sent)
        except CoreError as error:
            yield f"Row {row.number}: {error}"
            continue
        keep_stopped(store, row, sent)
        yield f"Stopped row {row.number} ({row.entry.name}): what it stored is kept."
