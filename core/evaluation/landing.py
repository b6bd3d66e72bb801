"""Answers on the moral map: each arm's texts, read by the plain model, beside the plain answers.

Whether an arm's answers lie elsewhere is asked pair by pair; A/A and a random push, which are arms
themselves, say what other random numbers or any push do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.jobs import reading
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.evaluation.report import CONTROLS, PLAIN, Evaluation
from core.foundations import DIMENSIONS
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.runtime.made import Made, artefact, several
from core.runtime.progress import Report
from core.runtime.store import fingerprint
from core.statistics.bootstrap import Estimate, bootstrap_mean
from core.steering.effects.landing import Landed, land
from core.steering.view import landed_places
from core.workbench import Workbench

KIND: Final = "answers landed"
_FILE, _FORMAT = "landed.npz", 1
#: How states are scaled, and which of a text's are taken where the actions were read so.
_PICTURE: Final = ViewSpec()


class Way(NamedTuple):
    """How far an arm's answers lie from the plain ones."""

    texts: int
    """Pairs of which both answers have a word."""

    x: Estimate
    """Mean change along the map's horizontal, in map widths, with its interval over prompts."""

    y: Estimate
    """Along its vertical, in map widths, too."""

    centres: tuple[Estimate, ...]
    """Mean change of the share of actions that are less close, for each of the ten centres; the
    ten intervals hold together at 95 %."""


@dataclass(frozen=True, eq=False)
class Landing:
    """All answers of an evaluation on the map of one layer."""

    layer: int
    """Decoder layer: the middle one."""

    places: Mapping[str, NDArray[np.float64]]
    """Arm -> place of each answer, ``(n, 2)``; NaN of one without a word."""

    percentile: Mapping[str, NDArray[np.float64]]
    """Arm -> share of the actions less close to each centre, ``(n, 10)``; NaN likewise."""

    items: NDArray[np.float32]
    """Places of the actions, ``(n_items, 2)``."""

    poles: NDArray[np.str_]
    """Their poles."""

    @property
    def width(self) -> float:
        """Width of the map: of the actions along the horizontal."""
        return float(np.ptp(self.items[:, 0]))

    def way(self, arm: str) -> Way:
        """Return how far an arm's answers lie from the plain ones, pair by pair."""
        moved = (self.places[arm] - self.places[PLAIN]) / self.width
        closer = self.percentile[arm] - self.percentile[PLAIN]
        right, up = (_mean(column) for column in moved.T)
        return Way(
            int(np.isfinite(moved).all(axis=1).sum()),
            right,
            up,
            tuple(_mean(column, level=1 - 0.05 / len(DIMENSIONS)) for column in closer.T),
        )

    @property
    def told(self) -> str:
        """Return which arms' answers lie elsewhere than the plain ones, beyond the controls."""
        controls = [arm for arm in CONTROLS if arm in self.places]
        bands = [self.way(arm).centres for arm in controls]
        parts = []
        for arm in self.places:
            if arm == PLAIN or arm in controls:
                continue
            ways = {"nearer to": 1, "farther from": -1}
            said = [
                f"{word} {', '.join(names)}"
                for word, sign in ways.items()
                if (names := _beyond(self.way(arm).centres, bands, sign))
            ]
            parts += [f"{arm} lies {' and '.join(said)}"] if said else []
        beside = " and ".join(controls) or "no control"
        if not parts:
            return f"No arm's answers lie elsewhere than the plain ones, beside {beside}."
        return f"{'; '.join(parts)}, beside {beside}."


def _beyond(found: Sequence[Estimate], bands: Sequence[Sequence[Estimate]], sign: int) -> list[str]:
    """Return the centres to which a change of this sign lies beyond 0 and all controls."""

    def ends(one: Estimate) -> tuple[float, float]:
        low, high = sorted((sign * one.low, sign * one.high))
        return low, high

    return [
        name
        for row, (name, one) in enumerate(zip(DIMENSIONS, found, strict=True))
        if ends(one)[0] > max([0.0, *(ends(band[row])[1] for band in bands)])
    ]


def _mean(values: NDArray[np.float64], level: float = 0.95) -> Estimate:
    return bootstrap_mean(values, np.arange(len(values)), draws=4000, level=level)


def landing(work: Workbench, study: Study, found: Evaluation) -> Made[Landing]:
    """Return where an evaluation's answers lie; each arm is kept by itself.

    Args:
        work: The process's workbench.
        study: The model that answered, and the actions of the map; plain.
        found: The answers.
    """
    poolings = study.plan.spec.poolings
    pooling = _PICTURE.pooling if _PICTURE.pooling in poolings else poolings[0]
    spec = ViewSpec(study.anchor, pooling)
    texts = {arm: [one.text for one in given] for arm, given in found.answers.items()}
    parts = [_arm(work, study, each, study.anchor, pooling) for each in texts.values()]
    key = {
        "layer": study.anchor,
        "arms": list(texts),
        "parts": [dict(one.key) for one in parts],
    }
    made: Made[Landing] = several(
        KIND,
        key,
        parts,
        partial(_joined, work, study, spec, texts),
        title="Putting the answers on the map",
        note="arms on the map",
        lane="model",
    )
    return replace(made, needs=(reading(work, study),))


def _has_word(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def _arm(
    work: Workbench, study: Study, texts: list[str], layer: int, pooling: Pooling
) -> Made[Landed]:
    said = [one for one in texts if _has_word(one)]

    def make(_: Report) -> Landed:
        model = work.shelf.get(study.card.spec)
        if not said:
            empty = np.empty((0, len(DIMENSIONS)))
            return Landed(empty, empty, np.empty((0, study.card.d_model), np.float32))
        return land(work.store, study, model, said, layer, pooling, _PICTURE.scaling)

    def write(folder: Path, made: Landed) -> None:
        np.savez(folder / _FILE, **made._asdict())

    def read(folder: Path) -> Landed | None:
        try:
            with np.load(folder / _FILE, allow_pickle=False) as kept:
                return Landed(**{name: kept[name] for name in Landed._fields})
        except (OSError, ValueError, KeyError):
            return None

    key = {
        "format": _FORMAT,
        **study.plan.measured_key(layer, pooling),
        "items": study.items.digest,
        "scaling": _PICTURE.scaling,
        "texts": fingerprint(said),
    }
    return artefact(work.store, KIND, key, read=read, write=write, make=make)


def _joined(
    work: Workbench,
    study: Study,
    spec: ViewSpec,
    texts: Mapping[str, list[str]],
    landed: list[Landed],
) -> Landing:
    seen = layer_reading(work.store, study, spec)
    picture = model_picture(work.store, study, spec, seen)
    places, percentile = {}, {}
    for (arm, given), one in zip(texts.items(), landed, strict=True):
        rows = np.array([_has_word(text) for text in given])
        places[arm] = np.full((len(given), 2), np.nan)
        percentile[arm] = np.full((len(given), len(DIMENSIONS)), np.nan)
        if rows.any():
            places[arm][rows] = landed_places(work.store, study, one, spec)
            percentile[arm][rows] = one.percentile
    return Landing(spec.layer, places, percentile, picture.points, study.items.pole)
