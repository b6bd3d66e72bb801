"""Arms of an alignment, each trained once and kept as what it changed in the dictionary."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study
from core.alignment.data import AlignData, densities_of, like_latents, moral_latents
from core.alignment.spec import AlignSpec, Arm
from core.alignment.train import AlignStep, Fit, Trained, random_patch
from core.features.feature_activations import FeatureActivations
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import Key, Store, library_version
from core.sae.dictionary import Dictionary
from core.sae.patches import KIND, Patch, open_patch, save_patch

_CURVE: Final = "curve.json"
_FORMAT: Final = 1
#: Fields of a spec that say how often, not how.
_HOW_OFTEN: Final = frozenset({"seeds"})


@dataclass(frozen=True, eq=False)
class Aligned:
    """A dictionary after an arm."""

    arm: Arm
    """Which."""

    seed: int
    """Of batches and draws."""

    dictionary: Dictionary
    """After; its metadata say how it came about."""

    latents: NDArray[np.int64]
    """Those that were trained."""

    curve: tuple[AlignStep, ...]
    """Checks on validation texts, the untouched first; empty where nothing was trained."""

    best: int
    """Which check was kept."""


def arm_key(study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, seed: int) -> Key:
    """Return the content key of an arm."""
    card = study.card
    return {
        "aligned": _FORMAT,
        **study.plan.base_key(),
        "model": card.identity,
        "items": study.items.digest,
        "dictionary": base.digest,
        "spec": {name: one for name, one in asdict(spec).items() if name not in _HOW_OFTEN},
        "arm": arm,
        "seed": seed,
    }


def kept_arm(
    store: Store,
    study: Study,
    base: Dictionary,
    spec: AlignSpec,
    arm: Arm,
    seed: int,
    make: Callable[[Report], Aligned],
) -> Made[Aligned]:
    """Return an arm's dictionary."""

    def read(folder: Path) -> Aligned | None:
        after = open_patch(folder, base)
        if after is None:
            return None
        kept = json.loads((folder / _CURVE).read_text(encoding="utf-8"))
        curve = tuple(AlignStep(*one) for one in kept["curve"])
        return Aligned(arm, seed, after, np.array(kept["latents"]), curve, kept["best"])

    def write(folder: Path, made: Aligned) -> None:
        save_patch(Patch.of(made.dictionary, made.latents), made.dictionary, base, folder)
        kept = {"curve": made.curve, "latents": made.latents.tolist(), "best": made.best}
        (folder / _CURVE).write_text(json.dumps(kept), encoding="utf-8")

    key = arm_key(study, base, spec, arm, seed)
    return artefact(store, KIND, key, read=read, write=write, make=make)


class Trainer:
    """Trains the arms of one alignment on the same data."""

    def __init__(
        self,
        study: Study,
        base: Dictionary,
        spec: AlignSpec,
        data: AlignData,
        codes: FeatureActivations,
    ) -> None:
        """Choose the latents.

        Args:
            study: Items and model, plain.
            base: The dictionary before.
            spec: How.
            data: What it learns from.
            codes: The set taken apart by the dictionary.

        Raises:
            AlignmentError: No latent is on often enough.
        """
        self._study, self._base, self._spec, self._data = study, base, spec, data
        self.moral = moral_latents(codes.pooled("mean"), data, spec.latents, spec.rare)
        self._codes = codes.by_latent

    def train(
        self,
        arm: Arm,
        seed: int,
        report: Report = silent,
        *,
        curve: list[AlignStep] | None = None,
        like: Aligned | None = None,
    ) -> Aligned:
        """Train an arm.

        Args:
            arm: Which.
            seed: Of batches and draws.
            report: Told the steps done.
            curve: Filled while it trains.
            like: For ``noise``: whose changes are matched in size.

        Raises:
            AlignmentError: The loss is no number, or latents cannot be matched.
        """
        latents, data = self.moral, self._data
        if arm == "noise":
            if like is None:
                raise ValueError("noise is as large as something")
            start, end = (Patch.of(one, latents) for one in (self._base, like.dictionary))
            return self._aligned(arm, seed, Trained(random_patch(end, start, seed), (), 0))
        if arm == "random latents":
            densities = densities_of(self._base, data, self._codes)
            latents = like_latents(latents, densities, seed)
        if arm == "shuffled":
            data = data.shuffled(seed)
        fit = Fit(self._base, latents, data, self._spec, seed)
        return self._aligned(arm, seed, fit.run(report, curve))

    def _aligned(self, arm: Arm, seed: int, trained: Trained) -> Aligned:
        about: dict[str, Any] = {
            "aligned": {"arm": arm, "seed": seed, "spec": asdict(self._spec)},
            "items": self._study.items.digest,
            "before": self._base.digest,
            "torch": library_version("torch"),
        }
        name = f"{self._base.info.name}, aligned ({arm}, seed {seed})"
        after = trained.patch.applied(self._base, name, about)
        return Aligned(arm, seed, after, trained.patch.latents, trained.curve, trained.best)
