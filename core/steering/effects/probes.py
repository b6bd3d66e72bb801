"""Held-out actions that the steered model reads: what a push becomes above the layer it is made at.

The plain model reads them once and is held after the steered layer; a strength then costs the
layers from there to the map's. States at a few strengths of each axis, and along control directions
of equal length, are made once and kept; between them the map's preview goes straight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps.view import ViewSpec
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, silent
from core.runtime.store import Store
from core.steering.directions import Direction, Method
from core.steering.edits import LayerEdit, residual_norm
from core.steering.effects.frame import Frame
from core.steering.effects.motion import OTHERS, Fan
from core.steering.effects.paths import KNOTS, LENGTHS, Paths, Settled, mean_of, settled, straight
from core.steering.effects.readout import Held, arms_states, hold
from core.steering.effects.shift import control_vectors, pushes_of
from core.steering.recipes import Positions, Recipe

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

#: Actions that are read for the ways, and those of them that control directions push.
PROBES: Final = 40
FEW: Final = 8
#: Further actions that are followed at strengths that stay, at most, and as many at a time as let a
#: hand that moves again wait for a fraction of a second only.
FURTHER: Final = 200
AT_A_TIME: Final = 20
#: Arms of one pass: as many rows as keep memory small.
_ARMS: Final = 4
_FEW_ARMS: Final = _ARMS * PROBES // FEW
#: Raised whenever the same items and states would give other numbers.
_FORMAT: Final = 1
_FILE: Final = "probes.npz"
_ARRAYS: Final = ("rows", "plain", "steered", "controls")


@dataclass(frozen=True)
class ProbeSpec:
    """Between which layers and how a push is followed."""

    layer: int
    """Steered decoder layer."""

    upto: int
    """The map's, above it."""

    seen: Pooling
    """Which pooled state the map shows."""

    method: Method = "means"
    """How directions are made."""

    pooling: Pooling = "last"
    """From which pooled states."""

    positions: Positions = "not first"
    """Which tokens are moved."""


@dataclass(frozen=True, eq=False)
class Probed:
    """Probes' states at the map's layer."""

    spec: ProbeSpec
    """How."""

    rows: NDArray[np.int64]
    """Items, those that controls push first, shape ``(m,)``."""

    plain: NDArray[np.float32]
    """Without steering, shape ``(m, d_model)``."""

    steered: NDArray[np.float32]
    """At each of ``KNOTS`` of each foundation's axis, shape ``(axes, knots, m, d_model)``."""

    controls: NDArray[np.float32]
    """The first ones at each of ``LENGTHS`` of each control, ``(controls, lengths, few, d)``."""


def probe_rows(study: Study, most: int) -> NDArray[np.int64]:
    """Return held-out items at most so many, one per text, the ten poles in turn, ``(m,)``.

    Raises:
        CoreError: The set holds none back.
    """
    held = np.flatnonzero(study.items.split == "test")
    held = held[np.unique(study.plan.rows[held], return_index=True)[1]]
    if not len(held):
        raise CoreError(
            "This set holds no action back, so nothing shows what a push becomes at later layers. "
            "Choose a larger set, or the steered layer."
        )
    pole = study.labels.dimension[held]
    turn = np.zeros(len(held), np.int64)  # how many of its pole come before
    for one in range(-1, len(DIMENSIONS)):
        own = pole == one
        turn[own] = np.arange(int(own.sum()))
    return held[np.lexsort((pole, turn))][:most]


def hold_probes(model: "OpenModel", study: Study, rows: NDArray[np.int64], layer: int) -> Held:
    """Let the plain model read items and hold them after a layer."""
    prompts = [study.plan.prompts[study.plan.rows[row]] for row in rows]
    return hold(model, prompts, layer, max_tokens=study.plan.spec.max_tokens, logits=False)


def read_probes(
    store: Store,
    study: Study,
    model: "OpenModel",
    spec: ProbeSpec,
    report: Report = silent,
) -> Probed:
    """Let the model read probes at a few strengths of each axis and along control directions.

    Args:
        store: Where the states lie.
        study: Items and model.
        model: The open model.
        spec: Layers and directions.
        report: Told of each pass.

    Raises:
        CoreError: No action is held back, a direction cannot be made, or steering made numbers that
            are not finite.
    """
    rows = probe_rows(study, PROBES)
    held = hold_probes(model, study, rows, spec.layer)
    few = hold_probes(model, study, rows[:FEW], spec.layer)
    pushes = pushes_of(store, study, FOUNDATIONS, spec.layer, spec.method, spec.pooling, None)[:-1]
    strengths = [one for one in KNOTS if one]
    arms = [strength * push for push in pushes for strength in strengths]
    lengths = [one for one in LENGTHS if one]
    other = control_vectors(store, study, spec.layer)
    control_arms = [length * control for control in other for length in lengths]
    asking = _Asking(store, study, model, spec)
    whole = 1 + len(arms) // _ARMS + len(control_arms) // _FEW_ARMS
    passes = count()

    def told() -> None:
        report(min(next(passes), whole), whole, "reading held-out actions at several strengths")

    told()
    plain = asking.states(held, [np.zeros(study.card.d_model)])[0]
    moved = asking.in_turn(held, arms, _ARMS, told)
    controls = asking.in_turn(few, control_arms, _FEW_ARMS, told)
    return Probed(
        spec,
        rows,
        plain,
        _with_plain(moved.reshape(len(pushes), len(strengths), *plain.shape), plain, KNOTS),
        _with_plain(
            controls.reshape(len(other), len(lengths), -1, plain.shape[1]), plain[:FEW], LENGTHS
        ),
    )


def _with_plain(
    states: NDArray[np.float32], plain: NDArray[np.float32], knots: Sequence[float]
) -> NDArray[np.float32]:
    """Put the plain states where the strength is 0, along the second axis."""
    at = list(knots).index(0.0)
    plain = np.broadcast_to(plain, (len(states), 1, *plain.shape))
    return np.concatenate([states[:, :at], plain, states[:, at:]], axis=1)


class _Asking:
    """What a model is asked about probes."""

    def __init__(self, store: Store, study: Study, model: "OpenModel", spec: ProbeSpec) -> None:
        self._model, self._spec = model, spec
        self._norm = residual_norm(store, study, spec.layer)
        self._identity = study.plan.model

    def states(self, held: Held, pushes: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
        """Return the probes' states under pushes, in residual norms, ``(pushes, m, d_model)``."""
        spec = self._spec
        arms = [[self._edit(push)] if push.any() else [] for push in pushes]
        # What is written later, is shown as if it had been: what is read is moved as well.
        positions: Positions = "not first" if spec.positions == "generated" else spec.positions
        return arms_states(self._model, held, arms, positions, spec.seen, spec.upto)

    def in_turn(
        self,
        held: Held,
        pushes: Sequence[NDArray[np.float64]],
        at_once: int,
        told: Callable[[], None],
    ) -> NDArray[np.float32]:
        """Return the same of many pushes, some in a pass; ``told`` is called before each pass."""
        parts = []
        for start in range(0, len(pushes), at_once):
            told()
            parts.append(self.states(held, pushes[start : start + at_once]))
        return np.concatenate(parts)

    def _edit(self, push: NDArray[np.float64]) -> LayerEdit:
        length = float(np.linalg.norm(push))
        unit = (push / length).astype(np.float32)
        direction = Direction("push", unit, self._identity, self._spec.layer, "")
        return LayerEdit(self._spec.layer, (direction,), (length,), self._norm, "add")


def kept_probes(
    store: Store, study: Study, spec: ProbeSpec, make: Callable[[Report], Probed]
) -> Made[Probed]:
    """Return probes' states, made once."""
    return artefact(
        store,
        "probes",
        {
            **study.plan.base_key(),  # with a format of its own, that of the states
            "probing": _FORMAT,
            "items": study.items.digest,
            "dtype": study.card.dtype,
            "probes": asdict(spec),
            "knots": KNOTS,
            "lengths": LENGTHS,
        },
        read=partial(_read, spec),
        write=_write,
        make=make,
        title=f"Following pushes from layer {spec.layer} to layer {spec.upto}",
        lane="model",
    )


def _write(folder: Path, made: Probed) -> None:
    arrays = {name: getattr(made, name) for name in _ARRAYS}
    np.savez(folder / _FILE, **arrays)


def _read(spec: ProbeSpec, folder: Path) -> Probed | None:
    try:
        with np.load(folder / _FILE, allow_pickle=False) as arrays:
            return Probed(spec, *(arrays[name] for name in _ARRAYS))
    except (OSError, ValueError, KeyError):
        return None


class _Followed(NamedTuple):
    """Items that the model follows."""

    held: Held
    """As the plain model reads them, up to the steered layer."""

    frame: Frame
    """Where their states lie."""

    plain: NDArray[np.float64]
    """Their places without steering, shape ``(m, 2)``."""


class ProbeMap:
    """A map above the steered layer: where pushes take the probes, and by their mean the rest."""

    def __init__(
        self,
        store: Store,
        study: Study,
        model: "OpenModel",
        probed: Probed,
        spec: ViewSpec,
        others: Recipe | None = None,
    ) -> None:
        """Put the probes on the map.

        Args:
            store: Where the states lie.
            study: Items and model.
            model: The open model.
            probed: Probes at this map's layer and pooling.
            spec: The map.
            others: A recipe that adds further directions at the steered layer.

        Raises:
            CoreError: The states are not stored, or the others do not fit.
        """
        made = probed.spec
        self._asking = _Asking(store, study, model, made)
        self._hold = partial(hold_probes, model, study, layer=made.layer)
        self._pushes = pushes_of(
            store, study, FOUNDATIONS, made.layer, made.method, made.pooling, others
        )
        more = probe_rows(study, PROBES + FURTHER)
        more = more[~np.isin(more, probed.rows)]
        self._rows = [
            probed.rows,
            *(more[start : start + AT_A_TIME] for start in range(0, len(more), AT_A_TIME)),
        ]
        frame = Frame(store, study, spec, probed.rows)
        plain = frame.place(probed.plain)
        self._known = [_Followed(self._hold(rows=probed.rows), frame, plain)]
        self._last: tuple[bytes, list[NDArray[np.float64]]] = b"", []
        self._one = Lock()  # visitors of one map share it
        fan = [
            [mean_of(frame.place(states) - plain[:FEW]) for states in one]
            for one in probed.controls
        ]
        ways = [[frame.place(states) - plain for states in one] for one in probed.steered]
        ways.append(straight(self._moved(0, self._pushes[-1])))
        self.paths = Paths(
            frame.points,
            (*FOUNDATIONS, OTHERS),
            self._pushes @ self._pushes.T,
            Fan(np.array(LENGTHS), np.array(fan)),
            probed.rows,
            np.array(ways),
        )

    def settled(self, strengths: Mapping[str, float], further: int = 0) -> Settled:
        """Return where the model really takes the probes at some strengths.

        Args:
            strengths: By axis, in residual norms.
            further: Batches of further items, each a pass of its own; what the last strengths have
                found is not asked for again.
        """
        push = self.paths.doses(strengths) @ self._pushes
        batches = self._rows[: 1 + further]
        with self._one:
            last, found = self._last
            found = found if last == push.tobytes() else []
            found += [self._moved(number, push) for number in range(len(found), len(batches))]
            self._last = push.tobytes(), found
        left = sum(map(len, self._rows[len(batches) :]))
        by = np.concatenate(found[: len(batches)])
        return settled(self.paths, np.concatenate(batches), by, strengths, left)

    def _moved(self, batch: int, push: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far a batch's items move under a push, ``(m, 2)``."""
        while len(self._known) <= batch:
            self._known.append(self._follow(self._rows[len(self._known)]))
        held, frame, plain = self._known[batch]
        if not push.any():
            return np.zeros_like(plain)
        return frame.place(self._asking.states(held, [push])[0]) - plain

    def _follow(self, rows: NDArray[np.int64]) -> _Followed:
        """Let the plain model read further items."""
        held, frame = self._hold(rows=rows), self._known[0].frame.of(rows)
        plain = self._asking.states(held, [np.zeros_like(self._pushes[0])])[0]
        return _Followed(held, frame, frame.place(plain))
