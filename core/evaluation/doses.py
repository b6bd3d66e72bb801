"""How strong each arm is: at which share of its recipe it has the divergence on neutral text."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from core.activations.study import Study
from core.evaluation.answers import Arm
from core.evaluation.spec import EvaluateSpec
from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.steering.edits import LayerEdit, check_recipe, resolve
from core.steering.effects.controls import control_edits
from core.steering.effects.neutral import cost_of, equal_strength, hold_neutral
from core.steering.recipes import MOST_STRENGTH
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_KIND: Final = "arm strength"
_FILE: Final = "strength.json"


def kept_dose(
    work: Workbench, study: Study, arm: Arm, kl: float | None, model: "OpenModel | None" = None
) -> Made[tuple[float, float]]:
    """Return at which share of its recipe an arm stands, and its divergence on neutral text.

    NaN for both where it does not reach the divergence; 1 and NaN for an arm without a recipe.

    Args:
        work: The process's workbench.
        study: The model and items.
        arm: Which.
        kl: What its divergence has to be; None: whatever its recipe costs.
        model: Open, to make it.
    """

    def make(_: Report) -> tuple[float, float]:
        if arm.recipe is None:
            return 1.0, np.nan
        if model is None:
            raise ValueError("a dose is measured on an open model")
        check_recipe(study, arm.recipe, repeated=True)
        edits = edits_of(work, study, arm)
        if not edits:
            return 1.0, 0.0
        held = hold_neutral(model, min(edit.layer for edit in edits))
        positions = arm.recipe.positions

        def cost(share: float) -> float:
            return cost_of(model, held, _scaled(edits, share), positions).kl

        if kl is None:
            return 1.0, cost(1.0)
        share, found = equal_strength(cost, kl, 1.0)
        most = max((abs(one) for edit in edits for one in edit.strengths), default=1.0)
        return (share, found) if share * most <= MOST_STRENGTH else (np.nan, np.nan)

    card = study.card
    key = {
        "format": 1,
        "model": card.identity,
        "compute": f"{card.device} {card.dtype}",
        "arm": dict(arm.key),
        "kl": kl,
    }
    return artefact(work.store, _KIND, key, read=_read, write=_write, make=make)


def _write(folder: Path, dose: tuple[float, float]) -> None:
    told = [None if np.isnan(one) else one for one in dose]
    (folder / _FILE).write_text(json.dumps(told), encoding="utf-8")


def _read(folder: Path) -> tuple[float, float] | None:
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        share, kl = (np.nan if one is None else float(one) for one in told)
    except (OSError, ValueError, TypeError):
        return None
    return share, kl


def edits_of(work: Workbench, study: Study, arm: Arm) -> list[LayerEdit]:
    """Return what an arm does, at its share."""
    if arm.recipe is None or not arm.recipe.active:
        return []
    edits = resolve(work.store, study, arm.recipe)
    if arm.control:
        edits = control_edits(work.store, study, edits)
    return _scaled(edits, arm.share)


def _scaled(edits: Sequence[LayerEdit], share: float) -> list[LayerEdit]:
    return [replace(edit, strengths=tuple(share * one for one in edit.strengths)) for edit in edits]


def unreached(work: Workbench, study: Study, spec: EvaluateSpec) -> list[str]:
    """Return the arms that do not reach the divergence, by name."""
    doses = {arm.name: kept_dose(work, study, arm, spec.kl).open() for arm in spec.arms}
    return [name for name, dose in doses.items() if dose is not None and np.isnan(dose[0])]
