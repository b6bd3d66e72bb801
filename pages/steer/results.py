"""What the steering page keeps between reruns."""

from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from core.activations.prompts import Pooling
from core.activations.study import Study
from core.alignment import shares as aligned_shares
from core.alignment.moves import Edit
from core.alignment.shares import Shares
from core.alignment.spec import Arm
from core.foundations import FOUNDATIONS
from core.maps.view import ViewSpec
from core.runtime.made import Made
from core.sae.dictionary import Dictionary
from core.statistics.scaling import Scaling
from core.steering import jobs as steering_jobs
from core.steering.aligned import aligned_of
from core.steering.directions import Method
from core.steering.effects.controls import HeldOutPrompts, held_out_prompts
from core.steering.effects.landing import Landed
from core.steering.effects.paths import NeighbourMap
from core.steering.effects.probes import Probed, ProbeMap
from core.steering.effects.readout import Held, ReadOut, WordSets
from core.steering.effects.shift import Shift, shift, still
from core.steering.effects.text_diff import TokenProjection
from core.steering.history import Run
from core.steering.recipes import Operation, Recipe
from core.steering.view import motion_numbers
from pages.shared.bench import NAMES, workbench

T = TypeVar("T")


@st.cache_resource(show_spinner=False, max_entries=64, hash_funcs=NAMES)
def asked(study: Study, which: str) -> HeldOutPrompts:
    """Return the held-out actions that a read-out asks about."""
    return held_out_prompts(study, which)


@st.cache_resource(show_spinner=False, max_entries=256, hash_funcs=NAMES)
def answer(
    study: Study, recipe: Recipe, prompts: tuple[str, ...], words: WordSets
) -> tuple[ReadOut, ReadOut]:
    """Return a read-out and its control, asked of the model only once."""
    held = _held(study, prompts, min(recipe.layers))
    return steering_jobs.answer(workbench(), study, recipe, held, words)


@st.cache_resource(show_spinner=False, max_entries=16, hash_funcs=NAMES)
def _held(study: Study, prompts: tuple[str, ...], layer: int) -> Held:
    return steering_jobs.hold(workbench(), study, prompts, layer)


@st.cache_resource(show_spinner="Reading the texts again …", max_entries=64, hash_funcs=NAMES)
def landed(
    study: Study, texts: tuple[str, ...], layer: int, pooling: Pooling, scaling: Scaling
) -> Landed:
    """Return where texts land among the items."""
    return steering_jobs.land(workbench(), study, texts, layer, pooling, scaling)


@st.cache_resource(show_spinner="Looking at every token …", max_entries=64, hash_funcs=NAMES)
def projections(
    study: Study, run: Run, axis: str
) -> tuple[list[TokenProjection], list[TokenProjection]]:
    """Return where a run's texts light up along an axis."""
    return steering_jobs.token_projections(workbench(), study, run, axis)


@st.cache_resource(show_spinner="Seeing where the points go …", max_entries=32, hash_funcs=NAMES)
def moved(
    study: Study, spec: ViewSpec, method: Method, pooling: Pooling, others: Recipe | None
) -> tuple[Shift, dict[str, Any]]:
    """Return where the foundations' axes move a map's points, and the same as JSON holds it."""
    found = _along(shift, study, spec, method, pooling, others)
    return found, motion_numbers(found)


@st.cache_resource(show_spinner="Drawing the map …", max_entries=8, hash_funcs=NAMES)
def unmoved(study: Study, spec: ViewSpec) -> tuple[Shift, dict[str, Any]]:
    """Return a map that no axis moves, and the same as JSON holds it."""
    found = still(workbench().store, study, FOUNDATIONS, spec)
    return found, motion_numbers(found)


@st.cache_resource(show_spinner="Placing by neighbours …", max_entries=4, hash_funcs=NAMES)
def neighbours(
    study: Study, spec: ViewSpec, method: Method, pooling: Pooling, others: Recipe | None
) -> tuple[NeighbourMap, dict[str, Any]]:
    """Return where the axes move the points of a UMAP, and the same as JSON holds it."""
    found = _along(NeighbourMap, study, spec, method, pooling, others)
    return found, motion_numbers(found.paths)


def _along(
    make: Callable[..., T],
    study: Study,
    spec: ViewSpec,
    method: Method,
    pooling: Pooling,
    others: Recipe | None,
) -> T:
    """Return where the foundations' axes and others move a map's points, as some way knows it."""
    store = workbench().store
    return make(store, study, FOUNDATIONS, spec, method=method, pooling=pooling, others=others)


@st.cache_resource(show_spinner="Placing what was read …", max_entries=8, hash_funcs=NAMES)
def probed(
    study: Study, made: Made[Probed], spec: ViewSpec, others: Recipe | None
) -> tuple[ProbeMap, dict[str, Any]]:
    """Return where probes take a map's points, and the same as JSON holds it."""
    found = steering_jobs.probe_map(workbench(), study, made.get(), spec, others)
    return found, motion_numbers(found.paths)


@st.cache_resource(show_spinner=False, max_entries=8, hash_funcs=NAMES)
def aligned(study: Study, axis: str) -> tuple[Dictionary, Dictionary]:
    """Return the aligned dictionary that an axis names, and what it was before.

    Raises:
        CoreError: One of the two is not at hand or does not fit.
    """
    return aligned_of(workbench().store, study.card, axis)


@st.cache_resource(show_spinner=False, max_entries=4, hash_funcs=NAMES)
def arms_beside(
    study: Study, after: Dictionary, before: Dictionary, operation: Operation
) -> dict[Arm, Edit]:
    """Return the control arms that were trained with an aligned dictionary and are kept."""
    return aligned_shares.arms_beside(workbench(), study, Edit(after, before, operation))


@st.cache_resource(show_spinner="Placing the texts …", max_entries=8, hash_funcs=NAMES)
def shares(
    study: Study, spec: ViewSpec, axis: str, made: Made[Any], beside: dict[Arm, Made[Any]]
) -> tuple[Shares, dict[str, Any]]:
    """Return where a kept change moves a map's points beside others, and that as JSON holds it."""
    others = {arm: one.get() for arm, one in beside.items()}
    found = aligned_shares.shares(workbench().store, study, spec, axis, made.get(), others)
    return found, motion_numbers(found.motion) | {"told": list(found.told)}
