"""The four tests of two models, paired: equal for equals, kept, refused where draws are others."""

from dataclasses import replace

import pytest

from core import CoreError
from core.comparison.paired_tests import (
    differences_at,
    differences_at_best,
)
from core.diagnosis.diagnosis import DiagnosisSpec, four_tests
from core.measures.result import TESTS
from tests.core.comparison.comparesets import made_study, noise, planted, set_of, worded_rows

SPEC = DiagnosisSpec(draws=60, shuffles=40)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a store and the diagnoses of a model that knows the labels and one that does not."""
    from core.runtime.store import Store

    store = Store(tmp_path_factory.mktemp("paired") / "store")
    items = set_of(store, worded_rows(300))
    first = made_study(store, items, planted, name="knows", layers=1)
    second = made_study(store, items, noise, name="noise", layers=2, width=9)
    return store, four_tests(store, first, SPEC).get(), four_tests(store, second, SPEC).get()


def test_a_model_does_not_differ_from_itself(made):
    _, first, _ = made
    for found in (differences_at(first, first, 0, 0), differences_at_best(first, first)):
        assert [one.test for one in found] == list(TESTS)
        assert {one.level for one in found} == {"noise"}
        assert all(one.difference == (0, 0, 0) for one in found)


def test_a_model_that_knows_the_labels_differs_from_one_that_does_not(made):
    _, first, second = made
    found = {one.test: one for one in differences_at_best(first, second)}
    for test in ("gradient", "dimensional"):
        assert found[test].level == "beyond"
        assert found[test].difference.high < 0
        assert found[test].second.value - found[test].first.value == found[test].difference.value
    turned = {one.test: one for one in differences_at(second, first, 1, 0)}
    assert turned["gradient"].difference.low > 0


def test_at_a_layer_the_figures_are_those_of_the_diagnosis(made):
    _, first, second = made
    for one in differences_at(first, second, 0, 1):
        assert one.first == first.layers[0].headline(one.test).observed
        assert one.second == second.layers[1].headline(one.test).observed


def test_at_the_best_layer_the_figures_are_those_of_the_half_that_chose_none(made):
    _, first, second = made
    for one in differences_at_best(first, second):
        assert one.first == first.layers[first.chosen[one.test]].reported(one.test).observed


def test_other_items_or_other_draws_are_refused(made, store, make_diagnosis):
    _, first, _ = made
    other = make_diagnosis(made_study(store, set_of(store, worded_rows(40, 5), "other")))
    with pytest.raises(CoreError, match="one model read table, the other other"):
        differences_at(first, other, 0, 0)
    with pytest.raises(CoreError, match="draws cannot be paired"):
        differences_at(first, replace(first, spec=replace(SPEC, seed=1)), 0, 0)


def test_a_layer_that_cannot_be_measured_has_no_difference(make_diagnosis, store):
    study = made_study(store, set_of(store, worded_rows(40)))
    first, second = make_diagnosis(study), make_diagnosis(study, broken=(1,))
    assert {one.level for one in differences_at(first, second, 0, 1)} == {"nothing"}
