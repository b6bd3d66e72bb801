"""Standings: one row per model and test, from every diagnosis that was made, kept as Parquet.

A row holds what a sweep's table and a leaderboard need, so that neither opens a diagnosis again.
DuckDB reads the files of all runs at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.activations.study import Study
from core.diagnosis.diagnosis import FORMAT as DIAGNOSIS_FORMAT
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, four_tests
from core.diagnosis.receipt import figures_sha256
from core.diagnosis.verdicts import CONTROLS, Score, scorecard
from core.measures.result import HEADLINES, NOTHING, TESTS, Test, flat
from core.runtime.store import TABLE_FILE, Store, fingerprint

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KIND: Final = "standing"
#: Raised whenever the same diagnosis would give other rows, or their figures mean something else.
FORMAT: Final = 3
#: Between a model's identity and the recipe by which it was edited while it read.
STEERED: Final = " steered "
#: What is said of a model that was trained on the labels it is tested by, whatever its figures.
TAUGHT: Final = "trained on these labels: no evidence"
#: What is said of a test that no layer can compute.
NOWHERE: Final = "not computable at any layer"

_TEXTS: Final = (
    "run", "model", "name", "identity", "architecture", "family", "size", "training", "device",
    "dtype", "items", "items_digest", "template", "pooling", "scaling", "test", "figure", "level",
    "verdict", "reason",
)  # fmt: skip
_COUNTS: Final = (
    "parameters", "layers", "width", "texts", "draws", "shuffles", "seed", "layer", "n",
)  # fmt: skip
_ESTIMATES: Final = ("value", "shuffled", *CONTROLS, "highest_by_chance")
#: Order of the columns.
COLUMNS: Final = (
    "name", "family", "size", "training", "parameters", "test", "figure", "layer", "value", "low",
    "high", "level", "verdict", "reason", "n",
    *(
        f"{name}{end}"
        for name in _ESTIMATES[1:]
        for end in ("", "_low", "_high")
    ),
    "model", "identity", "architecture", "layers", "width", "device", "dtype", "items",
    "items_digest", "texts", "template", "pooling", "scaling", "draws", "shuffles", "seed", "run",
)  # fmt: skip


@dataclass(frozen=True)
class ModelTags:
    """What people say about a model; nothing here is measured."""

    name: str = ""
    """What it is called; empty: by its own name."""

    family: str = ""
    """Such as ``Qwen3``."""

    size: str = ""
    """Such as ``8B``."""

    training: str = ""
    """Such as ``base``, ``instruct`` or ``guard``."""


def rows(
    diagnosis: Diagnosis,
    untrained: Diagnosis | None = None,
    labels: ModelTags | None = None,
    note: str = "",
    *,
    taught: bool = False,
) -> list[dict[str, Any]]:
    """Return four rows, one per test, as flat records; None where nothing can be computed.

    Args:
        diagnosis: The model's.
        untrained: Its untrained copy's; None if there is none.
        labels: What people say about the model.
        note: Why something is missing, such as the untrained copy.
        taught: Whether the model was trained on labels of these items.
    """
    scores = {score.test: score for score in scorecard(diagnosis, untrained)}
    shared = _shared(diagnosis, labels or ModelTags()) | {"reason": note}
    found = [shared | _measured(test, scores.get(test)) for test in TESTS]
    if taught:
        for row in found:
            row |= {"level": "taught", "verdict": TAUGHT}
    return found


def failed(name: str, model: str, reason: str, labels: ModelTags | None = None) -> dict[str, Any]:
    """Return the row of a model that could not be measured: no test, and why."""
    told = {**asdict(labels or ModelTags()), "name": name, "model": model, "reason": reason}
    return dict.fromkeys(COLUMNS) | told


def table(records: Sequence[dict[str, Any]]) -> "pa.Table":
    """Return rows as an Arrow table; the same rows give the same bytes as Parquet."""
    import pyarrow as pa

    kinds = dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(_COUNTS, pa.int64())
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in COLUMNS])
    return pa.Table.from_pylist(list(records), schema=schema)


def run_of(study: Study, spec: DiagnosisSpec) -> str:
    """Return what names a run: model, versions, texts and settings, 16 hex digits."""
    return fingerprint(
        {
            **study.plan.base_key(),
            **study.plan.weighing(),
            "items": study.items.digest,
            "diagnosis": asdict(spec),
            "format": DIAGNOSIS_FORMAT,
        }
    )[:16]


def _shared(diagnosis: Diagnosis, labels: ModelTags) -> dict[str, Any]:
    study, spec, card = diagnosis.study, diagnosis.spec, diagnosis.study.card
    steered = study.plan.steered
    return {
        "family": labels.family,
        "size": labels.size,
        "training": labels.training
        or ("untrained" if card.spec.untrained_seed is not None else ""),
        "run": run_of(study, spec),
        "model": str(card.spec),
        "name": labels.name or card.name,
        "identity": card.identity + (f"{STEERED}{steered.digest}" if steered else ""),
        "architecture": card.architecture,
        "parameters": card.n_parameters,
        "layers": card.n_layers,
        "width": card.d_model,
        "device": card.device,
        "dtype": card.dtype,
        "items": study.items.provenance.name,
        "items_digest": study.items.digest,
        "texts": len(study.plan.prompts),
        "template": study.plan.spec.template,
        **asdict(spec),
    }


def _measured(test: Test, score: Score | None) -> dict[str, Any]:
    """Return what was measured by one test; None: no layer can compute it."""
    if score is None:
        return {"test": test, "figure": HEADLINES[test], "level": "nothing", "verdict": NOWHERE}
    cells = flat(score.figure)
    told = {"test": test, "figure": cells.pop("name"), "layer": score.layer}
    del cells["part"]
    sides = {name: score.controls.get(name, NOTHING) for name in CONTROLS}
    for name, side in (sides | {"highest_by_chance": score.highest_by_chance}).items():
        cells |= {name: side.value, f"{name}_low": side.low, f"{name}_high": side.high}
    known = {name: None if value != value else value for name, value in cells.items()}
    return known | told | {"level": score.verdict.level, "verdict": score.verdict.words}


# --- kept ---


def keep(
    store: Store,
    diagnosis: Diagnosis,
    untrained: Diagnosis | None = None,
    labels: ModelTags | None = None,
    note: str = "",
    *,
    taught: bool = False,
) -> list[dict[str, Any]]:
    """Store a diagnosis's rows for the leaderboard, and return them; arguments as for ``rows``."""
    found = rows(diagnosis, untrained, labels, note, taught=taught)
    key = {
        "format": FORMAT,
        "run": found[0]["run"],
        "figures": figures_sha256(diagnosis),
        "labels": asdict(labels or ModelTags()),
        "untrained": untrained and figures_sha256(untrained),
        **({"taught": True} if taught else {}),
    }
    if not store.has(KIND, key):
        store.save_table(KIND, key, table(found))
    return found


def keep_study(store: Store, study: Study, copy: Study | None, spec: DiagnosisSpec) -> None:
    """Store the rows of a study and of its untrained copy, as far as they are diagnosed.

    Args:
        store: Where diagnoses and rows lie.
        study: Items as a model reads them.
        copy: The same of its untrained copy; None if there is none.
        spec: How both were measured.
    """
    untrained = None
    if copy is not None and four_tests(store, copy, spec).has():
        untrained = four_tests(store, copy, spec).open()
        if untrained is not None:
            keep(store, untrained)
    own = four_tests(store, study, spec).open() if four_tests(store, study, spec).has() else None
    if own is not None:
        keep(store, own, untrained)


def leaderboard(store: Store, items_digest: str) -> "pd.DataFrame":
    """Return the rows of all runs on a set of items, each run once: labelled, with its control.

    Where a run was kept more than once, the row with an untrained control goes first, then one
    with a sentence embedding, then one with labels, then the newest.

    Returns:
        ``COLUMNS``; by name, run and test. Empty if nothing was kept.
    """
    import duckdb
    import pyarrow as pa

    files, made = _files(store)
    if not files:
        return table([]).to_pandas()
    age = pa.table({"filename": [str(path) for path in files], "made": made})
    with duckdb.connect() as con:
        con.register("age", age)
        found: pd.DataFrame = con.execute(
            _ALL_RUNS, {"files": [str(path) for path in files], "items": items_digest}
        ).df()
    return found


#: Rows kept before copies were named in words say "untrained 0": they are read as the others.
_NAMED: Final = (
    "regexp_replace(regexp_replace(\"name\", ', untrained 0$', ', untrained copy'), "
    "', untrained (\\d+)$', ', untrained copy, seed \\1') AS \"name\""
)
_ALL_RUNS: Final = f"""
    SELECT {", ".join(_NAMED if name == "name" else f'"{name}"' for name in COLUMNS)}
    FROM read_parquet($files, filename = true, union_by_name = true) JOIN age USING (filename)
    WHERE items_digest = $items AND test IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY run, test
        ORDER BY untrained IS NULL, sentence IS NULL, family || size = '', made DESC
    ) = 1
    ORDER BY name, run, list_position({list(TESTS)}, test)
"""


def _files(store: Store) -> tuple[list[Path], list[float]]:
    """Return the Parquet files of this format and when each was made."""
    kept = [one for one in store.artefacts(KIND) if one.key.get("format") == FORMAT]
    files = [store.root / KIND / one.digest / TABLE_FILE for one in kept]
    return files, [one.made for one in kept]


def earlier(store: Store) -> int:
    """Return how many kept runs were measured by an earlier version: their figures differ in kind.

    They stay on disk and are not put beside the present ones.
    """
    now = {one.key["run"] for one in store.artefacts(KIND) if one.key.get("format") == FORMAT}
    kept = {one.key.get("run") for one in store.artefacts(KIND)}
    return len(kept - now)


def write(records: Iterable[dict[str, Any]], path: Path) -> None:
    """Write rows as one Parquet file, all or nothing."""
    import pyarrow.parquet as pq

    aside = path.with_name(f".{path.name}.new")
    pq.write_table(table(list(records)), aside, compression="zstd")
    aside.replace(path)
