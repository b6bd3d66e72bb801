"""Fixtures for tests of jobs, and of what is made from a finished diagnosis: made figures."""

import numpy as np
import pytest

from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset import sets
from core.dataset.sets import ItemSpec
from core.diagnosis.diagnosis import BASELINES, Diagnosis, DiagnosisSpec
from core.diagnosis.layer import LayerDiagnosis
from core.layers import EMBEDDING
from core.measures.result import ALL, HEADLINES, TESTS, Measured, Measurement
from core.models.open_models import describe
from core.statistics.bootstrap import Estimate
from core.workbench import Workbench
from tests.core.benches import done, write_table


def made_layer(height, shift=0.0):
    """Return four tests with headlines around a height in all texts and both halves."""
    value = height + shift
    null = np.linspace(-0.02, 0.02, 5, dtype=np.float32)
    whole, second = {}, {}
    for test in TESTS:
        observed = Estimate(value, value - 0.05, value + 0.05)
        headline = Measurement(test, HEADLINES[test], ALL, 90, observed, Estimate(0.0, -0.03, 0.03))
        care = Measurement(
            test, HEADLINES[test], "care", 9, Estimate(np.nan, np.nan, np.nan), observed
        )
        draws = np.array([value, value + 0.01], np.float32)
        whole[test] = Measured((headline, care), draws, null)
        second[test] = Measured((headline._replace(n=45),), draws, null)
    return LayerDiagnosis(whole, dict.fromkeys(TESTS, value), second)


@pytest.fixture
def study(store, llama_spec):
    """Return the built-in set beside the tiny Llama, of which no weight is read."""
    return open_study(sets.builtin(store), describe(llama_spec, store), ReadSpec())


@pytest.fixture
def make_diagnosis():
    """Return a function that makes a diagnosis: layer 1 is the highest, controls are near 0."""

    def make(study, spec=None, *, shift=0.0, flat=False, broken=()):
        heights = {EMBEDDING: 0.04, 0: 0.3, 1: 0.6, 2: 0.5}
        layers = {
            layer: LayerDiagnosis({}, {}, {}, f"Layer {layer} cannot be measured.")
            if layer in broken
            else made_layer(0.05 if flat else height, shift)
            for layer, height in heights.items()
        }
        baselines = {name: made_layer(0.1, shift) for name in BASELINES}
        return Diagnosis(study, spec or DiagnosisSpec(), layers, baselines)

    return make


@pytest.fixture
def bench(tmp_path):
    """Return a workbench whose cache is empty."""
    return Workbench.at(tmp_path / "cache")


@pytest.fixture
def few_items(bench, tmp_path):
    """Return a set of 24 actions on the bench."""
    return done(bench.add_items(ItemSpec("file", write_table(tmp_path / "t.tsv")))).result


@pytest.fixture
def few_study(bench, few_items, llama_spec):
    """Return those 24 actions beside the tiny Llama, of which no weight is read."""
    return study_of(bench, few_items, llama_spec, ReadSpec())
