"""One item set as one model reads it: what a map page asks for, made once and kept.

Pictures form a chain, so that all of them can be compared by eye: the human map first, the anchor
layer turned onto it, every other layer turned onto the anchor.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import CoreError
from core.activations.extraction import Plan, States, make_plan, open_states
from core.activations.prompts import Pooling, ReadSpec
from core.dataset.items import Items
from core.dataset.labels import Labels, labels_of, typical_members
from core.dataset.splits import text_group
from core.layers import EMBEDDING
from core.models.devices import not_finite_advice
from core.models.open_models import ModelCard
from core.runtime.store import Store
from core.statistics.scaling import Scaler, Scaling, fit_scaler

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

    def members_without(self, text: str) -> NDArray[np.bool_]:
        """Return ``members`` without the items of a text, so that it is not compared with itself.

        A new text that an item has already is left out as that item leaves out its own.
        """
        groups = np.asarray(self.items.table["text_group"].to_pylist())
        others: NDArray[np.bool_] = groups != text_group(text)
        return self.members & others[:, None]

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
            f"The states of {where} hold numbers that are not finite. Choose another layer. "
            f"{not_finite_advice(study.card.dtype)}"
        )
    if np.ptp(raw, axis=0).max() == 0:
        raise CoreError(
            f"At {where} the {pooling} state is the same for every text, so there is nothing to "
            "draw or measure. Choose a later layer, or the mean over tokens."
        )
    scaler = fit_scaler(study.plan.fitted_rows(raw), scaling)
    return LayerStates(scaler.apply(raw), scaler)


def has_picture(store: Store, study: Study, layer: int, pooling: Pooling) -> bool:
    """Tell whether the texts' states are finite and differ; last tokens' embeddings never do."""
    raw = states_of(store, study).prompt_states(layer, pooling)
    return bool(np.isfinite(raw).all() and np.ptp(raw, axis=0).max() > 0)


# --- pictures ---


# --- moral axes ---


# --- a sentence of one's own ---
