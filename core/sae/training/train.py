"""Training a dictionary on token states: TopK, BatchTopK, or the paper's ReLU with adaptive L1.

TopK with dead latents revived after Gao et al. 2024 (https://arxiv.org/abs/2406.04093), BatchTopK
after Bussmann et al. 2024 (https://arxiv.org/abs/2412.06410), ReLU after arXiv 2603.15615.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.runtime.progress import Cancelled, Report, silent
from core.runtime.store import clear_disk_errors
from core.runtime.torch_device import fast_bfloat16, training_device
from core.sae.dictionary import Dictionary, DictionaryInfo
from core.sae.training.sparse_codes import SparseCodes, sparsest
from core.sae.training.spec import TrainingError, TrainSpec, TrainStep
from core.sae.training.token_states import TokenStates

_WEIGHTS: Final = ("w_enc", "b_enc", "w_dec", "b_dec")
_FORMAT: Final = 1
#: Rows that mean, scale and threshold are estimated from.
_SAMPLE: Final = 100_000
_BLOCK: Final = 4096
_SAVE_SECONDS: Final = 60.0


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained dictionary and how it came about."""

    dictionary: Dictionary
    """Takes raw states: centre and scale are folded into its weights."""

    curve: tuple[TrainStep, ...]
    """About 200 steps in order."""


def train(
    states: TokenStates,
    spec: TrainSpec,
    about: DictionaryInfo,
    *,
    folder: Path | None = None,
    report: Report = silent,
    curve: list[TrainStep] | None = None,
) -> Trained:
    """Train a dictionary; stopped by Cancel, the same call goes on from where it was.

    The same states, spec and seed give the same weights on the same machine, whether it was
    stopped or not.

    Args:
        states: What it learns to take apart.
        spec: How it is trained.
        about: Name, layer and model; rule and training facts are filled in.
        folder: Where it leaves its state when stopped, and once a minute; None: nowhere.
        report: Told the number of steps; raises ``Cancelled`` to stop.
        curve: Filled while it trains, for watchers.

    Raises:
        TrainingError: There are too few tokens, they are all the same, or numbers overflowed.
        CacheError: The disk is full or cannot be written.
        Cancelled: It was stopped.
    """
    run = Training(states, spec)
    run.curve = [] if curve is None else curve
    if folder is None:
        _learn(run, report)
    else:
        _learn_and_save(run, folder / "training.safetensors", report)
    return Trained(run.dictionary(about), tuple(run.curve))


def _learn(run: "Training", report: Report, save: Callable[[], None] = lambda: None) -> None:
    """Take all steps that are left, saving once a minute."""
    saved = time.monotonic()
    while run.step < run.steps:
        report(run.step, run.steps, run.note())
        run.advance()
        if time.monotonic() - saved > _SAVE_SECONDS:
            save()
            saved = time.monotonic()


def _learn_and_save(run: "Training", path: Path, report: Report) -> None:
    """Go on from a saved state, and leave one however it ends."""
    run.resume(path)
    try:
        _learn(run, report, lambda: run.save(path))
    except TrainingError:
        path.unlink(missing_ok=True)  # it may hold the same numbers that are not finite
        raise
    except Cancelled:
        if run.step:
            run.save(path)
        raise
    run.save(path)  # should judging fail, nothing is learnt twice


class Training:
    """A dictionary while it learns."""

    def __init__(self, states: TokenStates, spec: TrainSpec) -> None:
        """Draw the first weights."""
        self.states, self.spec = states, spec
        self.batch = min(spec.batch, len(states))
        self._per_epoch = len(states) // self.batch
        self.steps = spec.epochs * self._per_epoch
        self.step = 0
        self.curve: list[TrainStep] = []
        self.device = training_device()
        self.centre, self.scale = _moments(states, scaled=spec.scaled)
        self.weights = _first_weights(states.d_model, spec, self.device)
        self._adam = torch.optim.Adam(self.weights.values(), lr=spec.lr, fused=self.device != "mps")
        self._idle = torch.zeros(spec.width, dtype=torch.int64, device=self.device)
        self._l1, self._on = 1e-3, 0.0
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def note(self) -> str:
        """Return the present step for people."""
        if not self.curve:
            return "training"
        now = self.curve[-1]
        return (
            f"training · FVU {now.fvu:.3f} · L0 {now.l0:.0f} · {100 * now.dead:.0f} % dead"
            f" · step {self.step:,} of {self.steps:,}"
        )

    # --- one step ---

    def advance(self) -> None:
        """Learn from the next batch."""
        inputs = self._inputs()
        for group in self._adam.param_groups:
            group["lr"] = self.spec.lr * _rate(self.step, self.steps, self.spec)
        self._adam.zero_grad(set_to_none=True)
        with self._autocast():
            before = (inputs - self._shift()) @ self.weights["w_enc"]
        before = before.float() + self.weights["b_enc"]
        codes = sparsest(before, self.spec)
        rebuilt = codes.decode(self.weights["w_dec"]) + self.weights["b_dec"]
        missed = inputs - rebuilt
        loss = self._loss(missed, codes, before)
        loss.backward()  # type: ignore[no-untyped-call]
        self._learn()
        self._count(codes.on())
        self.step += 1
        self._note_down(loss.detach(), inputs, missed, codes)

    def _inputs(self) -> torch.Tensor:
        """Return the next batch, centred and scaled."""
        epoch, place = divmod(self.step, self._per_epoch)
        if self._order[0] != epoch:
            rng = np.random.default_rng([self.spec.seed, 1, epoch])
            self._order = (epoch, rng.permutation(len(self.states)))
        which = np.sort(self._order[1][place * self.batch : (place + 1) * self.batch])
        raw = torch.from_numpy(self.states.rows(which))
        return ((raw - self.centre) / self.scale).to(self.device)

    def _shift(self) -> torch.Tensor | float:
        """Return what is subtracted before encoding; its gradient would cost a third more."""
        return self.weights["b_dec"].detach() if self.spec.tied_start else 0.0

    def _autocast(self) -> AbstractContextManager[Any]:
        if not fast_bfloat16(self.device):
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def _loss(self, missed: torch.Tensor, codes: SparseCodes, before: torch.Tensor) -> torch.Tensor:
        loss = missed.square().mean()
        if self.spec.activation == "relu":
            return loss + self._l1 * codes.values.mean()
        dead = self._idle >= self.spec.dead_after
        if self.spec.aux_k and bool(dead.any()):
            loss = loss + self.spec.aux_weight * self._revival(missed.detach(), before, dead)
        return loss

    def _revival(
        self, missed: torch.Tensor, before: torch.Tensor, dead: torch.Tensor
    ) -> torch.Tensor:
        """Return how badly the strongest dead latents explain what the living missed.

        Measured on a quarter of the batch: dead latents are many and learn from few tokens.
        """
        rows = max(1, len(missed) // 4)
        sleeping = before[:rows][:, dead]
        best = sleeping.topk(min(self.spec.aux_k, sleeping.shape[1]), dim=1, sorted=False)
        codes = torch.zeros_like(sleeping).scatter(1, best.indices, torch.relu(best.values))
        with self._autocast():
            rebuilt = codes @ self.weights["w_dec"][dead]
        wanted = missed[:rows]
        return (rebuilt.float() - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)

    def _learn(self) -> None:
        """Take an Adam step on the sphere: decoder rows stay of length 1."""
        decoder = self.weights["w_dec"]
        if self.spec.tied_start and decoder.grad is not None:
            with torch.no_grad():
                along = (decoder.grad * decoder).sum(dim=1, keepdim=True)
                decoder.grad -= along * decoder
        torch.nn.utils.clip_grad_norm_(self.weights.values(), self.spec.clip)
        self._adam.step()
        with torch.no_grad():
            decoder /= decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)

    def _count(self, on: torch.Tensor) -> None:
        """Write down which latents were on, ``(width,)`` counts."""
        self._idle += self.batch
        self._idle[on > 0] = 0
        self._on += float(on.sum()) / self.batch
        if self.spec.activation == "relu" and (self.step + 1) % self._per_epoch == 0:
            self._l1 = _adapted(self._l1, self._on / self._per_epoch / self.spec.k)
        if (self.step + 1) % self._per_epoch == 0:
            self._on = 0.0

    def _note_down(
        self, loss: torch.Tensor, inputs: torch.Tensor, missed: torch.Tensor, codes: SparseCodes
    ) -> None:
        every = max(1, self.steps // 200)
        if self.step % every and self.step != self.steps:
            return
        if not math.isfinite(float(loss)):
            raise TrainingError(
                "Training ran into numbers that are not finite. Choose a smaller learning rate."
            )
        with torch.no_grad():
            variance = (inputs - inputs.mean(dim=0)).square().sum()
            fvu = float(missed.square().sum() / variance)
        dead = float((self._idle >= self.spec.dead_after).float().mean())
        l0 = float(codes.on().sum()) / self.batch
        self.curve.append(TrainStep(self.step, self.steps, float(loss), fvu, l0, dead))

    # --- stopping and going on ---

    def save(self, path: Path) -> None:
        """Write weights, moments and counts, in one rename."""
        from safetensors.torch import save_file

        tensors = {name: one.detach() for name, one in self.weights.items()} | {"idle": self._idle}
        for name, one in self.weights.items():
            state = self._adam.state[one]
            tensors |= {f"{name}.{key}": state[key] for key in ("exp_avg", "exp_avg_sq", "step")}
        rest = {"step": self.step, "l1": self._l1, "on": self._on, **self._identity()}
        rest["curve"] = [asdict(one) for one in self.curve]
        with clear_disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            save_file(
                {key: one.cpu().contiguous() for key, one in tensors.items()},
                part,
                {"rest": json.dumps(rest)},
            )
            part.replace(path)

    def _identity(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "spec": asdict(self.spec),
            "tokens": len(self.states),
            "device": self.device,
            "centre": float(self.centre.double().sum()),
        }

    def resume(self, path: Path) -> bool:
        """Go on from a saved state; False if there is none that fits."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            return False
        try:
            with safe_open(path, "pt", self.device) as file:
                rest = json.loads(file.metadata()["rest"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError):  # damaged: begin again
            return False
        if {name: rest.get(name) for name in self._identity()} != self._identity():
            return False
        with torch.no_grad():
            for name, one in self.weights.items():
                one.copy_(tensors[name])
                self._adam.state[one] = {
                    key: tensors[f"{name}.{key}"] for key in ("exp_avg", "exp_avg_sq", "step")
                }
        self._idle, self.step = tensors["idle"], rest["step"]
        self._l1, self._on = rest["l1"], rest["on"]
        self.curve[:] = [TrainStep(**one) for one in rest["curve"]]
        return True

    # --- the result ---

    def dictionary(self, about: DictionaryInfo) -> Dictionary:
        """Return the dictionary as it is now, for raw states: centre and scale are folded in."""
        info, threshold = self._rule(about)
        own = {name: one.detach().clone() for name, one in self.weights.items()}
        scale, centre = float(self.scale), self.centre.to(self.device)
        b_dec = centre + scale * own["b_dec"]
        b_enc = scale * own["b_enc"]
        if not info.centred:
            b_enc = b_enc - centre @ own["w_enc"]
        return Dictionary(
            info,
            w_enc=own["w_enc"].cpu(),
            b_enc=b_enc.cpu(),
            w_dec=own["w_dec"].cpu(),
            b_dec=b_dec.cpu(),
            threshold=threshold,
        )

    def _rule(self, about: DictionaryInfo) -> tuple[DictionaryInfo, torch.Tensor | None]:
        spec = self.spec
        if spec.activation == "batchtopk":
            threshold = torch.full((spec.width,), float(self.scale) * self._threshold())
            return replace(about, activation="jumprelu", k=None, centred=spec.tied_start), threshold
        k = spec.k if spec.activation == "topk" else None
        return replace(about, activation=spec.activation, k=k, centred=spec.tied_start), None

    def _threshold(self) -> float:
        """Return the mean over batches of the weakest latent on (Bussmann et al., eq. 4)."""
        weakest = []
        rng = np.random.default_rng([self.spec.seed, 2])
        rows = rng.permutation(len(self.states))[:_SAMPLE]
        with torch.no_grad():
            for start in range(0, len(rows) - self.batch + 1, self.batch):
                raw = torch.from_numpy(self.states.rows(np.sort(rows[start : start + self.batch])))
                inputs = ((raw - self.centre) / self.scale).to(self.device)
                before = (inputs - self._shift()) @ self.weights["w_enc"] + self.weights["b_enc"]
                strongest = torch.relu(before).flatten().topk(self.spec.k * self.batch).values
                positive = strongest[strongest > 0]
                weakest.append(float(positive.min()) if len(positive) else 0.0)
        return float(np.mean(weakest))


# --- small parts ---


def _moments(states: TokenStates, *, scaled: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and scale: after both, the mean squared norm is ``d_model``."""
    if len(states) < 2:
        raise TrainingError(f"{len(states)} tokens are too few to train on. Take more text.")
    which = np.linspace(0, len(states) - 1, min(len(states), _SAMPLE)).astype(np.int64)
    blocks = [
        states.rows(which[start : start + _BLOCK]).astype(np.float64)
        for start in range(0, len(which), _BLOCK)
    ]
    mean = sum(block.sum(axis=0) for block in blocks) / len(which)
    if not np.isfinite(mean).all():
        raise TrainingError(
            "Some states are not finite numbers. Read the texts with dtype=float32; if they were, "
            "the model's weights hold NaN: fetch it again."
        )
    spread = sum(np.square(block - mean).sum() for block in blocks) / len(which)
    if spread == 0:
        raise TrainingError("All states are the same: there is nothing to take apart.")
    scale = math.sqrt(spread / states.d_model) if scaled else 1.0
    return torch.tensor(mean, dtype=torch.float32), torch.tensor(scale, dtype=torch.float32)


def _first_weights(d_model: int, spec: TrainSpec, device: str) -> dict[str, torch.Tensor]:
    """Draw weights on the CPU, so that a seed means the same everywhere."""
    rng = torch.Generator().manual_seed(spec.seed)
    if spec.tied_start:
        w_dec = functional.normalize(torch.randn(spec.width, d_model, generator=rng), dim=1)
        w_enc = w_dec.T.contiguous()
    else:  # Kaiming uniform: gain sqrt(2) and fan-in d_model, gain 1 and fan-in width
        w_enc = (torch.rand(d_model, spec.width, generator=rng) * 2 - 1) * math.sqrt(6 / d_model)
        w_dec = (torch.rand(spec.width, d_model, generator=rng) * 2 - 1) * math.sqrt(3 / spec.width)
    first = {"w_enc": w_enc, "b_enc": torch.zeros(spec.width)}
    first |= {"w_dec": w_dec, "b_dec": torch.zeros(d_model)}
    return {name: first[name].to(device).requires_grad_() for name in _WEIGHTS}


def _rate(step: int, steps: int, spec: TrainSpec) -> float:
    """Return the learning rate as a share of the highest."""
    rising = spec.warmup * steps
    if step < rising:
        return 0.01 + 0.99 * step / rising
    falling = spec.decay * steps
    done = (step - (steps - falling)) / falling if falling else 0.0
    if done <= 0:
        return 1.0
    fallen = (1 - math.cos(math.pi * done)) / 2 if spec.activation == "relu" else done
    return 1 - 0.99 * fallen


def _adapted(l1: float, ratio: float) -> float:
    """Return the next L1 weight from L0 over its target, once per epoch."""
    factor = 1.2 if ratio > 2 else 1.05 if ratio > 1.1 else 0.95 if ratio < 0.9 else 1.0
    return min(max(l1 * factor, 1e-6), 100.0)
