"""What is asked of an alignment: recipe, arms, target, losses, steps. Everything random is seeded.

Sources: the paper's method and its faults, arXiv 2603.15615 §4; debiased CKA, Song et al. 2012 and
Murphy et al. 2024 (https://arxiv.org/abs/2405.01012).
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from core import CoreError

#: What is trained, on what. ``noise`` trains nothing: random changes of the same size.
Arm = Literal["repaired", "shuffled", "random latents", "noise"]
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)
#: What each arm is, in a sentence.
MEANINGS: Final[dict[Arm, str]] = {
    "repaired": "the moral latents, trained on people's vectors",
    "shuffled": "the same latents, trained on vectors dealt out anew within each foundation",
    "random latents": "latents that are on as often, on actions and on neutral text, trained alike",
    "noise": "the same latents, moved at random by as much as training moved them",
}
#: Divergences on neutral text at which arms are compared, nats per token.
KL_TARGETS: Final[tuple[float, ...]] = (0.05, 0.1, 0.2)


class AlignmentError(CoreError):
    """These texts, this dictionary or this spec cannot be aligned."""


@dataclass(frozen=True)
class AlignSpec:
    """How latents are chosen and trained."""

    latents: int = 30
    """Latents chosen per foundation: the highest correlation with virtue minus vice on training
    texts."""

    rare: int = 8
    """A latent that is on in fewer training texts is not chosen."""

    steps: int = 200
    """Most steps of the optimiser."""

    patience: int = 5
    """Checks on validation texts without a gain after which training stops."""

    check: int = 10
    """Steps between two checks."""

    gain: float = 1e-3
    """A smaller fall of the validation loss is none."""

    batch: int = 256
    """Texts per step, balanced over foundation, pole and grade."""

    rate: float = 1e-3
    """Learning rate of Adam."""

    order: float = 0.1
    """Weight of the order of grades within a pole."""

    edit: float = 0.3
    """Weight of the size of the change, relative to the states' spread."""

    divergence: float = 0.1
    """Weight of the divergence on neutral text, as a share of the size's weight."""

    stay: float = 0.01
    """Weight of the distance from the starting weights."""

    seeds: int = 3
    """Times that each arm is trained."""

    def __post_init__(self) -> None:
        whole = {"latents": 1, "rare": 1, "steps": 1, "patience": 1, "check": 1, "batch": 32}
        for name, least in {**whole, "seeds": 1}.items():
            if getattr(self, name) < least:
                raise AlignmentError(
                    f"{name} is {getattr(self, name)}; choose a whole number from {least} up."
                )
        for name in ("rate", "order", "edit", "divergence", "stay", "gain"):
            if not 0 <= getattr(self, name) < 1e3:
                raise AlignmentError(
                    f"{name} is {getattr(self, name)}; choose a number from 0 to 1000."
                )
