"""Dose: what a direction does at each strength, and up to where the model stays itself.

The effect is the shift of the read-out on held-out actions in the direction's own sense: towards
approval for a virtue, towards condemnation for a vice. So is the part of it that changes sign with
the direction, for any disturbance moves judgement by itself. How much of the model is left is
measured on neutral sentences: divergence of the next token, and perplexity.

Both effects stand beside matched control directions (``matched_controls``), and every strength
beside random ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study
from core.runtime.made import Made, artefact, read_json, write_json
from core.runtime.progress import Report, part, silent
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate, chance
from core.steering.directions import moral_direction
from core.steering.effects.matched_controls import Beside, Check, beside_controls, odd, over_actions
from core.steering.effects.neutral import Cost
from core.steering.effects.pushes import Pushes, SweepSpec, asked_key, sense_of
from core.steering.effects.safe_ranges import STRENGTHS, safe_range

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Random directions beside every strength, each pushed both ways: an opposite is as random.
RANDOM_EACH: Final = 4
#: Shares of the work: the direction's own strengths, the random bands, the push's controls.
_SHARES: Final = (0.0, 0.06, 0.2, 0.6, 1.0)
#: Raised whenever the same items and states would give another dose.
_FORMAT: Final = 4


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
    pushes = Pushes.of(store, study, model, spec)
    stages = [part(report, *_SHARES[place : place + 2]) for place in range(4)]
    shifts, costs = {}, {}
    for number, strength in enumerate(STRENGTHS):
        stages[0](number, len(STRENGTHS), "trying strengths")
        [shifts[strength]] = pushes.shifts(own, [strength])
        costs[strength] = pushes.cost(own, strength)
    safe = safe_range({strength: cost.kl for strength, cost in costs.items()})
    random = _random_pushes(pushes, stages[1])
    calibrated, both = safe[1], min(safe[1], -safe[0])
    push = beside_controls(pushes, own, [calibrated] * bool(calibrated), stages[2])
    turn = beside_controls(pushes, own, [both, -both] * bool(both), stages[3])
    return StrengthSweep(
        spec,
        sense_of(spec.axis),
        len(pushes.plain),
        tuple(_point(one, shifts, costs[one], random) for one in STRENGTHS),
        safe,
        push,
        turn,
    )


def _random_pushes(pushes: Pushes, report: Report) -> dict[float, NDArray[np.float64]]:
    """Return the mean shifts by random directions at each strength.

    Returns:
        Strength above 0 -> ``(2 × directions,)``; the opposite of one stands at the mirrored place.
    """
    sizes = sorted({abs(strength) for strength in STRENGTHS} - {0.0})
    drawn, found = pushes.controls("covariance", RANDOM_EACH), {}
    for number, size in enumerate(sizes):
        means = np.zeros(2 * len(drawn))
        for seed, other in enumerate(drawn):
            done = number * len(drawn) + seed
            report(done, len(sizes) * len(drawn), "trying random directions")
            means[seed], means[-1 - seed] = (
                shift.mean() for shift in pushes.shifts(other, [size, -size])
            )
        found[size] = means
    return found


def _point(
    strength: float,
    shifts: Mapping[float, NDArray[np.float64]],
    cost: Cost,
    random: Mapping[float, NDArray[np.float64]],
) -> Point:
    means = random.get(abs(strength), np.zeros(2))
    return Point(
        strength,
        over_actions(shifts[strength]),
        over_actions(odd([shifts[strength], shifts[-strength]])),
        *cost,
        chance(means),
        chance(odd([means, means[::-1]])),
    )


def kept_sweep(
    store: Store, study: Study, spec: SweepSpec, make: Callable[[Report], StrengthSweep]
) -> Made[StrengthSweep]:
    """Return a dose."""
    return artefact(
        store,
        "dose",
        asked_key(study, {"dose": asdict(spec), "format": _FORMAT}),
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
            Beside(family, equal, Estimate(*band), above, n, Estimate(*cost), *stopped)
            for family, equal, band, above, n, cost, *stopped in beside
        ),
    )
