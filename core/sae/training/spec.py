"""How a dictionary is trained, and how training stands."""

from dataclasses import dataclass
from typing import Literal, get_args

from core import CoreError

TrainActivation = Literal["topk", "batchtopk", "relu"]


class TrainingError(CoreError):
    """A dictionary cannot be trained as asked."""


@dataclass(frozen=True)
class TrainSpec:
    """How a dictionary is trained."""

    width: int = 5120
    """Latents."""

    activation: TrainActivation = "topk"
    """``topk``: k latents per token. ``batchtopk``: k per token on average over a batch, used as
    JumpReLU afterwards. ``relu``: whatever the L1 penalty leaves, steered towards k."""

    k: int = 32
    """Latents on per token; the target of the adaptive L1 penalty for ``relu``."""

    batch: int = 512
    """Tokens per step."""

    epochs: int = 2
    """Passes over the tokens, each in another order."""

    lr: float = 1e-3
    """Highest learning rate of Adam."""

    warmup: float = 0.05
    """Share of the steps in which the rate rises from 1 %."""

    decay: float = 0.5
    """Share of the steps, at the end, in which it falls linearly to 1 %; ``relu``: cosine."""

    seed: int = 0
    """Seed of weights and orders."""

    aux_k: int = 256
    """Dead latents per token that learn what the others miss; 0: none."""

    aux_weight: float = 1 / 32
    """Weight of their loss."""

    dead_after: int = 50_000
    """Tokens in which a latent was never on, after which it counts as dead."""

    scaled: bool = True
    """Scale centred states so that their mean squared norm is ``d_model``."""

    tied_start: bool = True
    """Begin with the encoder as the decoder's transpose; else both are random on their own."""

    clip: float = 1.0
    """Largest norm of the gradient."""

    def __post_init__(self) -> None:
        rules = (
            (8 <= self.width <= 2**20, "the width must be 8 to 1,048,576"),
            (self.activation in get_args(TrainActivation), "the activation is unknown"),
            (1 <= self.k <= self.width, "k must be 1 to the width"),
            (1 <= self.batch <= 2**17, "the batch must be 1 to 131,072"),
            (1 <= self.epochs <= 10_000, "epochs must be 1 to 10,000"),
            (0 < self.lr < 1, "the learning rate must lie between 0 and 1"),
            (0 <= self.warmup <= 1, "warmup must be 0 to 1"),
            (0 <= self.decay <= 1 - self.warmup, "decay must be 0 to 1 - warmup"),
            (self.seed >= 0, "the seed must be a whole number from 0"),
            (self.aux_k >= 0 and self.aux_weight >= 0, "the revival cannot be negative"),
            (self.dead_after > 0, "dead_after must be at least 1"),
            (self.clip > 0, "clip must be above 0"),
        )
        for holds, rule in rules:
            if not holds:
                raise TrainingError(f"This dictionary cannot be trained: {rule}.")


def paper_spec(d_model: int, *, epochs: int = 100, seed: int = 0) -> TrainSpec:
    """Return the settings of the paper's released code: 4 times the width, L0 towards 50.

    States are centred, not scaled; encoder and decoder start apart; nothing revives dead latents.
    Directory names in the code hint at 16 times, L0 100 and 200 epochs for the published run.
    """
    return TrainSpec(
        width=4 * d_model,
        activation="relu",
        k=50,
        batch=4096,
        epochs=epochs,
        lr=1e-4,
        warmup=min(5 / epochs, 1.0),
        decay=max(1 - 5 / epochs, 0.0),
        seed=seed,
        aux_k=0,
        scaled=False,
        tied_start=False,
    )


@dataclass(frozen=True)
class TrainStep:
    """How training stands after a step, measured on that step's tokens."""

    step: int
    """Steps done."""

    steps: int
    """Steps in all."""

    loss: float
    """What is minimised."""

    fvu: float
    """Share of the variance that the reconstruction misses."""

    l0: float
    """Latents on per token."""

    dead: float
    """Share of latents that were not on for ``dead_after`` tokens."""
