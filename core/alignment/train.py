"""Training of chosen latents: balanced batches, validation decides, the start is candidate 0."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.alignment.data import AlignData, as_tensor, signed, strata
from core.alignment.losses import debiased_cka, divergence, order_loss, unit_rows
from core.alignment.spec import AlignmentError, AlignSpec
from core.alignment.splice import Splice, Spliced, mean_changes, tokens_of
from core.runtime.progress import Report, silent
from core.sae.dictionary import Dictionary
from core.sae.patches import Patch

#: A coordinate that varies less than this share of the widest is not stretched further.
_CONSTANT: Final = 1e-4
_LEAST: Final = 1e-9


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


@dataclass(frozen=True, eq=False)
class Trained:
    """Latents after training."""

    patch: Patch
    """The best on validation texts; the untouched ones where nothing was better."""

    curve: tuple[AlignStep, ...]
    """All checks, the untouched first."""

    best: int
    """Which check was the best."""


class Fit:
    """One training: its latents, data and losses."""

    def __init__(
        self,
        dictionary: Dictionary,
        latents: NDArray[np.int64],
        data: AlignData,
        spec: AlignSpec,
        seed: int,
    ) -> None:
        """Prepare.

        Args:
            dictionary: Before.
            latents: Which are trained.
            data: What they are trained on.
            spec: How.
            seed: Of the batches.
        """
        self.spec, self._data = spec, data
        self.splice = Splice(dictionary, latents)
        self._rng = np.random.default_rng([seed, 3])
        train = data.means[data.of("train")]
        spread = train.std(axis=0, dtype=np.float64)
        self._spread = as_tensor(np.maximum(spread, _CONSTANT * spread.max()))
        self._neutral = self.splice.prepare(as_tensor(data.neutral.states))
        self._scores = as_tensor(data.neutral.scores)
        self._owner = torch.from_numpy(data.neutral.owner)
        self._texts = {name: _Texts(self.splice, data, name) for name in ("train", "validation")}

    def loss(self, texts: "_Texts", rows: NDArray[np.int64]) -> tuple[torch.Tensor, list[float]]:
        """Return what is minimised on some texts, and its parts as a check tells them.

        Args:
            texts: Of a split.
            rows: Which of them.
        """
        spec = self.spec
        tokens, owner, counts, means, membership = texts.take(rows)
        change = self.splice.change(tokens)
        states = unit_rows(means + mean_changes(change, owner, counts), self._spread)
        geometry = debiased_cka(states, as_tensor(signed(membership)))
        order = order_loss(states, as_tensor(membership))
        size = change.square().sum() / texts.variance / len(change)
        apart = divergence(self.splice.change(self._neutral), self._scores, self._owner)
        # The divergence counts as a share of the size, whatever the units of both.
        scale = (size.detach() / apart.detach().clamp_min(_LEAST)).clamp_max(1e3)
        total = (
            (1 - geometry)
            + spec.order * order
            + spec.edit * (size + spec.divergence * scale * apart)
            + spec.stay * self.splice.strayed()
        )
        return total, [float(one.detach()) for one in (geometry, order, size, apart)]

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Move the latents once.

        Raises:
            AlignmentError: The loss is not finite.
        """
        texts = self._texts["train"]
        total, _ = self.loss(texts, texts.balanced(self._rng, self.spec.batch))
        if not torch.isfinite(total):
            raise AlignmentError(
                "The loss is no longer a number. Choose a smaller learning rate; nothing was lost."
            )
        optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.splice.weights.values()), 1.0)
        optimiser.step()

    def check(self, step: int) -> AlignStep:
        """Return what validation texts say now."""
        texts = self._texts["validation"]
        with torch.no_grad():
            total, parts = self.loss(texts, np.arange(len(texts)))
        return AlignStep(step, float(total), *parts)

    def run(self, report: Report = silent, curve: list[AlignStep] | None = None) -> Trained:
        """Train until validation texts gain no more.

        Args:
            report: Told the steps done; raises ``Cancelled`` to stop.
            curve: Filled while it trains.
        """
        spec, checks = self.spec, [] if curve is None else curve
        optimiser = torch.optim.Adam(list(self.splice.weights.values()), lr=spec.rate)
        checks.append(self.check(0))
        best, idle, kept = 0, 0, self.splice.patch()
        for step in range(1, spec.steps + 1):
            self.step(optimiser)
            if step % spec.check:
                continue
            report(step, spec.steps, f"aligning · loss {checks[-1].loss:.3f}")
            checks.append(self.check(step))
            if checks[-1].loss < checks[best].loss - spec.gain:
                best, idle, kept = len(checks) - 1, 0, self.splice.patch()
            else:
                idle += 1
            if idle >= spec.patience:
                break
        return Trained(kept, tuple(checks), best)


class _Texts:
    """A split's texts with all that a step needs of them."""

    def __init__(self, splice: Splice, data: AlignData, split: str) -> None:
        rows = data.of(split)
        where, _ = tokens_of(data.starts, rows.tolist())
        self._tokens = splice.prepare(as_tensor(data.states[where]))
        counts = np.diff(data.starts)[rows]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._counts = torch.from_numpy(counts.astype(np.float32))
        self._means, self._membership = as_tensor(data.means[rows]), data.membership[rows]
        weights = 1 / np.bincount(kind := strata(data, rows))[kind]
        self._share = weights / weights.sum()
        states = self._tokens.states
        self.variance = float((states - states.mean(dim=0)).square().sum() / len(states))
        """Mean squared distance of a token's state from their mean."""

    def __len__(self) -> int:
        return len(self._membership)

    def balanced(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw different texts, those of rare strata as often as those of frequent ones."""
        return rng.choice(len(self), min(count, len(self)), replace=False, p=self._share)

    def take(
        self, rows: NDArray[np.int64]
    ) -> tuple[Spliced, torch.Tensor, torch.Tensor, torch.Tensor, NDArray[np.float64]]:
        """Return some texts' tokens, the text of each, token counts, mean states and grades."""
        where, owner = tokens_of(self._starts, rows.tolist())
        return (
            self._tokens.take(torch.from_numpy(where)),
            torch.from_numpy(owner),
            self._counts[rows],
            self._means[rows],
            self._membership[rows],
        )


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
