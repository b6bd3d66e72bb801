"""Leakage: the model steered towards each pole in turn, the actions of every pole measured.

A direction that moves only what it was made for moves its own pole's actions and no others; one
that moves all alike turns judgement as a whole.
"""

from collections.abc import Callable, Mapping
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
from core.steering.directions import moral_direction, random_direction
from core.steering.effects.readout import hold, log_odds, steered_logits
from core.steering.effects.strength_sweep import asked_key, held_out, one_edit
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

_Made = TypeVar("_Made")

#: Held-out actions of each pole.
_PER_POLE: Final = 8


class OffTarget(NamedTuple):
    """Each pole steered, each pole's held-out actions measured."""

    rows: tuple[str, ...]
    """Steered towards: the ten poles, then a random direction and one of shuffled labels."""

    columns: tuple[str, ...]
    """Whose held-out actions are asked: the ten poles; those without any are left out."""

    shift: NDArray[np.float64]
    """Mean shift of the read-out towards approval, ``(12, columns)``; NaN for a pole without a
    direction."""

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
    first = next(iter(directions))
    directions["random"] = random_direction(directions[first], 0)
    directions["shuffled labels"] = moral_direction(
        store, study, first, layer, method="shuffled", pooling=pooling
    )
    names = (*DIMENSIONS, "random", "shuffled labels")
    all_rows = np.concatenate(list(asked.values()))
    prompts = [study.plan.prompts[row] for row in study.plan.rows[all_rows]]
    ends = np.cumsum([len(rows) for rows in asked.values()])[:-1]
    shift = np.full((len(names), len(asked)), np.nan)
    held = hold(model, prompts, layer)
    for number, name in enumerate(names):
        report(number, len(names), f"steering towards {name}")
        if name in directions:
            edits = [one_edit(store, study, directions[name], strength)]
            after = steered_logits(model, held, edits, positions)
            found = log_odds(model, after) - log_odds(model, held.logits)
            shift[number] = [part.mean() for part in np.split(found, ends)]
    return OffTarget(names, tuple(asked), shift, tuple(len(rows) for rows in asked.values()))


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
            "leakage.json", lambda made: {**made._asdict(), "shift": made.shift.tolist()}
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
        tuple(record["counts"]),
    )
