"""One item set as one model reads it: what a map page asks for, made once and kept.

Pictures form a chain, so that all of them can be compared by eye: the human map first, the anchor
layer turned onto it, every other layer turned onto the anchor.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations import Plan, States, check_model, make_plan, open_states, read_texts
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.geometry import (
    Labels,
    Typicality,
    centres,
    closeness,
    labels_of,
    sentence_closeness,
    typical_members,
    typicality,
)
from core.items import Items
from core.layers import EMBEDDING
from core.models import ModelCard, OpenModel
from core.neighbours import normalised
from core.projection import Layout, LayoutSpec, layout_key, open_layout, project, save_layout
from core.prompts import Pooling, ReadSpec
from core.scaling import Scaler, Scaling, fit_scaler
from core.stats import Estimate
from core.store import Store

#: A picture of fewer different texts than this shows nothing.
FEWEST_TEXTS: Final = 8


@dataclass(frozen=True, eq=False)
class Study:
    """Items, a described model and the plan that joins them. Opening it loads no weights."""

    items: Items
    """What people say."""

    card: ModelCard
    """Who reads it."""

    plan: Plan
    """How it is read; its rows are prompts, one or more items each."""

    @cached_property
    def labels(self) -> Labels:
        """Labels of the items."""
        return labels_of(self.items)

    @cached_property
    def members(self) -> NDArray[np.bool_]:
        """Which items make up each centre, ``(n, 10)``."""
        return typical_members(self.labels)

    @property
    def anchor(self) -> int:
        """The layer to whose picture all others are turned: the middle one."""
        return self.card.n_layers // 2

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """An item of each prompt, shape ``(n_prompts,)``."""
        return np.unique(self.plan.rows, return_index=True)[1].astype(np.int64)


def open_study(items: Items, card: ModelCard, read: ReadSpec) -> Study:
    """Join items and a model.

    Raises:
        CoreError: There are too few different texts for a map.
    """
    plan = make_plan(card, items.texts(), read)
    if len(plan.prompts) < FEWEST_TEXTS:
        raise CoreError(
            f"A map needs at least {FEWEST_TEXTS} different actions; this set has "
            f"{len(plan.prompts)}. Add rows to the table, or choose another set."
        )
    return Study(items, card, plan)


def states_of(store: Store, study: Study) -> States:
    """Return the stored states.

    Raises:
        CoreError: The model has not read these items yet.
    """
    states = open_states(store, study.plan)
    if states is None:
        raise CoreError(
            f"{study.card.name} has not read {study.items.provenance.name} yet. Start the reading "
            "first, on the map page or with: python -m core read."
        )
    return states


class LayerStates(NamedTuple):
    """One layer's states as they are measured."""

    states: NDArray[np.float32]
    """Scaled, a row per prompt, shape ``(n_prompts, d_model)``."""

    scaler: Scaler
    """How a new sentence is scaled."""


def layer_states(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling
) -> LayerStates:
    """Return a layer's scaled states.

    Raises:
        CoreError: The states are not stored, are not finite, or are the same for every prompt.
    """
    raw = states_of(store, study).prompt_states(layer, pooling)
    where = "the embedding output" if layer == EMBEDDING else f"layer {layer}"
    if not np.isfinite(raw).all():
        raise CoreError(
            f"The states of {where} hold numbers that are not finite. Read the model again with "
            "dtype float32, or choose another layer."
        )
    if np.ptp(raw, axis=0).max() == 0:
        raise CoreError(
            f"At {where} the {pooling} state is the same for every text, so there is nothing to "
            "draw or measure. Choose a later layer, or the mean over tokens."
        )
    scaler = fit_scaler(raw, scaling)
    return LayerStates(scaler.apply(raw), scaler)


def has_picture(store: Store, study: Study, layer: int, pooling: Pooling) -> bool:
    """Tell whether the texts' states are finite and differ; last tokens' embeddings never do."""
    raw = states_of(store, study).prompt_states(layer, pooling)
    return bool(np.isfinite(raw).all() and np.ptp(raw, axis=0).max() > 0)


# --- pictures ---


def human_layout(store: Store, items: Items, spec: LayoutSpec) -> Layout:
    """Return the picture of the human moral vectors, one row per item; ties share a place."""
    key = layout_key(spec, {"vectors": items.digest}, "")
    kept = open_layout(store, key)
    if kept is not None:
        return kept
    if len(items) < FEWEST_TEXTS:
        raise CoreError(
            f"A map needs at least {FEWEST_TEXTS} actions; this set has {len(items)}. Add rows to "
            "the table, or choose another set."
        )
    vectors = items.vectors()
    if spec.method == "umap":
        layout = _human_umap(vectors, spec)
    else:
        layout = project(vectors, spec, metric="euclidean")
    save_layout(store, key, layout)
    return layout


def _human_umap(vectors: NDArray[np.float32], spec: LayoutSpec) -> Layout:
    """Run UMAP on the different vectors only: hundreds of equal rows have no neighbourhood."""
    places, number = np.unique(vectors, axis=0, return_inverse=True)
    if len(places) < FEWEST_TEXTS:
        raise CoreError(
            f"The labels of this set take only {len(places)} different values: too few for UMAP. "
            "Choose PCA or moral axes for this set."
        )
    layout = project(places, spec, metric="euclidean")
    return Layout(layout.points[number], layout.trust, layout.explained, None)


def model_layout(
    store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> Layout:
    """Return a layer's picture, one row per prompt, turned onto the anchor's.

    Raises:
        CoreError: The states are not stored.
    """
    key = model_layout_key(study, layer, pooling, scaling, spec)
    kept = open_layout(store, key)
    if kept is not None:
        return kept
    states = layer_states(store, study, layer, pooling, scaling).states
    if layer == study.anchor:
        layout = project(
            states, spec, anchor=_human_points(store, study, spec), start_at_anchor=False
        )
    else:
        anchor = model_layout(store, study, study.anchor, pooling, scaling, spec)
        layout = project(states, spec, anchor=anchor.points)
    save_layout(store, key, layout)
    return layout


def model_layout_key(
    study: Study, layer: int, pooling: Pooling, scaling: Scaling, spec: LayoutSpec
) -> dict[str, Any]:
    """Return the content key of a layer's picture."""
    source = {**study.plan.key(layer, pooling), "scaling": scaling}
    anchor = f"layer {study.anchor}" if layer != study.anchor else "human"
    return layout_key(spec, source, f"{anchor} of {study.items.digest}")


def _human_points(store: Store, study: Study, spec: LayoutSpec) -> NDArray[np.float64]:
    """Return each prompt's mean place on the human map, ``(n_prompts, dims)``."""
    points = human_layout(store, study.items, LayoutSpec(dims=spec.dims)).points
    count = np.bincount(study.plan.rows, minlength=len(study.plan.prompts))
    sums = [np.bincount(study.plan.rows, column, len(count)) for column in points.T]
    return np.column_stack(sums) / count[:, None]


# --- moral axes ---

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


class Reading(NamedTuple):
    """How a layer's states stand to the ten centres."""

    close: NDArray[np.float64]
    """Cosine of each item to each centre, own text left out; ``(n, 10)``."""

    typicality: Typicality
    """Human and model typicality."""


def reading(store: Store, study: Study, layer: int, pooling: Pooling, scaling: Scaling) -> Reading:
    """Return closeness and typicality of every item at a layer."""
    states = layer_states(store, study, layer, pooling, scaling).states[study.plan.rows]
    close = closeness(states, study.members, study.labels.group)
    return Reading(close, typicality(close, study.labels))


# --- a sentence of one's own ---


class Placed(NamedTuple):
    """A new sentence, read and compared with the centres at every layer."""

    cosine: NDArray[np.float64]
    """Cosine to the ten centres, ``(n_layers + 1, 10)``; row 0 is the embedding output."""

    states: NDArray[np.float32]
    """The sentence's pooled state per layer, ``(n_layers + 1, d_model)``."""


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
        Cosines are NaN at layers where all texts have the same state, or one is not finite.

    Raises:
        CoreError: The items were not read, a layer's states are not stored any more, or the model
            has changed since.
    """
    check_model(model, study.plan)
    which = study.plan.spec.poolings.index(pooling)
    own = read_texts(model, [text], study.plan.spec)[:, which, 0]
    cosine = np.full((len(study.plan.layers), len(DIMENSIONS)), np.nan)
    for row, layer in enumerate(study.plan.layers):
        if not has_picture(store, study, layer, pooling):
            continue
        known = layer_states(store, study, layer, pooling, scaling)
        middle = centres(known.states[study.plan.rows], study.members)
        cosine[row] = normalised(middle) @ normalised(known.scaler.apply(own[row])[None])[0]
    return Placed(cosine, own)


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
    return sentence_closeness(
        own, known.states[study.plan.rows], study.members, group=study.labels.group
    )


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
