"""The ten dimensions: a fact written once, in the order every moral vector has."""

import pytest

from core.foundations import (
    DIMENSIONS,
    FOUNDATIONS,
    GRADES,
    TYPICAL_GRADE,
    opposite,
)


def test_dimensions_alternate_virtue_and_vice_of_each_foundation():
    assert " ".join(DIMENSIONS) == (
        "care harm fairness cheating loyalty betrayal authority subversion sanctity degradation"
    )
    assert [f"{name}-{opposite(name)}" for name in DIMENSIONS[::2]] == list(FOUNDATIONS)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_opposite_is_another_pole_of_the_same_foundation_and_undoes_itself(dimension):
    other = opposite(dimension)
    assert other != dimension
    assert opposite(other) == dimension
    assert {f"{dimension}-{other}", f"{other}-{dimension}"} & set(FOUNDATIONS)


def test_grades_are_what_judgement_and_agreement_can_give():
    attainable = {judgement / 2 * agree / 4 for judgement in (0, 1, 2) for agree in range(5)}
    assert set(GRADES) == attainable - {0}
    assert list(GRADES) == sorted(GRADES)
    assert max(GRADES) == TYPICAL_GRADE
