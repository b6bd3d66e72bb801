"""Training of what an alignment changes: steps, checks on validation texts, a state to go on from.

What is learnt is a ``Lesson``; here stands the loop that all arms share. Its state is kept at every
check, so that a training that was stopped ends with the same bits as one that was not.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from core.alignment.spec import AlignmentError
from core.alignment.splice import Change
from core.runtime.progress import Report, silent
from core.runtime.store import clear_disk_errors, library_version
from core.sae.patches import Patch

_FORMAT: Final = 1
_MOMENTS: Final = ("exp_avg", "exp_avg_sq", "step")


class AlignStep(NamedTuple):
    """What a check on validation texts found."""

    step: int
    """Steps done."""

    loss: float
    """What is minimised, on validation texts."""

    geometry: float
    """Debiased CKA with people's signed vectors, validation texts."""

    order: float
    """Loss of the order of grades."""

    size: float
    """Squared change, relative to the states' variance."""

    divergence: float
    """Estimated on neutral text, nats per token."""

    similarity: float = float("nan")
    """Correlation of the states' distances with those of people's signed vectors."""

    merit: float = float("nan")
    """The CKA, by which verdicts go, of a share of the change of at most ``COMPARED_SIZE``."""

    terms: tuple[float, ...] = ()
    """The paper's terms, each by itself; empty for other arms."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Weights after training."""

    patch: Patch
    """The best on validation texts; the untouched ones where nothing was better."""

    curve: tuple[AlignStep, ...]
    """All checks, the untouched first."""

    best: int
    """Which check was the best."""

    silent: tuple[float, ...] = ()
    """The paper's terms if the trained latents were never on; empty for other arms."""


@dataclass(frozen=True)
class Course:
    """How long and how fast something is learnt."""

    steps: int
    """Most steps."""

    check: int
    """Steps between two checks on validation texts."""

    patience: int
    """Checks without a gain after which training stops."""

    gain: float
    """A smaller fall of the validation loss is none."""

    optimiser: Callable[[Sequence[torch.Tensor]], torch.optim.Optimizer]
    """Of Adam's kind."""

    pace: Callable[[int], tuple[float, float]] | None = None
    """Learning rate and first beta of each step, from 0; None: as the optimiser has them."""

    untouched: bool = True
    """Whether the untouched is a candidate."""


class Lesson(ABC):
    """What is learnt."""

    changed: Change
    """What is trained."""

    course: Course
    """How long."""

    silent: tuple[float, ...] = ()
    """The paper's terms if the trained latents were never on; empty for other lessons."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        """Return the loss on a batch, a scalar."""

    @abstractmethod
    def check(self, step: int, rng: np.random.Generator) -> AlignStep:
        """Return what validation texts say now."""


def learn(
    lesson: Lesson,
    seed: int,
    *,
    path: Path | None = None,
    report: Report = silent,
    curve: list[AlignStep] | None = None,
) -> Trained:
    """Train until validation texts gain no more, going on from a kept state.

    Args:
        lesson: What is learnt.
        seed: Of all draws.
        path: Where the state is kept at every check until training is over; None: nowhere.
        report: Told the steps done; raises ``Cancelled`` to stop.
        curve: Filled while it trains.

    Raises:
        AlignmentError: The loss is not finite.
        CacheError: The disk is full or cannot be written.
    """
    run = _Training(lesson, seed, [] if curve is None else curve)
    if path is None or not run.resume(path):
        run.curve.clear()  # watchers may have seen another training before
        run.check()
    course = lesson.course
    while run.step < course.steps and run.idle < course.patience:
        if run.step % course.check == 0:
            report(run.step, course.steps, f"aligning · loss {run.curve[-1].loss:.3f}")
        try:
            run.advance()
        except AlignmentError:
            if path is not None:  # going on would end the same way
                path.unlink(missing_ok=True)
            raise
        if run.step % course.check == 0:
            run.check()
            if path is not None:
                run.save(path)
    lesson.changed.put(run.kept)
    return Trained(lesson.changed.patch(), tuple(run.curve), run.best, lesson.silent)


class _Training:
    """One training on its way."""

    def __init__(self, lesson: Lesson, seed: int, curve: list[AlignStep]) -> None:
        self._lesson, self._seed, self.curve = lesson, seed, curve
        self._weights = lesson.changed.weights
        self._optimiser = lesson.course.optimiser(list(self._weights.values()))
        self._rng = np.random.default_rng([seed, 3])
        self.step = self.best = self.idle = 0
        self.kept = lesson.changed.copy()

    def advance(self) -> None:
        """Move the weights once."""
        pace = self._lesson.course.pace
        if pace is not None:
            for group in self._optimiser.param_groups:
                group["lr"], beta = pace(self.step)
                group["betas"] = (beta, group["betas"][1])
        total = self._lesson.draw(self._rng)
        if not torch.isfinite(total):
            raise AlignmentError(
                "The loss is no longer a number. Choose a smaller learning rate; nothing was lost."
            )
        self._optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self._weights.values()), 1.0)
        self._optimiser.step()
        with torch.no_grad():
            self._lesson.changed.settle()
        self.step += 1

    def check(self) -> None:
        """Ask validation texts, and keep the weights if these are the best."""
        course, first = self._lesson.course, not self.curve
        with torch.no_grad():
            self.curve.append(self._lesson.check(self.step, self._rng))
        if first:
            return
        unrivalled = self.best == 0 and not course.untouched
        if unrivalled or self.curve[-1].loss < self.curve[self.best].loss - course.gain:
            self.best, self.idle = len(self.curve) - 1, 0
            self.kept = self._lesson.changed.copy()
        else:
            self.idle += 1

    # --- stopping and going on ---

    def _identity(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "seed": self._seed,
            "device": str(self._lesson.changed.device),
            "shapes": {name: list(one.shape) for name, one in self._weights.items()},
            "torch": library_version("torch"),
        }

    def save(self, path: Path) -> None:
        """Write weights, the best ones, moments, draws and curve, in one rename."""
        from safetensors.torch import save_file

        tensors = {}
        for name, one in self._weights.items():
            tensors[name], tensors[f"{name}.kept"] = one.detach(), self.kept[name]
            state = self._optimiser.state[one]
            tensors |= {f"{name}.{key}": state[key] for key in _MOMENTS}
        rest = {
            **self._identity(),
            "counts": [self.step, self.best, self.idle],
            "rng": self._rng.bit_generator.state,
            "curve": self.curve,
        }
        with clear_disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".part")
            save_file(
                {name: one.cpu().contiguous() for name, one in tensors.items()},
                half,
                {"rest": json.dumps(rest)},
            )
            half.replace(path)

    def resume(self, path: Path) -> bool:
        """Go on from a kept state; False if there is none that fits."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt") as file:
                rest = json.loads(file.metadata()["rest"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            kept = {name: tensors[f"{name}.kept"] for name in self._weights}
            moments = {
                name: {key: tensors[f"{name}.{key}"] for key in _MOMENTS} for name in self._weights
            }
            curve, counts = steps_of(rest["curve"]), rest["counts"]
            fits = {name: rest[name] for name in self._identity()} == self._identity()
        except (SafetensorError, KeyError, TypeError, ValueError):  # damaged: begin again
            return False
        if not fits:
            return False
        self._lesson.changed.put(tensors)
        for name, one in self._weights.items():
            # Adam counts its steps on the CPU.
            self._optimiser.state[one] = {
                key: value if key == "step" else value.to(one)
                for key, value in moments[name].items()
            }
        self.kept = {name: one.to(self._weights[name]) for name, one in kept.items()}
        self.step, self.best, self.idle = counts
        self._rng.bit_generator.state = rest["rng"]
        self.curve[:] = curve
        return True


def steps_of(kept: Sequence[Sequence[Any]]) -> list[AlignStep]:
    """Return the checks of a curve that was kept as JSON."""
    return [AlignStep(*one)._replace(terms=tuple(one[-1])) for one in kept]


def random_patch(trained: Patch, start: Patch, seed: int) -> Patch:
    """Return the starting latents moved at random, each as far as training moved it.

    Args:
        trained: Latents after training.
        start: The same before.
        seed: Of the random directions.
    """
    rng = torch.Generator().manual_seed(seed)

    def at_random(before: torch.Tensor, after: torch.Tensor, dim: int) -> torch.Tensor:
        drawn = torch.randn(before.shape, generator=rng)
        length = (after - before).norm(dim=dim, keepdim=True)
        moved: torch.Tensor = before + drawn / drawn.norm(dim=dim, keepdim=True) * length
        return moved

    return Patch(
        start.latents,
        at_random(start.w_enc, trained.w_enc, 0),
        at_random(start.b_enc, trained.b_enc, 0),
        at_random(start.w_dec, trained.w_dec, 1),
    )
