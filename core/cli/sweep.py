"""A sweep: many models read one set, one after the other; one table says how each stands.

What was read or measured lies in the store under its content key, so a sweep that was killed goes
on where it stopped and ends with the same table. A model that fails is a row with its reason.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from core import CoreError
from core.activations.prompts import Pooling, ReadSpec
from core.cli import measure
from core.cli.arguments import check_folder
from core.cli.desk import Desk, ReadRequest, find_items
from core.diagnosis import leaderboard_rows
from core.diagnosis.diagnosed import Diagnosed
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec
from core.diagnosis.jobs import diagnosis
from core.diagnosis.report import BRIEF
from core.leaderboard.model_list import Entry
from core.measures.result import TESTS
from core.models.spec import ModelSpec
from core.runtime.store import CacheError
from core.statistics.bootstrap import Estimate
from core.wording import Lines, aligned, interval
from core.workbench import BUILTIN


@dataclass(frozen=True)
class Sweep:
    """What is asked of every model."""

    items: str
    """``builtin``, a digest, or the path of a table."""

    read: ReadSpec
    """How texts are read."""

    pooling: Pooling | None
    """Which pooled state; None: the first that is read."""

    measured: DiagnosisSpec
    """How layers are measured; its pooling is not looked at."""

    control: bool
    """Whether the untrained copy of each model is measured, too."""


class Outcome(NamedTuple):
    """What became of one model."""

    rows: list[dict[str, Any]]
    """Its rows of the table."""

    line: str
    """The same in one line for people."""


def sweep(desk: Desk, entries: Sequence[Entry], asked: Sweep, out: Path) -> Lines:
    """Measure every model of a list and write one table.

    Args:
        desk: Where to work.
        entries: The list.
        asked: What is asked of every model.
        out: Parquet file; it is written anew after each model.

    Raises:
        CacheError: The disk is full: every model would fail.
        CoreError: The items cannot be used, or the table cannot be written.
    """
    check_folder(out)
    asked = settled(desk, asked)
    records: list[dict[str, Any]] = []
    failures = 0
    for number, entry in enumerate(entries, 1):
        outcome = measure_entry(desk, entry, asked)
        records += outcome.rows
        failures += outcome.rows[0]["test"] is None
        leaderboard_rows.write(records, out)
        yield f"{number} of {len(entries)}  {entry.name}: {outcome.line}"
    yield ""
    yield from figures(records)
    yield ""
    told = f"; {failures} of {len(entries)} models failed, their rows say why" if failures else ""
    yield f"Wrote {len(records)} rows to {out}{told}."


def settled(desk: Desk, asked: Sweep) -> Sweep:
    """Return what is asked with the set by its digest: a table changed meanwhile changes nothing.

    Raises:
        CoreError: The items cannot be used.
    """
    if asked.items == BUILTIN:
        return asked
    return replace(asked, items=find_items(desk, asked.items).digest)


def measure_entry(desk: Desk, entry: Entry, asked: Sweep) -> Outcome:
    """Measure one model, or say why not.

    Raises:
        CacheError: The disk is full.
    """
    if entry.spec is None:
        return _failed(entry, entry.problem)
    try:
        own, note = _diagnosed(desk, entry.spec, asked)
        taught = False
        if entry.aligned:
            found, taught = _aligned(desk, own.diagnosis, entry.aligned)
            own = replace(own, diagnosis=found)
    except CacheError:
        raise
    except CoreError as error:
        return _failed(entry, str(error))
    finally:
        desk.work.shelf.close_all()
    diagnosis, untrained = own.diagnosis, own.untrained
    rows = leaderboard_rows.keep(
        desk.work.store, diagnosis, untrained, entry.labels, note, taught=taught
    )
    beyond = sum(row["level"] == "beyond" for row in rows)
    line = f"{beyond} of {len(TESTS)} tests beyond the controls that ran"
    line = leaderboard_rows.TAUGHT if taught else line
    return Outcome(rows, f"{line}. {note}" if note else line)


def _failed(entry: Entry, reason: str) -> Outcome:
    model = str(entry.spec) if entry.spec else entry.asked
    row = leaderboard_rows.failed(entry.name, model, reason, entry.labels)
    return Outcome([row], f"failed. {reason}")


def _diagnosed(desk: Desk, spec: ModelSpec, asked: Sweep) -> tuple[Diagnosed, str]:
    """Diagnose a model, then its untrained copy, never both in memory.

    Returns:
        The diagnosis, and why its untrained copy is missing; empty if it is not.
    """
    question = ReadRequest(spec, asked.items, asked.read)
    alone = measure.diagnose(desk, question, asked.pooling, asked.measured, control=False).several[
        0
    ]
    desk.work.shelf.close_all()
    if not asked.control or spec.untrained_seed is not None:
        return alone, ""
    try:
        both = measure.diagnose(desk, question, asked.pooling, asked.measured)
    except CacheError:
        raise
    except CoreError as error:
        return alone, f"Without its untrained copy: {error}"
    return both.several[0], ""


def _aligned(desk: Desk, plain: Diagnosis, name: str) -> tuple[Diagnosis, bool]:
    """Diagnose a model that reads with an aligned dictionary of its shelf spliced in.

    Returns:
        The diagnosis, and whether the dictionary may have been trained on these very texts.
    """
    # pandas: half a second of every command
    from core.comparison.jobs import reading
    from core.comparison.steered import aligned_on_shelf, learned_from, with_aligned

    study = with_aligned(desk.work.store, plain.study, name)
    after = aligned_on_shelf(desk.work.store, plain.study, name)
    taught = learned_from(after, study.items, desk.work.items)
    states = reading(desk.work, study)
    desk.make(states)
    desk.work.shelf.close_all()
    return desk.make(diagnosis(desk.work, study, plain.spec, states)), taught


def figures(records: Sequence[dict[str, Any]]) -> Lines:
    """Yield one line per model: its four figures and how far each goes."""
    models: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in records:
        models.setdefault((row["name"], row["model"]), {})[row["test"]] = row
    lines = [(name, *_cells(rows)) for (name, _), rows in models.items()]
    head = ["model"]
    for test in TESTS:
        head += [test, ""]
    yield from aligned(head, lines, left=range(0, 2 * len(TESTS) + 1, 2))


def _cells(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    for test in TESTS:
        row = rows.get(test)
        yield "–" if row is None else _figure(row)
        yield "failed" if row is None else BRIEF[row["level"]]


def _figure(row: dict[str, Any]) -> str:
    known = (
        float("nan") if row.get(name) is None else row[name] for name in ("value", "low", "high")
    )
    return interval(Estimate(*known), 3)
