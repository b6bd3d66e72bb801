"""What the steering page keeps between reruns."""

import streamlit as st

from core.activations.prompts import Pooling
from core.activations.study import Study
from core.statistics.scaling import Scaling
from core.steering import jobs as steering_jobs
from core.steering.effects.controls import HeldOutPrompts, held_out_prompts
from core.steering.effects.landing import Landed
from core.steering.effects.readout import Held, ReadOut, WordSets
from core.steering.effects.text_diff import TokenProjection
from core.steering.history import Run
from core.steering.recipes import Recipe
from pages.shared.bench import key_of, workbench


def asked(study: Study, which: str) -> HeldOutPrompts:
    """Return the held-out actions that a read-out asks about."""
    return _asked(study, key_of(study), which)


@st.cache_resource(show_spinner=False, max_entries=64)
def _asked(_study: Study, key: str, which: str) -> HeldOutPrompts:
    del key
    return held_out_prompts(_study, which)


def answer(
    study: Study, recipe: Recipe, prompts: tuple[str, ...], words: WordSets
) -> tuple[ReadOut, ReadOut]:
    """Return a read-out and its control, asked of the model only once."""
    return _answer(study, key_of(study), recipe, prompts, words)


@st.cache_resource(show_spinner=False, max_entries=256)
def _answer(
    _study: Study, key: str, recipe: Recipe, prompts: tuple[str, ...], words: WordSets
) -> tuple[ReadOut, ReadOut]:
    held = _held(_study, key, prompts, min(recipe.layers))
    return steering_jobs.answer(workbench(), _study, recipe, held, words)


@st.cache_resource(show_spinner=False, max_entries=16)
def _held(_study: Study, key: str, prompts: tuple[str, ...], layer: int) -> Held:
    del key
    return steering_jobs.hold(workbench(), _study, prompts, layer)


def landed(
    study: Study, texts: tuple[str, ...], layer: int, pooling: Pooling, scaling: Scaling
) -> Landed:
    """Return where texts land among the items."""
    return _landed(study, key_of(study), texts, layer, pooling, scaling)


@st.cache_resource(show_spinner="Reading the texts again …", max_entries=64)
def _landed(
    _study: Study,
    key: str,
    texts: tuple[str, ...],
    layer: int,
    pooling: Pooling,
    scaling: Scaling,
) -> Landed:
    del key
    return steering_jobs.land(workbench(), _study, texts, layer, pooling, scaling)


def heats(study: Study, run: Run, axis: str) -> tuple[list[TokenProjection], list[TokenProjection]]:
    """Return where a run's texts light up along an axis."""
    return _heats(study, run, key_of(study), run.name, axis)


@st.cache_resource(show_spinner="Looking at every token …", max_entries=64)
def _heats(
    _study: Study, _run: Run, key: str, name: str, axis: str
) -> tuple[list[TokenProjection], list[TokenProjection]]:
    del key, name
    return steering_jobs.token_projections(workbench(), _study, _run, axis)
