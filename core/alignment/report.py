"""The report of an alignment: every arm at equal cost, differences with intervals, a verdict."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from core.activations.study import Study
from core.alignment.figures import Figure, difference
from core.alignment.measure import Outcome
from core.alignment.spec import AlignSpec
from core.runtime.made import Made, artefact
from core.runtime.progress import Report
from core.runtime.store import Key, Store
from core.sae.dictionary import Dictionary
from core.statistics.bootstrap import Estimate
from core.wording import interval

KIND: Final = "alignment"
_ABOUT, _FIGURES, _FORMAT = "alignment.json", "figures.safetensors", 1
#: Arms that are no dictionary of their own.
UNTOUCHED: Final = "untouched"
MEANS: Final = "difference of means"
#: What the trained arm has to exceed in behaviour.
RIVALS: Final = (UNTOUCHED, MEANS, "shuffled", "random latents", "noise")
#: Of the gain at the edited layer, at the last layer, for "carried downstream".
CARRIED: Final = 0.5

Kind = Literal["geometry", "cka", "readout", "apart"]
Verdict = Literal[
    "nothing", "no more than random latents", "geometry only", "carried downstream", "behaviour"
]
#: The verdicts, fixed before any was reached.
SAYINGS: Final[dict[Verdict, str]] = {
    "nothing": "Alignment changed nothing on test texts beyond the untouched dictionary.",
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
            at: For geometry: layers above the edited one; -1: the last.
        """
        found = [getattr(run.outcome, kind) for run in self.of(arm, target)]
        return [one[at] if isinstance(one, tuple) else one for one in found]

    def gain(self, arm: str, over: str, target: float, kind: Kind, at: int = 0) -> Estimate:
        """Return how far an arm exceeds another, with its interval; NaN where one is missing."""
        one, other = (self.figures(name, target, kind, at) for name in (arm, over))
        if not one or not other:
            return Estimate(np.nan, np.nan, np.nan)
        return difference(one, other)

    def verdict(self, target: float) -> Verdict:
        """Return what may be claimed of the trained arm at a divergence."""
        here = self.gain("repaired", UNTOUCHED, target, "cka")
        last = self.gain("repaired", UNTOUCHED, target, "cka", -1)
        if not here.low > 0:
            return "nothing"
        if not self.gain("repaired", "random latents", target, "cka").low > 0:
            return "no more than random latents"
        if not (last.low > 0 and last.value >= CARRIED * here.value):
            return "geometry only"
        rivals = [self.gain("repaired", rival, target, "readout") for rival in RIVALS]
        return "behaviour" if all(one.low > 0 for one in rivals) else "carried downstream"

    def told(self, target: float) -> str:
        """Return the verdict as a sentence with what decided it."""
        gains = (
            ("over the untouched", self.gain("repaired", UNTOUCHED, target, "cka")),
            ("over random latents", self.gain("repaired", "random latents", target, "cka")),
            ("at the last layer", self.gain("repaired", UNTOUCHED, target, "cka", -1)),
        )
        parts = "; ".join(f"{name} {interval(gain, signed=True)}" for name, gain in gains)
        return f"{SAYINGS[self.verdict(target)]} CKA with people at {target:g} nats: {parts}."


def report_key(study: Study, base: Dictionary, spec: AlignSpec, targets: tuple[float, ...]) -> Key:
    """Return the content key of a report."""
    return {
        "alignment": _FORMAT,
        **study.plan.base_key(),
        "model": study.card.identity,
        "items": study.items.digest,
        "dictionary": base.digest,
        "spec": asdict(spec),
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
        figures = [*one.geometry, *one.cka, one.readout, one.apart]
        arrays[f"{number} value"] = np.array([figure.value for figure in figures])
        arrays[f"{number} without"] = np.stack([figure.without for figure in figures])
        # NaN is no JSON.
        dose = None if np.isnan(one.share) else [one.share, one.kl]
        runs.append([run.arm, run.seed, run.target, run.digest, dose])
    about = {name: getattr(report, name) for name in ("layer", "latents", "texts", "opened")}
    save_file(arrays, folder / _FIGURES)
    (folder / _ABOUT).write_text(json.dumps({**about, "runs": runs}), encoding="utf-8")


def _read(folder: Path) -> AlignReport | None:
    from safetensors.numpy import load_file

    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        arrays, runs = load_file(folder / _FIGURES), []
        for number, (arm, seed, target, digest, dose) in enumerate(about.pop("runs")):
            both = zip(arrays[f"{number} value"], arrays[f"{number} without"], strict=True)
            found = [Figure(float(value), without) for value, without in both]
            layers = (len(found) - 2) // 2
            geometry, cka = tuple(found[:layers]), tuple(found[layers : 2 * layers])
            share, kl = (np.nan, np.nan) if dose is None else dose
            outcome = Outcome(share, kl, geometry, cka, *found[2 * layers :])
            runs.append(Run(arm, seed, target, outcome, digest))
        return AlignReport(runs=tuple(runs), **about)
    except (OSError, ValueError, KeyError, TypeError):
        return None
