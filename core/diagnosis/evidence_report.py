"""The findings of some layers as a table, a JSON object or a CSV file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.diagnosis.evidence import Finding
from core.layers import layer_name
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import Scaling
from core.wording import SHOWN_DIGITS, Lines, aligned, facts, interval


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
        told = {"states": f"pooling {self.pooling}, {self.scaling}; 95 % intervals in brackets"}
        yield from facts(heading(self.study) | told)
        yield ""
        pairs = [(layer, finding) for layer, found in self.findings.items() for finding in found]
        rows = [
            (
                layer_name(layer),
                finding.name,
                *(interval(one, 3) for one in (finding.observed, finding.shuffled, finding.words)),
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
                {name: None if value != value else value for name, value in row.items()}
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


def heading(study: Study) -> dict[str, str]:
    """Return what every table says first: who read what, and how."""
    source = study.items.provenance
    return {
        "model": f"{study.card.name} · {study.card.identity}",
        "items": f"{source.name} · {study.items.digest[:SHOWN_DIGITS]} · "
        f"{len(study.items):,} rows, {source.counts.texts:,} texts",
        "note": source.note,
        "prompt": study.plan.spec.template,
    }
