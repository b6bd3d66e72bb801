"""Directions of a layer's residual stream along which a model can be steered.

A moral direction is the difference of two means over typical items of the training split: virtue
minus vice of a foundation, or a pole minus the neutral items of its foundation (difference in
means, Marks & Tegmark 2023, arXiv 2310.06824); or the weights of a linear probe.

Beside each stand control directions of two families: drawn at random as the layer's states vary,
and made in the same way from shuffled labels. A third, isotropic, is no fair control: few
coordinates hold most of the states' variance, and an isotropic vector of equal length overwhelms
all others. It stays to be shown as what it is.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.prompts import Pooling
from core.activations.study import Study, states_of
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.store import Store, fingerprint

if TYPE_CHECKING:
    from core.models.card import ModelCard

Method = Literal["means", "probe", "shuffled"]
Family = Literal["covariance", "shuffled", "isotropic"]
#: Families of control directions and what they are called.
FAMILIES: Final[dict[Family, str]] = {
    "covariance": "random, as the states vary",
    "shuffled": "shuffled labels",
    "isotropic": "random, isotropic",
}
#: Fewer texts on a side give a direction of noise.
FEWEST_TEXTS: Final = 5
#: Largest file that is read as a direction.
MOST_BYTES: Final = 64 * 2**20
_TENSOR: Final = "direction"
#: A float32 vector that was made of unit length misses it by so much.
_SAME_LENGTH: Final = 1e-6
_LAYER: Final = re.compile(r"[0-9]{1,4}")
#: Penalties of the probe, per standardised coordinate and item.
_PENALTIES: Final = tuple(10.0 ** np.linspace(-2, 5, 15))


class DirectionError(CoreError):
    """A direction cannot be made or does not fit."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A unit vector of one layer of one model."""

    name: str
    """What it points to, for people."""

    vector: NDArray[np.float32]
    """Unit length, shape ``(d_model,)``."""

    model: str
    """Content identity of the model it was made on; empty if a file does not say."""

    layer: int
    """Decoder layer; -2 if a file does not say."""

    source: str
    """How it was made, for the receipt."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the numbers and of what they claim to belong to."""
        return fingerprint([self.vector.astype("<f4").tobytes().hex(), self.model, self.layer])


def moral_direction(
    store: Store,
    study: Study,
    axis: str,
    layer: int,
    *,
    method: Method = "means",
    pooling: Pooling = "last",
    seed: int = 0,
    shuffled: bool = False,
) -> Direction:
    """Return a moral direction made from the training split.

    Args:
        store: Where the states lie.
        study: Items and model.
        axis: A foundation (virtue minus vice) or a pole (against neutral items).
        layer: Decoder layer.
        method: Difference of means, weights of a ridge probe, or means of shuffled labels.
        pooling: Which pooled state.
        seed: Seed of the shuffle.
        shuffled: Shuffle the labels, whatever the method.

    Raises:
        DirectionError: There is no such layer or axis, or one side has too few texts.
        CoreError: The states are not stored.
    """
    if not 0 <= layer < study.card.n_layers:
        raise DirectionError(
            f"{study.card.name} has no layer {layer} to steer at. Choose 0 to "
            f"{study.card.n_layers - 1}."
        )
    side = sides(study, axis)
    rows = np.flatnonzero(side)
    chosen = side[rows]
    if shuffled or method == "shuffled":
        chosen = _swapped(chosen, study.labels.group[rows], seed)
    states = _finite_states(store, study, layer, pooling)[study.plan.rows[rows]]
    if method == "probe":
        vector = _probe_weights(states, chosen)
    else:
        vector = states[chosen > 0].mean(axis=0) - states[chosen < 0].mean(axis=0)
    name = axis if method == "means" else f"{axis} ({method})"
    if shuffled:
        name = f"{axis} (shuffled {seed})"
    made = f"shuffled {method}" if shuffled else method
    source = f"{made} of {study.items.digest[:12]}, {pooling}, seed {seed}"
    return _unit(name, vector, study.plan.model, layer, source)


def sides(study: Study, axis: str) -> NDArray[np.int64]:
    """Return which items make up the two sides: 1 towards, -1 away, 0 not used; ``(n,)``.

    Raises:
        DirectionError: There is no such axis, or a side has too few texts in the training split.
    """
    if axis not in (*FOUNDATIONS, *DIMENSIONS):
        raise DirectionError(
            f"There is no axis {axis!r}. Choose one of: {', '.join((*FOUNDATIONS, *DIMENSIONS))}."
        )
    train = study.items.split == "train"
    if axis in FOUNDATIONS:
        column = 2 * FOUNDATIONS.index(axis)
        towards, away = study.members[:, column], study.members[:, column + 1]
    else:
        column = DIMENSIONS.index(axis)
        towards = study.members[:, column]
        away = (study.labels.dimension < 0) & (study.items.foundation == column // 2)
    result = np.zeros(len(train), np.int64)
    result[train & towards] = 1
    result[train & away] = -1
    poles = (
        (f"typical texts for {DIMENSIONS[column]}", f"typical texts for {DIMENSIONS[column + 1]}")
        if axis in FOUNDATIONS
        else (f"typical texts for {axis}", f"neutral texts of {FOUNDATIONS[column // 2]}")
    )
    for sign, name in zip((1, -1), poles, strict=True):
        texts = len(np.unique(study.labels.group[result == sign]))
        if texts < FEWEST_TEXTS:
            raise DirectionError(
                f"The training split has {texts} {name}; {FEWEST_TEXTS} are needed. Choose another "
                "axis or a larger set."
            )
    return result


def _swapped(side: NDArray[np.int64], group: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Shuffle the sides among texts, rows of one text together."""
    texts, number = np.unique(group, return_inverse=True)
    first = np.zeros(len(texts), np.int64)
    first[number[::-1]] = side[::-1]
    mixed: NDArray[np.int64] = np.random.default_rng(seed).permutation(first)[number]
    return mixed


def _probe_weights(states: NDArray[np.float64], side: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights of a ridge probe between the sides, in the states' own coordinates."""
    from sklearn.linear_model import RidgeCV

    spread = states.std(axis=0)
    alive = spread > 1e-9 * spread.max()
    if not alive.any():
        return np.zeros(states.shape[1])
    scaled = (states[:, alive] - states[:, alive].mean(axis=0)) / spread[alive]
    fit = RidgeCV(alphas=[one * len(states) for one in _PENALTIES]).fit(scaled, side)
    weights = np.zeros(states.shape[1])
    weights[alive] = fit.coef_ / spread[alive]
    return weights


# --- controls ---


def control_directions(
    store: Store,
    study: Study,
    family: Family,
    axis: str,
    layer: int,
    count: int,
    *,
    method: Method = "means",
    pooling: Pooling = "last",
) -> list[Direction]:
    """Return the control directions of a moral direction, seeds 0, 1, ...

    Args:
        store: Where the states lie.
        study: Items and model.
        family: How they are drawn.
        axis: Of the moral direction; only shuffled labels depend on it.
        layer: Decoder layer.
        count: How many.
        method: How the moral direction is made; its controls are made alike.
        pooling: From which pooled states.

    Raises:
        DirectionError: As for ``moral_direction``.
        CoreError: The states are not stored.
    """
    seeds = range(count)
    if family == "covariance":
        return [covariance_direction(store, study, layer, seed, pooling) for seed in seeds]
    if family == "isotropic":
        return [isotropic_direction(study, layer, seed) for seed in seeds]
    return [
        moral_direction(
            store, study, axis, layer, method=method, pooling=pooling, seed=seed, shuffled=True
        )
        for seed in seeds
    ]


def covariance_direction(
    store: Store, study: Study, layer: int, seed: int, pooling: Pooling = "last"
) -> Direction:
    """Return a random direction with the covariance of a layer's states, then of unit length.

    ``X' g`` with ``X`` the centred states of the training split and ``g`` standard normal: before
    it is scaled, its covariance is ``X' X``.

    Raises:
        DirectionError: The states are not finite, or the same for every text.
        CoreError: The states are not stored.
    """
    rows = np.unique(study.plan.rows[study.items.split == "train"])
    states = _finite_states(store, study, layer, pooling)[rows]
    centred = states - states.mean(axis=0)
    vector = centred.T @ np.random.default_rng(seed).standard_normal(len(rows))
    source = f"random, covariance of {study.items.digest[:12]}, {pooling}, seed {seed}"
    return _unit(f"random {seed}", vector, study.plan.model, layer, source)


def isotropic_direction(study: Study, layer: int, seed: int) -> Direction:
    """Return a random direction, all directions alike: of equal length it wrecks most models."""
    vector = np.random.default_rng(seed).standard_normal(study.card.d_model)
    source = f"random, isotropic, seed {seed}"
    return _unit(f"isotropic {seed}", vector, study.plan.model, layer, source)


def _finite_states(store: Store, study: Study, layer: int, pooling: Pooling) -> NDArray[np.float64]:
    states = states_of(store, study).prompt_states(layer, pooling).astype(np.float64)
    if not np.isfinite(states).all():
        raise DirectionError(
            f"The states of layer {layer} hold numbers that are not finite. Choose another layer."
        )
    return states


def _unit(
    name: str, vector: NDArray[np.floating], model: str, layer: int, source: str
) -> Direction:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise DirectionError(
            f"The direction {name} has no length: both sides have the same mean, or a number is "
            "not finite. Choose another layer or axis."
        )
    return Direction(name, (vector / length).astype(np.float32), model, layer, source)


# --- files ---


def direction_bytes(direction: Direction) -> bytes:
    """Return a direction as a safetensors file."""
    from safetensors.numpy import save

    about = {
        "name": direction.name,
        "model": direction.model,
        "layer": str(direction.layer),
        "source": direction.source,
        "format": "moralscope direction 1",
    }
    data: bytes = save({_TENSOR: direction.vector}, metadata=about)
    return data


def load_direction(path: Path, card: "ModelCard") -> Direction:
    """Read a direction from a safetensors file of one vector.

    Args:
        path: The file.
        card: The model that is to be steered.

    Raises:
        DirectionError: It is no such file, not one finite vector of the model's width, or it says
            that it belongs to another model.
    """
    vector, about = _read(path)
    if vector.size != card.d_model or vector.ndim > 2 or max(vector.shape) != vector.size:
        raise DirectionError(
            f"{path.name} holds an array of shape {vector.shape}; {card.name} needs one vector of "
            f"{card.d_model} numbers."
        )
    if not np.isfinite(vector).all():
        raise DirectionError(f"{path.name} holds numbers that are not finite. Make it again.")
    model = about.get("model", "")
    if model and model != card.identity:
        raise DirectionError(
            f"{path.name} was made on another model ({model}). Choose that model, or another file."
        )
    layer = int(about["layer"]) if _LAYER.fullmatch(about.get("layer", "")) else -2
    name = about.get("name") or path.stem
    found = _unit(name[:60], vector.ravel(), model, layer, f"file {path.name[:60]}")
    if abs(float(np.linalg.norm(vector)) - 1) < _SAME_LENGTH:  # to the last bit what was exported
        return replace(found, vector=vector.ravel().astype(np.float32))
    return found


def _read(path: Path) -> tuple[NDArray[np.float64], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        if path.stat().st_size > MOST_BYTES:
            raise DirectionError(f"{path.name} is larger than a direction can be (64 MB).")
        with safe_open(path, framework="pt") as file:  # torch reads bfloat16, numpy does not
            names = list(file.keys())
            if len(names) != 1:
                raise DirectionError(
                    f"{path.name} holds {len(names)} arrays; a direction file has exactly one."
                )
            tensor = file.get_tensor(names[0])
            if tensor.is_complex():
                raise DirectionError(f"{path.name} holds complex numbers; directions are real.")
            return tensor.double().numpy(), dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise DirectionError(
            f"{path.name} cannot be read as safetensors: {error}. Choose a .safetensors file with "
            "one vector."
        ) from error
