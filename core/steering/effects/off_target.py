"""Leakage: the model steered towards each pole in turn, the actions of every pole measured.

A direction that moves only what it was made for moves its own pole's actions and no others; one
that moves all alike turns judgement as a whole. Below stand bands of control directions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import DIMENSIONS
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, silent
from core.runtime.store import Store
from core.statistics.bootstrap import chance
from core.steering.directions import FAMILIES, Direction, control_directions, moral_direction
from core.steering.effects.matched_controls import JUDGED
from core.steering.effects.pushes import asked_key, held_out, one_edit
from core.steering.effects.readout import hold, log_odds, steered_logits
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_Made = TypeVar("_Made")

#: Held-out actions of each pole.
_PER_POLE: Final = 8
#: Control directions of each family; of shuffled labels as many of each pole.
DRAWS: Final = 20


class OffTarget(NamedTuple):
    """Each pole steered, each pole's held-out actions measured."""

    rows: tuple[str, ...]
    """Steered towards: the ten poles, then two families of control directions."""

    columns: tuple[str, ...]
    """Whose held-out actions are asked: the ten poles; those without any are left out."""

    shift: NDArray[np.float64]
    """Mean shift of the read-out towards approval, ``(12, columns)``, of a family the mean over its
    directions; NaN for a pole without a direction."""

    bands: NDArray[np.float64]
    """Ends of the 95 % band of each family's directions, ``(2 families, 2, columns)``."""

    counts: tuple[int, ...]
    """Actions behind each column."""


def measure_off_target(
    store: Store,
    study: Study,
    model: "OpenModel",
    layer: int,
    strength: float,
    *,
    pooling: Pooling = "last",
    positions: Positions = "not first",
    report: Report = silent,
) -> OffTarget:
    """Steer towards each pole in turn and measure the read-out on every pole's held-out actions.

    Raises:
        CoreError: No pole has a direction, or none has held-out actions.
    """
    directions, why = _per_pole(
        lambda pole: moral_direction(store, study, pole, layer, pooling=pooling)
    )
    if why and not directions:
        raise why
    asked, _ = _per_pole(lambda pole: held_out(study, pole, _PER_POLE))
    if not asked:
        raise CoreError("This set has no held-out actions. Choose a larger set.")
    controls = _controls(store, study, tuple(directions), layer, pooling)
    names = (*DIMENSIONS, *controls)
    all_rows = np.concatenate(list(asked.values()))
    prompts = [study.plan.prompts[row] for row in study.plan.rows[all_rows]]
    ends = np.cumsum([len(rows) for rows in asked.values()])[:-1]
    held = hold(model, prompts, layer)
    total = len(directions) + sum(map(len, controls.values()))
    done = 0

    def shifted(direction: Direction, name: str) -> list[float]:
        nonlocal done
        report(done, total, f"steering towards {name}")
        done += 1
        edits = [one_edit(store, study, direction, strength)]
        after = steered_logits(model, held, edits, positions)
        found = log_odds(model, after) - log_odds(model, held.logits)
        return [float(part.mean()) for part in np.split(found, ends)]

    shift = np.full((len(names), len(asked)), np.nan)
    for name, direction in directions.items():
        shift[names.index(name)] = shifted(direction, name)
    bands = []
    for name, drawn in controls.items():
        moved = np.array([shifted(one, name) for one in drawn])
        shift[names.index(name)], *band = np.array([chance(column) for column in moved.T]).T
        bands.append(band)
    counts = tuple(len(rows) for rows in asked.values())
    return OffTarget(names, tuple(asked), shift, np.array(bands), counts)


def _controls(
    store: Store, study: Study, poles: Sequence[str], layer: int, pooling: Pooling
) -> dict[str, list[Direction]]:
    """Return ``DRAWS`` control directions by the name of their family, poles taking turns."""
    each = -(-DRAWS // len(poles))
    found = {}
    for family in JUDGED:
        asked = [(poles[0], DRAWS)] if family == "covariance" else [(one, each) for one in poles]
        drawn = [
            direction
            for pole, count in asked
            for direction in control_directions(
                store, study, family, pole, layer, count, pooling=pooling
            )
        ]
        found[FAMILIES[family]] = drawn
    return found


def _per_pole(make: Callable[[str], _Made]) -> tuple[dict[str, _Made], CoreError | None]:
    """Return what can be made for each pole, and why the last of the others could not."""
    found: dict[str, _Made] = {}
    why: CoreError | None = None
    for pole in DIMENSIONS:
        try:
            found[pole] = make(pole)
        except CoreError as error:
            why = error
    return found, why


def kept_off_target(
    store: Store,
    study: Study,
    layer: int,
    strength: float,
    positions: Positions,
    make: Callable[[Report], OffTarget],
) -> Made[OffTarget]:
    """Return a leakage matrix."""
    return artefact(
        store,
        "dose",
        asked_key(study, {"leakage": [layer, strength, positions]}),
        read=read_json("leakage.json", _leakage),
        write=write_json(
            "leakage.json",
            lambda made: {
                **made._asdict(),
                "shift": made.shift.tolist(),
                "bands": made.bands.tolist(),
            },
        ),
        make=make,
        title=f"Steering towards each pole at layer {layer}",
        lane="model",
    )


def _leakage(record: Mapping[str, Any]) -> OffTarget:
    return OffTarget(
        tuple(record["rows"]),
        tuple(record["columns"]),
        np.array(record["shift"], np.float64),
        np.array(record["bands"], np.float64),
        tuple(record["counts"]),
    )
