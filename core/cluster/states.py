"""How the rows of a sweep stand: one word each, from what is kept and what the scheduler says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.cluster import schedulers
from core.cluster.rows import Row, Sent, files_now, jobs_folder, part, sent_of
from core.cluster.schedulers import JobTold
from core.diagnosis import leaderboard_rows
from core.leaderboard.model_list import Entry
from core.runtime.store import Store
from core.wording import Lines, aligned

State = Literal["wrong", "not sent", "waiting", "running", "done", "failed", "stopped"]

#: Rows that the same command sends again.
DUE: Final = ("not sent", "failed", "stopped")
#: Rows that a scheduler has in hand.
ACTIVE: Final = ("waiting", "running")


@dataclass(frozen=True)
class Standing:
    """How one entry of a list stands."""

    number: int
    """Its place in the list, from 1."""

    name: str
    """What it is called."""

    state: State
    """Where it stands; ``wrong``: the entry cannot mean anything."""

    told: str = ""
    """Why, or what the scheduler says."""

    sent: Sent | None = None
    """How it was sent the last time."""

    records: tuple[dict[str, Any], ...] = ()
    """Its part of the table; empty before it has ended."""


def standings(store: Store, entries: Sequence[Entry], rows: Sequence[Row]) -> list[Standing]:
    """Return how every entry of a list stands, in its order.

    Args:
        store: Where rows are kept.
        entries: The list.
        rows: Those of it that can be measured.
    """
    found = row_standings(store, rows)
    return [found.get(number) or _wrong(number, entry) for number, entry in enumerate(entries, 1)]


def _wrong(number: int, entry: Entry) -> Standing:
    record = leaderboard_rows.failed(entry.name, entry.asked, entry.problem, entry.labels)
    return Standing(number, entry.name, "wrong", entry.problem, records=(record,))


def row_standings(store: Store, rows: Sequence[Row]) -> dict[int, Standing]:
    """Return how rows stand, by their number; each scheduler is asked once for all."""
    parts = {row: tuple(part(store, row)) for row in rows}
    sent = {row: one for row in rows if (one := sent_of(store, row)) is not None}
    asked = {row: one for row, one in sent.items() if not (parts[row] or one.stopped)}
    told = schedulers.ask(asked, jobs_folder(store)) if asked else {}
    return {
        row.number: _standing(store, row, parts[row], sent.get(row), told.get(row)) for row in rows
    }


def _standing(
    store: Store,
    row: Row,
    records: tuple[dict[str, Any], ...],
    sent: Sent | None,
    job: JobTold | None,
) -> Standing:
    def standing(state: State, told: str = "") -> Standing:
        return Standing(row.number, row.entry.name, state, told, sent, records)

    if records and sent is not None and sent.files != files_now(row):
        records = ()
        return standing("not sent", "the model's files have changed since it was measured")
    if records:
        failed = records[0]["test"] is None
        return standing("failed" if failed else "done", records[0]["reason"] or "")
    if sent is None:
        return standing("not sent")
    if job is None:
        return standing("stopped", "cancelled; what it stored is kept")
    if job.state != "over":
        return standing(job.state, job.told)
    # It may have ended between the look at its part and the question.
    records = tuple(part(store, row))
    if records:
        return _standing(store, row, records, sent, job)
    words = schedulers.last_words(sent, jobs_folder(store))
    reason = f"Its job {sent.job} {_ended(job.told)}{words and f': {words}'}"
    entry = row.entry
    records = (leaderboard_rows.failed(entry.name, str(entry.spec), reason, entry.labels),)
    return standing("failed", reason)


def _ended(word: str) -> str:
    return "ended without a row" if word in ("ended", "completed") else f"ended as {word}"


def table(found: Sequence[Standing]) -> Lines:
    """Yield one line for each entry: number, name, state, job, what is said of it."""
    head = ("row", "model", "state", "job", "")
    lines = [
        (
            str(one.number),
            one.name,
            one.state,
            f"{one.sent.on} {one.sent.job}" if one.sent else "",
            one.told,
        )
        for one in found
    ]
    yield from aligned(head, lines, left=(1, 2, 3, 4))
