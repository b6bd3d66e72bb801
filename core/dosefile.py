"""Doses and leakages on disk: measured once, reused."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from core.dose import Check, Dose, DoseSpec, Point
from core.leakage import Leakage
from core.stats import Estimate
from core.store import Store
from core.study import Study

#: Raised whenever the same items and states would give other figures.
_FORMAT: Final = 2


def _key(study: Study, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "format": _FORMAT,
        **study.plan.base_key(),
        "items": study.items.digest,
        "dtype": study.card.dtype,
        **asked,
    }


def dose_key(study: Study, spec: DoseSpec) -> Mapping[str, Any]:
    """Return the content key of a dose."""
    return _key(study, {"dose": asdict(spec)})


def save_dose(store: Store, study: Study, dose: Dose) -> None:
    """Keep a dose."""
    record = asdict(dose)
    del record["spec"]
    with store.writing("dose", dose_key(study, dose.spec)) as folder:
        (folder / "dose.json").write_text(json.dumps(record))


def open_dose(store: Store, study: Study, spec: DoseSpec) -> Dose | None:
    """Return a kept dose, None if there is none."""
    folder = store.open("dose", dose_key(study, spec))
    if folder is None:
        return None
    record = json.loads((folder / "dose.json").read_text())
    points = tuple(
        Point(
            strength,
            Estimate(*effect),
            Estimate(*turn),
            kl,
            perplexity,
            *(Estimate(*one) for one in random),
        )
        for strength, effect, turn, kl, perplexity, *random in record["points"]
    )
    push, turn = (Check(*(Estimate(*one) for one in record[name])) for name in ("push", "turn"))
    safe = (float(record["safe"][0]), float(record["safe"][1]))
    return Dose(spec, record["sense"], record["n_actions"], points, safe, push, turn)


def leakage_key(study: Study, layer: int, strength: float, positions: str) -> Mapping[str, Any]:
    """Return the content key of a leakage matrix."""
    return _key(study, {"leakage": [layer, strength, positions]})


def save_leakage(
    store: Store, study: Study, layer: int, strength: float, positions: str, leakage: Leakage
) -> None:
    """Keep a leakage matrix."""
    record = {**leakage._asdict(), "shift": leakage.shift.tolist()}
    with store.writing("dose", leakage_key(study, layer, strength, positions)) as folder:
        (folder / "leakage.json").write_text(json.dumps(record))


def open_leakage(
    store: Store, study: Study, layer: int, strength: float, positions: str
) -> Leakage | None:
    """Return a kept leakage matrix, None if there is none."""
    folder = store.open("dose", leakage_key(study, layer, strength, positions))
    if folder is None:
        return None
    record = json.loads((folder / "leakage.json").read_text())
    return Leakage(
        tuple(record["rows"]),
        tuple(record["columns"]),
        np.array(record["shift"], np.float64),
        tuple(record["counts"]),
    )
