"""Dose and leakage: what a direction does at each strength, and to what it was not meant for.

The effect is the shift of the read-out on held-out actions in the direction's own sense: towards
approval for a virtue, towards condemnation for a vice. It stands beside random directions of equal
length and the same direction made from shuffled labels. How much of the model is left is measured
on neutral sentences: the divergence of the next token, and their perplexity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.directions import Direction, Method, moral_direction, random_direction
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.progress import Report, silent
from core.prompts import Pooling, collate, encode
from core.readout import read_out
from core.recipes import Positions
from core.stats import Estimate, bootstrap_mean, chance
from core.steering import LayerEdit, Steering, residual_norm
from core.store import Store
from core.study import Study
from core.traces import step_logits

if TYPE_CHECKING:
    from core.models import OpenModel

_Made = TypeVar("_Made")

#: Strengths that are tried, in residual norms.
STRENGTHS: Final = (-0.4, -0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4)
#: Mean divergence on neutral text, in nats per token, up to which a strength counts as safe.
SAFE_KL: Final = 0.5
#: Random directions beside a calibrated one.
RANDOM: Final = 40
#: Held-out actions of an axis that are asked at most.
MOST_ASKED: Final = 24
#: Held-out actions of each pole in the leakage matrix.
_PER_POLE: Final = 8
#: Sentences without moral content, written for this project.
NEUTRAL: Final = (
    "The train to the coast leaves at nine and takes about two hours.",
    "Add the flour slowly and stir until the dough is smooth.",
    "The library is on the second floor, next to the lifts.",
    "Rain is expected in the north, with sunny spells later in the day.",
    "Water boils at a lower temperature high up in the mountains.",
    "The meeting was moved to Thursday because the room was booked.",
    "She painted the kitchen yellow and the hall a light grey.",
    "The river bends twice before it reaches the old stone bridge.",
    "Most of the shops on this street open at ten in the morning.",
    "He plays the piano in the evening and reads before bed.",
    "The table is made of oak and seats eight people.",
    "A new version of the program was released last week.",
)


@dataclass(frozen=True)
class DoseSpec:
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
    """What one strength does."""

    strength: float
    """In residual norms."""

    effect: Estimate
    """Mean shift of the read-out on held-out actions, 95 % interval over actions."""

    kl: float
    """Divergence from the plain model on neutral text, nats per token."""

    perplexity: float
    """Perplexity of neutral text with steering."""

    random: Estimate
    """Mean shift by random directions of equal length: mean and 95 % band."""


@dataclass(frozen=True)
class Dose:
    """A direction's effect at each strength."""

    spec: DoseSpec
    """Which direction."""

    sense: int
    """1 if the axis should shift towards approval, -1 towards condemnation."""

    n_actions: int
    """Held-out actions that were asked."""

    points: tuple[Point, ...]
    """By growing strength."""

    safe: tuple[float, float]
    """Strengths between which the divergence stays below ``SAFE_KL``."""

    calibrated: float
    """The largest safe strength in the direction's own sense."""

    beats_random: float
    """Share of ``RANDOM`` random directions whose effect at that strength is smaller, in [0, 1]."""

    shuffled: Estimate
    """Effect of the shuffled-label direction at that strength."""

    @property
    def verdict(self) -> str:
        """What may be said about the effect, in words."""
        if self.calibrated == 0:
            return "no safe strength: even the smallest dose changes neutral text too much"
        best = next(point for point in self.points if point.strength == self.calibrated)
        if not best.effect.low > 0:  # NaN is no effect either
            return "no effect in its own sense on held-out actions"
        if not self.beats_random >= 0.95:
            return f"beats only {self.beats_random:.0%} of random directions"
        return f"moves held-out actions in its own sense, beyond {self.beats_random:.0%} of random"


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


def _edit(store: Store, study: Study, direction: Direction, strength: float) -> LayerEdit:
    norm = residual_norm(store, study, direction.layer)
    return LayerEdit(direction.layer, (direction,), (strength,), norm, "add")


def _direction(store: Store, study: Study, spec: DoseSpec, method: Method) -> Direction:
    return moral_direction(store, study, spec.axis, spec.layer, method=method, pooling=spec.pooling)


def measure_dose(
    store: Store, study: Study, model: "OpenModel", spec: DoseSpec, report: Report = silent
) -> Dose:
    """Measure what a direction does at each strength.

    Raises:
        CoreError: The direction cannot be made, or no action is held out.
        Cancelled: The person cancelled.
    """
    direction = _direction(store, study, spec, spec.method)
    rows = held_out(study, spec.axis)
    prompts = [study.plan.prompts[row] for row in study.plan.rows[rows]]
    sense = sense_of(spec.axis)
    steps, done = len(STRENGTHS) + RANDOM + 1, 0

    def shift(one: Direction, strength: float) -> NDArray[np.float64]:
        edits = [_edit(store, study, one, strength)] if strength else []
        return read_out(model, prompts, edits, spec.positions).shift * sense

    points = []
    for strength in STRENGTHS:
        report(done, steps, "trying strengths")
        done += 1
        effect = bootstrap_mean(shift(direction, strength), np.arange(len(rows)))
        edits = [_edit(store, study, direction, strength)] if strength else []
        kl, perplexity = neutral_cost(model, edits, spec.positions)
        points.append(Point(strength, effect, kl, perplexity, Estimate(np.nan, np.nan, np.nan)))
    safe = safe_range(points)
    calibrated = safe[1]
    others = np.zeros(0)
    if calibrated:
        found = []
        for seed in range(RANDOM):
            report(done, steps, "trying random directions")
            done += 1
            found.append(float(shift(random_direction(direction, seed), calibrated).mean()))
        others = np.array(found)
    return _judged(
        spec,
        len(rows),
        points,
        safe,
        others,
        lambda: shift(_direction(store, study, spec, "shuffled"), calibrated),
    )


def _judged(
    spec: DoseSpec,
    n_actions: int,
    points: Sequence[Point],
    safe: tuple[float, float],
    others: NDArray[np.float64],
    shuffled: Callable[[], NDArray[np.float64]],
) -> Dose:
    """Put the parts together; without a safe strength there is no control to show."""
    nothing = Estimate(np.nan, np.nan, np.nan)
    calibrated, sense = safe[1], sense_of(spec.axis)
    if not calibrated:
        return Dose(spec, sense, n_actions, tuple(points), safe, 0.0, float("nan"), nothing)
    band = chance(others)
    done = tuple(
        point._replace(random=band) if point.strength == calibrated else point for point in points
    )
    best = next(point for point in done if point.strength == calibrated)
    control = shuffled()
    return Dose(
        spec,
        sense,
        n_actions,
        done,
        safe,
        calibrated,
        float((others < best.effect.value).mean()),
        bootstrap_mean(control, np.arange(len(control))),
    )


def safe_range(points: Sequence[Point]) -> tuple[float, float]:
    """Return the widest range around 0 in which the divergence stays below ``SAFE_KL``."""
    low = high = 0.0
    for point in sorted((one for one in points if one.strength > 0), key=lambda one: one.strength):
        if not point.kl <= SAFE_KL:
            break
        high = point.strength
    for point in sorted((one for one in points if one.strength < 0), key=lambda one: -one.strength):
        if not point.kl <= SAFE_KL:
            break
        low = point.strength
    return low, high


def neutral_cost(
    model: "OpenModel", edits: Sequence[LayerEdit], positions: Positions
) -> tuple[float, float]:
    """Return divergence from the plain model and perplexity on the neutral sentences.

    A sentence stands for a written text: ``generated`` moves all its tokens but the first.

    Returns:
        Nats per token, and perplexity with the edits; both over every token after the first.
    """
    import torch

    moved: Positions = "not first" if positions == "generated" else positions
    encoded = encode(model, NEUTRAL, 64)
    total, surprise, count = 0.0, 0.0, 0
    for start in range(0, len(encoded), 4):
        part = encoded[start : start + 4]
        rows = [*part, *part] if edits else part  # unedited, one arm is both
        batch = collate(rows, model.tokenizer.pad_token_id or 0)
        batch = {name: one.to(model.module.device) for name, one in batch.items()}
        arms = torch.arange(len(rows)) >= len(part)
        steering = Steering.of(edits, moved, arms, model.module.device)
        steering.aim(batch["attention_mask"].bool(), prompt=True)
        logs = torch.log_softmax(step_logits(model, batch, None, steering.editors, keep=0), dim=2)
        plain, steered = logs[: len(part), :-1], logs[-len(part) :, :-1]
        nxt = batch["input_ids"][: len(part), 1:].cpu()
        real = batch["attention_mask"][: len(part), 1:].cpu().bool()
        kl = (steered.exp() * (steered - plain)).sum(dim=2)
        total += float(kl[real].double().sum())
        surprise -= float(steered.gather(2, nxt[..., None])[..., 0][real].double().sum())
        count += int(real.sum())
    return max(total / count, 0.0), float(np.exp(min(surprise / count, 700)))


# --- leakage ---


class Leakage(NamedTuple):
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


def measure_leakage(
    store: Store,
    study: Study,
    model: "OpenModel",
    layer: int,
    strength: float,
    *,
    pooling: Pooling = "last",
    positions: Positions = "not first",
    report: Report = silent,
) -> Leakage:
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
    for number, name in enumerate(names):
        report(number, len(names), f"steering towards {name}")
        if name in directions:
            edits = [_edit(store, study, directions[name], strength)]
            found = read_out(model, prompts, edits, positions).shift
            shift[number] = [part.mean() for part in np.split(found, ends)]
    return Leakage(names, tuple(asked), shift, tuple(len(rows) for rows in asked.values()))


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
