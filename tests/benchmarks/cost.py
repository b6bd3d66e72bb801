"""What benchmarks open with, and how they measure. Imported before anything that loads libgomp.

Benchmarks run as scripts, so this folder is on Python's path already; the project's own is put
there here.
"""
# ruff: noqa: T201

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    from core.models.open_models import OpenModel
    from core.steering.edits import LayerEdit

#: A cache in which the packaged model has read.
CACHE = Path(os.environ.get("MORALSCOPE_CACHE", "/tmp/e2ecache"))


def peak_mb() -> int:
    """Return the most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def load() -> float:
    """Return how many processes wanted a processor in the last minute."""
    return round(os.getloadavg()[0], 2)


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def tell_parts(parts: dict[str, Callable[[], dict[str, Any]]], asked: str) -> None:
    """Measure the part that is asked for, or ``all``, and print each as a JSON line."""
    import torch

    for name, work in parts.items():
        if asked in (name, "all"):
            before = load()
            found = {**work(), "load_before": before, "load_after": load()}
            print(json.dumps({**found, "threads": torch.get_num_threads()}), flush=True)


def step_alone(script: str, *words: object) -> str:
    """Run a script's step in a process of its own and return what it printed."""
    run = [sys.executable, script, *map(str, words)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def small_edit(model: "OpenModel", layer: int, strength: float) -> "LayerEdit":
    """Return a small edit along a random direction: what it writes does not matter here."""
    import numpy as np

    from core.steering.directions import Direction
    from core.steering.edits import LayerEdit

    vector = np.random.default_rng(0).normal(size=model.card.d_model)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    made = Direction("random", unit, model.card.identity, layer, "benchmark")
    return LayerEdit(layer, (made,), (strength,), 16_000.0, "add")
