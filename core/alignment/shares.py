"""How a share of an aligned dictionary's change moves a map's points, beside its control arms.

Control arms are those that were trained with it. Each is made as long as the change: the means over
texts of their lengths are the same at every share.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.activations.study import Study
from core.alignment.figures import mean_of
from core.alignment.jobs import trained_arm
from core.alignment.moves import SHARES, Edit, about, fit_curve, places
from core.alignment.spec import AlignmentError, AlignSpec, Arm
from core.maps.view import ViewSpec
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from core.steering.edits import residual_norm
from core.steering.effects.motion import Fan
from core.steering.effects.paths import MOST, Paths, spread
from core.wording import interval, number
from core.workbench import Workbench

#: Arms that a change is held against, the most telling first.
BESIDE: Final[tuple[Arm, ...]] = ("random latents", "shuffled", "noise")
#: The change itself in the table.
OWN: Final = "aligned"


def arms_beside(work: Workbench, study: Study, edit: Edit) -> dict[Arm, Edit]:
    """Return the control arms that were trained with an aligned dictionary and are kept, seed 0.

    Args:
        work: The process's workbench.
        study: Items and model, plain.
        edit: The aligned dictionary; none are known of one that does not say how it was trained.
    """
    told = about(edit.after)
    if told.get("without"):
        return {}
    try:
        spec = AlignSpec(**told["spec"])
    except (KeyError, TypeError, AlignmentError):
        return {}
    arms = [arm for arm in BESIDE if arm != told.get("arm")]
    kept = {arm: trained_arm(work, study, edit.before, spec, arm, 0) for arm in arms}
    return {
        arm: Edit(one.dictionary, one.before, edit.operation)
        for arm, one in kept.items()
        if one is not None and one.dictionary.digest != edit.before.digest
    }


class Shares(NamedTuple):
    """A change at each of ``SHARES``."""

    motion: Paths
    """Where the points go; its fan are the control arms' middles."""

    table: pd.DataFrame
    """A row per arm and share; columns: arm, share, moved, moved low, moved high (how far texts'
    points go in the mean, in widths of the plain map), CKA, low, high (of test texts with people),
    chance low, chance high (of the same with labels shuffled; NaN for control arms)."""

    told: tuple[str, ...]
    """The same in a sentence per share."""


def shares(
    store: Store,
    study: Study,
    spec: ViewSpec,
    axis: str,
    change: NDArray[np.float32],
    beside: Mapping[Arm, NDArray[np.float32]],
) -> Shares:
    """Work a change out on a map.

    Args:
        store: Where the states lie.
        study: Items and model.
        spec: The map, of the edited layer.
        axis: What the change is called in a recipe.
        change: As ``moves`` gives it.
        beside: Those of control arms.
    """
    length = _length(change)
    changes: dict[str, NDArray[np.float32]] = {OWN: change} | {
        arm: np.float32(length / _length(one)) * one for arm, one in beside.items() if one.any()
    }
    some = spread(len(change), MOST if spec.method == "umap" else len(change))
    drawn = {
        name: places(store, study, spec, one, some).astype(np.float64)
        for name, one in changes.items()
    }
    rows = np.flatnonzero(np.isin(study.plan.rows, some))
    plain = drawn[OWN][0]
    ways = {name: one - one[0] for name, one in drawn.items()}
    middles = [np.nanmean(ways[name], axis=1) for name in changes if name != OWN]
    norm = length / residual_norm(store, study, spec.layer)
    motion = Paths(
        plain,
        (axis,),
        np.array([[norm**2]]),
        Fan(norm * np.array(SHARES), np.reshape(middles, (len(middles), len(SHARES), 2))),
        rows,
        ways[OWN][None, :, rows],
        SHARES,
    )
    once = study.first_rows  # a text counts once
    table: list[tuple[str, float, *tuple[float, ...]]] = []
    for name, one in changes.items():
        curve = fit_curve(store, study, spec.layer, one, chance=name == OWN)
        for knot, share in enumerate(SHARES):
            far = np.linalg.norm(ways[name][knot, once], axis=1) / motion.width
            ends = (*curve.interval[knot], *curve.chance[knot])
            table.append((name, share, *mean_of(far).estimate, curve.value[knot], *ends))
    told = pd.DataFrame(
        table,
        columns=[
            *("arm", "share", "moved", "moved low", "moved high"),
            *("CKA", "low", "high", "chance low", "chance high"),
        ],
    )
    return Shares(motion, told, tuple(_sentences(told)))


def _length(change: NDArray[np.float32]) -> float:
    """Return the mean over texts of how long their changes are."""
    return float(np.linalg.norm(change, axis=1).mean())


def _sentences(table: pd.DataFrame) -> Iterator[str]:
    """Yield what stands at each share, beside the first control arm, the untouched and chance."""
    arms = {str(name): rows.set_index("share") for name, rows in table.groupby("arm", sort=False)}
    own = arms.pop(OWN)
    other = next(iter(arms), None)

    def figure(arm: pd.DataFrame, share: float, *columns: str) -> str:
        return interval(Estimate(*(float(arm.loc[share, one]) for one in columns)), 2)

    for share in SHARES:
        moved, fit = ("moved", "moved low", "moved high"), ("CKA", "low", "high")
        far, near = "no control arm is kept here", ""
        if other is not None:
            far = f"{other}, as long: {figure(arms[other], share, *moved)}"
            near = f", {other} {figure(arms[other], share, *fit)}"
        low, high = (number(float(own.loc[share, f"chance {end}"])) for end in ("low", "high"))
        yield (
            f"At {100 * share:.0f} % texts move by {figure(own, share, *moved)} map widths ({far})."
            f" CKA of test texts with people: {figure(own, share, *fit)}; untouched "
            f"{figure(own, 0.0, *fit)}{near}, labels shuffled [{low}, {high}]."
        )
