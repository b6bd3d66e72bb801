"""The report of an alignment: every arm at equal cost, differences with intervals, a verdict."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.study import Study
from core.alignment.figures import Figure, difference
from core.alignment.measure import FIGURES, Outcome
from core.alignment.spec import FORMAT, AlignSpec, Recipe
from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.runtime.store import Key, Store
from core.sae.dictionary import Dictionary
from core.sae.training.reconstruction_report import Fit
from core.statistics.bootstrap import Estimate
from core.wording import interval

KIND: Final = "alignment"
_ABOUT, _FIGURES, _FORMAT = "alignment.json", "figures.safetensors", 2
#: Arms that are no dictionary of their own.
UNTOUCHED: Final = "untouched"
MEANS: Final = "difference of means"
#: What the trained arm has to exceed in behaviour.
RIVALS: Final = (UNTOUCHED, MEANS, "shuffled", "random latents", "noise")
#: Of the gain at the edited layer, at the last layer, for "carried downstream".
CARRIED: Final = 0.5

Kind = Literal["geometry", "cka", "readout", "apart", "brier", "poles", "surprise", "own_text"]
Verdict = Literal[
    "out of reach",
    "nothing",
    "not comparable",
    "no more than random latents",
    "geometry only",
    "carried downstream",
    "behaviour",
]
#: The verdicts, fixed before any was reached.
SAYINGS: Final[dict[Verdict, str]] = {
    "out of reach": "No share of what training changed costs this divergence, so nothing can be "
    "compared at it.",
    "nothing": "Alignment changed nothing on test texts beyond the untouched dictionary.",
    "not comparable": "The geometry moved, but random latents do not reach this divergence, so it "
    "cannot be held against them.",
    "no more than random latents": "The geometry moved, but not beyond what random latents reach.",
    "geometry only": "The geometry at the edited layer follows people more; it is lost further up.",
    "carried downstream": "The geometry follows people more up to the last layer; what the model "
    "says does not change beyond the controls.",
    "behaviour": "Geometry and what the model says follow people more than under every control.",
}


class Run(NamedTuple):
    """One arm, one seed, one divergence."""

    arm: str
    """Which."""

    seed: int
    """Of its training; 0 where there is none."""

    target: float
    """Divergence that was asked for; 0 for the untouched."""

    outcome: Outcome
    """What it did."""

    digest: str
    """Of its dictionary; empty where there is none."""

    fit: Fit | None = None
    """How its dictionary meets the test texts' plain states; None where there is none."""

    dead: float = np.nan
    """Share of its latents that are on at no token of these."""


@dataclass(frozen=True, eq=False)
class AlignReport:
    """All runs of an alignment."""

    layer: int
    """The edited one."""

    runs: tuple[Run, ...]
    """In the order of measuring."""

    latents: int
    """How many were trained."""

    texts: int
    """Test texts behind each figure."""

    opened: int
    """Times that these test texts had been opened by other specs or dictionaries before."""

    def of(self, arm: str, target: float) -> list[Run]:
        """Return an arm's runs at a divergence; the untouched stands at each."""
        wanted = 0.0 if arm == UNTOUCHED else target
        return [
            run
            for run in self.runs
            if run.arm == arm and run.target == wanted and np.isfinite(run.outcome.share)
        ]

    @property
    def arms(self) -> list[str]:
        """Names of the arms, in order."""
        return list(dict.fromkeys(run.arm for run in self.runs))

    def figures(self, arm: str, target: float, kind: Kind, at: int = 0) -> list[Figure]:
        """Return one figure of each run of an arm.

        Args:
            arm: Which.
            target: Divergence.
            kind: Which figure.
            at: Which of several: for geometry, layers above the edited one; -1: the last.
        """
        return [getattr(run.outcome, kind)[at] for run in self.of(arm, target)]

    def unchanged(self, arm: str) -> bool:
        """Return whether no run of an arm changed the dictionary: its training gained nothing."""
        [before] = {run.digest for run in self.runs if run.arm == UNTOUCHED}
        digests = {run.digest for run in self.runs if run.arm == arm}
        return digests == {before}

    def gain(self, arm: str, over: str, target: float, kind: Kind, at: int = 0) -> Estimate:
        """Return how far an arm exceeds another, with its interval; NaN where one is missing."""
        one, other = (self.figures(name, target, kind, at) for name in (arm, over))
        if not one or not other:
            return Estimate(np.nan, np.nan, np.nan)
        return difference(one, other)

    def verdict(self, target: float, recipe: Recipe = "repaired") -> Verdict:
        """Return what may be claimed of a recipe at a divergence."""
        here = self.gain(recipe, UNTOUCHED, target, "cka")
        last = self.gain(recipe, UNTOUCHED, target, "cka", -1)
        if not self.of(recipe, target):
            return "out of reach"
        if not here.low > 0:
            return "nothing"
        if not self.of("random latents", target):
            return "not comparable"
        if not self.gain(recipe, "random latents", target, "cka").low > 0:
            return "no more than random latents"
        if not (last.low > 0 and last.value >= CARRIED * here.value):
            return "geometry only"
        rivals = [self.gain(recipe, rival, target, "readout") for rival in RIVALS]
        return "behaviour" if all(one.low > 0 for one in rivals) else "carried downstream"

    def told(self, target: float, recipe: Recipe = "repaired") -> str:
        """Return the verdict as a sentence with what decided it."""
        gains = (
            ("over the untouched", self.gain(recipe, UNTOUCHED, target, "cka")),
            ("over random latents", self.gain(recipe, "random latents", target, "cka")),
            ("at the last layer", self.gain(recipe, UNTOUCHED, target, "cka", -1)),
        )
        parts = "; ".join(f"{name} {interval(gain, signed=True)}" for name, gain in gains)
        if self.verdict(target, recipe) == "out of reach":
            why = "Training changed nothing. " if self.unchanged(recipe) else ""
            return f"{why}{SAYINGS['out of reach']}"
        return (
            f"{SAYINGS[self.verdict(target, recipe)]} CKA with people at {target:g} nats: {parts}."
        )


def report_key(study: Study, base: Dictionary, spec: AlignSpec, targets: tuple[float, ...]) -> Key:
    """Return the content key of a report."""
    return {
        "alignment": _FORMAT,
        "aligned": FORMAT,
        **study.plan.base_key(),
        "model": study.card.identity,
        "items": study.items.digest,
        "dictionary": base.digest,
        "spec": {**asdict(spec), "arms": list(spec.arms)},
        "targets": list(targets),
    }


def kept_report(store: Store, key: Key, make: Callable[[Report], AlignReport]) -> Made[AlignReport]:
    """Return a report."""
    return artefact(store, KIND, key, read=_read, write=_write, make=make)


def opened_before(store: Store, key: Key) -> int:
    """Return how many other reports have looked at the same test texts with the same model."""
    same = ("model", "items")
    return sum(
        all(entry.key.get(name) == key[name] for name in same) and entry.key != dict(key)
        for entry in store.artefacts(KIND)
    )


def _write(folder: Path, report: AlignReport) -> None:
    from safetensors.numpy import save_file

    arrays, runs = {}, []
    for number, run in enumerate(report.runs):
        one = run.outcome
        for name in FIGURES:
            figures = getattr(one, name)
            arrays[f"{number} {name} value"] = np.array([figure.value for figure in figures])
            arrays[f"{number} {name} without"] = np.stack([figure.without for figure in figures])
        # NaN is no JSON.
        dose = None if np.isnan(one.share) else [one.share, one.kl]
        fit = None if run.fit is None else [*run.fit, run.dead]
        runs.append([run.arm, run.seed, run.target, run.digest, dose, fit])
    about = {name: getattr(report, name) for name in ("layer", "latents", "texts", "opened")}
    save_file(arrays, folder / _FIGURES)
    (folder / _ABOUT).write_text(json.dumps({**about, "runs": runs}), encoding="utf-8")


def _read(folder: Path) -> AlignReport | None:
    from safetensors.numpy import load_file

    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        arrays, runs = load_file(folder / _FIGURES), []
        for number, (arm, seed, target, digest, dose, fit) in enumerate(about.pop("runs")):
            found = {name: _figures(arrays, f"{number} {name}") for name in FIGURES}
            share, kl = (np.nan, np.nan) if dose is None else dose
            outcome = Outcome(share=share, kl=kl, **found)
            run = Run(arm, seed, target, outcome, digest)
            if fit is not None:
                parts = [Estimate(*part) for part in fit[:-1]]
                run = run._replace(fit=Fit(*parts), dead=fit[-1])
            runs.append(run)
        return AlignReport(runs=tuple(runs), **about)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _figures(arrays: Mapping[str, NDArray[np.float64]], name: str) -> tuple[Figure, ...]:
    both = zip(arrays[f"{name} value"], arrays[f"{name} without"], strict=True)
    return tuple(Figure(float(value), without) for value, without in both)
