"""Matched controls: an effect beside directions of other origin, pushed as far or costing as much.

Two families judge: directions drawn as the states vary, and directions made from shuffled labels;
each first at equal length, then as strong as it takes to change neutral text as much. An effect
counts if it is beyond all four. What cannot change the verdict any more is not asked: of a family
no more once too many do as much, and nothing of equal KL, whose strengths have to be searched for,
where the effect does not count anyhow.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.runtime.progress import Report, part
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.statistics.false_discovery import counted_p
from core.statistics.sequential import decided_after, least_p, stopped_p
from core.steering.directions import FAMILIES, Direction, Family
from core.steering.effects.pushes import Pushes
from core.steering.effects.safe_ranges import SAFE_KL

Equal = Literal["length", "KL"]

#: Control directions of each family that are asked at most.
CONTROLS: Final = 40
#: And at least, so that their band means something.
FEWEST: Final = 10
#: Of those of equal length, how many are asked for their divergence.
COSTED: Final = 4
#: Isotropic directions, shown for what they cost.
ISOTROPIC: Final = 4
#: The families that an effect must be beyond.
JUDGED: Final[tuple[Family, ...]] = ("covariance", "shuffled")
#: Chance of a control at least as strong, up to which an effect is beyond a family.
ALPHA: Final = 0.05
#: Where each kind begins in the work, and where the last one ends.
_SHARES: Final = (0.0, 0.05, 0.15, 0.25, 0.6, 1.0)
NOTHING: Final = Estimate(np.nan, np.nan, np.nan)


class Beside(NamedTuple):
    """An effect beside one family of control directions."""

    family: Family
    """Which."""

    equal: Equal
    """What each control shares with the direction: its strength, or its divergence."""

    band: Estimate
    """Mean and 95 % band of the effect of those that were asked, in the direction's own sense."""

    above: int
    """Controls whose effect is at least as large; one that no strength made equal counts."""

    n: int
    """Controls that were asked."""

    kl: Estimate
    """Mean and 95 % band of divergence on neutral text, pushed forwards; of equal length of the
    first few controls."""

    planned: int
    """Controls that are asked at most."""

    after: int
    """After how many of them it was decided against the effect; 0 if it was not."""

    @property
    def p(self) -> float:
        """Chance of an effect at least as large among the controls, in (0, 1]."""
        if self.n < self.planned:
            return stopped_p(self.after, self.planned, ALPHA)
        return counted_p(self.above, self.n)

    @property
    def least_p(self) -> float:
        """What p would be at least if all were asked."""
        return self.p if self.n == self.planned else least_p(self.planned, ALPHA)

    @property
    def p_text(self) -> str:
        """The chance in words, with how it came about where not all controls were asked."""
        if self.n == self.planned:
            return f"{self.p:.3f}"
        return (
            f"{self.p:.3f}, stopped after {self.n} of {self.planned}: of all, "
            f"at least {self.least_p:.3f}"
        )

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
    """Its controls, as far as they were asked."""

    @property
    def judged(self) -> tuple[Beside, ...]:
        """The controls that it has to be beyond."""
        return tuple(one for one in self.beside if one.family in JUDGED)

    @property
    def unasked(self) -> tuple[str, ...]:
        """Kinds of controls that could not change the verdict any more, in words."""
        asked = {(one.family, one.equal) for one in self.judged}
        return tuple(f"{FAMILIES[one[0]]}, equal {one[1]}" for one in _KINDS if one not in asked)

    @property
    def holds(self) -> bool:
        """Whether the effect counts: above 0, on a model that is itself, beyond every control."""
        return not self.unasked and self.may_hold

    @property
    def may_hold(self) -> bool:
        """Whether it may still count, by what was asked."""
        beyond = all(one.p <= ALPHA for one in self.judged)
        return bool(beyond and self.effect.low > 0 and self.kl <= SAFE_KL)

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
        inside = [one.p for one in self.judged if not one.p <= ALPHA]
        kinds = f"{len(inside)} of {len(self.judged)} kinds of control directions"
        asked = " that were asked" if self.unasked else ""
        return f"{moves}, but not beyond {kinds}{asked} (p up to {max(inside, default=1):.2g})"


_KINDS: Final[tuple[tuple[Family, Equal], ...]] = (
    *((family, "length") for family in JUDGED),
    *((family, "KL") for family in reversed(JUDGED)),  # the stricter one first
)
NO_CHECK: Final = Check(NOTHING, math.nan)


class _Asked(NamedTuple):
    """What one control direction did."""

    effect: float
    """NaN if no strength made it equal."""

    kl: float
    """NaN if it was not asked."""


def beside_controls(
    pushes: Pushes, own: Direction, strengths: Sequence[float], report: Report
) -> Check:
    """Return an effect beside its controls, as far as the verdict hangs on them.

    Args:
        pushes: The model.
        own: The direction.
        strengths: Where it is judged: one, or one and its opposite for half their difference; none,
            and nothing is asked.
        report: Told after each control.
    """
    if not strengths:
        return NO_CHECK
    effect = over_actions(odd(pushes.shifts(own, strengths)))
    check = Check(effect, max(pushes.cost(own, strength).kl for strength in strengths))
    kinds: tuple[tuple[Family, Equal], ...] = (("isotropic", "length"), *_KINDS)
    for place, (family, equal) in enumerate(kinds):
        if equal == "KL" and not check.may_hold:
            break
        share = part(report, *_SHARES[place : place + 2])
        found = _beside(pushes, own, strengths, effect.value, family, equal, share)
        check = check._replace(beside=(*check.beside, found))
    return check._replace(beside=(*check.beside[1:], check.beside[0]))


def _beside(
    pushes: Pushes,
    own: Direction,
    strengths: Sequence[float],
    effect: float,
    family: Family,
    equal: Equal,
    report: Report,
) -> Beside:
    """Ask a family until all were asked, or its verdict is decided."""
    planned, after = CONTROLS if family in JUDGED else ISOTROPIC, 0
    ask = _of_equal_length if equal == "length" else _of_equal_kl
    asked: list[_Asked] = []
    above: list[bool] = []
    for found in ask(pushes, own, strengths, pushes.controls(family, planned)):
        report(len(asked), planned, f"trying control directions: {FAMILIES[family]}")
        asked.append(found)
        above.append(not found.effect < effect)  # NaN: what cannot be made equal counts against
        after = decided_after(above, planned, ALPHA) if family in JUDGED else 0
        if after and len(asked) >= FEWEST:
            break
    effects, costs = (np.array(column) for column in zip(*asked, strict=True))
    return Beside(
        family, equal, _band(effects), sum(above), len(asked), _band(costs), planned, after
    )


def _of_equal_length(
    pushes: Pushes, _: Direction, strengths: Sequence[float], controls: Sequence[Direction]
) -> Iterator[_Asked]:
    for number, other in enumerate(controls):
        cost = pushes.cost(other, strengths[0]).kl if number < COSTED else math.nan
        yield _Asked(_effect(pushes, other, strengths), cost)


def _of_equal_kl(
    pushes: Pushes, own: Direction, strengths: Sequence[float], controls: Sequence[Direction]
) -> Iterator[_Asked]:
    for other in controls:
        # Each sign costs what the direction's own costs with that sign.
        equal, start = [], strengths[0]
        for strength in strengths:
            equal.append(pushes.equal(other, own, strength, start))
            if not math.isfinite(equal[-1]):
                yield _Asked(math.nan, math.nan)
                break
            start = equal[-1]
        else:
            yield _Asked(_effect(pushes, other, equal), pushes.cost(other, equal[0]).kl)


def _effect(pushes: Pushes, direction: Direction, strengths: Sequence[float]) -> float:
    return float(odd(pushes.shifts(direction, strengths)).mean())


def odd(shifts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the shift itself, or of two half their difference."""
    return shifts[0] if len(shifts) == 1 else (shifts[0] - shifts[1]) / 2


def over_actions(values: NDArray[np.float64]) -> Estimate:
    """Return the mean over actions with its 95 % interval."""
    return bootstrap_mean(values, np.arange(len(values)))


def _band(values: NDArray[np.float64]) -> Estimate:
    known = values[np.isfinite(values)]
    return chance(known) if len(known) else NOTHING


def _wilson(share: float, count: int) -> Estimate:
    """Return a share with its 95 % interval (Wilson 1927): not of length 0 at 0 or 1."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))
