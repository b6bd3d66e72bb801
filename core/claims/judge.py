"""What follows for a claim from figures and their controls, by one written rule.

An interval decides, never a point: supported if the whole of it lies on the claimed side, not
supported if the whole of it lies on the other, else nothing. Intervals of several layers or models
are widened until they hold together (Bonferroni on the scale of a normal distribution).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from core.claims.claim import Claim
from core.layers import layer_name
from core.measures.result import NOTHING
from core.statistics.associations import Association
from core.statistics.bootstrap import Estimate
from core.wording import interval, number

Word = Literal["supported", "not supported", "not decidable here"]
SUPPORTED: Final[Word] = "supported"
REFUTED: Final[Word] = "not supported"
OPEN: Final[Word] = "not decidable here"
Reason = Literal["decided", "bound", "control", "missing", "unusable", "models"]
#: Why a claim cannot be decided, in words that follow a number of claims.
REASONS: Final[dict[Reason, str]] = {
    "control": "on a side where a control is, too",
    "bound": "with an interval over the bound",
    "missing": "not measured, or not computable",
    "unusable": "resting on packs that were not verified, or on controls",
    "models": "with too few models",
}
#: How a verdict follows, in words for the page.
RULE: Final = (
    "Rule: “supported” needs the whole 95 % interval on the claimed side, “not supported” the "
    "whole interval on the other; an interval that reaches over the bound decides nothing. "
    "Intervals of several layers and models are widened to hold together. That something is there "
    "(above a bound) is never called supported where an untrained copy or shuffled labels support "
    "it as well. That something is missing (below, within) stands whoever else lacks it; where "
    "an untrained copy lies on the same side it is said, because then the figure does not tell a "
    "model that is indifferent from one that learned nothing. An absence needs a bound on what "
    "counts as none; lack of significance is no absence. A claim of all models falls with one "
    "model. What goes with scale or kind is asked over models, each a figure: the interval is over "
    "models, an effect must go further than models put into another order (p ≤ 0.05), and where "
    "too few are at hand to decide at all, it is said how many are missing. Packs count only after "
    "some of their texts were read again on this machine. Each claim "
    "stands for itself: of twenty verdicts one may be chance."
)
_SURE: Final = 0.975
_NO_EFFECT: Final = Estimate(0.0, 0.0, 0.0)
_ASK: Final = 'Whether training adds to it can be asked with null = "untrained".'


class Reading(NamedTuple):
    """One figure that a claim is held against."""

    layer: int | None
    """At which layer; None: the figure is no single layer's."""

    own: Estimate
    """The figure with its 95 % interval."""

    null: Estimate | None = None
    """What is taken off it; None: nothing."""

    @property
    def judged(self) -> Estimate:
        """The figure, or its distance from the null with both intervals' worst ends."""
        if self.null is None:
            return self.own
        return Estimate(
            self.own.value - self.null.value,
            self.own.low - self.null.high,
            self.own.high - self.null.low,
        )


@dataclass(frozen=True)
class Witness:
    """What is cached of one model about one claim."""

    name: str
    """Of the model, for people."""

    model: str
    """Its text form."""

    readings: tuple[Reading, ...] = ()
    """Its figures: one, or one per layer; none where nothing is cached."""

    controls: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    """Name of a control -> the same of it."""

    lack: str = ""
    """What is missing and how it is measured; empty where nothing is."""

    mark: str = ""
    """On what it rests if not on a reading of this machine, such as ``pack, unverified``."""

    unusable: str = ""
    """Why it may not decide anything although it is there; empty: it may."""

    receipt: Mapping[str, Any] | None = None
    """All that its figures depend on."""


class Weighed(NamedTuple):
    """What one model says to a claim."""

    witness: Witness
    """Who."""

    word: Word
    """The verdict for this model alone."""

    why: str
    """Why, in a sentence."""

    decisive: Reading | None
    """The figure nearest to deciding otherwise; None where there is none."""

    looks: int
    """For how many figures at once intervals hold."""

    null: str
    """What is taken off the figure, in words; empty: nothing."""

    reason: Reason
    """Why it is open; ``decided`` if it is not."""

    @property
    def figure(self) -> Estimate:
        """What is judged, its interval widened so that all hold together; NaN where it is none."""
        return NOTHING if self.decisive is None else widened(self.decisive.judged, self.looks)

    @property
    def beside(self) -> dict[str, Estimate]:
        """What stands beside it: the figure and its null where both make it up, and controls."""
        found = self.decisive
        if found is None:
            return {}
        told: dict[str, Estimate] = {}
        if found.null is not None:
            told = {"the figure itself": found.own, self.null: found.null}
        told |= {
            name: next((one.judged for one in own if one.layer == found.layer), NOTHING)
            for name, own in self.witness.controls.items()
        }
        return {name: widened(one, self.looks) for name, one in told.items()}


@dataclass(frozen=True)
class Verdict:
    """What the court says of a claim."""

    name: str
    """Of the claim."""

    word: Word
    """The verdict."""

    why: str
    """Why, in a sentence or two."""

    claim: Claim | None = None
    """The claim; None if it cannot mean anything."""

    models: tuple[Weighed, ...] = ()
    """What each model says; none for claims over models."""

    effect: Mapping[str, Any] | None = None
    """Of a claim over models: the association with interval, number of models, note."""

    reason: Reason = "missing"
    """Why it is open; ``decided`` if it is not."""


def judge(claim: Claim, witnesses: Sequence[Witness]) -> Verdict:
    """Return the verdict on a claim about models, each by itself.

    Args:
        claim: It holds if it holds for every one of the models.
        witnesses: What is known of each, in any order; at least one.
    """
    heard = sorted(witnesses, key=lambda one: (one.name, one.model))
    weighed = tuple(_weigh(claim, one, len(heard)) for one in heard)
    words = [one.word for one in weighed]
    if REFUTED in words:
        word: Word = REFUTED
    else:
        word = SUPPORTED if set(words) == {SUPPORTED} else OPEN
    first = next(one for one in weighed if one.word == word)
    if len(weighed) == 1:
        return Verdict(claim.name, word, first.why, claim, weighed, reason=first.reason)
    count = words.count(word)
    who = f"{count} of {len(weighed)} models"
    why = {
        SUPPORTED: f"All {len(weighed)} models at hand support it. {first.witness.name}: ",
        REFUTED: f"{who} {'speaks' if count == 1 else 'speak'} against it. {first.witness.name}: ",
        OPEN: f"{who} {'leaves' if count == 1 else 'leave'} it open. {first.witness.name}: ",
    }[word]
    return Verdict(claim.name, word, why + first.why, claim, weighed, reason=first.reason)


def side(claim: Claim, figure: Estimate) -> int:
    """Say on which side of the bound a whole interval lies.

    Returns:
        1: on the claimed side, -1: on the other, 0: it reaches over the bound or is not known.
    """
    low, high = _facing(claim, figure)
    return 1 if low > 0 else -1 if high < 0 else 0


def _facing(claim: Claim, figure: Estimate) -> tuple[float, float]:
    """Return an interval as distances from the bound, positive on the claimed side."""
    _, low, high = figure
    bound = claim.threshold
    if claim.direction == "above":
        return low - bound, high - bound
    if claim.direction == "below":
        return bound - high, bound - low
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return bound - max(abs(low), abs(high)), bound - nearest


def widened(figure: Estimate, looks: int) -> Estimate:
    """Return a figure with an interval that holds at 95 % for so many figures together."""
    normal = NormalDist()
    factor = normal.inv_cdf(1 - (1 - _SURE) / looks) / normal.inv_cdf(_SURE)
    return Estimate(
        figure.value,
        figure.value - factor * (figure.value - figure.low),
        figure.value + factor * (figure.high - figure.value),
    )


def _weigh(claim: Claim, witness: Witness, models: int) -> Weighed:
    looks = models * max(1, len(witness.readings))
    found = _decision(claim, witness.readings, looks)
    decisive = _decisive(claim, witness.readings, looks)
    null = claim.null_name
    if decisive is None:
        lack = witness.lack or "It cannot be computed."
        return Weighed(witness, OPEN, lack, None, looks, null, "missing")
    word, why, reason = _reasoned(claim, witness, found, looks)
    said = f"{_told(claim, decisive, looks)}{why}"
    return Weighed(witness, word, said, decisive, looks, null, reason)


def _reasoned(claim: Claim, witness: Witness, found: int, looks: int) -> tuple[Word, str, Reason]:
    """Return the verdict on a model whose figures are known, why in words, and why of what kind."""
    if witness.unusable:
        return OPEN, f"; {witness.unusable}", "unusable"
    if found < 0:
        return REFUTED, ": on the other side of the bound.", "decided"
    if not found:
        lost = [one.layer for one in witness.readings if np.isnan(one.judged.low)]
        where = ", ".join(layer_name(one, long=True) for one in lost if one is not None)
        if where:
            return OPEN, f": not computable at {where}.", "missing"
        return OPEN, ": the interval reaches over the bound.", "bound"
    shared = [name for name, own in witness.controls.items() if _decision(claim, own, looks) > 0]
    if shared and claim.direction != "above":
        verb = "lies" if len(shared) == 1 else "lie"
        why = f": on the claimed side; {' and '.join(shared)} {verb} there, too. {_ASK}"
        return SUPPORTED, why, "decided"
    if shared:
        verb = "supports" if len(shared) == 1 else "support"
        why = f": on the claimed side, but {' and '.join(shared)} {verb} it as well. {_ASK}"
        return OPEN, why, "control"
    why = f": on the claimed side. {witness.lack}".rstrip()
    if witness.lack and claim.direction == "above":
        return OPEN, why, "missing"
    return SUPPORTED, why, "decided"


def _decision(claim: Claim, readings: Sequence[Reading], looks: int) -> int:
    """Return what some readings say together: 1 for the claim, -1 against it, 0 nothing."""
    sides = [side(claim, widened(one.judged, looks)) for one in readings]
    return _pick(claim)(sides) if sides else 0


def _decisive(claim: Claim, readings: Sequence[Reading], looks: int) -> Reading | None:
    """Return the reading that a claim stands or falls with."""
    known = [one for one in readings if not np.isnan(one.judged.value)]
    if not known:
        return None
    end = 1 if _decision(claim, readings, looks) < 0 else 0
    pick: Callable[..., Reading] = _pick(claim)
    return pick(known, key=lambda one: _facing(claim, widened(one.judged, looks))[end])


def _pick(claim: Claim) -> Any:
    """Return what picks the reading that counts: the worst, or of "some layer" the best."""
    return max if claim.layers == "some" else min


def _told(claim: Claim, reading: Reading, looks: int) -> str:
    figure = interval(widened(reading.judged, looks))
    where = "" if reading.layer is None else f" at {layer_name(reading.layer, long=True)}"
    together = f" (holds for {looks} figures together)" if looks > 1 else ""
    what = f"{claim.figure} minus {claim.null_name}," if claim.null else claim.figure
    return f"{what} {figure}{where}{together}"


# --- over models ---


def judge_effect(claim: Claim, found: Association, note: str) -> Verdict:
    """Return the verdict on a claim over models.

    Args:
        claim: With ``effect_of``.
        found: The association over models, each of them one figure.
        note: What has to be known about it.
    """
    word, why, reason = _over_models(claim, found, note)
    effect = {**found._asdict(), "note": note}
    return Verdict(claim.name, word, why, claim, effect=effect, reason=reason)


def _over_models(claim: Claim, found: Association, note: str) -> tuple[Word, str, Reason]:
    lacking = _lacking(claim, found)
    if np.isnan(found.value):
        return OPEN, f"{note[:1].upper()}{note[1:]}.{lacking}", "models"
    figure = Estimate(found.value, found.low, found.high)
    told = f"{interval(figure)} over {found.n} models; {note}"
    if np.isnan(found.low):
        why = f"{told}. This association has no interval, and a point decides nothing."
        return OPEN, f"{why}{lacking}", "models"
    where = side(claim, figure)
    if where and where != side(claim, _NO_EFFECT) and found.p > 2 * (1 - _SURE):
        why = f"{told}. Models put into another order go as far (p {number(found.p, 3)})."
        return OPEN, f"{why}{lacking}", "models" if lacking else "control"
    if where:
        word: Word = SUPPORTED if where > 0 else REFUTED
        how = "claimed side" if where > 0 else "other side of the bound"
        return word, f"{told}: on the {how}.", "decided"
    why = f"{told}: the interval reaches over the bound.{lacking}"
    return OPEN, why, "models" if lacking else "bound"


def _lacking(claim: Claim, found: Association) -> str:
    """Say how many models are missing before the claim could hold; empty: none."""
    if side(claim, _NO_EFFECT) > 0:
        fewest = found.fewest(abs(claim.threshold))
        if fewest <= found.n:
            return ""
        return (
            f" To show that an effect is as small as claimed takes at least {fewest} models: "
            f"{fewest - found.n} more."
        )
    if not found.missing:
        return ""
    rarest = " of the rarest kind" if found.kinds else ""
    return (
        f" To tell an effect from chance (p ≤ 0.05) takes at least {found.n + found.missing} "
        f"models: {found.missing} more{rarest}."
    )
