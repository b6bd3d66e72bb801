"""Damaged files through the doors a person uses: a sentence or success, never a traceback."""

import json
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import CoreError
from core.dataset.columns import inspect_table
from core.dataset.sets import ItemSpec, load_or_read
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.store import Store
from core.sae.files import load_folder
from tests.core.models.test_gguf import write_gguf
from tests.core.sae.saefolders import (
    gemma_folder,
    learned_folder,
    qwen_file,
    saelens_folder,
    sparsify_folder,
)

#: Mutations of each kind of input, 300 together.
MODELS, GGUFS, DICTIONARIES, TABLES = 70, 50, 90, 90
#: No single damaged file may take longer; a sound one takes about a second.
SECONDS = 30
ODD_VALUES: tuple[Any, ...] = (
    None, "", "x", "12", -1, 0, 1, 7, 10**30, 2**63, 1.5, 1e308, True, False, [], {}, [0, 1],
    {"a": 1},
)  # fmt: skip
GGUF_ENTRIES = (
    "general.architecture", "general.alignment", "general.name", "general.type", "split.count",
    "llama.block_count", "llama.embedding_length", "llama.attention.head_count",
    "llama.attention.head_count_kv", "llama.feed_forward_length", "llama.vocab_size",
    "llama.rope.freq_base", "tokenizer.ggml.model", "tokenizer.ggml.bos_token_id",
)  # fmt: skip


# Damage -----------------------------------------------------------------------------------------


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        # The head of a file decides more than its numbers, so half of the flips fall there.
        end = min(len(changed), draw.choice((200, 2_000, len(changed))))
        changed[draw.randrange(end)] = draw.randrange(256)
    return bytes(changed)


def swap(data: bytes, draw: random.Random) -> bytes:
    first, second, third = sorted(draw.randrange(len(data) + 1) for _ in range(3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def retype(text: bytes, draw: random.Random) -> bytes:
    """Give one value of a JSON document another type, or take it out."""
    document = json.loads(text)
    holder, key = draw.choice(list(_places(document)))
    if draw.random() < 0.2:
        del holder[key]
    else:
        holder[key] = draw.choice(ODD_VALUES)
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every holder and key in a document, a few of each list."""
    keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 3)))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list) and value[key]:
            yield from _places(value[key])


def retype_head(data: bytes, draw: random.Random) -> bytes:
    """Retype a value in the head of a safetensors file, which stays readable."""
    length = int.from_bytes(data[:8], "little")
    head = retype(data[8 : 8 + length], draw)
    return len(head).to_bytes(8, "little") + head + data[8 + length :]


def damage(path: Path, draw: random.Random) -> str:
    """Damage one file; return what was done."""
    ways: list[Callable[[bytes, random.Random], bytes]] = [cut, flip, swap]
    if path.suffix == ".json":
        ways += [retype] * 5
    if path.suffix == ".safetensors":
        ways += [retype_head] * 2
    way = draw.choice(ways)
    path.write_bytes(way(path.read_bytes(), draw))
    return f"{path.name}: {way.__name__}"


# Doors ------------------------------------------------------------------------------------------


@contextmanager
def time_limit(what: str) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise AssertionError(f"{what} took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Doors:
    """Leads damaged files through doors, beside a store whose content must stay."""

    def __init__(self, store: Store) -> None:
        self.store, self.faults, self.passed = store, [], 0
        self.kept = load_or_read(store, ItemSpec()).digest
        self.held = len(store.artefacts())

    def lead(self, seed: int, what: str, door: Callable[[], object]) -> None:
        try:
            with time_limit(what):
                door()
            self.passed += 1
        except CoreError as error:
            if not str(error).strip() or "Traceback" in str(error):
                self.faults.append(f"seed {seed}, {what}: says {error!r}")
        except Exception as error:  # noqa: BLE001 - every other one is what this test is for
            place = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in place if "/core/" in frame.filename][-1]
            self.faults.append(
                f"seed {seed}, {what}: {type(error).__name__} at {Path(own.filename).name}:"
                f"{own.lineno} {own.name}: {str(error)[:150]}"
            )
        if load_or_read(self.store, ItemSpec()).digest != self.kept:
            self.faults.append(f"seed {seed}, {what}: the store lost what it held")

    def check(self) -> None:
        left = [
            path for path in self.store.root.rglob(".*") if path.name.startswith((".new", ".table"))
        ]
        assert not self.faults, "\n".join(self.faults)
        assert not left
        assert len(self.store.artefacts()) >= self.held
        assert self.passed  # some damage does no harm: if none passes, a door is shut


def _open(spec: ModelSpec, store: Store) -> object:
    return open_model(describe(spec, store), store)


@pytest.fixture
def doors(store) -> Doors:
    return Doors(store)


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_damaged_model_folders(tiny_llama_folder, tmp_path, doors):
    for seed in range(MODELS):
        draw, folder = random.Random(seed), tmp_path / f"m{seed}"
        shutil.copytree(tiny_llama_folder, folder)
        what = damage(draw.choice(sorted(folder.iterdir())), draw)
        spec = ModelSpec("folder", str(folder), device="cpu")
        doors.lead(seed, what, partial(_open, spec, doors.store))
        shutil.rmtree(folder)
    doors.check()


def test_damaged_ggufs(tiny_llama_folder, tmp_path, doors):
    whole, path = tmp_path / "whole.gguf", tmp_path / "damaged.gguf"
    write_gguf(tiny_llama_folder, whole)
    for seed in range(GGUFS):
        draw = random.Random(seed)
        if seed % 2:  # sound as a file, but one entry says something else
            entry, value = draw.choice(GGUF_ENTRIES), draw.choice(("", "x", "12", 0, 1, 7, 65_535))
            write_gguf(tiny_llama_folder, path, add={entry: value})
            what = f"{entry} is {value!r}"
        else:
            shutil.copyfile(whole, path)
            what = damage(path, draw)
        spec = ModelSpec("gguf", str(path), device="cpu")
        doors.lead(seed, what, partial(_open, spec, doors.store))
    doors.check()


def test_damaged_dictionaries(tmp_path, doors):
    makers: list[Callable[[Path], Path]] = [
        saelens_folder,
        gemma_folder,
        lambda root: qwen_file(root / "L0_5").parent,
        lambda root: sparsify_folder(root / "layers.1"),
        learned_folder,
    ]
    for seed in range(DICTIONARIES):
        draw = random.Random(seed)
        folder = makers[seed % len(makers)](tmp_path / f"d{seed}")
        what = damage(draw.choice(sorted(folder.iterdir())), draw)
        doors.lead(seed, what, partial(load_folder, folder))
    doors.check()


def _tables(folder: Path) -> list[Path]:
    rows = [
        {
            "action": f'doing "{number}", often',
            "foundation": "care|harm",
            "judgement": str(number % 3),
        }
        for number in range(40)
    ]
    folder.mkdir()
    names = ("a.csv", "b.tsv", "c.csv", "d.jsonl", "e.parquet")
    paths = [folder / name for name in names]
    for path, sign in zip(paths[:3], (",", "\t", ";"), strict=True):
        lines = [sign.join(rows[0])]
        lines += [
            sign.join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows
        ]
        path.write_text("\r\n".join(lines), encoding="utf-16" if sign == ";" else "utf-8")
    paths[3].write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), paths[4])
    return paths


def test_damaged_tables(tmp_path, doors):
    whole = _tables(tmp_path / "whole")
    for seed in range(TABLES):
        draw, source = random.Random(seed), whole[seed % len(whole)]
        path = tmp_path / f"t{seed}{source.suffix}"
        shutil.copyfile(source, path)
        what = damage(path, draw)
        spec = ItemSpec("file", path, skip_bad_rows=bool(seed % 2))
        doors.lead(seed, what, partial(inspect_table, path))
        doors.lead(seed, what, partial(load_or_read, doors.store, spec))
    doors.check()
