"""Reading a table of the official size: seconds, peak memory, and how far from the bare minimum.

Run as a script: ``python tests/benchmarks/bench_tables.py [ROWS]``. It writes a synthetic table of
356,000 rows and 25 columns (about 147 MB, as the official one) and its zip into a temporary folder,
then measures each step in a process of its own.
"""
# ruff: noqa: T201

import resource
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cost
import numpy as np

from core.dataset.columns import OFFICIAL_COLUMNS
from core.foundations import FOUNDATIONS

ROWS = 356_000


def synthetic_table(path: Path, rows: int, seed: int = 0) -> Path:
    """Write an official-looking table: shares of flags, workers and gaps as in the real one."""
    draw = np.random.default_rng(seed)
    words = np.array(["".join(draw.choice(list("abcdefghinorstu"), 6)) for _ in range(4000)])

    def texts(count: int, length: int) -> list[str]:
        return [" ".join(row) for row in words[draw.integers(0, 4000, (count, length))]]

    def spread(values: list[str], count: int, p: list[float] | None = None) -> list[str]:
        return draw.choice(values, count, p=p).tolist()

    axes = [
        *FOUNDATIONS,
        "care-harm|loyalty-betrayal",
        "fairness-cheating|sanctity-degradation",
        "",
    ]
    with path.open("w", encoding="utf-8") as file:
        file.write("\t".join(OFFICIAL_COLUMNS) + "\n")
        for start in range(0, rows, 20_000):
            count = min(20_000, rows - start)
            pool = texts(count * 3 // 4, 7)
            cells = dict.fromkeys(OFFICIAL_COLUMNS, ["x"] * count) | {
                "m": spread(["1", "3", "5", "50"], count, [0.85, 0.05, 0.05, 0.05]),
                "rot-bad": spread(["0", "1"], count, [0.97, 0.03]),
                "rot-moral-foundations": spread(axes, count),
                "action": [pool[place] for place in draw.integers(0, len(pool), count)],
                "action-moral-judgment": spread(["-2.0", "-1.0", "0.0", "1.0", "2.0", ""], count),
                "action-agree": spread(["0.0", "1.0", "2.0", "3.0", "4.0"], count),
                "situation": texts(count, 19),
                "rot": texts(count, 9),
                "characters": texts(count, 6),
                "rot-id": texts(count, 6),
            }
            lines = zip(*(cells[name] for name in OFFICIAL_COLUMNS), strict=True)
            file.write("\n".join("\t".join(line) for line in lines) + "\n")
    return path


def measure(step: str, path: str, folder: str) -> None:
    """Do one step and print its seconds and the process's peak memory; runs in a new process."""
    start = time.perf_counter()
    if step == "count":
        import duckdb

        columns = {f"c{place}": "VARCHAR" for place in range(25)}
        result = duckdb.execute(
            "SELECT count(*), sum(length(c9)) FROM read_csv(?, delim='\t', quote='', header=true, "
            f"auto_detect=false, columns={columns})",
            [path],
        ).fetchall()[0][0]
    else:
        from core.dataset.sets import ItemSpec, load_or_read
        from core.runtime.store import Store

        sample = "diagnosis" if step == "diagnosis" else "all"
        items = load_or_read(Store(Path(folder)), ItemSpec("file", Path(path), sample=sample))
        counts = items.provenance.counts
        result = f"{counts.rows} rows, {counts.annotations} annotations, {counts.items} items"
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{step}\t{seconds:.3f}\t{peak:.2f}\t{result}")


def run(step: str, path: Path, folder: Path) -> float:
    """Measure a step in a new process, print it, return its seconds."""
    _, seconds, peak, result = cost.step_alone(__file__, step, path, folder).strip().split("\t")
    print(f"{step:10} {path.suffix:5} {float(seconds):7.2f} s  {peak} GiB peak  {result}")
    return float(seconds)


def main(rows: int) -> None:
    """Write the table and its zip, then measure reading, re-opening and sampling."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        table = synthetic_table(folder / "sc.tsv", rows)
        packed = folder / "sc.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.write(table, "social-chem-101/sc.tsv")
        size, small = table.stat().st_size / 1e6, packed.stat().st_size / 1e6
        print(f"made {size:.0f} MB, zip {small:.0f} MB, in {time.perf_counter() - start:.1f} s")
        count = run("count", table, folder)
        read = run("read", table, folder / "a")
        run("read", packed, folder / "b")
        run("open", table, folder / "a")
        run("diagnosis", table, folder / "a")
        print(f"reading takes {read / count:.1f} times a plain DuckDB count of the same file")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(*sys.argv[1:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
