"""A claim is checked key by key: what cannot be meant is told in one sentence, with what can."""

import pytest

from core.claims.claim import ClaimError, claim_of

PLAIN = {"name": "Low", "test": "gradient", "direction": "below", "threshold": 0.55}


def test_a_claim_takes_its_headline_and_all_models_unless_it_says_otherwise():
    claim = claim_of(PLAIN)
    assert (claim.figure, claim.models, claim.layers) == ("typicality", "all", "chosen")
    assert claim.told() == "typicality, at its chosen layer: below 0.55"
    care = claim_of({**PLAIN, "part": "care"})
    assert care.told() == "typicality of care, at the headline's layer, all texts: below 0.55"
    paper = claim_of({**PLAIN, "statistic": "paper"})
    assert paper.told() == "typicality with neutrals, as the paper computes it: below 0.55"


def test_models_are_a_list_or_a_group():
    listed = claim_of({**PLAIN, "models": ["packaged", "packaged", "fetched:smollm2"]})
    assert listed.models == ("packaged", "fetched:smollm2")
    assert claim_of({**PLAIN, "models": {"training": "base"}}).models == {"training": "base"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"test": "gradent"}, "there is no test 'gradent'. Did you mean gradient?"),
        ({"treshold": 1}, "unknown key 'treshold': Did you mean threshold?"),
        ({"threshold": 1.2}, "1.2 is outside the range of typicality: a threshold lies between -1"),
        ({"threshold": "high"}, "threshold must be a number"),
        ({"threshold": True}, "threshold must be a number"),
        ({"threshold": float("nan")}, "nan is outside the range"),
        ({"direction": "within", "threshold": 0}, "an equivalence bound (above 0) lies between 0"),
        ({"direction": "within", "threshold": -0.1}, "an equivalence bound (above 0)"),
        ({"direction": "beneath"}, "there is no direction 'beneath'. Possible: above, below"),
        ({"figure": "R²"}, "there is no figure 'R²' of the gradient test. Possible: typicality"),
        ({"part": "care-harm"}, "there is no part 'care-harm' in the gradient test"),
        ({"test": "structural", "null": "virtue"}, "there is no null 'virtue' in the structural"),
        ({"null": "word"}, "there is no null 'word'. Did you mean words?"),
        ({"name": ""}, "name is missing. A claim looks like this"),
        ({"name": 3}, "name must be a text in quotes"),
        ({"models": []}, 'models must be "all", "paper", a list'),
        ({"models": ["gemma"]}, "Cannot read the model 'gemma'"),
        ({"models": {"colour": "red"}}, "a group of models is named by family, size, training"),
        ({"effect_of": "parameters", "null": "words"}, "over models there is one repaired"),
        ({"effect_of": "training", "threshold": -0.1}, "-0.1 is outside the range"),
        ({"statistic": "paper", "part": "care"}, "the paper's own figure is one per test"),
        ({"statistic": "paper", "figure": "typicality"}, "the paper's own figure is one per test"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_can(keys, said):
    with pytest.raises(ClaimError) as error:
        claim_of(PLAIN | keys)
    assert said in str(error.value)


def test_a_claim_that_is_no_table_or_lacks_a_key_is_shown_one():
    for keys in ("gradient", {key: PLAIN[key] for key in ("name", "test", "direction")}):
        with pytest.raises(ClaimError, match="A claim looks like this"):
            claim_of(keys)


def test_a_difference_may_reach_further_than_a_figure():
    assert claim_of({**PLAIN, "null": "untrained", "threshold": 1.5}).threshold == 1.5
