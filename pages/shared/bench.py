"""What pages share of core: one workbench per process, and results kept between reruns.

The only home of ``st.cache_*``. Everything cached here is immutable or guarded by its own lock.
Arguments that begin with an underscore are not hashed; ``key`` stands for them.
"""

import pandas as pd
import streamlit as st

from core import CoreError
from core.activations.prompts import Pooling, ReadSpec
from core.activations.study import Study
from core.comparison import jobs as comparison_jobs
from core.comparison.jobs import CompareSpec, Found
from core.comparison.sides import Side
from core.dataset.items import Items
from core.diagnosis import view as diagnosis_view
from core.diagnosis.diagnosis import Diagnosis, DiagnosisSpec, is_diagnosed, open_diagnosis
from core.diagnosis.evidence import Finding, evidence
from core.diagnosis.report import Diagnosed
from core.diagnosis.waterfall import Step, open_waterfall
from core.maps import view as maps_view
from core.maps.placing import Reading
from core.maps.view import Picture, ViewSpec
from core.measures.ceiling import Ceiling, ceiling
from core.measures.cohort import cohort_of
from core.measures.confusions import Confusion
from core.measures.result import Test
from core.models.spec import ModelSpec
from core.runtime.store import fingerprint
from core.statistics.scaling import Scaling
from core.steering import jobs as steering_jobs
from core.steering.effects.controls import Asked, asked_actions
from core.steering.effects.landing import Landed
from core.steering.effects.readout import Held, ReadOut, WordSets
from core.steering.effects.text_diff import Heat
from core.steering.history import Run
from core.steering.recipes import Recipe
from core.workbench import Workbench


@st.cache_resource(show_spinner=False)
def bench() -> Workbench:
    """Return the process's workbench."""
    return Workbench.at()


@st.cache_resource(show_spinner="Opening the items …", max_entries=8)
def items(name: str) -> Items:
    """Return a set of items by name."""
    return bench().items(name)


@st.cache_resource(show_spinner="Looking at the model …", max_entries=16)
def study(set_name: str, model: str, read: ReadSpec) -> Study:
    """Return the study of a set and a model."""
    return bench().study(items(set_name), ModelSpec.parse(model), read)


@st.cache_resource(show_spinner="Drawing the human map …", max_entries=32)
def human_picture(set_name: str, spec: ViewSpec) -> Picture:
    """Return the human map."""
    return maps_view.human_picture(bench().store, items(set_name), spec)


def _key(study: Study) -> str:
    return fingerprint({**study.plan.base_key(), "items": study.items.digest})


def reading(study: Study, spec: ViewSpec) -> Reading:
    """Return a layer's reading."""
    return _reading(study, _key(study), spec)


@st.cache_resource(show_spinner="Comparing with the centres …", max_entries=64)
def _reading(_study: Study, key: str, spec: ViewSpec) -> Reading:
    del key
    return maps_view.layer_reading(bench().store, _study, spec)


def model_picture(study: Study, spec: ViewSpec) -> Picture:
    """Return a layer's map."""
    return _model_picture(study, _key(study), spec)


@st.cache_resource(show_spinner="Drawing the layer …", max_entries=128)
def _model_picture(_study: Study, key: str, spec: ViewSpec) -> Picture:
    return maps_view.model_picture(bench().store, _study, spec, _reading(_study, key, spec))


def findings(study: Study, spec: ViewSpec) -> list[Finding]:
    """Return a layer's findings beside their controls."""
    return _findings(study, _key(study), spec)


@st.cache_resource(show_spinner="Measuring against controls …", max_entries=128)
def _findings(_study: Study, key: str, spec: ViewSpec) -> list[Finding]:
    del key
    return evidence(bench().store, _study, spec.layer, spec.pooling, spec.scaling)


def facts(set_name: str, study: Study | None, spec: ViewSpec) -> pd.DataFrame:
    """Return the table twin of the maps; without a study, the human side alone."""
    if study is None:
        return _human_facts(set_name)
    return _facts(study, _key(study), spec)


@st.cache_data(show_spinner=False, max_entries=8)
def _human_facts(set_name: str) -> pd.DataFrame:
    return maps_view.facts(items(set_name), None)


@st.cache_data(show_spinner=False, max_entries=16)
def _facts(_study: Study, key: str, spec: ViewSpec) -> pd.DataFrame:
    return maps_view.facts(_study.items, _reading(_study, key, spec))


def untrained(study: Study) -> Study | None:
    """Return the study of a model's untrained copy; None if it is one itself."""
    return _untrained(study, _key(study))


@st.cache_resource(show_spinner=False, max_entries=16)
def _untrained(_study: Study, key: str) -> Study | None:
    del key
    return bench().untrained(_study)


def diagnosis(study: Study, spec: DiagnosisSpec) -> Diagnosis | None:
    """Return the four tests at every layer; None while they are not measured."""
    if not is_diagnosed(bench().store, study, spec):
        return None
    return _diagnosis(study, _key(study), spec)


@st.cache_resource(show_spinner="Opening the diagnosis …", max_entries=16)
def _diagnosis(_study: Study, key: str, spec: DiagnosisSpec) -> Diagnosis:
    del key
    found = open_diagnosis(bench().store, _study, spec)
    if found is None:
        raise CoreError("The diagnosis was deleted while it was opened. Load the page again.")
    return found


def waterfall(study: Study) -> dict[Test, list[Step]] | None:
    """Return the waterfall of each test; None while it is not measured."""
    paper, plain = bench().both_readings(study)
    return open_waterfall(bench().store, paper, plain)


def confusions(study: Study, spec: DiagnosisSpec, layer: int) -> list[Confusion]:
    """Return the opposite actions that a layer tells apart least."""
    return _confusions(study, _key(study), spec, layer)


@st.cache_resource(show_spinner="Looking for confusions …", max_entries=128)
def _confusions(_study: Study, key: str, spec: DiagnosisSpec, layer: int) -> list[Confusion]:
    del key
    return diagnosis_view.layer_confusions(bench().store, _study, spec, layer)


@st.cache_resource(show_spinner="Asking how far people agree …", max_entries=8)
def human_ceiling(set_name: str) -> Ceiling:
    """Return how far people agree among themselves on a set."""
    return ceiling(cohort_of(items(set_name)))


def figure_table(diagnosed: Diagnosis, untrained: Diagnosis | None) -> pd.DataFrame:
    """Return every figure of a diagnosis, one row each: what the command line writes."""
    key = _key(diagnosed.study)
    return _figure_table(diagnosed, untrained, key, diagnosed.spec, compared=untrained is not None)


@st.cache_data(show_spinner=False, max_entries=8)
def _figure_table(
    _diagnosed: Diagnosis,
    _untrained: Diagnosis | None,
    key: str,
    spec: DiagnosisSpec,
    *,
    compared: bool,
) -> pd.DataFrame:
    del key, spec, compared
    return pd.DataFrame(Diagnosed(_diagnosed, _untrained).records()).astype({"layer": "Int64"})


# --- comparison ---


def compared(sides: list[Side], spec: CompareSpec) -> Found | None:
    """Return everything that a comparison shows; None while something has to be made first."""
    try:
        return _compared(tuple(sides), comparison_jobs.compare_key(sides, spec), spec)
    except comparison_jobs.NotReadyError:
        return None


@st.cache_resource(show_spinner="Opening the comparison …", max_entries=16)
def _compared(_sides: tuple[Side, ...], key: str, _spec: CompareSpec) -> Found:
    del key
    return comparison_jobs.gathered(bench(), _sides, _spec)


# --- steering ---


def asked(study: Study, which: str) -> Asked:
    """Return the held-out actions that a read-out asks about."""
    return _asked(study, _key(study), which)


@st.cache_resource(show_spinner=False, max_entries=64)
def _asked(_study: Study, key: str, which: str) -> Asked:
    del key
    return asked_actions(_study, which)


def answer(
    study: Study, recipe: Recipe, prompts: tuple[str, ...], words: WordSets
) -> tuple[ReadOut, ReadOut]:
    """Return a read-out and its control, asked of the model only once."""
    return _answer(study, _key(study), recipe, prompts, words)


@st.cache_resource(show_spinner=False, max_entries=256)
def _answer(
    _study: Study, key: str, recipe: Recipe, prompts: tuple[str, ...], words: WordSets
) -> tuple[ReadOut, ReadOut]:
    held = _held(_study, key, prompts, min(recipe.layers))
    return steering_jobs.answer(bench(), _study, recipe, held, words)


@st.cache_resource(show_spinner=False, max_entries=16)
def _held(_study: Study, key: str, prompts: tuple[str, ...], layer: int) -> Held:
    del key
    return steering_jobs.hold(bench(), _study, prompts, layer)


def landed(
    study: Study, texts: tuple[str, ...], layer: int, pooling: Pooling, scaling: Scaling
) -> Landed:
    """Return where texts land among the items."""
    return _landed(study, _key(study), texts, layer, pooling, scaling)


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
    return steering_jobs.land(bench(), _study, texts, layer, pooling, scaling)


def heats(study: Study, run: Run, axis: str) -> tuple[list[Heat], list[Heat]]:
    """Return where a run's texts light up along an axis."""
    return _heats(study, run, _key(study), run.name, axis)


@st.cache_resource(show_spinner="Looking at every token …", max_entries=64)
def _heats(
    _study: Study, _run: Run, key: str, name: str, axis: str
) -> tuple[list[Heat], list[Heat]]:
    del key, name
    return steering_jobs.heats(bench(), _study, _run, axis)
