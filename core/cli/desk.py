"""Where a command works, and what most commands ask for first: items, a model, its reading.

Nothing is printed here and no terminal is known: long work goes to the runner as a job, and the job
to ``watch``, which shows its progress.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from core import CoreError
from core.activations.jobs import reading
from core.activations.prompts import Pooling, ReadSpec
from core.activations.study import Study, open_study
from core.cli.table_columns import table_columns
from core.dataset import sets as dataset_sets
from core.dataset.items import Items
from core.dataset.sets import ItemSpec
from core.models.open_models import ModelCard, ModelSpec, describe
from core.runtime.made import Lane, Made
from core.runtime.progress import Report
from core.runtime.runner import Job
from core.runtime.store import fingerprint
from core.workbench import BUILTIN, Workbench

T = TypeVar("T")

#: Shows a job's progress until it ends and returns its result; raises what it failed with.
Watch = Callable[[Job], Any]


@dataclass(frozen=True, eq=False)
class Desk:
    """Where a command works."""

    work: Workbench
    """Store, models, jobs."""

    watch: Watch
    """How the person follows a job."""

    tell: Callable[[str], None] = lambda _: None
    """Says something beside the results: what was guessed."""

    def make(self, made: Made[T]) -> T:
        """Make something, and before it what it needs; return it, opened if it is kept.

        Raises:
            CoreError: It cannot be made.
        """
        for _ in range(2):  # what is found damaged at the first opening is made again
            while (job := self.work.runner.ensure(made)) is not None:
                self.watch(job)
            found = made.open()
            if found is not None:
                return found
        raise CoreError(
            "A result that was just stored is gone: another process cleared the cache. Start again."
        )

    def job(
        self, key: Mapping[str, Any], title: str, work: Callable[[Report], Any], lane: Lane
    ) -> Any:
        """Run some work that the workbench has no job for, and return its result."""
        return self.watch(self.work.runner.submit(fingerprint(key), title, work, lane))


class ReadRequest(NamedTuple):
    """Which items are read by which model, and how."""

    model: ModelSpec
    """Who reads."""

    items: str
    """``builtin``, a digest, or the path of a table."""

    read: ReadSpec
    """How."""


def find_items(desk: Desk, name: str) -> Items:
    """Return a set by ``builtin``, digest, or path of a table.

    Raises:
        CoreError: There is no such set, or the table cannot be read.
    """
    path = Path(name).expanduser()
    if name == BUILTIN or (not path.exists() and _is_digest(name)):
        return desk.work.items(name)
    if not path.exists():
        raise CoreError(
            f"There is no set {name!r}. Name 'builtin', a digest of 8 or more digits from "
            "'python -m core items', or the path of a table."
        )
    mapping, told = table_columns(path)
    items: Items = desk.watch(desk.work.add_items(ItemSpec("file", path, mapping=mapping)))
    for line in told:
        desk.tell(line)
    return items


def _is_digest(name: str) -> bool:
    return len(name) >= dataset_sets.MIN_DIGITS and set(name) <= set("0123456789abcdef")


def card_of(desk: Desk, spec: ModelSpec) -> ModelCard:
    """Describe a model in a job: the first look at a large folder reads all of it."""
    card: ModelCard = desk.job(
        {"describe": str(spec)},
        f"Looking at {spec.label}",
        lambda report: describe(spec, desk.work.store, report),
        "model",
    )
    return card


def study_of(desk: Desk, asked: ReadRequest) -> Study:
    """Join the items and the model, both read into the cache as far as need be.

    Raises:
        CoreError: There are no such items, no such model, or too few texts.
    """
    items = find_items(desk, asked.items)
    return open_study(items, card_of(desk, asked.model), asked.read)


def make_read(desk: Desk, study: Study) -> bool:
    """Let the model read what it has not read; tell whether there was anything to do."""
    states = reading(desk.work, study)
    kept = states.has()
    desk.make(states)
    return not kept


def chosen_pooling(study: Study, pooling: Pooling | None) -> Pooling:
    """Return the pooling that was asked for, else the first that the preset reads.

    Raises:
        CoreError: The preset does not read it.
    """
    read = study.plan.spec.poolings
    if pooling is None:
        return read[0]
    if pooling not in read:
        raise CoreError(
            f"This preset reads the poolings {' and '.join(read)}, not {pooling}. Choose one of "
            "them, or the other preset."
        )
    return pooling
