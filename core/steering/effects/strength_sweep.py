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

from core.activations.study import Study
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.statistics.false_discovery import counted_p
from core.steering.directions import FAMILIES, Direction, Family, moral_direction
from core.steering.effects.neutral import Cost
from core.steering.effects.pushes import Pushes, SweepSpec, asked_key, sense_of
from core.steering.effects.safe_ranges import SAFE_KL, STRENGTHS, safe_range

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

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
#: Shares of the work: the direction's own strengths, the random bands; then the controls.
_FIRST, _SECOND = 0.06, 0.2
_NOTHING: Final = Estimate(np.nan, np.nan, np.nan)


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

    @property
    def checks(self) -> list[tuple[str, float, Check]]:
        """The effects that were measured: name, strength, the effect beside its controls."""
        both = (("push", self.calibrated, self.push), ("sign", self.turned_at, self.turn))
        return [one for one in both if one[1]]

    @property
    def said(self) -> str:
        """What may be said about the direction, with and without what any push does."""
        if not self.calibrated:
            return "no safe strength: even the smallest dose changes neutral text too much."
        starts = ("Pushed", "By its sign alone")
        return " ".join(
            f"{start} ({at:+.0%}): {check.verdict}."
            for start, (_, at, check) in zip(starts, self.checks, strict=False)
        )


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
    asking = Pushes.of(store, study, model, spec)
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


def _random_pushes(asking: Pushes, report: Report) -> dict[float, NDArray[np.float64]]:
    """Return the mean shifts by random directions at each strength.

    Returns:
        Strength above 0 -> ``(2 × directions,)``; the opposite of one stands at the mirrored place.
    """
    sizes = sorted({abs(strength) for strength in STRENGTHS} - {0.0})
    drawn, found = asking.controls("covariance", RANDOM_EACH), {}
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
    asking: Pushes, own: Direction, safe: tuple[float, float], report: Report
) -> tuple[Check, Check]:
    """Return push and turn beside all their controls."""
    calibrated, both = safe[1], min(safe[1], -safe[0])
    pushed, turned = [calibrated] * bool(calibrated), [both, -both] * bool(both)
    drawn: list[tuple[Family, Direction]] = [
        (family, one)
        for family, count in (*((one, CONTROLS) for one in JUDGED), ("isotropic", ISOTROPIC))
        for one in (asking.controls(family, count) if calibrated or both else [])
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
    asking: Pushes, own: Direction, family: Family, other: Direction, strengths: Sequence[float]
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


def _effect(asking: Pushes, direction: Direction, strengths: Sequence[float]) -> float:
    return float(_odd(asking.shifts(direction, strengths)).mean())


def _odd(shifts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the shift itself, or of two half their difference."""
    return shifts[0] if len(shifts) == 1 else (shifts[0] - shifts[1]) / 2


def _check(
    asking: Pushes, own: Direction, strengths: Sequence[float], rows: Sequence[_Row]
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
