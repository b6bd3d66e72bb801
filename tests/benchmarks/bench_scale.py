"""What large readings cost: full layers, the growth with the texts, a whole table read.

Run as a script: ``python tests/benchmarks/bench_scale.py [layers|model|texts|maps|table|all]``.
Each step is a process of its own; its peak is the most memory that it held, mapped states included.

``layers``: the four tests at two layers of 4,096 coordinates and 16,000 texts, made states written
as a reading writes them, with their baselines, 1,000 resamples and shuffles; six processor minutes.
The target is 4 GB for one at once, however many layers there are; where more memory is free, more
are worked on at once (``at_once``).
``model``: the same for 36 layers and the embedding, with 100 resamples and shuffles: 34 processor
minutes, and 10 GB of disk. Not in ``all``.
``texts``: two layers of 256 coordinates with 2,000 to 16,000 texts, 200 resamples and shuffles.
``growth`` is processor seconds per text of the largest by those of the smallest: 1 if linear.
``maps``: processor seconds of drawing a map of 20,000 points and 640 coordinates once: people's,
a layer's by PCA (the target is 2), by UMAP (its first fit compiles); and of opening one again.
``table``: a table of 251,334 rows, ingested, sampled for a diagnosis, and read by a random model of
width 32 in batches, beside a tenth of it. Prints one JSON line each.
"""
# ruff: noqa: T201

import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cost
import numpy as np

from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import Study, open_study
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.foundations import FOUNDATIONS
from core.maps.layouts import human_layout, model_layout
from core.maps.projection import LayoutSpec
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.arrays import create_array_file, let_go
from core.runtime.store import ARRAY_FILE, Store
from core.runtime.workers import workers
from tests.core.models.madecards import made_card

SIZES = (2_000, 4_000, 8_000, 16_000)
ROWS = 251_334
TARGET_MB = 4_000


def made_table(path: Path, rows: int) -> Path:
    """Write actions of a few words with foundation, judgement and agreement; no two alike."""
    rng = np.random.default_rng(rows)
    words = np.array(["".join(rng.choice(list("abcdefghinorstu"), 5)) for _ in range(900)])
    picked = words[rng.integers(0, 900, (rows, 6))]
    foundation, judged = rng.choice(FOUNDATIONS, rows), rng.integers(-2, 3, rows)
    agreed = rng.integers(0, 5, rows)
    with path.open("w", encoding="utf-8") as file:
        file.write("action\tfoundation\tjudgement\tagreement\n")
        for number in range(rows):
            text = " ".join([*picked[number], str(number)])
            file.write(f"{text}\t{foundation[number]}\t{judged[number]}\t{agreed[number]}\n")
    return path


def made_study(store: Store, folder: Path, texts: int, layers: int, width: int) -> Study:
    """Return a made model's reading of a made table, its states kept in the store."""
    items = load_or_read(store, ItemSpec("file", made_table(folder / "made.tsv", texts)))
    card = made_card(layers=layers, width=width)
    study = open_study(items, card, ReadSpec(poolings=("mean",)))
    rng, dimension = np.random.default_rng(0), study.labels.dimension[study.first_rows]
    own = rng.normal(size=(11, width)).astype(np.float32)
    for layer in study.plan.layers:
        with store.writing("acts", study.plan.key(layer, "mean")) as target:
            array = create_array_file(target / ARRAY_FILE, (len(dimension), width), "float32")
            for start in range(0, len(dimension), 1_000):
                block = own[dimension[start : start + 1_000]]
                array[start : start + 1_000] = block + 9 * rng.standard_normal(block.shape)
                let_go(array)
    return study


def layers(folder: Path, texts: int, width: int, draws: int, count: int = 1) -> dict[str, Any]:
    """Measure the embedding and some layers, side by side where there are cores."""
    store, spec = Store(folder / "cache"), DiagnosisSpec(draws=draws, shuffles=draws)
    study = made_study(store, folder, texts, count, width)
    before, began, cpu = cost.peak_mb(), time.perf_counter(), time.process_time()
    four_tests(store, study, spec).get()
    return {
        "texts": texts,
        "width": width,
        "layers": 1 + count,
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - cpu, 1),
        "at_once": workers(4 * len(study.items) * width),
        "peak_mb": cost.peak_mb(),
        "mb_before": before,
    }


def maps(folder: Path, texts: int, width: int) -> dict[str, Any]:
    """Draw people's map and that of the anchor by PCA, another layer's, one by UMAP; open one."""
    store, seconds = Store(folder / "cache"), {}
    study = made_study(store, folder, texts, 2, width)
    other = next(layer for layer in study.plan.layers if layer != study.anchor)
    plain, near = LayoutSpec(), LayoutSpec("umap")
    layer = partial(model_layout, store, study, pooling="mean", scaling="standardised")
    for name, made in {
        "people": human_layout(store, study.items, plain),
        "anchor": layer(study.anchor, spec=plain),
        "layer": layer(other, spec=plain),
        "umap": layer(study.anchor, spec=near),
        "opened": layer(other, spec=plain),
    }.items():
        cpu = time.process_time()
        made.get()
        seconds[name] = round(time.process_time() - cpu, 2)
    return {"texts": texts, "width": width, "processor_seconds": seconds, "peak_mb": cost.peak_mb()}


def ingested(folder: Path, rows: int) -> dict[str, Any]:
    """Read a table into items, then sample it."""
    store, table = Store(folder / "cache"), made_table(folder / "made.tsv", rows)
    took: dict[str, Any] = {"rows": rows}
    for name, sample in (("ingested", "all"), ("sampled", "diagnosis")):
        began = time.perf_counter()
        items = load_or_read(store, ItemSpec("file", table, sample=sample))
        seconds = round(time.perf_counter() - began, 1)
        took[name] = {"items": len(items), "seconds": seconds, "peak_mb": cost.peak_mb()}
    return took


def read(folder: Path, rows: int) -> dict[str, Any]:
    """Let a random model of width 32 read a whole table."""
    from tests.conftest import tiny_llama

    store, table = Store(folder / "cache"), made_table(folder / "made.tsv", rows)
    items = load_or_read(store, ItemSpec("file", table))
    card = describe(ModelSpec("folder", str(tiny_llama(folder)), device="cpu"), store)
    model, study = open_model(card, store), open_study(items, card, ReadSpec())
    before, began = cost.peak_mb(), time.perf_counter()
    states = load_or_extract(store, study.plan, lambda: model)
    return {
        "rows": rows,
        "seconds": round(time.perf_counter() - began, 1),
        "stored_mb": states.plan.size // 2**20,
        "peak_mb": cost.peak_mb(),
        "mb_before": before,
    }


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "layers": layers,
    "maps": maps,
    "ingested": ingested,
    "read": read,
}


def run(step: str, *numbers: int) -> dict[str, Any]:
    """Take a step in a new process and return what it found."""
    printed = cost.step_alone(__file__, "step", step, *numbers)
    found: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return found


def main(asked: str) -> None:
    """Measure and print."""
    if asked in ("layers", "all"):
        found = [run("layers", 16_000, 4_096, 1_000) | {"target_mb_of_one": TARGET_MB}]
        print(json.dumps({"benchmark": "two full layers", **found[0]}), flush=True)
    if asked == "model":
        found = [run("layers", 16_000, 4_096, 100, 36) | {"target_mb_of_one": TARGET_MB}]
        print(json.dumps({"benchmark": "a whole model", **found[0]}), flush=True)
    if asked in ("texts", "all"):
        found = [run("layers", texts, 256, 200) for texts in SIZES]
        each = [one["processor_seconds"] / one["texts"] for one in found]
        told = {
            "texts": SIZES,
            "processor_seconds_per_1,000": [round(1_000 * one, 3) for one in each],
            "growth": round(each[-1] / each[0], 2),
            "peak_mb": [one["peak_mb"] for one in found],
            "mb_before": [one["mb_before"] for one in found],
        }
        print(json.dumps({"benchmark": "two layers by number of texts", **told}), flush=True)
    if asked in ("maps", "all"):
        print(json.dumps({"benchmark": "a map drawn once", **run("maps", 20_000, 640)}), flush=True)
    if asked in ("table", "all"):
        for step in ("ingested", "read"):
            for rows in (ROWS // 10, ROWS):
                print(json.dumps({"benchmark": f"a table {step}", **run(step, rows)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps(STEPS[sys.argv[2]](Path(name), *map(int, sys.argv[3:]))))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "all")
