"""The control concept: graded, balanced, none of it in the moral set, and nobody does wrong."""

import itertools
import re
from collections import Counter

import numpy as np
import pytest

from core.dataset import sets
from core.dataset.labels import labels_of, typical_members
from core.dataset.pleasantness import DOMAINS, FILE, NOTE, pleasantness
from core.dataset.splits import text_group
from core.foundations import FOUNDATIONS

#: Persons, and what persons do to each other.
PERSONS = set(
    re.findall(
        r"\w+",
        "he she him her his hers someone somebody man woman boy girl child children son "
        "daughter mother father parent parents friend friends neighbour neighbours boss teacher "
        "driver waiter thief steal stolen lie lied cheat help helped kind cruel rude honest guilty "
        "hit hurt kill killed blame fault promise who whose victim enemy hero",
    )
)


@pytest.fixture(scope="module")
def items():
    return pleasantness()


def words(text):
    return re.findall(r"[\w'’-]+", text.lower())


def lengths(items, pole):
    texts = np.array(items.texts())[items.pole == pole]
    return np.array([len(words(text)) for text in texts])


def test_each_domain_has_its_share_of_both_poles_and_of_neutral_texts(items):
    found = Counter(zip(items.foundation.tolist(), items.pole.tolist(), strict=True))
    wanted = {"virtue": 20, "vice": 20, "neutral": 8}
    assert len(DOMAINS) == len(FOUNDATIONS)
    assert found == {(one, pole): n for one in range(5) for pole, n in wanted.items()}


def test_grades_go_from_a_quarter_to_one_in_every_pole(items):
    for domain, pole in itertools.product(range(5), ("virtue", "vice")):
        own = items.grade[(items.foundation == domain) & (items.pole == pole)]
        assert set(own.tolist()) == {0.25, 0.5, 0.75, 1.0}
    assert not items.grade[items.pole == "neutral"].any()
    assert (typical_members(labels_of(items)).sum(axis=0) >= 10).all()


def test_vectors_hold_the_grade_at_the_own_pole(items):
    labels = labels_of(items)
    for vector, pole, grade in zip(items.vectors(), *labels[:2], strict=True):
        assert vector.sum() == grade
        assert pole < 0 or vector[pole] == grade
    assert sorted(set(items.texts())) == sorted(items.texts())


def test_no_text_stands_twice_or_in_the_moral_set(items, store):
    groups = [text_group(text) for text in items.texts()]
    moral = {text_group(text) for text in sets.builtin(store).texts()}
    assert len(set(groups)) == len(groups) >= 200
    assert moral.isdisjoint(groups)


def test_no_two_texts_are_nearly_the_same(items):
    small = set(words("a an the to of in on at for with and that is it than as before behind"))
    keys = [set(words(text)) - small for text in items.texts()]
    near = [
        (one, other)
        for one, other in itertools.combinations(keys, 2)
        if len(one & other) / len(one | other) >= 0.5
    ]
    assert near == []


def test_length_tells_neither_pole_nor_grade(items, store):
    poles = [lengths(items, pole) for pole in ("virtue", "vice", "neutral")]
    means = [own.mean() for own in poles]
    assert max(means) - min(means) < 0.5
    for own in poles[:2]:
        assert abs(own.mean() - lengths(sets.builtin(store), "virtue").mean()) < 1
    counts = np.array([len(words(text)) for text in items.texts()])
    for pole in ("virtue", "vice"):
        own = items.pole == pole
        assert abs(np.corrcoef(items.grade[own], counts[own])[0, 1]) < 0.15


def test_nobody_does_right_or_wrong(items):
    told = {text: PERSONS & set(words(text)) for text in items.texts()}
    assert {text: found for text, found in told.items() if found} == {}


def test_it_says_who_wrote_it(items):
    assert items.provenance.note == NOTE
    assert items.provenance.authored
    assert len(items.provenance.sha256) == 64
    text = FILE.read_text("utf-8")
    assert all(line == line.strip() and line.count("\t") == 3 for line in text.splitlines())
