"""Dose: what a direction does at each strength, and up to where the model stays itself.

The effect is the shift of the read-out on held-out actions in the direction's own sense: towards
approval for a virtue, towards condemnation for a vice. It stands beside random directions of equal
length and the same direction made from shuffled labels; and so does the part of it that changes
sign with the direction, for any disturbance moves judgement by itself. How much of the model is
left is measured on neutral sentences: divergence of the next token, and perplexity.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.steering.directions import Direction, Method, moral_direction, random_direction
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.neutral import neutral_cost
from core.steering.effects.readout import Held, hold, log_odds, steered_logits
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Strengths that are tried, in residual norms.
STRENGTHS: Final = (-0.4, -0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
#: Mean divergence on neutral text, in nats per token, up to which a strength counts as safe.
SAFE_KL: Final = 0.5
#: Random directions beside a calibrated one, each pushed both ways.
RANDOM: Final = 40
#: Random directions beside every other strength.
RANDOM_EACH: Final = 8
#: Share of random directions that an effect must beat to count.
ENOUGH: Final = 0.95
#: Held-out actions of an axis that are asked at most.
MOST_ASKED: Final = 24
#: Share of the work that the direction's own strengths are.
_FIRST: Final = 0.15
_NOTHING: Final = Estimate(np.nan, np.nan, np.nan)
#: Raised whenever the same items and states would give other figures.
_FORMAT: Final = 2


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


class Point(NamedTuple):
    """What one strength does. All effects are in the direction's own sense."""

    strength: float
    """In residual norms."""

    effect: Estimate
    """Mean shift of the read-out on held-out actions, 95 % interval over actions."""

    turn: Estimate
    """Half the shift at this strength minus half that at its opposite: what the sign does."""

    kl: float
    """Divergence from the plain model on neutral text, nats per token."""

    perplexity: float
    """Perplexity of neutral text with steering."""

    random: Estimate
    """Mean shift by random directions of equal length: mean and 95 % band."""

    random_turn: Estimate
    """The same for half the difference of both signs."""


class Check(NamedTuple):
    """An effect beside its controls, at one strength."""

    effect: Estimate
    """On held-out actions, 95 % interval over actions."""

    random: Estimate
    """The same by ``RANDOM`` random directions and their opposites: mean and 95 % band."""

    beats: Estimate
    """Share of these whose effect is smaller, with Wilson's 95 % interval over directions."""

    shuffled: Estimate
    """The same by the direction of shuffled labels, 95 % interval over actions."""

    @property
    def holds(self) -> bool:
        """Whether the effect counts: above 0, and beyond 95 % of random directions."""
        return self.effect.low > 0 and self.beats.value >= ENOUGH  # NaN is no effect either

    @property
    def verdict(self) -> str:
        """What may be said about the effect, in words."""
        if not self.effect.low > 0:
            return "no effect in its own sense on held-out actions"
        moves = "moves held-out actions in its own sense"
        if not self.holds:
            return f"{moves}, but beats only {self.beats.value:.0%} of random directions"
        return f"{moves}, and beats {self.beats.value:.0%} of random directions"


_NO_CHECK: Final = Check(_NOTHING, _NOTHING, _NOTHING, _NOTHING)


@dataclass(frozen=True)
class StrengthSweep:
    """A direction's effect at each strength."""

    spec: SweepSpec
    """Which direction."""

    sense: int
    """1 if the axis should shift towards approval, -1 towards condemnation."""

    n_actions: int
    """Held-out actions that were asked."""

    points: tuple[Point, ...]
    """By growing strength."""

    safe: tuple[float, float]
    """Strengths between which the divergence stays below ``SAFE_KL``."""

    push: Check
    """The effect at ``calibrated``; NaN without a safe strength."""

    turn: Check
    """Half the difference of both signs at ``turned_at``. A push of any direction disturbs the
    model, and may raise or lower approval by that alone; what both signs share cancels here."""

    @property
    def calibrated(self) -> float:
        """The largest safe strength in the direction's own sense."""
        return self.safe[1]

    @property
    def turned_at(self) -> float:
        """The largest strength that is safe with either sign."""
        return min(self.safe[1], -self.safe[0])


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


def _direction(store: Store, study: Study, spec: SweepSpec, method: Method) -> Direction:
    return moral_direction(store, study, spec.axis, spec.layer, method=method, pooling=spec.pooling)


@dataclass(frozen=True, eq=False)
class _Asking:
    """Held-out actions that one model is asked about, again and again."""

    store: Store
    study: Study
    model: "OpenModel"
    spec: SweepSpec
    held: Held
    plain: NDArray[np.float64]

    @classmethod
    def of(cls, store: Store, study: Study, model: "OpenModel", spec: SweepSpec) -> "_Asking":
        rows = study.plan.rows[held_out(study, spec.axis)]
        held = hold(model, [study.plan.prompts[row] for row in rows], spec.layer)
        return cls(store, study, model, spec, held, log_odds(model, held.logits))

    def edits(self, direction: Direction, strength: float) -> list[LayerEdit]:
        return [one_edit(self.store, self.study, direction, strength)] if strength else []

    def shift(self, direction: Direction, strength: float) -> NDArray[np.float64]:
        """Return each action's shift in the axis's own sense, ``(n_actions,)``."""
        if not strength:
            return np.zeros(len(self.plain))
        edits = self.edits(direction, strength)
        after = steered_logits(self.model, self.held, edits, self.spec.positions)
        return (log_odds(self.model, after) - self.plain) * sense_of(self.spec.axis)


def measure_sweep(
    store: Store, study: Study, model: "OpenModel", spec: SweepSpec, report: Report = silent
) -> StrengthSweep:
    """Measure what a direction does at each strength.

    Raises:
        CoreError: The direction cannot be made, or no action is held out.
        Cancelled: The person cancelled.
    """
    direction = _direction(store, study, spec, spec.method)
    asking = _Asking.of(store, study, model, spec)
    shifts, costs = {}, {}
    first, second = part(report, 0.0, _FIRST), part(report, _FIRST, 1.0)
    for number, strength in enumerate(STRENGTHS):
        first(number, len(STRENGTHS), "trying strengths")
        shifts[strength] = asking.shift(direction, strength)
        costs[strength] = neutral_cost(model, asking.edits(direction, strength), spec.positions)
    safe = safe_range({strength: kl for strength, (kl, _) in costs.items()})
    calibrated, both = safe[1], min(safe[1], -safe[0])
    controls = _random_pushes(asking, direction, {calibrated, both}, second)
    shuffled = _direction(store, study, spec, "shuffled")
    return StrengthSweep(
        spec,
        sense_of(spec.axis),
        len(asking.plain),
        tuple(_point(one, shifts, costs[one], controls) for one in STRENGTHS),
        safe,
        _checked(shifts[calibrated], controls[calibrated], asking.shift(shuffled, calibrated))
        if calibrated
        else _NO_CHECK,
        _checked(
            _odd(shifts[both], shifts[-both]),
            _odd(controls[both], controls[both][::-1]),
            _odd(asking.shift(shuffled, both), asking.shift(shuffled, -both)),
        )
        if both
        else _NO_CHECK,
    )


def _random_pushes(
    asking: _Asking, like: Direction, judged: Collection[float], report: Report
) -> dict[float, NDArray[np.float64]]:
    """Return the mean shifts by random directions at each strength.

    Each is pushed both ways: its opposite is a random direction as well.

    Returns:
        Strength above 0 -> ``(2 × directions,)``; the opposite of one stands at the mirrored place.
    """
    sizes = sorted({abs(strength) for strength in STRENGTHS} - {0.0})
    counts = [RANDOM if size in judged else RANDOM_EACH for size in sizes]
    found, done = {}, 0
    for size, count in zip(sizes, counts, strict=True):
        means = np.zeros(2 * count)
        for seed in range(count):
            report(done, sum(counts), "trying random directions")
            done += 1
            other = random_direction(like, seed)
            means[seed] = asking.shift(other, size).mean()
            means[-1 - seed] = asking.shift(other, -size).mean()
        found[size] = means
    return found


def _odd(one: NDArray[np.float64], opposite: NDArray[np.float64]) -> NDArray[np.float64]:
    return (one - opposite) / 2


def _point(
    strength: float,
    shifts: Mapping[float, NDArray[np.float64]],
    cost: tuple[float, float],
    controls: Mapping[float, NDArray[np.float64]],
) -> Point:
    means = controls.get(abs(strength), np.zeros(2))
    return Point(
        strength,
        _over_actions(shifts[strength]),
        _over_actions(_odd(shifts[strength], shifts[-strength])),
        *cost,
        chance(means),
        chance(_odd(means, means[::-1])),
    )


def _over_actions(values: NDArray[np.float64]) -> Estimate:
    return bootstrap_mean(values, np.arange(len(values)))


def _checked(
    own: NDArray[np.float64], random: NDArray[np.float64], shuffled: NDArray[np.float64]
) -> Check:
    effect = _over_actions(own)
    share = float((random < effect.value).mean())
    return Check(effect, chance(random), _wilson(share, len(random) // 2), _over_actions(shuffled))


def _wilson(share: float, count: int) -> Estimate:
    """Return a share with its 95 % interval (Wilson 1927): not of length 0 at 0 or 1."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def safe_range(kl: Mapping[float, float]) -> tuple[float, float]:
    """Return the widest range around 0 in which the divergence stays below ``SAFE_KL``.

    Args:
        kl: Strength -> divergence.
    """
    ends = []
    for sign in (-1, 1):
        end = 0.0
        for size in sorted(sign * strength for strength in kl if sign * strength > 0):
            if not kl[sign * size] <= SAFE_KL:
                break
            end = sign * size
        ends.append(end)
    return ends[0], ends[1]


def asked_key(study: Study, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the content key of what is measured by asking a study's model."""
    return {
        "format": _FORMAT,
        **study.plan.base_key(),
        "items": study.items.digest,
        "dtype": study.card.dtype,
        **asked,
    }


def kept_sweep(
    store: Store, study: Study, spec: SweepSpec, make: Callable[[Report], StrengthSweep]
) -> Made[StrengthSweep]:
    """Return a dose."""
    return artefact(
        store,
        "dose",
        asked_key(study, {"dose": asdict(spec)}),
        read=read_json("dose.json", partial(_dose, spec)),
        write=write_json("dose.json", _record),
        make=make,
        title=f"Measuring the dose of {spec.axis} at layer {spec.layer}",
        lane="model",
    )


def _record(dose: StrengthSweep) -> dict[str, Any]:
    record = asdict(dose)
    del record["spec"]
    return record


def _dose(spec: SweepSpec, record: Mapping[str, Any]) -> StrengthSweep:
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
    return StrengthSweep(spec, record["sense"], record["n_actions"], points, safe, push, turn)
