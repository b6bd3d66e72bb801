"""Arms of an alignment, each trained once and kept as what it changed in the dictionary."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study
from core.alignment.data import AlignData, densities_of, like_latents, moral_latents
from core.alignment.lessons import ReconstructionOnly, Repaired, Taught, Triplets
from core.alignment.lowrank import LowRank
from core.alignment.paper import Paper, choose_banks
from core.alignment.spec import FORMAT, AlignSpec, Arm, Objective
from core.alignment.splice import Change, Splice
from core.alignment.train import AlignStep, Trained, learn, random_patch, steps_of
from core.features.feature_activations import FeatureActivations
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import Key, Store, fingerprint, library_version
from core.sae.dictionary import Dictionary
from core.sae.patches import KIND, Patch, nothing_before, open_patch, save_patch
from core.steering.recipes import Operation

_CURVE: Final = "curve.json"
#: Fields of a spec that say how often and beside what, not how.
_HOW_OFTEN: Final = frozenset({"seeds", "arms"})
#: What arms with an objective of their own learn.
_LESSONS: Final[dict[Arm, type[Taught]]] = {
    "reconstruction only": ReconstructionOnly,
    "triplets": Triplets,
}


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

    before: Dictionary
    """What it was; an empty one where the change is no dictionary's."""

    operation: Operation = "align"
    """How it is spliced in."""

    silent: tuple[float, ...] = ()
    """For ``paper``: its terms if the trained latents were never on."""


def arm_key(
    study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, seed: int, without: str = ""
) -> Key:
    """Return the content key of an arm; ``without`` names a foundation whose texts it never saw."""
    card = study.card
    return {
        **({"without": without} if without else {}),
        "aligned": FORMAT,
        **study.plan.base_key(),
        "model": card.identity,
        "items": study.items.digest,
        "dictionary": base.digest,
        "spec": _json(spec),
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
    *,
    without: str = "",
) -> Made[Aligned]:
    """Return an arm's dictionary; ``without`` names a foundation whose texts it never saw."""
    key = arm_key(study, base, spec, arm, seed, without)

    def read(folder: Path) -> Aligned | None:
        before = nothing_before(folder) or base
        after = open_patch(folder, before)
        if after is None:
            return None
        kept = json.loads((folder / _CURVE).read_text(encoding="utf-8"))
        curve, latents = tuple(steps_of(kept["curve"])), np.array(kept["latents"])
        return Aligned(
            arm,
            seed,
            after,
            latents,
            curve,
            kept["best"],
            before,
            silent=tuple(kept["silent"]),
        )

    def write(folder: Path, made: Aligned) -> None:
        save_patch(Patch.of(made.dictionary, made.latents), made.dictionary, made.before, folder)
        kept = {name: getattr(made, name) for name in ("curve", "best", "silent")}
        kept["latents"] = made.latents.tolist()
        (folder / _CURVE).write_text(json.dumps(kept), encoding="utf-8")
        partial_file(store, key).unlink(missing_ok=True)

    # Two processes must not write one training's state.
    return artefact(
        store,
        KIND,
        key,
        read=read,
        write=write,
        make=make,
        waiting=f"another process trains {arm}, seed {seed}",
    )


def untrained(base: Dictionary) -> Aligned:
    """Return the arm whose dictionary stays, and whose reconstruction takes the state's place."""
    nothing = np.empty(0, np.int64)
    return Aligned("old reconstruction", 0, base, nothing, (), 0, base, "replace")


def partial_file(store: Store, key: Key) -> Path:
    """Return where the state of a training that was stopped lies."""
    return store.root / "partial" / f"aligned-{fingerprint(dict(key))[:32]}.safetensors"


def settled(spec: AlignSpec, candidates: Mapping[Objective, Aligned]) -> AlignSpec:
    """Return a spec with the objective that did best on validation texts.

    Args:
        spec: With the objective left open.
        candidates: What each objective trained, seed 0.
    """
    best = max(candidates, key=lambda one: merit(candidates[one]))
    return replace(spec, objective=best)


def merit(aligned: Aligned) -> float:
    """Return what an arm that was kept reached on validation texts at equal size of change."""
    return aligned.curve[aligned.best].merit


class Trainer:
    """Trains the arms of one alignment on the same data."""

    def __init__(
        self,
        study: Study,
        base: Dictionary,
        spec: AlignSpec,
        data: AlignData,
        codes: FeatureActivations,
        device: str = "cpu",
        *,
        without: str = "",
    ) -> None:
        """Choose the latents.

        Args:
            study: Items and model, plain.
            base: The dictionary before.
            spec: Says how latents are chosen.
            data: What it learns from.
            codes: The set taken apart by the dictionary.
            device: Where it computes, in float32.
            without: A foundation that was taken out of the data, for the name.

        Raises:
            AlignmentError: No latent is on often enough.
        """
        self._study, self._base, self._data, self._without = study, base, data, without
        self._there = base.to(device)
        self.moral = moral_latents(codes.pooled("mean"), data, spec.latents, spec.rare)
        self._codes = codes.by_latent

    def train(
        self,
        spec: AlignSpec,
        arm: Arm,
        seed: int,
        report: Report = silent,
        *,
        curve: list[AlignStep] | None = None,
        like: Aligned | None = None,
        path: Path | None = None,
    ) -> Aligned:
        """Train an arm.

        Args:
            spec: How, with its objective chosen.
            arm: Which.
            seed: Of batches and draws.
            report: Told the steps done.
            curve: Filled while it trains.
            like: For ``noise``: whose changes are matched in size.
            path: Where a stopped training's state is kept.

        Raises:
            AlignmentError: The loss is no number, or latents cannot be chosen or matched.
        """
        if arm == "noise":
            if like is None:
                raise ValueError("noise is as large as something")
            start, end = (Patch.of(one, self.moral) for one in (self._base, like.dictionary))
            moved = Trained(random_patch(end, start, seed), (), 0)
            return self._aligned(spec, arm, seed, moved, self._base)
        lesson = self._lesson(spec, arm, seed)
        trained = learn(lesson, seed, path=path, report=report, curve=curve)
        before = lesson.changed.before
        before = self._base if before is self._there else before.to("cpu")
        return self._aligned(spec, arm, seed, trained, before)

    def _lesson(self, spec: AlignSpec, arm: Arm, seed: int) -> Taught:
        latents, data = self.moral, self._data
        if arm == "paper":
            banks = choose_banks(self._base, data)
            return Paper(Splice(self._there, banks.latents, unit=True), banks, data, spec)
        if arm == "random latents":
            densities = densities_of(self._base, data, self._codes)
            latents = like_latents(latents, densities, seed)
        if arm == "shuffled":
            data = data.shuffled(seed)
        changed: Change = Splice(self._there, latents)
        if arm == "LoReFT":
            changed = LowRank(self._there, data.states, seed)
        return _LESSONS.get(arm, Repaired)(changed, data, spec)

    def _aligned(
        self, spec: AlignSpec, arm: Arm, seed: int, trained: Trained, before: Dictionary
    ) -> Aligned:
        about: dict[str, Any] = {
            "aligned": {
                "arm": arm,
                "seed": seed,
                "spec": _json(spec),
                "without": self._without,
            },
            "items": self._study.items.digest,
            "before": before.digest,
            "torch": library_version("torch"),
        }
        left = f", without {self._without}" if self._without else ""
        name = f"{self._base.info.name}, aligned ({arm}{left}, seed {seed})"
        after = trained.patch.applied(before, name, about)
        curve, latents = trained.curve, trained.patch.latents
        return Aligned(
            arm, seed, after, latents, curve, trained.best, before, silent=trained.silent
        )


def _json(spec: AlignSpec) -> dict[str, Any]:
    """Return how a spec trains, as JSON has it."""
    return {name: one for name, one in asdict(spec).items() if name not in _HOW_OFTEN}
