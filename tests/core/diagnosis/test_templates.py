"""Other templates at the same layers: what they give, their spread, what may still be said."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec
from core.diagnosis import templates
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests, study_cohort
from core.diagnosis.templates import (
    OWN,
    Phrasing,
    measure_template,
    own_phrasing,
    spread,
    spread_verdict,
    templates_line,
)
from core.diagnosis.verdicts import scorecard
from core.measures.result import TESTS
from core.statistics.bootstrap import Estimate
from tests.core.benches import done, finish, write_table

FEW = DiagnosisSpec(draws=5, shuffles=5)
OBSERVED = Estimate(0.4, 0.3, 0.45)


def phrased(*values):
    return [Phrasing(str(number), "", {"gradient": one}) for number, one in enumerate(values)]


def test_the_total_interval_adds_the_spread_between_templates_to_that_over_texts():
    found = spread(phrased(0.4, 0.5, 0.3, 0.45, 0.35), "gradient", OBSERVED)
    assert (found.n, found.low, found.high) == (5, 0.3, 0.5)
    assert found.sd == pytest.approx(0.0790569)
    more = 2.7764451 * found.sd
    assert found.total == pytest.approx(
        (0.4, 0.4 - math.hypot(0.1, more), 0.4 + math.hypot(0.05, more))
    )


def test_templates_that_change_nothing_leave_the_interval_as_it_is():
    found = spread(phrased(0.4, 0.4, 0.4), "gradient", OBSERVED)
    assert found.sd == pytest.approx(0)
    assert found.total == pytest.approx(OBSERVED)


def test_a_template_without_a_figure_is_passed_over_and_one_alone_has_no_spread():
    assert spread(phrased(0.4, math.nan, 0.5), "gradient", OBSERVED).n == 2
    alone = spread(phrased(0.4, math.nan), "gradient", OBSERVED)
    assert alone.n == 1
    assert math.isnan(alone.sd)
    assert math.isnan(alone.total.low)


def test_a_figure_that_hangs_on_its_template_is_told_so(study, make_diagnosis):
    score = scorecard(make_diagnosis(study), make_diagnosis(study, flat=True))[1]
    assert (score.test, score.verdict.level) == ("gradient", "beyond")
    steady, shaky = phrased(0.6, 0.61, 0.59, 0.6, 0.6), phrased(0.6, 0.1, 0.2, 0.7, 0.0)
    kept = spread_verdict(score, spread(steady, "gradient", score.figure.observed))
    lost = spread_verdict(score, spread(shaky, "gradient", score.figure.observed))
    assert (kept.level, lost.level) == ("beyond", "chance")
    assert templates_line(score, steady) == (
        "5 templates: 0.590 to 0.610, sd 0.007; over texts and templates 0.600 [0.546, 0.654]."
    )
    assert templates_line(score, shaky).endswith(
        "]; by that interval not distinguishable from chance."
    )
    assert templates_line(score, shaky[:1]) == "Templates: 1 of 1 computable."


def test_the_own_template_measured_again_gives_the_figures_of_the_diagnosis(
    bench, llama_spec, tmp_path
):
    """So a difference between templates is none of the way they are measured."""
    spec = ItemSpec("file", write_table(tmp_path / "many.tsv", 200))
    many = study_of(bench, done(bench.add_items(spec)).result, llama_spec, ReadSpec())
    finish(bench, reading(bench, many))
    found = four_tests(bench.store, many, FEW).get()
    own, cohort = own_phrasing(found), study_cohort(many, FEW)
    assert own.name == OWN
    again = measure_template(bench.store, many, found.chosen, FEW.pooling, FEW.scaling, cohort)
    assert set(again) == set(TESTS)
    assert again == pytest.approx(own.figures, abs=1e-12)


def test_a_template_that_wipes_out_what_the_other_shows_is_seen(study, monkeypatch):
    """Planted: states that are people's vectors under one template, noise under the other."""
    draw = np.random.default_rng(0)
    cohort = study_cohort(study, FEW)
    first = study.first_rows
    planted = cohort.vectors[first] + 0.05 * draw.standard_normal((len(first), 10))
    for states, low, high in (
        (planted, 0.5, 1.0),
        (draw.standard_normal(planted.shape), -0.2, 0.2),
    ):
        given = states.astype(np.float32)
        raw = SimpleNamespace(prompt_states=lambda *_, given=given: given)
        scaled = SimpleNamespace(states=given)
        monkeypatch.setattr(templates, "states_of", lambda *_, raw=raw: raw)
        monkeypatch.setattr(templates, "layer_states", lambda *_, scaled=scaled: scaled)
        found = measure_template(
            None, study, {"gradient": 1, "dimensional": 1}, "mean", "centred", cohort
        )
        assert all(low < one < high for one in found.values()), found
    assert set(found) < set(TESTS)
