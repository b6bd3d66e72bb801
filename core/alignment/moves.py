"""Where an aligned dictionary moves each text: its state, its place on a map, its nearest pole.

At the edited layer the change ``after(x) - before(x)`` of each token counts by its share, and so
does its mean over a text. The frame is the plain model's: scaling, picture and centres stay.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.activations.jobs import reading, with_model
from core.activations.prompts import Pooling
from core.activations.study import Study, layer_states, states_of
from core.alignment.data import as_tensor, read_data, signed, splits_of, text_grades
from core.alignment.figures import alignment_with, mean_of
from core.alignment.jobs import needed_arm
from core.alignment.measure import judging_pooling
from core.alignment.spec import ARMS, AlignSpec, Arm
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.placing import axis_values
from core.maps.scene import Curve
from core.maps.view import ViewSpec
from core.measures.geometry import closeness
from core.runtime.made import Made, artefact
from core.runtime.progress import Report, part
from core.runtime.store import Store
from core.sae.dictionary import Dictionary
from core.statistics.bootstrap import Estimate
from core.statistics.scaling import fit_scaler
from core.steering.recipes import Operation
from core.workbench import Workbench

if TYPE_CHECKING:
    from core.models.open_models import OpenModel

KIND: Final = "moves"
_FILE, _FORMAT = "moves.safetensors", 1
#: Shares of the change at which places are worked out: 0 untouched, 1 aligned, beyond.
SHARES: Final = tuple(float(one) for one in np.linspace(0, 1.5, 7))
#: Arms whose dictionaries say that they are theirs.
_SELVES: Final = frozenset(ARMS) - {"paper, replaced", "old reconstruction"}
#: Tokens that are taken apart, and states that are placed by neighbours, at once.
_AT_ONCE: Final = 1024
#: Shuffles of labels behind the band beside a curve.
_SHUFFLES: Final = 60


class Edit(NamedTuple):
    """An aligned dictionary as it is spliced in."""

    after: Dictionary
    """What it is."""

    before: Dictionary
    """What it was."""

    operation: Operation = "align"
    """Whether its change is added, or it takes the state's place."""

    @property
    def arm(self) -> str:
        """Which arm it is, as its key has it."""
        named = about(self.after).get("arm")
        own = named if named in _SELVES else "brought"
        return own if self.operation == "align" else f"{own}, replaced"


def about(after: Dictionary) -> dict[str, Any]:
    """Return what an aligned dictionary says of its training; empty if it says nothing."""
    told = after.info.training.get("aligned")
    return told if isinstance(told, dict) else {}


def moves(
    work: Workbench, study: Study, base: Dictionary, spec: AlignSpec, arm: Arm, after: str
) -> Made[NDArray[np.float32]]:
    """Return what the whole change adds to each text's pooled state, ``(n_prompts, d_model)``.

    Args:
        work: The process's workbench.
        study: Items and model, plain.
        base: The dictionary before.
        spec: How it was aligned.
        arm: Which arm, seed 0.
        after: Digest of the arm's dictionary.
    """

    def edit() -> Edit:
        aligned = needed_arm(work, study, base, spec, arm, 0)
        return Edit(aligned.dictionary, aligned.before, aligned.operation)

    return _kept(work, study, base.digest, after, arm, edit)


def moves_of(work: Workbench, study: Study, edit: Edit) -> Made[NDArray[np.float32]]:
    """Return the same of an edit: what ``moves`` has kept of its arm, if it has."""
    return _kept(work, study, edit.before.digest, edit.after.digest, edit.arm, lambda: edit)


def _kept(
    work: Workbench, study: Study, before: str, after: str, arm: str, edit: Callable[[], Edit]
) -> Made[NDArray[np.float32]]:
    from safetensors.numpy import load_file, save_file

    pooling = judging_pooling(study)
    key = {
        "moves": _FORMAT,
        **study.plan.base_key(),
        "model": study.card.identity,
        "before": before,
        "after": after,
        "arm": arm,
        "pooling": pooling,
    }

    def make(model: "OpenModel", report: Report) -> NDArray[np.float32]:
        spliced = edit()
        data = read_data(work.store, study, model, spliced.after.info.layer, part(report, 0.0, 0.5))
        change = np.empty((len(data.tokens), data.tokens.d_model), np.float32)
        for start in range(0, len(change), _AT_ONCE):
            part(report, 0.5, 1.0)(start, len(change), "taking tokens apart")
            with torch.no_grad():
                x = as_tensor(data.states[start : start + _AT_ONCE])
                new, old = (one.decode(one.encode(x)) for one in (spliced.after, spliced.before))
            whole = x if spliced.operation == "replace" else old
            change[start : start + _AT_ONCE] = (new - whole).numpy()
        return pooled_change(change, data.starts, pooling)

    def write(folder: Path, made: NDArray[np.float32]) -> None:
        save_file({"change": made}, folder / _FILE)

    kept = artefact(
        work.store,
        KIND,
        key,
        read=lambda folder: load_file(folder / _FILE)["change"],
        write=write,
        make=with_model(work, study, make),
    )
    return Made(
        kept.kind,
        key,
        kept.has,
        kept.open,
        kept.make,
        title="Where texts move",
        lane="model",
        needs=(reading(work, study),),
    )


def pooled_change(
    change: NDArray[np.float32], starts: NDArray[np.int64], pooling: Pooling
) -> NDArray[np.float32]:
    """Return texts' pooled changes from those of tokens; the first token does not change.

    Args:
        change: Of all tokens but the first of each text, ``(tokens, d)``.
        starts: First of these of each text, and the end, ``(n + 1,)``.
        pooling: How a text's states are pooled.
    """
    if pooling == "last":
        return change[starts[1:] - 1]
    count = np.diff(starts) + (pooling == "mean_all")
    sums = np.add.reduceat(change.astype(np.float64), starts[:-1], axis=0)
    mean: NDArray[np.float32] = (sums / count[:, None]).astype(np.float32)
    return mean


def places(
    store: Store,
    study: Study,
    spec: ViewSpec,
    change: NDArray[np.float32],
    texts: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Return every item's place on a layer's plain map at each of ``SHARES``, ``(m, n, 2)``.

    PCA and moral axes are exact. On a UMAP each goes as the mean of its nearest plain neighbours'
    places goes.

    Args:
        store: Where the states lie.
        study: Items and model.
        spec: The map: the edited layer, two dimensions.
        change: As ``moves`` gives it.
        texts: Prompts that a UMAP places, NaN for all others but at share 0; None: all.
    """
    states, scaler = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    by = scaler.moves(change)
    if spec.method == "axes":
        close = [closer(study, states, share * by) for share in SHARES]
        drawn = [[axis_values(axis, one) for axis in (spec.x, spec.y)] for one in close]
        return np.asarray(drawn, np.float32).transpose(0, 2, 1)
    layout = model_layout(store, study, spec.layer, spec.pooling, spec.scaling, spec.layout).get()

    some = slice(None) if texts is None or spec.method != "umap" else texts

    def placed(share: float) -> NDArray[np.float64]:
        moved = states[some] + share * by[some]
        parts = np.array_split(moved, len(moved) // _AT_ONCE + 1)
        found = np.full((len(states), 2), np.nan)
        found[some] = np.vstack([layout.place(one, states) for one in parts])
        return found

    plain = placed(0.0)
    found = [layout.points + placed(share) - plain if share else layout.points for share in SHARES]
    return np.asarray(found, np.float32)[:, study.plan.rows]


def closer(
    study: Study, states: NDArray[np.floating], by: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the cosine of each item's moved state to the ten plain centres, ``(n, 10)``.

    Args:
        study: Items and model.
        states: Scaled plain states, ``(n_prompts, d)``.
        by: How far each moves, of the same shape.
    """
    rows = study.plan.rows
    return closeness(states[rows], study.members, study.labels.group, of=(states + by)[rows])


def fit_curve(
    store: Store, study: Study, layer: int, change: NDArray[np.float32], *, chance: bool = True
) -> Curve:
    """Return CKA of test texts with people's vectors at each of ``SHARES``, with its interval.

    Beside it stands the band of the same with labels dealt out anew among the test texts.

    Args:
        store: Where the states lie.
        study: Items and model.
        layer: The edited one.
        change: What is added to each text's state.
        chance: With that band, which takes most of the time; NaN without.
    """
    raw = states_of(store, study).prompt_states(layer, judging_pooling(study))
    split = splits_of(study)
    test = split == "test"
    spread = fit_scaler(raw[split == "train"], "standardised").scale
    target = signed(text_grades(study))[test]
    rng = np.random.default_rng(0)
    dealt = [target[rng.permutation(len(target))] for _ in range(chance * _SHUFFLES)]
    values, band = [], []
    for share in SHARES:
        own = raw[test].astype(np.float64) + share * change[test]
        own = (own - own.mean(axis=0)) / spread
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        values.append(alignment_with(own, target).estimate)
        shuffled = [alignment_with(own, one).value for one in dealt]
        band.append(np.quantile(shuffled, (0.025, 0.975)) if chance else (np.nan, np.nan))
    numbers = np.array(values)
    return Curve("CKA with people, test texts", numbers[:, 0], numbers[:, 1:], np.array(band))


class Moved(NamedTuple):
    """What a share of the change does to items, in words and numbers."""

    table: pd.DataFrame
    """Test items, those that move furthest first."""

    nearer: Estimate
    """Mean over graded test texts: how much nearer to the own pole's centre than to the opposed
    one's they come, in cosines."""


def moved(store: Store, study: Study, spec: ViewSpec, change: NDArray[np.float32]) -> Moved:
    """Tell which test items a change moves most, and towards which pole.

    Columns of the table: item, text, foundation, pole, grade, moved (in lengths of the plain scaled
    state), towards (whose centre it comes nearer to most), nearer (by how much, in cosines), own
    (to its own pole's centre less to the opposed one's; NaN for neutral items).

    Args:
        store: Where the states lie.
        study: Items and model.
        spec: Layer, pooled state and scaling.
        change: What is added to each text's state.
    """
    states, scaler = layer_states(store, study, spec.layer, spec.pooling, spec.scaling)
    by = scaler.moves(change)
    gain = closer(study, states, by) - closer(study, states, np.zeros_like(by))
    items, rows = study.items, study.plan.rows
    with np.errstate(invalid="ignore", divide="ignore"):
        far = (np.linalg.norm(by, axis=1) / np.linalg.norm(states, axis=1))[rows]
    known = np.where(np.isfinite(gain), gain, -np.inf)
    best = known.argmax(axis=1)
    pole = study.labels.dimension
    at = np.maximum(pole, 0)[:, None]
    own = (np.take_along_axis(gain, at, 1) - np.take_along_axis(gain, at ^ 1, 1))[:, 0]
    own = np.where(pole >= 0, own, np.nan)
    test = splits_of(study)[rows] == "test"
    once = np.intersect1d(study.first_rows, np.flatnonzero(test))  # a text counts once
    table = pd.DataFrame(
        {
            "item": items.item,
            "text": items.texts(),
            "foundation": np.array(FOUNDATIONS)[items.foundation],
            "pole": items.pole,
            "grade": items.grade,
            "moved": far,
            "towards": np.array(DIMENSIONS)[best],
            "nearer": known.max(axis=1),
            "own": own,
        }
    )[test]
    table = table.sort_values("moved", ascending=False, kind="stable").reset_index(drop=True)
    return Moved(table, mean_of(own[once]).estimate)
