"""What a diagnosis costs: all layers of the packaged model, and how the cost grows with the items.

Run as a script: ``python tests/benchmarks/bench_diagnosis.py [layers|items|all] [SAMPLE.tsv]``.
``MORALSCOPE_CACHE`` (else ``/tmp/e2ecache``) is a cache in which the model has read the set: the
built-in one, or a table of one's own. Its states are linked into a fresh cache, so that everything
is measured and nothing stays.

``layers``: the whole diagnosis of every layer, both poolings, 1,000 resamples and 1,000 shuffles:
seconds, seconds of one layer, and the most memory the process ever held, beside what it held
before. The target is 120 s and 2 GB for 19 layers of 2,601 rows on 2 idle cores.

``items``: one layer of made states of 640 coordinates with 2,000, 4,000, 8,000 and 16,000 rows.
Processor seconds per 1,000 rows, which busy neighbours disturb less; ``growth`` is that of the
largest over that of the smallest, 1 if linear.
Three parts: ``geometry`` (opposition, gradients, clusters), ``probe``, and ``shuffles``, which are
drawn once for all layers. Prints one JSON line each.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cost
import numpy as np

from core.activations.prompts import ReadSpec
from core.activations.study import Study, open_study
from core.dataset.labels import Labels, typical_members
from core.dataset.sets import ItemSpec, load_or_read
from core.diagnosis import diagnosis
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.measures.cohort import Cohort
from core.measures.geometry import centred
from core.models.open_models import ModelSpec, describe
from core.runtime.store import Store

SIZES = (2_000, 4_000, 8_000, 16_000)
WIDTH = 640
DRAWS = 1_000


def fresh(kept: Store, study: Study, folder: Path) -> Store:
    """Return a cache that holds the states of a study and nothing else."""
    store = Store(folder)
    for layer in study.plan.layers:
        for pooling in study.plan.spec.poolings:
            key = study.plan.key(layer, pooling)
            place = store.folder("acts", key)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(kept.folder("acts", key), target_is_directory=True)
    return store


def whole(table: Path | None) -> dict[str, Any]:
    """Time the diagnosis of all layers."""
    kept = Store(cost.CACHE)
    spec = ItemSpec("file", table) if table else ItemSpec()
    study = open_study(load_or_read(kept, spec), describe(ModelSpec(), kept), ReadSpec())
    with tempfile.TemporaryDirectory() as folder:
        store = fresh(kept, study, Path(folder))
        before, taken, cpu = cost.peak_mb(), {}, time.process_time()
        for pooling in study.plan.spec.poolings:
            begin = time.perf_counter()
            four_tests(store, study, DiagnosisSpec(pooling=pooling)).get()
            taken[pooling] = round(time.perf_counter() - begin, 1)
        cpu = time.process_time() - cpu
    layers = len(study.plan.layers)
    return {
        "benchmark": "all layers, four tests",
        "seconds": round(sum(taken.values()), 1),
        "target": 120,
        "seconds_of_each_pooling": taken,
        "processor_seconds": round(cpu, 1),
        "seconds_per_layer": round(sum(taken.values()) / len(taken) / layers, 2),
        "peak_mb": cost.peak_mb(),
        "target_mb": 2_000,
        "mb_before": before,
        "rows": len(study.items),
        "layers": layers,
    }


def made_cohort(n: int) -> Cohort:
    """Return rows with the mix of poles and grades of the paper's sample."""
    rng = np.random.default_rng(n)
    foundation = rng.integers(0, 5, n)
    pole = rng.choice(3, n, p=[0.41, 0.5, 0.09])
    grade = np.where(pole == 2, 0, rng.choice([0.125, 0.25, 0.375, 0.5, 0.75, 1.0], n))
    dimension = np.where(pole == 2, -1, 2 * foundation + pole)
    vectors = np.zeros((n, 10), np.float32)
    rows = np.flatnonzero(dimension >= 0)
    vectors[rows, dimension[rows]] = grade[rows]
    labels = Labels(dimension, grade, rng.integers(0, n, n))
    members = typical_members(labels)
    return Cohort(labels, foundation, vectors, members, np.arange(n), DRAWS, DRAWS)


def parts(n: int) -> dict[str, float]:
    """Return the processor seconds of each part of a layer of ``n`` rows."""
    cohort = made_cohort(n)
    own = np.random.default_rng(0).normal(size=(11, WIDTH))
    noise = np.random.default_rng(1).normal(size=(n, WIDTH))
    states = centred(noise + cohort.labels.grade[:, None] * own[cohort.labels.dimension])
    steps = {
        "shuffles": lambda: (cohort.takers, cohort.takers_anywhere, cohort.weights),
        "geometry": lambda: diagnosis._geometry(states, cohort),
        "probe": lambda: diagnosis._decoding(states, cohort),
    }
    taken = {}
    for name, work in steps.items():
        begin = time.process_time()
        work()
        taken[name] = time.process_time() - begin
    return taken


def growth() -> dict[str, Any]:
    """Return how the cost of a layer grows with its rows."""
    parts(SIZES[0])  # warms up
    taken = {n: parts(n) for n in SIZES}
    per_thousand = {
        name: [round(taken[n][name] / n * 1000, 3) for n in SIZES] for name in taken[SIZES[0]]
    }
    return {
        "benchmark": "one layer by number of rows, processor seconds per 1,000 rows",
        "rows": SIZES,
        **per_thousand,
        "growth": {name: round(row[-1] / row[0], 2) for name, row in per_thousand.items()},
        "peak_mb": cost.peak_mb(),
    }


def main() -> None:
    """Measure and print."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "all"
    table = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    cost.tell_parts({"layers": lambda: whole(table), "items": growth}, asked)


if __name__ == "__main__":
    main()
