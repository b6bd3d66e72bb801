"""A sweep whose rows are jobs: sent, asked how they stand, stopped, and gathered in one table."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

from core import CoreError
from core.cli.arguments import check_folder
from core.cli.desk import Desk
from core.cli.sweep import Outcome, Sweep, figures, measure_entry
from core.cluster import cost, schedulers, sending
from core.cluster.command import RowCommand
from core.cluster.cost import Work
from core.cluster.rows import Row, jobs_folder, keep_part, rows_of, sent_of
from core.cluster.script import script
from core.cluster.states import ACTIVE, DUE, Standing, row_standings, standings, table
from core.diagnosis import leaderboard_rows
from core.leaderboard.model_list import Entry
from core.runtime.store import Store
from core.wording import Lines

PLACES: Final = ("slurm", "local", "debug")
#: Where ``python -m core`` finds the product.
_ROOT: Final = Path(__file__).resolve().parents[2]
#: Lines of each log that are shown.
_LOG_LINES: Final = 200


@dataclass(frozen=True, eq=False)
class Jobs:
    """A sweep as jobs."""

    desk: Desk
    """Where to work."""

    entries: Sequence[Entry]
    """The list."""

    asked: Sweep
    """What is asked of every model, the items by their digest."""

    words: Sequence[str]
    """The command that asks it, behind ``python -m core``."""

    @cached_property
    def rows(self) -> list[Row]:
        """Rows that can be measured."""
        return rows_of(self.entries, asdict(self.asked))

    @property
    def store(self) -> Store:
        """Where all of it lies."""
        return self.desk.work.store

    def entry(self, number: int) -> Entry:
        """Return an entry by its place in the list.

        Raises:
            CoreError: There is none.
        """
        if not 1 <= number <= len(self.entries):
            raise CoreError(f"The list has no row {number}. Its rows are 1 to {len(self.entries)}.")
        return self.entries[number - 1]

    def command(
        self, number: int | str, environment: dict[str, str | None] | None = None
    ) -> RowCommand:
        """Return what a row's job runs: this product, on this store."""
        words = [sys.executable, "-m", "core", *self.words, f"--row={number}"]
        kept = {"MORALSCOPE_CACHE": str(self.store.root.absolute())}
        return RowCommand(words, _ROOT, {**kept, **(environment or {})})


def one_row(jobs: Jobs, number: int) -> Lines:
    """Measure one row and keep its part of the table; this is what a job runs."""
    entry = jobs.entry(number)
    row = next((one for one in jobs.rows if one.number == number), None)
    if row is None:
        raise CoreError(entry.problem)
    sending.began(jobs.store, row)
    with jobs.store.lock(f"row-{row.digest[:16]}"):  # an older job of the row may still run
        outcome = _measured(jobs, row)
    yield f"Row {number}  {entry.name}: {outcome.line}"


def _measured(jobs: Jobs, row: Row) -> Outcome:
    outcome = measure_entry(jobs.desk, row.entry, jobs.asked)
    keep_part(jobs.store, row, outcome.rows)
    return outcome


# --- sending ---


def sent(jobs: Jobs, on: str, out: Path) -> Lines:
    """Send the rows that are due, then gather those that have ended."""
    check_folder(out)
    ways: dict[str, Callable[[Jobs], Lines]] = {
        "slurm": _to_slurm,
        "local": _on_this_machine,
        "debug": _in_this_process,
    }
    yield from ways[on](jobs)
    yield from _gathered(jobs, out)


def _to_slurm(jobs: Jobs) -> Lines:
    found = cost.costs(jobs.store, jobs.rows, _work(jobs), network=False)
    yield from (
        f"Row {one.row.number} ({one.row.entry.name}) is not sent: it {one.misfit}."
        for one in found
        if one.refused
    )
    rows = [one.row for one in found if not one.refused]
    yield from sending.to_slurm(jobs.store, rows, lambda row: jobs.command(row.number))


def _on_this_machine(jobs: Jobs) -> Lines:
    parallel = next((row.entry.needs.parallel for row in jobs.rows), None) or 1

    def command(row: Row, slot: int) -> RowCommand:
        return jobs.command(row.number, schedulers.gpus_seen(row.entry.needs.gpus, slot))

    for one in sending.run_local(jobs.store, jobs.rows, command, parallel):
        yield _ended(jobs, one)


def _in_this_process(jobs: Jobs) -> Lines:
    folder = jobs_folder(jobs.store)
    for row in jobs.rows:
        found = row_standings(jobs.store, [row])[row.number]
        if found.state in DUE:
            schedulers.run_here(partial(_measured, jobs, row), folder)
            yield _ended(jobs, row_standings(jobs.store, [row])[row.number])


def _ended(jobs: Jobs, one: Standing) -> str:
    told = f". {one.told}" if one.told else ""
    return f"{one.number} of {len(jobs.entries)}  {one.name}: {one.state}{told}"


def _gathered(jobs: Jobs, out: Path) -> Lines:
    """Write the table of all rows that have ended, in the list's order, and tell how all stand."""
    found = standings(jobs.store, jobs.entries, jobs.rows)
    yield ""
    yield from table(found)
    records: list[dict[str, Any]] = [record for one in found for record in one.records]
    if records:
        leaderboard_rows.write(records, out)
        yield ""
        yield from figures(records)
        yield ""
        yield f"Wrote {len(records)} rows to {out}{_left(found)}."
    if any(one.state in ACTIVE for one in found):
        yield "Look again with --states; the same command gathers what is done meanwhile."


def _left(found: Sequence[Standing]) -> str:
    failed = sum(one.state in ("failed", "wrong") for one in found)
    without = sum(not one.records for one in found)
    told = f"; {failed} of {len(found)} models failed, their rows say why" if failed else ""
    return told + (f"; {without} of {len(found)} have not ended" if without else "")


# --- before anything is sent ---


def dry_run(jobs: Jobs) -> Lines:
    """Tell what every row costs, and which machine it needs where it does not fit."""
    yield from cost.table(cost.costs(jobs.store, jobs.rows, _work(jobs), network=True))
    wrong = [entry.problem for entry in jobs.entries if entry.spec is None]
    yield from wrong


def _work(jobs: Jobs) -> Work:
    items = jobs.desk.work.items(jobs.asked.items)
    prompts = {jobs.asked.read.prompt(text) for text in items.texts()}
    return Work(
        prompts=len(prompts),
        characters=sum(map(len, prompts)),
        rows=len(items),
        read=jobs.asked.read,
        control=jobs.asked.control,
    )


def emitted(jobs: Jobs) -> Lines:
    """Write the script that sends all rows that can be measured."""
    yield from script(jobs.rows, jobs.command, jobs_folder(jobs.store))


# --- looking and stopping ---


def stand(jobs: Jobs) -> Lines:
    """Tell how every row stands."""
    yield from table(standings(jobs.store, jobs.entries, jobs.rows))


def logs(jobs: Jobs, number: int) -> Lines:
    """Tell what a row's job has said last.

    Raises:
        CoreError: There is no such row, or it was never sent.
    """
    jobs.entry(number)
    row = next((one for one in jobs.rows if one.number == number), None)
    known = None if row is None else sent_of(jobs.store, row)
    if known is None:
        raise CoreError(f"Row {number} was not sent as this is asked, so it has no log.")
    for path in schedulers.logs(known, jobs_folder(jobs.store)):
        yield f"{path}:"
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            lines = ["(not there yet)"]
        yield from lines[-_LOG_LINES:]


def cancelled(jobs: Jobs, number: int) -> Lines:
    """Stop the job of a row, or of all (0)."""
    if number:
        jobs.entry(number)
    rows = [row for row in jobs.rows if number in (0, row.number)]
    told = list(sending.cancel(jobs.store, rows))
    yield from told or ["Nothing is running or waiting."]
