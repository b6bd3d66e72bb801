"""Doses that come with the project: the packaged model's safe ranges, and what its sweeps said.

They hold for one model, one set, one way to read and to make directions; for any other there is
none. What a person has measured goes before them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from core import CoreError
from core.activations.study import Study
from core.runtime.store import library_version
from core.steering.effects.pushes import SweepSpec
from core.steering.effects.safe_ranges import SAFE_KL, STRENGTHS, Ends, RangeSpec
from core.steering.effects.strength_sweep import StrengthSweep

#: The file in ``core/data``; ``python -m core doses`` makes it.
FILE: Final = Path(__file__).resolve().parents[2] / "data" / "gemma3-270m-doses.json"
#: Libraries that figures may hang on in their last digits.
_LIBRARIES: Final = ("torch", "transformers", "nnsight")


@dataclass(frozen=True)
class KnownDose:
    """How far a direction may be pushed, and what is known about its effect there."""

    safe: Ends
    """Lowest and highest safe strength, in residual norms."""

    said: str = ""
    """What a sweep may say about the effect, in sentences; empty where none was made."""

    shipped: bool = False
    """Whether it comes with the project; else it was measured here."""

    spec: SweepSpec | None = field(default=None, compare=False)
    """Which direction, where its effect is known."""

    sweep: StrengthSweep | None = field(default=None, compare=False)
    """What was measured here; None: nothing, or it comes with the project."""


def shipped_dose(study: Study, spec: SweepSpec) -> KnownDose | None:
    """Return what comes with the project for a direction; None if that is of something else."""
    found = _shipped()
    # On neutral text, what is written is moved as what is read: all but the first token.
    positions = "not first" if spec.positions == "generated" else spec.positions
    how = RangeSpec(spec.layer, spec.method, spec.pooling, positions)
    if found.get("made from") != made_from(study, how):
        return None
    ends = found["ranges"].get(spec.axis, {}).get(str(spec.layer))
    if ends is None:
        return None
    said = found["said"].get(spec.axis, {}).get(str(spec.layer), "")
    # An effect is measured with the tokens that were moved then.
    said = said if positions == spec.positions else ""
    return KnownDose((ends[0], ends[1]), said, shipped=True, spec=spec)


@cache
def _shipped() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def made_from(study: Study, how: RangeSpec) -> dict[str, Any]:
    """Return all that shipped doses hang on, layer and versions of libraries apart."""
    read, directions = study.plan.spec, asdict(how)
    del directions["layer"]
    return {
        "model": study.plan.model,
        "dtype": study.card.dtype,
        "items": study.items.digest,
        "template": read.template,
        "strip": read.strip,
        "max_tokens": read.max_tokens,
        **directions,
        "safe_kl": SAFE_KL,
        "strengths": list(STRENGTHS),
    }


def write_doses(
    path: Path,
    made: Mapping[str, Any],
    ranges: Mapping[int, Mapping[str, Ends]],
    said: Mapping[int, Mapping[str, str]],
    command: str,
) -> None:
    """Write doses as one JSON file, a line per axis.

    Args:
        path: Where.
        made: ``made_from``.
        ranges: Layer -> axis -> safe range.
        said: Layer -> axis -> what its sweep said; those without a sweep are left out.
        command: What made it.

    Raises:
        CoreError: It cannot be written.
    """
    versions = {name: library_version(name) for name in _LIBRARIES}
    told = {"command": command, "made from": made, "versions": versions}
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in told.items()]
    lines += [_by_axis("ranges", ranges), _by_axis("said", said)]
    try:
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    except OSError as error:
        raise CoreError(
            f"{path} cannot be written: {error.strerror}. Name another file."
        ) from error


def _by_axis(name: str, found: Mapping[int, Mapping[str, Any]]) -> str:
    turned: dict[str, dict[int, Any]] = {}
    for layer, by_axis in found.items():
        for axis, one in by_axis.items():
            turned.setdefault(axis, {})[layer] = one
    rows = ",\n".join(f"  {json.dumps(axis)}: {json.dumps(one)}" for axis, one in turned.items())
    return f' "{name}": {{\n{rows}\n }}' if rows else f' "{name}": {{}}'
