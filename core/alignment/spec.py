"""What is asked of an alignment: recipe, arms, target, losses, steps. Everything random is seeded.

Sources: the paper's method and its faults, arXiv 2603.15615 §4; debiased CKA, Song et al. 2012 and
Murphy et al. 2024 (https://arxiv.org/abs/2405.01012).
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from core import CoreError

#: What is spliced in. All but ``noise`` and ``old reconstruction`` are trained.
Arm = Literal[
    "repaired",
    "shuffled",
    "random latents",
    "noise",
    "paper",
    "paper, replaced",
    "reconstruction only",
    "old reconstruction",
    "LoReFT",
    "triplets",
]
ARMS: Final[tuple[Arm, ...]] = get_args(Arm)
#: Those that a verdict needs.
NEEDED: Final[tuple[Arm, ...]] = ARMS[:4]
#: What each arm is, in a sentence.
MEANINGS: Final[dict[Arm, str]] = {
    "repaired": "the moral latents, trained on people's vectors",
    "shuffled": "the same latents, trained on vectors dealt out anew within each foundation",
    "random latents": "latents that are on as often, on actions and on neutral text, trained alike",
    "noise": "the same latents, moved at random by as much as training moved them",
    "paper": "the paper's latents, trained by its six losses, faults included",
    "paper, replaced": "the same, its whole reconstruction in place of the state, as in the paper",
    "reconstruction only": "the moral latents, trained on to reconstruct, without people",
    "old reconstruction": "the untouched dictionary's reconstruction in place of the state",
    "LoReFT": "no dictionary: a change of rank 5 (Wu et al. 2024), trained as the repaired one",
    "triplets": "the moral latents, trained on triplets within a foundation (arXiv 2609.04022)",
}
#: Raised whenever the same spec would train, choose or tell something else than before.
FORMAT: Final = 4
#: Recipes that a run can be about.
Recipe = Literal["repaired", "paper"]
RECIPES: Final[tuple[Recipe, ...]] = get_args(Recipe)
#: What the repaired recipe and its controls follow people's vectors by.
Objective = Literal["chosen", "cka", "rsa"]
OBJECTIVES: Final[tuple[Objective, ...]] = ("cka", "rsa")
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

    objective: Objective = "chosen"
    """Debiased CKA or the correlation of distances; ``chosen``: whichever lifts the CKA
    of validation texts more, seed 0."""

    seeds: int = 3
    """Times that each arm is trained."""

    arms: tuple[Arm, ...] = NEEDED
    """Which are trained and measured."""

    def __post_init__(self) -> None:
        whole = {"latents": 1, "rare": 1, "steps": 1, "patience": 1, "check": 1, "batch": 32}
        for name, least in {**whole, "seeds": 1}.items():
            if getattr(self, name) < least:
                raise AlignmentError(
                    f"{name} is {getattr(self, name)}; choose a whole number from {least} up."
                )
        unknown = [arm for arm in self.arms if arm not in ARMS]
        if unknown or not self.arms:
            raise AlignmentError(
                f"{str(unknown[0])[:40] if unknown else 'Nothing'} is no arm. Choose from "
                f"{', '.join(ARMS)}."
            )
        if self.objective not in get_args(Objective):
            raise AlignmentError(
                f"{str(self.objective)[:40]} is no objective. Choose {', '.join(OBJECTIVES)}."
            )
        for name in ("rate", "order", "edit", "divergence", "stay", "gain"):
            if not 0 <= getattr(self, name) < 1e3:
                raise AlignmentError(
                    f"{name} is {getattr(self, name)}; choose a number from 0 to 1000."
                )
