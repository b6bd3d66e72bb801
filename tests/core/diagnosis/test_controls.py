"""Further controls as kept things: after the readings, opened without weights, once each."""

from dataclasses import replace

import numpy as np
import pytest

from core.activations.jobs import reading, study_of
from core.activations.prompts import ReadSpec
from core.dataset.sets import ItemSpec
from core.diagnosis import controls_report as report
from core.diagnosis.concept import Beside
from core.diagnosis.controls import Directions, further_controls, other_concept
from core.diagnosis.controls_plots import (
    concept_figure,
    partial_figure,
    selectivity_figure,
    transfer_figure,
)
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.diagnosis.jobs import further
from core.measures.partial_gradients import Partial
from core.measures.result import NOTHING, TESTS
from core.measures.selectivity import Selectivity
from core.statistics.bootstrap import Estimate
from tests.core.benches import closed, done, finish, write_table

FEW = DiagnosisSpec(draws=20, shuffles=20)


@pytest.fixture
def diagnosed(bench, tmp_path, llama_spec):
    """Return 300 actions read and diagnosed by the tiny Llama."""
    table = write_table(tmp_path / "t.tsv", n=300)
    items = done(bench.add_items(ItemSpec("file", table))).result
    study = study_of(bench, items, llama_spec, ReadSpec())
    finish(bench, reading(bench, study))
    return four_tests(bench.store, study, FEW).get()


@pytest.mark.slow
def test_they_come_after_both_readings_and_open_without_weights(bench, diagnosed, monkeypatch):
    made = further(bench, diagnosed)
    assert made.open() is None
    read, measure = finish(bench, made)
    assert read.key == reading(bench, other_concept(diagnosed.study)).name
    assert measure.title.startswith("Further controls of tiny-llama")
    found = measure.result
    assert [row.test for row in found.concept] == list(diagnosed.chosen)
    assert [row.layer for row in found.concept] == list(diagnosed.chosen.values())
    # The figures they begin with are those of the scorecard.
    gradient, probe = (
        diagnosed.layers[diagnosed.chosen[test]].reported(test).observed
        for test in ("gradient", "dimensional")
    )
    assert found.partial.plain.value == pytest.approx(gradient.value, abs=1e-3)  # ties by rounding
    assert found.selectivity.real == pytest.approx(probe, abs=1e-6)
    again = closed(bench, monkeypatch)
    assert repr(further(again, diagnosed).open()) == repr(found)


def test_other_settings_are_other_controls(bench, diagnosed):
    store = bench.store
    others = [
        replace(diagnosed, spec=replace(FEW, **changed))
        for changed in ({}, {"draws": 21}, {"seed": 1}, {"scaling": "centred"}, {"shuffles": 21})
    ]
    assert len({further_controls(store, one).name for one in others}) == len(others)
    assert further_controls(store, diagnosed).name == further_controls(store, others[0]).name


def test_a_model_reads_both_sets_in_the_same_way(diagnosed):
    other = other_concept(diagnosed.study)
    assert other.plan.spec == diagnosed.study.plan.spec
    assert other.card is diagnosed.study.card
    assert len(other.plan.prompts) == 240


# In words ---------------------------------------------------------------------------------------


def row(low, high, test="gradient"):
    side = Estimate(0.2, 0.1, 0.3)
    middle = (low + high) / 2
    return Beside(test, 3, 240, *[side] * 6, Estimate(middle, low, high))


def test_the_headline_claims_no_more_than_the_intervals():
    above, same, below = row(0.1, 0.3), row(-0.1, 0.3, "structural"), row(-0.3, -0.1, "categorical")
    assert report.concept_text([above, same]) == (
        "The moral figure exceeds that of pleasantness in: gradient."
    )
    none = report.concept_text([same, below])
    assert none.startswith("In no test does the moral figure exceed")
    assert none.endswith("Pleasantness exceeds it in: categorical.")
    unknown = same._replace(difference=NOTHING)
    assert "cannot be compared" in report.concept_text([unknown])
    assert report.VERDICTS[unknown.level] == "not computable"


@pytest.mark.parametrize(
    ("own", "crossed", "difference", "said"),
    [
        (0.7, 0.5, 0.2, "more than pleasantness, whose direction is not shown to part them."),
        (0.8, 0.6, 0.2, "parted by more than pleasantness."),
        (0.7, 0.69, 0.01, "may be pleasantness"),
        (0.51, 0.5, 0.01, "No direction is shown"),
    ],
)
def test_directions_in_words(own, crossed, difference, said):
    def around(value):
        return Estimate(value, value - 0.05, value + 0.05)

    side = around(0.9)
    found = Directions(around(own), around(crossed), around(difference), side, side, side)
    assert report.transfer_text(found).count(said) == 1
    assert len(transfer_figure(found).data) == 4
    assert "not computable" in report.transfer_text(found._replace(moral=NOTHING))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.01, 0.05, "reads the labels better"),
        (-0.01, 0.05, "not shown to be selective"),
        (-0.05, -0.01, "no sign of moral structure"),
    ],
)
def test_selectivity_in_words(low, high, said):
    side = Estimate(0.1, 0.05, 0.15)
    found = Selectivity(side, side, Estimate(0.0, low, high), 30, 0.9)
    assert said in report.selectivity_text(found)
    assert "90% of the texts" in report.selectivity_text(found)


@pytest.mark.parametrize(
    ("left", "change", "said"),
    [
        (Estimate(0.3, 0.2, 0.4), Estimate(-0.1, -0.2, -0.05), "some of it, not for all"),
        (Estimate(0.6, 0.5, 0.7), Estimate(0.2, 0.1, 0.3), "hid some of it"),
        (Estimate(0.3, 0.2, 0.4), Estimate(-0.1, -0.2, 0.05), "nothing beyond noise"),
        (Estimate(0.1, -0.1, 0.3), Estimate(-0.3, -0.4, -0.2), "cannot be told from none"),
    ],
)
def test_partial_typicality_in_words(left, change, said):
    assert said in report.partial_text(Partial(Estimate(0.4, 0.3, 0.5), left, change))


def test_what_is_not_there_is_said():
    assert "not computable" in report.selectivity_text(None)
    assert "not computable" in report.partial_text(Partial(NOTHING, NOTHING, NOTHING))


# Drawn ------------------------------------------------------------------------------------------


def test_charts_hold_each_figure_with_its_interval():
    figure = concept_figure(row(-0.1, 0.3, TESTS[0]))
    names = ["moral", "its words", "pleasantness", "its words ", "difference"]
    assert [one.name for one in figure.data] == names[::-1]
    moral = figure.data[-1]
    assert moral.x[0] == pytest.approx(0.0)  # 0.2, of which shuffled labels give 0.2
    assert moral.error_x.array[0] == pytest.approx(0.1)
    side = Estimate(0.1, 0.05, 0.15)
    assert len(selectivity_figure(Selectivity(side, side, side, 3, 1.0)).data) == 3
    assert len(partial_figure(Partial(side, NOTHING, side)).data) == 2
    assert np.isfinite(moral.x[0])
