"""What may be said: one rule, and layers chosen on other texts than they are judged on."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.diagnosis.diagnosis import BASELINES, Diagnosis, DiagnosisSpec
from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.verdicts import (
    CONTROLS,
    RULE,
    layer_verdict,
    missing_control,
    scorecard,
    short_name,
    verdict,
)
from core.diagnosis.view import summary
from core.layers import EMBEDDING
from core.measures.result import ALL, HEADLINES, TESTS, Measured, Measurement
from core.statistics.bootstrap import Estimate

NONE = Estimate(math.nan, math.nan, math.nan)
BAND = Estimate(0.0, -0.1, 0.1)
CLEAR = Estimate(0.5, 0.4, 0.6)
WORDS = Estimate(0.2, 0.1, 0.3)
HIGH = Estimate(0.45, 0.35, 0.55)
NO_INTERVAL = Estimate(0.2, math.nan, math.nan)


def all_controls(**changes):
    return dict.fromkeys(CONTROLS, WORDS) | changes


def without(name):
    return {one: WORDS for one in CONTROLS if one != name}


@pytest.mark.parametrize(
    ("observed", "shuffled", "controls", "level"),
    [
        (CLEAR, BAND, all_controls(), "beyond"),
        (CLEAR, BAND, without("untrained"), "partly"),
        (CLEAR, BAND, without("embedding"), "beyond"),  # the embedding itself
        (CLEAR, BAND, {"words": WORDS}, "partly"),
        # the band comes first
        (Estimate(0.5, 0.1, 0.9), BAND, all_controls(), "chance"),  # touching is not above
        (Estimate(0.5, 0.05, 0.9), BAND, all_controls(words=HIGH), "chance"),
        (Estimate(-0.5, -0.6, -0.4), BAND, all_controls(), "chance"),
        (CLEAR, Estimate(0.0, -0.1, 0.7), all_controls(), "chance"),
        # a control that is higher, or that touches
        (CLEAR, BAND, all_controls(untrained=Estimate(0.8, 0.7, 0.9)), "control"),
        (CLEAR, BAND, all_controls(embedding=Estimate(0.3, 0.2, 0.4)), "control"),
        (CLEAR, BAND, all_controls(length=Estimate(0.3, 0.2, 0.39)), "beyond"),
        # a control without interval counts with its figure
        (CLEAR, BAND, all_controls(length=Estimate(0.45, math.nan, math.nan)), "control"),
        (CLEAR, BAND, all_controls(length=NO_INTERVAL), "beyond"),
        # an interval that lies below its own figure hides nothing
        (CLEAR, BAND, all_controls(length=Estimate(0.45, 0.1, 0.2)), "control"),
        # what cannot be computed
        (NONE, BAND, all_controls(), "nothing"),
        (CLEAR, NONE, all_controls(), "nothing"),
        (Estimate(0.5, math.nan, math.nan), BAND, all_controls(), "nothing"),
        (CLEAR, BAND, all_controls(words=NONE), "nothing"),
        (CLEAR, BAND, all_controls(words=NO_INTERVAL), "nothing"),
        (CLEAR, BAND, all_controls(length=NONE, embedding=NONE), "beyond"),
        # chance is chance, whatever words do
        (Estimate(0.5, 0.05, 0.9), BAND, all_controls(words=NONE), "chance"),
    ],
)
def test_the_verdict_follows_one_rule(observed, shuffled, controls, level):
    assert verdict(observed, shuffled, controls).level == level


@pytest.mark.parametrize("name", CONTROLS)
def test_the_control_that_explains_a_figure_is_named(name):
    said = verdict(CLEAR, BAND, all_controls(**{name: HIGH}))
    assert said == ("control", f"no better than {CONTROLS[name]}")
    assert CONTROLS[name] in RULE


def test_the_words_of_each_level_stand_in_the_rule():
    for observed, controls in [
        (CLEAR, all_controls()),
        (Estimate(0.5, 0.05, 0.9), all_controls()),
    ]:
        assert verdict(observed, BAND, controls).words in RULE


# Scorecard --------------------------------------------------------------------------------------


def figure(test, estimate, shuffled=BAND):
    return Measurement(test, HEADLINES[test], ALL, 50, estimate, shuffled)


def made_layer(whole=WORDS, first=0.0, second=WORDS, tests=TESTS, null=(0.0,)):
    """Return a layer whose tests all have the same figures."""
    null = np.array(null, np.float32)
    return LayerDiagnosis(
        {test: Measured((figure(test, whole),), null, null) for test in tests},
        dict.fromkeys(tests, first),
        {test: Measured((figure(test, second),), null, null) for test in tests},
    )


def made_diagnosis(layers, **baselines):
    controls = {**{name: made_layer() for name in BASELINES}, **baselines}
    study = SimpleNamespace(card=SimpleNamespace(name="made"))
    return Diagnosis(study, DiagnosisSpec(), {EMBEDDING: made_layer(), **layers}, controls)


def test_the_layer_is_chosen_on_the_first_half_alone():
    best_of_second = made_layer(CLEAR, 0.3, Estimate(0.9, 0.8, 1.0))
    best_of_first = made_layer(WORDS, 0.4, CLEAR)
    diagnosis = made_diagnosis({0: best_of_second, 1: best_of_first, 2: made_layer()})
    assert diagnosis.chosen == dict.fromkeys(TESTS, 1)
    for score in scorecard(diagnosis):
        assert (score.layer, score.figure.observed) == (1, CLEAR)


def test_the_embedding_is_never_the_models_layer():
    diagnosis = made_diagnosis({0: made_layer(first=0.1)})
    layers = {**diagnosis.layers, EMBEDDING: made_layer(first=0.9)}
    assert Diagnosis(None, DiagnosisSpec(), layers, {}).chosen == dict.fromkeys(TESTS, 0)


def test_of_equal_layers_the_first_is_chosen_and_unknown_ones_never():
    layers = {0: made_layer(first=math.nan), 1: made_layer(first=0.2), 2: made_layer(first=0.2)}
    assert set(made_diagnosis(layers).chosen.values()) == {1}
    assert made_diagnosis({0: made_layer(first=math.nan)}).chosen == {}


def test_negative_headlines_are_chosen_among_too():
    layers = {0: made_layer(first=-0.5), 1: made_layer(first=-0.2)}
    assert set(made_diagnosis(layers).chosen.values()) == {1}


def test_a_score_takes_everything_from_the_second_half():
    """All texts would say the opposite, of the model and of each control."""
    layers = {0: made_layer(Estimate(0.3, 0.2, 0.4), 0.5, CLEAR)}
    controls = made_layer(HIGH, 0.9, WORDS)
    diagnosis = made_diagnosis(layers, **dict.fromkeys(BASELINES, controls))
    untrained = made_diagnosis({0: controls})
    for score in scorecard(diagnosis, untrained):
        assert score.verdict.level == "beyond"
        assert score.controls == dict.fromkeys(CONTROLS, WORDS)
        assert score.figure.shuffled == BAND
        assert layer_verdict(diagnosis, score.test, 0, untrained).level == "control"


def test_a_layer_is_held_against_the_same_layer_of_the_untrained_copy():
    diagnosis = made_diagnosis({0: made_layer(first=0.1), 1: made_layer(CLEAR, 0.5, CLEAR)})
    high = made_layer(HIGH, 0, HIGH)
    for other, level in [
        ({0: high, 1: made_layer()}, "beyond"),
        ({0: made_layer(), 1: high}, "control"),
    ]:
        untrained = made_diagnosis(other)
        assert {score.verdict.level for score in scorecard(diagnosis, untrained)} == {level}
        assert layer_verdict(diagnosis, "gradient", 1, untrained).level == level


def test_without_an_untrained_copy_nothing_is_beyond():
    diagnosis = made_diagnosis({0: made_layer(CLEAR, 0.5, CLEAR)})
    assert {score.verdict.level for score in scorecard(diagnosis)} == {"partly"}
    assert layer_verdict(diagnosis, "gradient", 0).level == "partly"


def test_the_embedding_alone_is_never_beyond_the_controls():
    diagnosis = made_diagnosis({0: made_layer()})
    layers = {**diagnosis.layers, EMBEDDING: made_layer(CLEAR)}
    of_embedding = Diagnosis(diagnosis.study, diagnosis.spec, layers, diagnosis.baselines)
    said = layer_verdict(of_embedding, "gradient", EMBEDDING)
    assert said == ("control", "no better than the embedding layer")


def test_a_figure_must_clear_the_sentence_embedding_where_there_is_one():
    whole = made_diagnosis({0: made_layer(CLEAR, 0.5, CLEAR)}, sentence=made_layer(HIGH, 0.5, HIGH))
    untrained = made_diagnosis({0: made_layer()})
    for said in (
        *(score.verdict for score in scorecard(whole, untrained)),
        layer_verdict(whole, "gradient", 0, untrained),
    ):
        assert said == ("control", "no better than a sentence embedding")
    assert missing_control(whole) == ""
    rest = {name: one for name, one in whole.baselines.items() if name != "sentence"}
    without = Diagnosis(whole.study, whole.spec, whole.layers, rest)
    assert {score.verdict.level for score in scorecard(without, untrained)} == {"beyond"}
    said = "structure beyond the controls that ran (no sentence embedding)"
    assert {score.verdict.words for score in scorecard(without, untrained)} == {said}
    assert layer_verdict(without, "gradient", 0, untrained).words == said
    assert summary(scorecard(without, untrained)).endswith(
        "beyond the controls that ran: categorical, gradient, structural, dimensional."
    )
    assert verdict(CLEAR, BAND, all_controls(sentence=NONE)).words == said
    assert "controls that ran" in RULE
    assert missing_control(without).startswith("No sentence embedding is among these controls")


def test_controls_lose_their_article_in_a_legend():
    assert [short_name(name) for name in CONTROLS] == [
        "word counts",
        "sentence length",
        "sentence embedding",
        "embedding layer",
        "untrained copy",
    ]


def test_an_embedding_that_could_not_be_measured_is_passed_over():
    diagnosis = made_diagnosis({0: made_layer(CLEAR, 0.5, CLEAR)})
    layers = {**diagnosis.layers, EMBEDDING: LayerDiagnosis({}, {}, {}, "All the same.")}
    diagnosis = Diagnosis(diagnosis.study, diagnosis.spec, layers, diagnosis.baselines)
    untrained = made_diagnosis({0: made_layer()})
    assert {score.verdict.level for score in scorecard(diagnosis, untrained)} == {"beyond"}


def test_a_layer_that_could_not_be_measured_has_no_verdict():
    problem = LayerDiagnosis({}, {}, {}, "All the same.")
    diagnosis = made_diagnosis({0: problem, 1: made_layer(CLEAR, 0.5, CLEAR)})
    assert layer_verdict(diagnosis, "structural", 0).level == "nothing"
    assert set(diagnosis.chosen.values()) == {1}
    assert [score.test for score in scorecard(made_diagnosis({0: problem}))] == []


# The highest of many layers by chance -----------------------------------------------------------


def test_the_highest_layer_by_chance_is_found_shuffle_by_shuffle():
    layers = {0: made_layer(null=[0, 1, 2]), 1: made_layer(null=[2, 0, 2])}
    chance = made_diagnosis(layers).highest_by_chance("gradient")
    assert chance.value == pytest.approx(np.mean([2, 1, 2]))


def test_the_embedding_and_unknown_layers_do_not_count_by_chance():
    layers = {
        EMBEDDING: made_layer(null=[9, 9, 9]),
        0: made_layer(null=[0, 1, 2]),
        1: made_layer(null=[]),
        2: LayerDiagnosis({}, {}, {}, "All the same."),
    }
    diagnosis = Diagnosis(None, DiagnosisSpec(), layers, {})
    assert diagnosis.highest_by_chance("gradient").value == pytest.approx(1)
    assert np.isnan(made_diagnosis({}).highest_by_chance("gradient")).all()


def test_one_layer_without_a_figure_does_not_hide_the_others_by_chance():
    layers = {0: made_layer(null=[0, 1, 2]), 1: made_layer(null=[math.nan] * 3)}
    chance = made_diagnosis(layers).highest_by_chance("structural")
    assert chance.value == pytest.approx(1)
