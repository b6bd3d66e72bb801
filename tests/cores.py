"""How many cores the tests may use, and how many of them one worker (pytest -n) may."""

import os

_alive = getattr(os, "sched_getaffinity", None)
CORES: int = len(_alive(0)) if _alive else os.cpu_count() or 1
SHARE = max(1, CORES // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
