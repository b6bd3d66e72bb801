"""Dose: what a direction does at each strength, and up to where the model stays itself.

The effect is the shift of the read-out on held-out actions in the direction's own sense: towards
approval for a virtue, towards condemnation for a vice. So is the part of it that changes sign with
the direction, for any disturbance moves judgement by itself. How much of the model is left is
measured on neutral sentences: divergence of the next token, and perplexity.

Both effects stand beside two families of control directions, drawn as the states vary and made
from shuffled labels, each of equal length, and each as strong as it takes to change neutral text as
much. An effect counts if it is beyond each of the four.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

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
from core.statistics.false_discovery import counted_p
from core.steering.directions import (
    FAMILIES,
    Direction,
    Family,
    Method,
    control_directions,
    moral_direction,
)
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.neutral import Cost, Neutral, cost_of, equal_strength, hold_neutral
from core.steering.effects.readout import Held, arms_logits, hold, log_odds
from core.steering.recipes import Positions

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Strengths that are tried, in residual norms.
STRENGTHS: Final = (-0.4, -0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
#: Mean divergence on neutral text, in nats per token, up to which a strength counts as safe.
SAFE_KL: Final = 0.5
#: Control directions of each family, where an effect is judged.
CONTROLS: Final = 40
#: Random directions beside every strength, each pushed both ways: an opposite is as random.
RANDOM_EACH: Final = 8
#: Isotropic directions, shown for what they cost.
ISOTROPIC: Final = 8
#: The families that an effect must be beyond.
JUDGED: Final[tuple[Family, ...]] = ("covariance", "shuffled")
#: Chance of a control at least as strong, up to which an effect is beyond a family.
ALPHA: Final = 0.05
#: Held-out actions of an axis that are asked at most.
MOST_ASKED: Final = 24
#: Shares of the work: the direction's own strengths, the random bands; then the controls.
_FIRST, _SECOND = 0.06, 0.2
_NOTHING: Final = Estimate(np.nan, np.nan, np.nan)
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
    """Mean shift by random directions as the states vary, of equal length: mean and 95 % band."""

    random_turn: Estimate
    """The same for half the difference of both signs."""


class Beside(NamedTuple):
    """An effect beside one family of control directions."""

    family: Family
    """Which."""

    equal: Literal["length", "KL"]
    """What each control shares with the direction: its strength, or its divergence."""

    band: Estimate
    """Mean and 95 % band of the controls' effect, in the direction's own sense."""

    above: int
    """Controls whose effect is at least as large; one that no strength made equal counts."""

    n: int
    """Controls."""

    kl: Estimate
    """Mean and 95 % band of the controls' divergence on neutral text, pushed forwards."""

    @property
    def p(self) -> float:
        """Chance of an effect at least as large among the controls, in (0, 1]."""
        return counted_p(self.above, self.n)

    @property
    def beaten(self) -> Estimate:
        """Share of controls with a smaller effect, with Wilson's 95 % interval over controls."""
        return _wilson(1 - self.above / self.n, self.n)

    @property
    def named(self) -> str:
        """Family and what is equal, in words."""
        return f"{FAMILIES[self.family]}, equal {self.equal}"


class Check(NamedTuple):
    """An effect beside its controls, at one strength."""

    effect: Estimate
    """On held-out actions, 95 % interval over actions."""

    kl: float
    """The direction's own divergence on neutral text, nats per token."""

    beside: tuple[Beside, ...] = ()
    """Its controls."""

    @property
    def judged(self) -> tuple[Beside, ...]:
        """The controls that it has to be beyond."""
        return tuple(one for one in self.beside if one.family in JUDGED)

    @property
    def holds(self) -> bool:
        """Whether the effect counts: above 0, on a model that is itself, beyond every control."""
        beyond = self.judged and all(one.p <= ALPHA for one in self.judged)
        return bool(beyond) and self.effect.low > 0 and self.kl <= SAFE_KL

    @property
    def verdict(self) -> str:
        """What may be said about the effect, in words."""
        if not self.effect.low > 0:
            return "no effect in its own sense on held-out actions"
        moves = "moves held-out actions in its own sense"
        if not self.kl <= SAFE_KL:
            return f"{moves}, but changes neutral text too much to count"
        if self.holds:
            return f"{moves}, beyond all control directions"
        inside = [one for one in self.judged if not one.p <= ALPHA]
        worst = max((one.p for one in inside), default=math.nan)
        kinds = f"{len(inside)} of {len(self.judged)} kinds of control directions"
        return f"{moves}, but not beyond {kinds} (p up to {worst:.2g})"


_NO_CHECK: Final = Check(_NOTHING, math.nan)


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


@dataclass(frozen=True, eq=False)
class _Asking:
    """Held-out actions and neutral sentences that one model is asked about, again and again."""

    store: Store
    study: Study
    model: "OpenModel"
    spec: SweepSpec
    held: Held
    neutral: Neutral
    plain: NDArray[np.float64]
    norm: float
    known: dict[tuple[str, float], NDArray[np.float64]]
    """Direction and strength -> shifts: several figures are made of the same."""
    costs: dict[tuple[str, float], Cost]

    @classmethod
    def of(cls, store: Store, study: Study, model: "OpenModel", spec: SweepSpec) -> "_Asking":
        rows = study.plan.rows[held_out(study, spec.axis)]
        held = hold(model, [study.plan.prompts[row] for row in rows], spec.layer)
        neutral = hold_neutral(model, spec.layer)
        plain, norm = log_odds(model, held.logits), residual_norm(store, study, spec.layer)
        return cls(store, study, model, spec, held, neutral, plain, norm, {}, {})

    def edits(self, direction: Direction, strength: float) -> list[LayerEdit]:
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


def measure_sweep(
    store: Store, study: Study, model: "OpenModel", spec: SweepSpec, report: Report = silent
) -> StrengthSweep:
    """Measure what a direction does at each strength.

    Raises:
        CoreError: The direction cannot be made, or no action is held out.
        Cancelled: The person cancelled.
    """
    own = moral_direction(
        store, study, spec.axis, spec.layer, method=spec.method, pooling=spec.pooling
    )
    asking = _Asking.of(store, study, model, spec)
    shifts, costs = {}, {}
    first, second = part(report, 0.0, _FIRST), part(report, _FIRST, _SECOND)
    for number, strength in enumerate(STRENGTHS):
        first(number, len(STRENGTHS), "trying strengths")
        [shifts[strength]] = asking.shifts(own, [strength])
        costs[strength] = asking.cost(own, strength)
    safe = safe_range({strength: cost.kl for strength, cost in costs.items()})
    random = _random_pushes(asking, second)
    push, turn = _checks(asking, own, safe, part(report, _SECOND, 1.0))
    return StrengthSweep(
        spec,
        sense_of(spec.axis),
        len(asking.plain),
        tuple(_point(one, shifts, costs[one], random) for one in STRENGTHS),
        safe,
        push,
        turn,
    )


def _controls(asking: _Asking, family: Family, count: int) -> list[Direction]:
    spec = asking.spec
    return control_directions(
        asking.store,
        asking.study,
        family,
        spec.axis,
        spec.layer,
        count,
        method=spec.method,
        pooling=spec.pooling,
    )


def _random_pushes(asking: _Asking, report: Report) -> dict[float, NDArray[np.float64]]:
    """Return the mean shifts by random directions at each strength.

    Returns:
        Strength above 0 -> ``(2 × directions,)``; the opposite of one stands at the mirrored place.
    """
    sizes = sorted({abs(strength) for strength in STRENGTHS} - {0.0})
    drawn, found = _controls(asking, "covariance", RANDOM_EACH), {}
    for number, size in enumerate(sizes):
        means = np.zeros(2 * len(drawn))
        for seed, other in enumerate(drawn):
            done = number * len(drawn) + seed
            report(done, len(sizes) * len(drawn), "trying random directions")
            means[seed], means[-1 - seed] = (
                shift.mean() for shift in asking.shifts(other, [size, -size])
            )
        found[size] = means
    return found


def _checks(
    asking: _Asking, own: Direction, safe: tuple[float, float], report: Report
) -> tuple[Check, Check]:
    """Return push and turn beside all their controls."""
    calibrated, both = safe[1], min(safe[1], -safe[0])
    pushed, turned = [calibrated] * bool(calibrated), [both, -both] * bool(both)
    drawn: list[tuple[Family, Direction]] = [
        (family, one)
        for family, count in (*((one, CONTROLS) for one in JUDGED), ("isotropic", ISOTROPIC))
        for one in (_controls(asking, family, count) if calibrated or both else [])
    ]
    rows: list[list[_Row]] = [[], []]
    for number, (family, other) in enumerate(drawn):
        report(number, len(drawn), "trying control directions")
        for found, strengths in zip(rows, (pushed, turned), strict=True):
            if strengths:
                found += _rows(asking, own, family, other, strengths)
    push, turn = (
        _check(asking, own, strengths, found) if strengths else _NO_CHECK
        for strengths, found in zip((pushed, turned), rows, strict=True)
    )
    return push, turn


class _Row(NamedTuple):
    """What one control direction did."""

    family: Family
    equal: Literal["length", "KL"]
    effect: float
    kl: float


def _rows(
    asking: _Asking, own: Direction, family: Family, other: Direction, strengths: Sequence[float]
) -> list[_Row]:
    """Return one control's effect, of equal length and of equal divergence.

    Args:
        asking: The model.
        own: The direction that it is a control of.
        family: Its family.
        other: The control.
        strengths: The direction's own; one, or one and its opposite.
    """
    cost = asking.cost(other, strengths[0]).kl
    rows = [_Row(family, "length", _effect(asking, other, strengths), cost)]
    if family in JUDGED:
        # Each sign costs what the direction's own costs with that sign.
        equal, start = [], strengths[0]
        for strength in strengths:
            equal.append(asking.equal(other, own, strength, start))
            start = equal[-1] if math.isfinite(equal[-1]) else start
        if np.isfinite(equal).all():
            effect, cost = _effect(asking, other, equal), asking.cost(other, equal[0]).kl
        else:
            effect, cost = math.nan, math.nan
        rows.append(_Row(family, "KL", effect, cost))
    return rows


def _effect(asking: _Asking, direction: Direction, strengths: Sequence[float]) -> float:
    return float(_odd(asking.shifts(direction, strengths)).mean())


def _odd(shifts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the shift itself, or of two half their difference."""
    return shifts[0] if len(shifts) == 1 else (shifts[0] - shifts[1]) / 2


def _check(
    asking: _Asking, own: Direction, strengths: Sequence[float], rows: Sequence[_Row]
) -> Check:
    effect = _over_actions(_odd(asking.shifts(own, strengths)))
    kl = max(asking.cost(own, strength).kl for strength in strengths)
    kinds = dict.fromkeys((row.family, row.equal) for row in rows)
    return Check(
        effect,
        kl,
        tuple(_beside(effect, [row for row in rows if row[:2] == kind]) for kind in kinds),
    )


def _beside(effect: Estimate, rows: Sequence[_Row]) -> Beside:
    effects, costs = (np.array([row[column] for row in rows]) for column in (2, 3))
    below = effects < effect.value  # NaN is not: what cannot be made equal counts against
    return Beside(
        rows[0].family,
        rows[0].equal,
        _band(effects),
        int((~below).sum()),
        len(rows),
        _band(costs),
    )


def _band(values: NDArray[np.float64]) -> Estimate:
    known = values[np.isfinite(values)]
    return chance(known) if len(known) else _NOTHING


def _point(
    strength: float,
    shifts: Mapping[float, NDArray[np.float64]],
    cost: Cost,
    random: Mapping[float, NDArray[np.float64]],
) -> Point:
    means = random.get(abs(strength), np.zeros(2))
    return Point(
        strength,
        _over_actions(shifts[strength]),
        _over_actions(_odd([shifts[strength], shifts[-strength]])),
        *cost,
        chance(means),
        chance(_odd([means, means[::-1]])),
    )


def _over_actions(values: NDArray[np.float64]) -> Estimate:
    return bootstrap_mean(values, np.arange(len(values)))


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
        **study.plan.base_key(),  # with a format of its own, that of the states
        "asking": _FORMAT,
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
    push, turn = (_opened_check(record[name]) for name in ("push", "turn"))
    safe = (float(record["safe"][0]), float(record["safe"][1]))
    return StrengthSweep(spec, record["sense"], record["n_actions"], points, safe, push, turn)


def _opened_check(record: Sequence[Any]) -> Check:
    effect, kl, beside = record
    return Check(
        Estimate(*effect),
        kl,
        tuple(
            Beside(family, equal, Estimate(*band), above, n, Estimate(*cost))
            for family, equal, band, above, n, cost in beside
        ),
    )
