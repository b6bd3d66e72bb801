"""A push along a direction: what it does to held-out actions, what it costs on neutral text.

The effect is the shift of the read-out in the axis's own sense: towards approval for a virtue,
towards condemnation for a vice. The cost is measured on neutral sentences: divergence of the next
token, and perplexity.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.store import Store
from core.steering.directions import Direction, Family, Method, control_directions
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.neutral import Cost, Neutral, cost_of, equal_strength, hold_neutral
from core.steering.effects.readout import Held, arms_logits, hold, log_odds
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Held-out actions of an axis that are asked at most.
MOST_ASKED: Final = 24
#: Raised whenever the same items and states would give other figures.
_FORMAT: Final = 3


@dataclass(frozen=True)
class SweepSpec:
    """One direction whose dose is measured."""

    axis: str
    """Foundation or pole."""

    layer: int
    """Decoder layer."""

    method: Method = "means"
    """How the direction is made."""

    pooling: Pooling = "last"
    """From which pooled states."""

    positions: Positions = "not first"
    """Which tokens are moved."""


def sense_of(axis: str) -> int:
    """Return 1 for foundations (towards virtue) and virtues, -1 for vices."""
    vices = DIMENSIONS[1::2]
    return -1 if axis in vices else 1


def held_out(study: Study, axis: str, most: int = MOST_ASKED) -> NDArray[np.int64]:
    """Return items of the test split that belong to an axis, one per text, evenly over them.

    Raises:
        CoreError: There are none.
    """
    if axis in FOUNDATIONS:
        own = study.items.foundation == FOUNDATIONS.index(axis)
    else:
        own = study.labels.dimension == DIMENSIONS.index(axis)
    rows = np.flatnonzero(own & (study.items.split == "test"))
    rows = rows[np.unique(study.plan.rows[rows], return_index=True)[1]]
    if not len(rows):
        raise CoreError(
            f"No action of {axis} is held out in this set, so its effect cannot be judged. Choose "
            "another axis or a larger set."
        )
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def one_edit(store: Store, study: Study, direction: Direction, strength: float) -> LayerEdit:
    """Return the edit that adds one direction at its layer."""
    norm = residual_norm(store, study, direction.layer)
    return LayerEdit(direction.layer, (direction,), (strength,), norm, "add")


@dataclass(frozen=True, eq=False)
class Pushes:
    """Pushes at one layer of a model: held-out actions and neutral text, asked again and again."""

    store: Store
    """Where the states lie."""

    study: Study
    """Items and model."""

    model: "OpenModel"
    """Who is asked."""

    spec: SweepSpec
    """The direction that all others are held against."""

    held: Held
    """Held-out actions as the plain model reads them."""

    neutral: Neutral
    """Neutral sentences as the plain model reads them."""

    plain: NDArray[np.float64]
    """Read-out of the actions without steering, ``(n_actions,)``."""

    norm: float
    """Median norm of the residual stream: the unit of strength."""

    known: dict[tuple[str, float], NDArray[np.float64]]
    """Direction and strength -> shifts: several figures are made of the same."""

    costs: dict[tuple[str, float], Cost]
    """Direction and strength -> cost."""

    @classmethod
    def of(cls, store: Store, study: Study, model: "OpenModel", spec: SweepSpec) -> "Pushes":
        """Let the plain model read the axis's held-out actions and the neutral sentences.

        Raises:
            CoreError: No action is held out.
        """
        rows = study.plan.rows[held_out(study, spec.axis)]
        held = hold(model, [study.plan.prompts[row] for row in rows], spec.layer)
        neutral = hold_neutral(model, spec.layer)
        plain, norm = log_odds(model, held.logits), residual_norm(store, study, spec.layer)
        return cls(store, study, model, spec, held, neutral, plain, norm, {}, {})

    def edits(self, direction: Direction, strength: float) -> list[LayerEdit]:
        """Return the edits of a push; none at strength 0."""
        edit = LayerEdit(self.spec.layer, (direction,), (strength,), self.norm, "add")
        return [edit] if strength else []

    def shifts(self, direction: Direction, strengths: Sequence[float]) -> list[NDArray[np.float64]]:
        """Return each action's shift in the axis's own sense, ``(n_actions,)`` per strength."""
        keys = [(direction.digest, strength) for strength in strengths]
        asked = [one for key, one in zip(keys, strengths, strict=True) if key not in self.known]
        arms = [self.edits(direction, one) for one in asked]
        after = arms_logits(self.model, self.held, arms, self.spec.positions) if arms else []
        for strength, logits in zip(asked, after, strict=True):
            shift = (log_odds(self.model, logits) - self.plain) * sense_of(self.spec.axis)
            self.known[direction.digest, strength] = shift if strength else np.zeros(len(shift))
        return [self.known[key] for key in keys]

    def cost(self, direction: Direction, strength: float) -> Cost:
        """Return what a push costs on the neutral sentences."""
        key = direction.digest, strength
        if key not in self.costs:
            edits = self.edits(direction, strength)
            self.costs[key] = cost_of(self.model, self.neutral, edits, self.spec.positions)
        return self.costs[key]

    def equal(self, other: Direction, own: Direction, strength: float, start: float) -> float:
        """Return the strength of another direction that costs what the own one costs."""

        def kl(size: float) -> float:
            return self.cost(other, math.copysign(size, strength)).kl

        target = self.cost(own, strength).kl
        found, _ = equal_strength(kl, target, abs(start))
        return math.copysign(found, strength)

    def controls(self, family: Family, count: int) -> list[Direction]:
        """Return control directions, made as the direction is that they are held against."""
        spec = self.spec
        return control_directions(
            self.store,
            self.study,
            family,
            spec.axis,
            spec.layer,
            count,
            method=spec.method,
            pooling=spec.pooling,
        )


def asked_key(study: Study, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content key of what is measured by asking a study's model."""
    return {
        **study.plan.base_key(),  # with a format of its own, that of the states
        "asking": _FORMAT,
        "items": study.items.digest,
        "dtype": study.card.dtype,
        **asked,
    }
