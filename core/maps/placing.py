"""Items and new sentences on moral axes: how near a layer's states are to the ten centres."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.activations.extraction import check_model, read_texts
from core.activations.prompts import Pooling
from core.activations.study import Study, has_picture, layer_states
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import EMBEDDING
from core.measures.geometry import Typicality, centres, closeness, sentence_closeness, typicality
from core.models.open_models import OpenModel
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate
from core.statistics.neighbours import normalised
from core.statistics.scaling import Scaling

#: What an axis of the map can be: a pole's centre, or virtue minus vice of a foundation.
AXES: Final[tuple[str, ...]] = (*FOUNDATIONS, *DIMENSIONS)


def axis_values(axis: str, scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return one coordinate from ten scores.

    Args:
        axis: One of ``AXES``.
        scores: Moral vectors, or closeness to the ten centres; shape ``(n, 10)``.
    """
    if axis in FOUNDATIONS:
        column = 2 * FOUNDATIONS.index(axis)
        return np.asarray(scores[:, column] - scores[:, column + 1], np.float64)
    return np.asarray(scores[:, DIMENSIONS.index(axis)], np.float64)


class LayerCloseness(NamedTuple):
    """How a layer's states stand to the ten centres."""

    close: NDArray[np.float64]
    """Cosine of each item to each centre, own text left out; ``(n, 10)``."""

    typicality: Typicality
    """Human and model typicality."""


def layer_closeness(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling
) -> LayerCloseness:
    """Return closeness and typicality of every item at a layer."""
    states = layer_states(store, study, layer, pooling, scaling).states[study.plan.rows]
    close = closeness(states, study.members, study.labels.group)
    return LayerCloseness(close, typicality(close, study.labels))


class Placed(NamedTuple):
    """A new sentence, read and compared with the centres at every layer."""

    cosine: NDArray[np.float64]
    """Cosine to the ten centres, ``(n_layers + 1, 10)``; row 0 is the embedding output.

    Items of the same text are left out of the centres, as an item's own text is.
    """

    states: NDArray[np.float32]
    """The sentence's pooled state per layer, ``(n_layers + 1, d_model)``."""

    text: str = ""
    """The sentence."""


def place_sentence(
    store: Store, study: Study, model: OpenModel, text: str, pooling: Pooling, scaling: Scaling
) -> Placed:
    """Read a sentence and compare it with the centres at every layer.

    Args:
        store: Where the items' states lie.
        study: The items and how they were read.
        model: The open model.
        text: The sentence, not empty.
        pooling: Which pooled state.
        scaling: How states are scaled.

    Returns:
        Cosines are NaN at layers where all texts have the same state.

    Raises:
        CoreError: The items were not read, a layer's states are not stored any more, the model has
            changed since, or a state is NaN or infinite.
    """
    check_model(model, study.plan)
    which = study.plan.spec.poolings.index(pooling)
    own = read_texts(model, [text], study.plan.spec)[:, which, 0]
    members = study.members_without(text)
    cosine = np.full((len(study.plan.layers), len(DIMENSIONS)), np.nan)
    for row, layer in enumerate(study.plan.layers):
        if not has_picture(store, study, layer, pooling):
            continue
        known = layer_states(store, study, layer, pooling, scaling)
        middle = centres(known.states[study.plan.rows], members)
        cosine[row] = normalised(middle) @ normalised(known.scaler.apply(own[row])[None])[0]
    return Placed(cosine, own, text)


def sentence_bands(
    store: Store, study: Study, placed: Placed, layer: int, pooling: Pooling, scaling: Scaling
) -> list[tuple[Estimate, Estimate]]:
    """Return a placed sentence's cosine to each centre at one layer, with interval and control.

    Returns:
        For each dimension: cosine with 95 % interval over the centre's members, and mean and 95 %
        band for centres of equally many random items.
    """
    known = layer_states(store, study, layer, pooling, scaling)
    own = known.scaler.apply(placed.states[layer - EMBEDDING])
    members = study.members_without(placed.text)
    return sentence_closeness(own, known.states[study.plan.rows], members, group=study.labels.group)


def nearest_items(
    store: Store,
    study: Study,
    state: NDArray[np.floating],
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
    k: int = 10,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the items nearest to a state at a layer, one per prompt, and their cosines.

    Args:
        store: Where the items' states lie.
        study: The items.
        state: A sentence's state as read, shape ``(d_model,)``.
        layer: Which layer.
        pooling: Which pooled state.
        scaling: How states are scaled.
        k: How many.
    """
    known = layer_states(store, study, layer, pooling, scaling)
    cosine = (normalised(known.states) @ normalised(known.scaler.apply(state)[None])[0]).astype(
        np.float64
    )
    rows = np.argsort(-cosine, kind="stable")[:k]
    return study.first_rows[rows], cosine[rows]
