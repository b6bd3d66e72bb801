"""One foundation left out: does what follows people on four of them follow them on the fifth?

The repaired recipe learns from the texts of four foundations; the fifth one's test texts are asked,
at the divergence that all arms stand at. A general axis of good and bad helps there, what is learnt
for each foundation by itself does not.
"""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from core.activations.jobs import with_model
from core.alignment.arms import Aligned, Trainer, arm_key, kept_arm, partial_file
from core.alignment.data import AlignData, read_data
from core.alignment.figures import Figure, area, difference
from core.alignment.jobs import Divergence, chosen_spec, edits_of, trained_arm
from core.alignment.measure import at_divergence
from core.alignment.report import report_key
from core.alignment.spec import AlignmentError
from core.features.jobs import activations
from core.foundations import FOUNDATIONS
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part
from core.runtime.torch_device import working_device
from core.statistics.bootstrap import Estimate
from core.steering.effects.neutral import Neutral, hold_neutral

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

KIND: Final = "foundations left out"
_FILE, _FORMAT = "left-out.json", 1
#: Test texts of either pole below which a foundation is not asked.
FEWEST: Final = 3
OPPOSING, APART = "opposing cosine", "pole AUC"
_BLOCK: Final = 4096
_NONE: Final = Estimate(np.nan, np.nan, np.nan)


class Transfer(NamedTuple):
    """One figure of one foundation's test texts, means over seeds with 95 % intervals."""

    foundation: str
    """Which was left out."""

    texts: int
    """Its test texts with a pole."""

    figure: str
    """``OPPOSING``: cosine of virtue's and vice's mean, lower is further apart; ``APART``: area
    under the ROC curve along what parts the poles of the other four."""

    untouched: Estimate
    """As the model reads them."""

    without: Estimate
    """After training on the other four."""

    whole: Estimate
    """After training on all five."""

    gain: Estimate
    """``without`` minus ``untouched``, paired over texts."""

    whole_gain: Estimate
    """``whole`` minus ``untouched``."""


def left_out(asked: Divergence) -> Made[list[Transfer]]:
    """Return what training on four foundations did to the fifth, for each of them.

    Args:
        asked: The alignment and the divergence.
    """
    own = report_key(asked.study, asked.base, asked.spec, asked.targets)
    key = {**own, "left out": _FORMAT, "target": asked.target}

    def run(model: "OpenModel", report: Report) -> list[Transfer]:
        return _LeftOut(asked, model, report).all()

    make = with_model(asked.work, asked.study, run)
    made = artefact(asked.work.store, KIND, key, read=_read, write=_write, make=make)
    return replace(
        made,
        title=f"{asked.base.info.name}, aligned without each foundation",
        lane="model",
        needs=(asked.report,),
    )


class _LeftOut:
    """All foundations, one after the other."""

    def __init__(self, asked: Divergence, model: "OpenModel", report: Report) -> None:
        work, study, base, spec = asked[:4]
        self._work, self._study, self._base, self._target = work, study, base, asked.target
        self._model, self._say = model, report
        chosen = chosen_spec(work, study, base, spec)
        if chosen is None:
            raise AlignmentError(
                "The aligned dictionary is gone: the cache was cleared. Start again."
            )
        self._spec = chosen
        self._codes = activations(work, study, base).get()
        self._data = read_data(work.store, study, model, base.info.layer, part(report, 0.0, 0.1))
        self._held: Neutral = hold_neutral(model, base.info.layer)

    def all(self) -> list[Transfer]:
        """Return the figures of each foundation."""
        data, found = self._data, list[Transfer]()
        for number in range(len(FOUNDATIONS)):
            check_texts(data, number)
        whole = [self._moved(one) for one in self._whole()]
        for number, name in enumerate(FOUNDATIONS):
            say = part(self._say, 0.1 + 0.18 * number, 0.1 + 0.18 * (number + 1))
            without = [self._moved(one) for one in self._trained(number, say)]
            plain = [figures_of(data, number, np.zeros_like(data.means, np.float64))]
            moved = [
                [figures_of(data, number, one) for one in arms if one is not None]
                for arms in (without, whole)
            ]
            for place, figure in enumerate((OPPOSING, APART)):
                before = [one[place] for one in plain]
                after, fully = ([one[place] for one in arm] for arm in moved)
                nothing = [Figure(0.0, np.zeros_like(before[0].without))]
                told = [_over(one, nothing) for one in (before, after, fully)]
                gains = [_over(one, before) for one in (after, fully)]
                texts = len(before[0].without)
                found.append(Transfer(name, texts, figure, *told, *gains))
        return found

    def _whole(self) -> list[Aligned]:
        found = [
            trained_arm(self._work, self._study, self._base, self._spec, "repaired", seed)
            for seed in range(self._spec.seeds)
        ]
        return [one for one in found if one is not None]

    def _trained(self, number: int, report: Report) -> list[Aligned]:
        """Return the arms that have not seen a foundation, opened or trained."""
        name, spec, store = FOUNDATIONS[number], self._spec, self._work.store
        trainer = Trainer(
            self._study,
            self._base,
            spec,
            self._data.without(number),
            self._codes,
            working_device(),
            without=name,
        )
        found = []
        for seed in range(spec.seeds):
            say = part(report, seed / spec.seeds, (seed + 1) / spec.seeds)
            say(0, 1, f"without {name}, seed {seed}")
            path = partial_file(
                store, arm_key(self._study, self._base, spec, "repaired", seed, name)
            )
            train = partial(trainer.train, spec, "repaired", seed, path=path)
            kept = kept_arm(
                store, self._study, self._base, spec, "repaired", seed, train, without=name
            )
            found.append(kept.get(say))
        return found

    def _moved(self, one: Aligned) -> NDArray[np.float64] | None:
        """Return what an arm adds to each text's mean state at the divergence; None out of reach.

        What training left untouched adds nothing.
        """
        if one.dictionary.digest == one.before.digest:
            return np.zeros_like(self._data.means, np.float64)
        _, edit = next(edits_of(self._work.store, self._study, self._base, [one]))
        share, _ = at_divergence(self._model, self._held, edit, self._target)
        return None if np.isnan(share) else share * changes_of(one, self._data)


def _over(one: list[Figure], other: list[Figure]) -> Estimate:
    return difference(one, other) if one else _NONE


def changes_of(aligned: Aligned, data: AlignData) -> NDArray[np.float64]:
    """Return what an arm adds to each text's mean state at full strength, ``(n, d)``."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(data.states), _BLOCK):
            states = torch.from_numpy(data.states[at : at + _BLOCK])
            after, before = (
                one.decode(one.encode(states)) for one in (aligned.dictionary, aligned.before)
            )
            parts.append((after - before).double().cpu().numpy())
    sums = np.add.reduceat(np.concatenate(parts), data.starts[:-1], axis=0)
    found: NDArray[np.float64] = sums / np.diff(data.starts)[:, None]
    return found


def check_texts(data: AlignData, number: int) -> None:
    """Refuse a foundation that too few test texts are about.

    Raises:
        AlignmentError: It has not ``FEWEST`` test texts of each pole.
    """
    counts = (data.membership[data.of("test"), 2 * number : 2 * number + 2] > 0).sum(axis=0)
    if counts.min() < FEWEST:
        raise AlignmentError(
            f"{FOUNDATIONS[number]} has {counts[0]} test texts of virtue and {counts[1]} of vice; "
            f"{FEWEST} of each are needed to leave it out. Take a larger set."
        )


def figures_of(data: AlignData, number: int, change: NDArray[np.float64]) -> tuple[Figure, Figure]:
    """Return opposing cosine and pole AUC of a foundation's test texts.

    Args:
        data: Texts and labels.
        number: Of the foundation.
        change: What is added to each text's mean state, ``(n, d)``.
    """
    train, own = data.of("train"), slice(2 * number, 2 * number + 2)
    plain = data.means.astype(np.float64)
    moved = plain + change
    # The frame is that of the training texts, in their units before the change.
    moved = (moved - moved[train].mean(axis=0)) / plain[train].std(axis=0)
    grades = data.membership
    others = train[grades[train, own].max(axis=1) == 0]
    axis = np.zeros(moved.shape[1])
    for pole in range(0, grades.shape[1], 2):
        poles = [others[grades[others, one] > 0] for one in (pole, pole + 1)]
        if all(map(len, poles)):
            away = moved[poles[0]].mean(axis=0) - moved[poles[1]].mean(axis=0)
            axis += away / np.linalg.norm(away)
    test = data.of("test")
    rows = test[grades[test, own].max(axis=1) > 0]
    states, virtue = moved[rows], grades[rows, 2 * number] > 0
    return opposing_cosine(states, virtue), area(states @ axis, virtue)


def opposing_cosine(states: NDArray[np.float64], virtue: NDArray[np.bool_]) -> Figure:
    """Return the cosine of the means of virtue's and vice's texts, states ``(n, d)``."""

    def cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        length = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):  # a pole without any text
            found: NDArray[np.float64] = (one * other).sum(axis=-1) / length
        return found

    sums = [states[side].sum(axis=0) for side in (virtue, ~virtue)]
    left = [
        total - np.where(side[:, None], states, 0)
        for total, side in zip(sums, (virtue, ~virtue), strict=True)
    ]
    return Figure(float(cosine(sums[0], sums[1])), cosine(left[0], left[1]))


def _write(folder: Path, rows: list[Transfer]) -> None:
    told = [[*row[:3], *map(_plain, row[3:])] for row in rows]
    (folder / _FILE).write_text(json.dumps(told), encoding="utf-8")


def _plain(figure: Estimate) -> list[float | None]:
    """Return JSON values: NaN is none."""
    return [None if np.isnan(one) else one for one in figure]


def _read(folder: Path) -> list[Transfer] | None:
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return [
            Transfer(
                *row[:3],
                *(Estimate(*(np.nan if x is None else x for x in figure)) for figure in row[3:]),
            )
            for row in told
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
