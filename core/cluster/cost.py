"""What a row costs before it starts: memory, disk and time, from sizes alone.

Sizes are the model's own where its configuration is here, else those the list states. Times are
estimates from ``PACE``, whose assumptions are told beside them (``ASSUMED``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core import CoreError
from core.activations.prompts import ReadSpec
from core.cluster.rows import Row
from core.models.card import needed_bytes, size_of
from core.models.devices import ITEM_BYTES, Dtype, Place, room
from core.models.spec import ModelSpec
from core.runtime.store import Store
from core.wording import Lines, aligned, bytes_text, duration, gigabytes

GB: Final = 10**9
#: Memory of one GPU in GB where the list does not say.
GPU_MEMORY: Final = 80


@dataclass(frozen=True)
class Pace:
    """How fast machines are taken to be."""

    load: float = 1e9
    """Bytes of weights a second, from disk."""

    gpu: float = 0.1 * 312e12
    """Floating-point operations a second of a GPU: a tenth of an A100's peak in bfloat16."""

    core: float = 80e9
    """The same of one processor core in float32 (measured: Gemma 3 270M, its embeddings, which
    are looked up, left out; larger models have fewer of them, so all weights are counted)."""

    characters: float = 4.6
    """Characters of a token (measured: the built-in set with Gemma's tokenizer)."""

    layer: float = 2.2
    """Seconds of one core to measure a layer of ``rows`` rows, and what each coordinate adds
    (one core of a shared machine, 1,000 resamples and shuffles: 3.5 s at a width of 640, 7.1 at
    2,048, 11.1 at 4,096; twice that at twice the rows)."""

    coordinate: float = 0.0022
    """See ``layer``."""

    rows: int = 1_800
    """See ``layer``."""


PACE: Final = Pace()
ASSUMED: Final = (
    "Hours are an estimate. Assumed: weights read at 1 GB/s; 2 operations per active weight and "
    "token; a GPU reaches 10 % of the 312 TFLOP/s of an A100, however many a job has. Measured on "
    "cores of one machine: 80 GFLOP/s a core; 4.6 characters a token; the four tests 2.2 s + 2.2 "
    "ms × width for a layer of 1,800 rows and 1,000 resamples, divided by the job's cores. "
    "Downloads and queues are not in them."
)


@dataclass(frozen=True)
class Work:
    """What every model of a sweep reads."""

    prompts: int
    """Different prompts."""

    characters: int
    """Characters of all of them."""

    rows: int
    """Rows of the set."""

    read: ReadSpec
    """How they are read."""

    control: bool
    """Whether an untrained copy of each model is read, too."""


@dataclass(frozen=True)
class Cost:
    """What one row costs."""

    row: Row
    """Which."""

    parameters: int
    """Weights of the model; 0: not known."""

    source: str
    """Where its size is known from; why it is not."""

    weight_bytes: int = 0
    """Size of the weights as they are loaded."""

    needed_bytes: int = 0
    """Memory it needs where it runs; 0 if that is a server."""

    state_bytes: int = 0
    """What it leaves on disk."""

    seconds: float = 0.0
    """Time of its job."""

    misfit: str = ""
    """Which machine it needs, if what is asked for is too small."""

    @property
    def refused(self) -> bool:
        """Tell whether it cannot fit by what the list itself says of machines."""
        needs = self.row.entry.needs
        on_gpu = _place(self.row).device == "cuda"
        return bool(self.misfit and (needs.gpu_memory if on_gpu else needs.memory))


def costs(store: Store, rows: Sequence[Row], work: Work, *, network: bool) -> list[Cost]:
    """Return what each row costs.

    Args:
        store: Where digests of models' files are remembered.
        rows: Rows of a list.
        work: What every model reads.
        network: Whether the hub may be asked for sizes that are not stated.
    """
    return [_cost(store, row, work, network=network) for row in rows]


@dataclass(frozen=True)
class _Size:
    parameters: int
    active: int
    layers: int
    width: int
    source: str


def _cost(store: Store, row: Row, work: Work, *, network: bool) -> Cost:
    try:
        size = _size(store, row, network=network)
    except CoreError as error:
        return Cost(row, 0, str(error))
    spec = _spec(row)
    place = _place(row)
    control = work.control and spec.untrained_seed is None
    copies = 1 + control + bool(row.entry.aligned)
    arrays = (size.layers + 1) * len(work.read.poolings) * work.prompts * copies
    needed = max(
        needed_bytes(size.parameters, place, one)
        for one in (spec, *((spec.untrained(),) if control else ()))
    )
    return Cost(
        row,
        size.parameters,
        size.source,
        weight_bytes=size.parameters * ITEM_BYTES[place.dtype],
        needed_bytes=needed,
        state_bytes=arrays * size.width * (4 if work.read.dtype == "float32" else 2),
        seconds=copies * _seconds(size, row, place, work),
        misfit=_misfit(row, place, needed),
    )


def _spec(row: Row) -> ModelSpec:
    if row.entry.spec is None:
        raise ValueError("a row has a model")
    return row.entry.spec


def _size(store: Store, row: Row, *, network: bool) -> _Size:
    """Return a model's size: from its configuration if that is here, else stated, else asked.

    Raises:
        CoreError: It is not known.
    """
    stated = row.entry.size
    found = size_of(_spec(row), store, network=False)
    if found is None and stated.parameters and stated.layers and stated.width:
        active = stated.active or stated.parameters
        return _Size(stated.parameters, active, stated.layers, stated.width, "the list")
    source = "its files"
    if found is None and network:
        found, source = size_of(_spec(row), store, network=True), "the hub"
    if found is None:
        raise CoreError("Its configuration is not here and the list does not state its size.")
    active = stated.active or found.parameters
    return _Size(found.parameters, active, found.layers, found.width, source)


def _place(row: Row) -> Place:
    """Return where the job will run: on what it asks for, not on what this machine has."""
    spec, needs = _spec(row), row.entry.needs
    if spec.remote:
        return Place("remote", "bfloat16", "")
    on_gpu = spec.device == "cuda" or spec.spread or (spec.device == "auto" and bool(needs.gpus))
    plain: Dtype = "bfloat16" if on_gpu else "float32"
    dtype: Dtype = plain if spec.dtype == "auto" else spec.dtype
    return Place("cuda" if on_gpu else "cpu", dtype, "")


def _seconds(size: _Size, row: Row, place: Place, work: Work) -> float:
    cores = row.entry.needs.cpus or 1
    operations = 2 * size.active * work.characters / PACE.characters
    loading = 0.0 if place.device == "remote" else size.parameters * ITEM_BYTES[place.dtype]
    layer = (PACE.layer + PACE.coordinate * size.width) * work.rows / PACE.rows / cores
    speed = PACE.core * cores if place.device == "cpu" else PACE.gpu
    return loading / PACE.load + operations / speed + (size.layers + 1) * layer


def _misfit(row: Row, place: Place, needed: int) -> str:
    """Return which machine a row needs, empty if what it asks for is large enough."""
    needs, spec = row.entry.needs, _spec(row)
    if place.device == "remote":
        return ""
    if place.device == "cpu":
        has = needs.memory * GB if needs.memory else room("cpu").total
        where = "asked for" if needs.memory else "this machine's"
        least = math.ceil(needed / GB)
        told = f"needs {least} GB of main memory (memory = {least}), not {gigabytes(has)} {where}"
        return told if needed > has else ""
    one = needs.gpu_memory or GPU_MEMORY
    least = math.ceil(needed / (one * GB))
    if least <= (needs.gpus or 1) and (least == 1 or spec.spread):
        return ""
    spread = "" if least == 1 else ", spread = true"
    return f"needs {least} GPUs of {one} GB (gpus = {least}{spread})"


def table(found: Sequence[Cost]) -> Lines:
    """Yield one line for each row, then all of them together, then what was assumed."""
    head = ("row", "model", "weights", "loaded", "memory", "states", "hours", "asks for", "")
    lines = [_cells(one) for one in found]
    known = [one for one in found if one.parameters]
    if known:
        lines.append(
            (
                "all",
                f"{len(found)} jobs",
                "",
                bytes_text(sum(one.weight_bytes for one in known)),
                f"≤ {bytes_text(max(one.needed_bytes for one in known))}",
                bytes_text(sum(one.state_bytes for one in known)),
                _hours(sum(one.seconds for one in known)),
                "",
                f"{len(found) - len(known)} of unknown size" if len(known) < len(found) else "",
            )
        )
    yield from aligned(head, lines, left=(1, 7, 8))
    yield ""
    yield from (_sources(known), ASSUMED) if known else ()


def _cells(one: Cost) -> tuple[str, ...]:
    row = one.row
    if not one.parameters:
        dashes = ("–",) * 5
        return (str(row.number), row.entry.name, *dashes, _asks(row), one.source)
    return (
        str(row.number),
        row.entry.name,
        _count(one.parameters),
        bytes_text(one.weight_bytes),
        bytes_text(one.needed_bytes),
        bytes_text(one.state_bytes),
        _hours(one.seconds),
        _asks(row),
        one.misfit or "fits",
    )


def _asks(row: Row) -> str:
    needs = row.entry.needs
    told = {
        "": needs.partition,
        "GPU": needs.gpus,
        "cores": needs.cpus,
        "GB": needs.memory,
        "at most": needs.time and duration(60 * needs.time),
    }
    parts = (
        f"{name} {value}" if name == "at most" else f"{value} {name}".strip()
        for name, value in told.items()
        if value
    )
    return ", ".join(parts)


def _count(number: int) -> str:
    """Write a number of weights as models are named: ``8.03B``, ``268M``."""
    if number < 1e6:
        return f"{number:,}"
    return f"{number / 1e9:.3g}B" if number >= 1e9 else f"{number / 1e6:.3g}M"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}"


def _sources(known: Sequence[Cost]) -> str:
    """Return where sizes are known from, in one sentence."""
    counts = dict.fromkeys(("the list", "its files", "the hub"), 0)
    for one in known:
        counts[one.source] += 1
    words = {
        "the list": "as the list states them, their configuration is not here",
        "its files": "from their own files",
        "the hub": "as the hub counts them",
    }
    told = [f"{count} {words[source]}" for source, count in counts.items() if count]
    return f"Sizes: {'; '.join(told)}. Of a mixture the list may state the active part."
