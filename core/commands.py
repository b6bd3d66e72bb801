"""What each command of ``python -m core`` does: it asks the workbench and yields lines of text.

Nothing is printed here and no terminal is known: long work goes to the runner as a job, and the job
to ``watch``, which shows its progress.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from filelock import Timeout

from core import CoreError, archive, dataset
from core.activations import EMBEDDING
from core.dataset import ItemSpec, Sample
from core.devices import gigabytes
from core.evidence import Finding, evidence
from core.items import Items
from core.jobs import Job, Lane
from core.models import ModelCard, ModelSpec, describe
from core.progress import Report
from core.projection import LayoutSpec
from core.prompts import PRESETS, Pooling, ReadSpec
from core.scaling import Scaling
from core.stats import Estimate
from core.store import CacheError, Store, clear_disk_errors, fingerprint
from core.study import Study, model_layout, open_study
from core.tables import ColumnMapping, inspect_table
from core.workbench import BUILTIN, Workbench

#: Shows a job's progress until it ends and returns its result; raises what it failed with.
Watch = Callable[[Job], Any]
Lines = Iterator[str]

#: What the paper's filter keeps of the official table: annotations, and rows by foundation.
PUBLISHED: Final = (203_431, 251_334)
#: Folders of the cache beside the artefacts.
SIDE_FOLDERS: Final = {
    "partial": "readings that were stopped and can go on",
    "downloads": "the fetched archive",
    "damaged": "set aside as damaged; made again when asked for",
}
#: Digits of a digest that are shown.
SHOWN_DIGITS: Final = 12


@dataclass(frozen=True, eq=False)
class Desk:
    """Where a command works."""

    bench: Workbench
    """Store, models, jobs."""

    watch: Watch
    """How the person follows a job."""

    def job(
        self, key: Mapping[str, Any], title: str, work: Callable[[Report], Any], lane: Lane
    ) -> Any:
        """Run some work that the workbench has no job for, and return its result."""
        return self.watch(self.bench.runner.submit(fingerprint(key), title, work, lane))


class Asked(NamedTuple):
    """Which items a person wants read by which model, and how, in the words of the command line."""

    model: str
    """Text form of a ``ModelSpec``."""

    items: str = BUILTIN
    """``builtin``, a digest, or the path of a table."""

    preset: str = "default"
    """Key of ``PRESETS``."""

    template: str | None = None
    """Replaces the preset's template."""

    untrained: int | None = None
    """Seed of an untrained control that reads in the model's place."""

    @property
    def spec(self) -> ModelSpec:
        """The model."""
        spec = ModelSpec.parse(self.model)
        return spec if self.untrained is None else spec.untrained(self.untrained)

    @property
    def read(self) -> ReadSpec:
        """How texts are read."""
        read = PRESETS[self.preset]
        return read if self.template is None else replace(read, template=self.template)


# --- text ---


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> Lines:
    """Yield a table, columns two blanks apart.

    Args:
        head: Column titles.
        rows: Cells.
        left: Numbers of the columns set to the left; the others are set to the right.
    """
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.ljust(width) if number in left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def facts(pairs: Mapping[str, str]) -> Lines:
    """Yield one line for each fact that is known, names padded to one width."""
    known = {name: text for name, text in pairs.items() if text}
    width = max(map(len, known), default=0)
    yield from (f"{name.ljust(width)}  {text}" for name, text in known.items())


def bytes_text(size: int) -> str:
    """Write a size for people: ``12 kB``, ``3.4 MB``, ``2.6 GB``."""
    if size >= 1e9:
        return gigabytes(size)
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def layer_text(layer: int) -> str:
    """Write a layer for people."""
    return "embedding" if layer == EMBEDDING else str(layer)


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    value, low, high = map(_number, estimate)
    return value if np.isnan(estimate.value) else f"{value} [{low}, {high}]"


# --- items ---


def list_items(desk: Desk) -> Lines:
    """List the stored sets, newest first."""
    sets = dataset.stored_sets(desk.bench.store)
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


def item_spec(file: str, name: str, sample: Sample, chosen: Mapping[str, str]) -> ItemSpec:
    """Return what to read: ``builtin``, or a table with columns chosen over the guessed ones.

    Raises:
        CoreError: The chosen columns cannot mean anything, or the table cannot be read.
    """
    if file != BUILTIN:
        path = Path(file).expanduser()
        mapping = _mapping(path, chosen) if chosen else None
        return ItemSpec("file", path, name=name, mapping=mapping, sample=sample)
    if chosen:
        raise CoreError("The built-in set has its own columns. Leave --map out.")
    return ItemSpec(name=name, sample=sample)


def _mapping(path: Path, chosen: Mapping[str, str]) -> ColumnMapping:
    roles = [field.name for field in fields(ColumnMapping)]
    lost = sorted(set(chosen) - set(roles))
    if lost:
        raise CoreError(f"--map knows no {lost[0]!r}. A column can be: {', '.join(roles)}.")
    guessed = inspect_table(path).guessed
    instead = {"score": ("judgement", "agreement"), "judgement": ("score",)}
    for role in chosen:
        for other in instead.get(role, ()):
            guessed.pop(other, None)
    return ColumnMapping(**({"action": "", "foundations": ""} | guessed | dict(chosen)))


def add_items(desk: Desk, spec: ItemSpec) -> Lines:
    """Read a table into a stored set and tell what became of its rows."""
    yield from _items_told(desk.watch(desk.bench.add_items(spec)))


def fetch(desk: Desk) -> Lines:
    """Fetch the official archive and read it; licence and citation come first."""
    yield f"Licence   {archive.LICENCE} ({archive.LICENCE_URL})"
    yield f"Citation  {archive.CITATION}"
    yield f"Source    {archive.ARCHIVE_URL}"
    yield ""
    items: Items = desk.watch(desk.bench.fetch_archive())
    yield from _items_told(items)
    counts = items.provenance.counts
    same = (counts.annotations, counts.items) == PUBLISHED
    yield (
        f"The published table gives {PUBLISHED[0]:,} annotations and {PUBLISHED[1]:,} rows: "
        f"{'the same' if same else 'NOT the same; this is another version of it'}."
    )


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


def _find_items(desk: Desk, name: str) -> Items:
    """Return a set by ``builtin``, digest, or path of a table."""
    path = Path(name).expanduser()
    if name == BUILTIN or (not path.exists() and _is_digest(name)):
        return desk.bench.items(name)
    if not path.exists():
        raise CoreError(
            f"There is no set {name!r}. Name 'builtin', a digest of 8 or more digits from "
            "'python -m core items', or the path of a table."
        )
    items: Items = desk.watch(desk.bench.add_items(ItemSpec("file", path)))
    return items


def _is_digest(name: str) -> bool:
    return len(name) >= dataset.MIN_DIGITS and set(name) <= set("0123456789abcdef")


# --- models and readings ---


def describe_model(desk: Desk, text: str) -> Lines:
    """Tell what is known about a model before its weights are loaded."""
    card = _card(desk, ModelSpec.parse(text))
    room = "fits" if card.fits else "does NOT fit now: close other programs"
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
            "memory": f"needs about {bytes_text(card.needed_bytes)}, "
            f"{bytes_text(card.free_bytes)} of {bytes_text(card.total_bytes)} free: {room}",
            "device": card.device,
            "dtype": card.dtype,
            "reason": card.reason,
            "licence": card.licence,
            "folder": str(card.folder or "none yet: it is fetched or converted at the first read"),
        }
    )


def _card(desk: Desk, spec: ModelSpec) -> ModelCard:
    """Describe a model in a job: the first look at a large folder reads all of it."""
    card: ModelCard = desk.job(
        {"describe": str(spec)},
        f"Looking at {spec.label}",
        lambda report: describe(spec, desk.bench.store, report),
        "model",
    )
    return card


def _study(desk: Desk, asked: Asked) -> Study:
    spec, read = asked.spec, asked.read  # refused before anything is read
    items = _find_items(desk, asked.items)
    return open_study(items, _card(desk, spec), read)


def _make_read(desk: Desk, study: Study) -> bool:
    """Let the model read what it has not read; tell whether there was anything to do."""
    if desk.bench.is_read(study):
        return False
    desk.watch(desk.bench.read(study))
    return True


def read(desk: Desk, asked: Asked) -> Lines:
    """Let a model read the items."""
    study = _study(desk, asked)
    name, texts = study.card.name, f"{len(study.plan.prompts):,} texts"
    began = time.monotonic()
    if _make_read(desk, study):
        yield f"{name} has read {texts} in {duration(time.monotonic() - began)}."
    else:
        yield f"{name} has read these {texts} before: nothing to do."
    yield from _heading(study)
    yield from facts(
        {
            "kept": f"{bytes_text(study.plan.size)}: {len(study.plan.layers)} layers with the "
            f"embedding output, {study.card.d_model:,} wide, {study.plan.spec.dtype}",
            "poolings": ", ".join(study.plan.spec.poolings),
        }
    )


def duration(seconds: float) -> str:
    """Write a time for people: ``5 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _heading(study: Study) -> Lines:
    source = study.items.provenance
    yield from facts(
        {
            "model": f"{study.card.name} · {study.card.identity}",
            "items": f"{source.name} · {study.items.digest[:SHOWN_DIGITS]} · "
            f"{len(study.items):,} rows, {source.counts.texts:,} texts",
            "note": source.note,
            "prompt": study.plan.spec.template,
        }
    )


def _pooling(study: Study, pooling: Pooling | None) -> Pooling:
    """Return the pooling that was asked for, else the first that was read."""
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
    desk: Desk, asked: Asked, pooling: Pooling | None, scaling: Scaling, spec: LayoutSpec
) -> Lines:
    """Draw every layer's map and tell how far to trust each."""
    study = _study(desk, asked)
    pooling = _pooling(study, pooling)
    _make_read(desk, study)
    job = desk.bench.layouts(study, pooling, scaling, spec)
    if job is not None:
        desk.watch(job)
    yield from _heading(study)
    yield f"{spec.dims}-D {spec.method.upper()}, pooling {pooling}, {scaling}"
    yield ""
    rows, problems = [], []
    for layer in study.plan.layers:
        try:
            rows.append(_map_row(desk.bench.store, study, layer, pooling, scaling, spec))
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


def _map_row(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> tuple[str, ...]:
    layout = model_layout(store, study, layer, pooling, scaling, spec)
    trust = layout.trust
    return (
        layer_text(layer),
        _number(trust.trustworthiness),
        "0.500",
        _number(trust.kept),
        _number(trust.chance),
        _number(layout.explained),
    )


# --- evidence ---


@dataclass(frozen=True, eq=False)
class Evidence:
    """The findings of some layers, ready to be written down."""

    study: Study
    """What was measured."""

    pooling: Pooling
    """Which pooled state."""

    scaling: Scaling
    """How states were scaled."""

    findings: dict[int, list[Finding]]
    """Layer -> its findings."""

    problems: dict[int, str]
    """Layer -> why nothing can be measured there."""

    def table(self) -> Lines:
        """Yield the findings as an aligned table."""
        yield from _heading(self.study)
        yield f"pooling {self.pooling}, {self.scaling}; 95 % intervals in brackets"
        yield ""
        pairs = [(layer, finding) for layer, found in self.findings.items() for finding in found]
        rows = [
            (
                layer_text(layer),
                finding.name,
                *map(_interval, (finding.observed, finding.shuffled, finding.words)),
                finding.verdict,
            )
            for layer, finding in pairs
        ]
        head = ("layer", "finding", "model", "labels shuffled", "word counts", "verdict")
        yield from aligned(head, rows, left=(0, 1, 5))
        yield from self.problems.values()
        yield ""
        yield from facts({finding.name: finding.meaning for _, finding in pairs})

    def records(self) -> list[dict[str, Any]]:
        """Return one flat record per layer and finding; NaN where nothing can be computed."""
        return [
            {
                "layer": layer,
                "finding": finding.name,
                **_parts("observed", finding.observed),
                **_parts("shuffled", finding.shuffled),
                **_parts("words", finding.words),
                "verdict": finding.verdict,
            }
            for layer, found in self.findings.items()
            for finding in found
        ]

    def json(self) -> str:
        """Return everything as one JSON object; what cannot be computed is null."""
        study, source = self.study, self.study.items.provenance
        record = {
            "model": {"spec": str(study.card.spec), "name": study.card.name, **study.card.key},
            "items": {"name": source.name, "digest": study.items.digest, "note": source.note},
            "read": asdict(study.plan.spec),
            "pooling": self.pooling,
            "scaling": self.scaling,
            "meanings": {f.name: f.meaning for found in self.findings.values() for f in found},
            "findings": [
                {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124 - NaN
                for row in self.records()
            ],
            "problems": self.problems,
        }
        return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)


def _parts(name: str, estimate: Estimate) -> dict[str, float]:
    return {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
    }


def measure(
    desk: Desk, asked: Asked, pooling: Pooling | None, scaling: Scaling, layers: Sequence[int]
) -> Evidence:
    """Measure some layers, all of them if none is named.

    Raises:
        CoreError: A layer or pooling does not exist, or the model cannot read the items.
    """
    study = _study(desk, asked)
    pooling = _pooling(study, pooling)
    chosen = sorted(set(layers)) or list(study.plan.layers)
    lost = [layer for layer in chosen if layer not in study.plan.layers]
    if lost:
        raise CoreError(
            f"{study.card.name} has no layer {lost[0]}. Its layers are 0 to "
            f"{study.card.n_layers - 1}, and {EMBEDDING} for the embedding output."
        )
    _make_read(desk, study)
    measured = Evidence(study, pooling, scaling, {}, {})
    desk.job(
        {"evidence": chosen, "pooling": pooling, "scaling": scaling, **study.plan.base_key()},
        f"Measuring {len(chosen)} layers of {study.card.name}",
        lambda report: _measure(desk.bench.store, measured, chosen, report),
        "layout",
    )
    return measured


def _measure(store: Store, into: Evidence, layers: Sequence[int], report: Report) -> None:
    for number, layer in enumerate(layers):
        report(number, len(layers), f"measuring layers · {number} of {len(layers)}")
        try:
            found = evidence(store, into.study, layer, into.pooling, into.scaling)
        except CacheError:
            raise
        except CoreError as problem:  # such as: the state is the same for every text
            into.problems[layer] = str(problem)
        else:
            into.findings[layer] = found


def write_csv(measured: Evidence, path: Path) -> Lines:
    """Write the findings into a file, one row per layer and finding.

    Raises:
        CoreError: It cannot be written.
    """
    import pandas as pd

    from core.exports import csv_bytes

    table = pd.DataFrame(measured.records())
    try:
        path.write_bytes(csv_bytes(table))
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error
    yield f"Wrote {len(table)} findings to {path}."
    yield from measured.problems.values()


# --- cache ---


def list_cache(desk: Desk) -> Lines:
    """Tell what is stored, by kind, the largest first."""
    store = desk.bench.store
    count, size = _kinds(store)
    rows = [(kind, f"{count[kind]:,}", bytes_text(size[kind]), "") for kind in count]
    for kind, meaning in SIDE_FOLDERS.items():
        files, total = _side(store, kind)
        if files:
            rows.append((kind, f"{files:,}", bytes_text(total), meaning))
    yield f"Cache folder {store.root.resolve()}"
    if not rows:
        yield "It is empty."
        return
    yield ""
    yield from aligned(("kind", "number", "size", ""), rows, left=(0, 3))
    yield ""
    yield "Remove one kind with: python -m core cache --clear KIND. It is made again when needed."


def _kinds(store: Store) -> tuple[dict[str, int], dict[str, int]]:
    """Return number and bytes of the artefacts of each kind, the largest kind first."""
    artefacts = store.artefacts()
    size: dict[str, int] = {}
    for entry in artefacts:
        size[entry.kind] = size.get(entry.kind, 0) + entry.size
    order = sorted(size, key=lambda kind: -size[kind])
    return {kind: sum(entry.kind == kind for entry in artefacts) for kind in order}, size


def _side(store: Store, kind: str) -> tuple[int, int]:
    """Return number and bytes of the files in a folder beside the artefacts."""
    sizes = []
    for path in (store.root / kind).rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process may be done with it
            sizes += [path.stat().st_size] if path.is_file() else []
    return len(sizes), sum(sizes)


def clear_cache(desk: Desk, kind: str) -> Lines:
    """Remove all that is stored of one kind.

    Raises:
        CoreError: Nothing of that kind is stored, or another process uses it.
    """
    store = desk.bench.store
    artefacts = [entry for entry in store.artefacts() if entry.kind == kind]
    files, size = _side(store, kind) if kind in SIDE_FOLDERS else (0, 0)
    if not artefacts and not files:
        known = [*_kinds(store)[0], *(name for name in SIDE_FOLDERS if _side(store, name)[0])]
        raise CoreError(
            f"Nothing of the kind {kind!r} is stored. Stored: {', '.join(known) or 'nothing'}."
        )
    for entry in artefacts:
        store.delete(entry)
    if files:
        _clear_side(store, kind)
    size += sum(entry.size for entry in artefacts)
    yield f"Removed {len(artefacts) + files:,} of the kind {kind}, {bytes_text(size)}."


def _clear_side(store: Store, kind: str) -> None:
    """Remove a folder beside the artefacts, unless another process works in it."""
    folder = store.root / kind
    runs = {path: f"acts-{path.name[:16]}" for path in folder.iterdir()}
    locks = {"partial": runs, "downloads": {folder: "download"}, "damaged": {folder: "damaged"}}
    for path, lock in locks[kind].items():
        try:
            with clear_disk_errors(store.root), store.lock(lock).acquire(timeout=0):
                shutil.rmtree(path)
        except Timeout as error:
            raise CoreError(
                f"Another process uses {path} right now. Stop it there first, or wait until it "
                "is done."
            ) from error
