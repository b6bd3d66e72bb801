"""Measure the model side in fresh processes: ``python tests/benchmarks/bench_models.py``.

First conversion of the packaged GGUF into an empty store, then opening it from that store: imports,
description, tokenizer and weights together, as the app's first page waits for them.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 3
_TIMED = """
import sys, time
started = time.perf_counter()
from pathlib import Path
from core.models.card import describe
from core.models.open_models import open_model
from core.models.spec import ModelSpec
from core.runtime.store import Store
store = Store(Path(sys.argv[1]))
card = describe(ModelSpec(device="cpu", dtype="float32"), store)
open_model(card, store)
sys.stdout.write(str(time.perf_counter() - started))
"""


def seconds(store: Path) -> float:
    """Time describing and opening the packaged model in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, str(store)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "GOMP_SPINCOUNT": "1000"},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def main() -> None:
    """Write one line per measurement."""
    with tempfile.TemporaryDirectory() as folder:
        first = seconds(Path(folder))
        again = [seconds(Path(folder)) for _ in range(REPEATS)]
    load = os.getloadavg()[0]
    sys.stdout.write(
        f"first conversion and opening  {first:6.1f} s\n"
        f"opening, fresh process        {statistics.median(again):6.1f} s "
        f"(of {', '.join(f'{one:.1f}' for one in again)})\n"
        f"load average {load:.1f} on {os.cpu_count()} cores\n"
    )


if __name__ == "__main__":
    main()
