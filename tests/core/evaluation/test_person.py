"""A person judges blind: sides at random, undo, a file that can be merged."""

import numpy as np
import pytest

from core.evaluation.judging import VerdictLog, both_orders
from core.evaluation.person import (
    Person,
    PersonError,
    merge,
    people,
    queue,
    said,
    say,
    undo,
    verdict_file,
)
from core.evaluation.verdicts import Showing
from core.runtime.store import Store

PAIRS = [("safer", f"May I do {n}?", f"arm {n}", f"plain {n}") for n in range(200)]
ANNE = Person("Anne")


def test_sides_are_drawn_at_random_and_stay_for_a_person():
    found = queue(ANNE, PAIRS)
    assert len(found) == 200
    assert 0.35 < np.mean([one.flipped for one in found]) < 0.65
    assert found == queue(Person(" anne "), PAIRS[::-1])
    assert [one.prompt for one in found] != [one.prompt for one in queue(Person("Ben"), PAIRS)]
    assert queue(ANNE, [("safer", "x", "same", "same")]) == []


def test_a_verdict_is_for_the_arm_whatever_the_side(store):
    log = VerdictLog(store, ANNE)
    for one in queue(ANNE, PAIRS[:20]):
        say(log, one, "first" if one.left.startswith("arm") else "second")
    again = VerdictLog(store, ANNE)
    assert said(again, PAIRS[:20]) == [Showing("first", "second")] * 20
    assert said(again, PAIRS[20:22]) == [Showing(None, None)] * 2
    one = queue(ANNE, PAIRS[:20])[0]
    say(log, one, "tie")
    undo(log, one)
    verdicts = [showing.verdict for showing in said(VerdictLog(store, ANNE), PAIRS[:20])]
    assert (verdicts.count("win"), verdicts.count("missing")) == (19, 1)


def test_verdicts_travel_as_a_file_without_texts(store, tmp_path):
    log = VerdictLog(store, ANNE)
    for one in queue(ANNE, PAIRS[:5]):
        say(log, one, "first")
    data = verdict_file(log)
    assert b"May I" not in data
    assert b"arm" not in data
    assert b"Anne" not in data
    elsewhere = Store(tmp_path / "elsewhere")
    known = [one for pair in PAIRS[:5] for one in both_orders(*pair)]
    assert merge(elsewhere, Person("Anne, at home"), data, known) == 10
    assert said(VerdictLog(elsewhere, Person("Anne, at home")), PAIRS[:5]) == said(log, PAIRS[:5])
    others = [one for pair in PAIRS[9:] for one in both_orders(*pair)]
    with pytest.raises(PersonError, match="another run"):
        merge(elsewhere, ANNE, data, others)
    with pytest.raises(PersonError, match="no file of verdicts"):
        merge(elsewhere, ANNE, b"\xff\x00 hello", known)
    with pytest.raises(PersonError, match="at most 5 MB"):
        merge(elsewhere, ANNE, b"x" * (5 * 10**6 + 1), known)


def judged(store, person, pairs, side="first"):
    log = VerdictLog(store, person)
    for one in queue(person, pairs):
        say(log, one, side)
    return log


def test_people_are_listed_by_their_names_as_they_wrote_them(store):
    judged(store, Person("Ben"), PAIRS[:3])
    anne = judged(store, ANNE, PAIRS[:5])
    found = people(store, PAIRS[:6])
    assert list(found) == ["Anne", "Ben"]
    assert found["Anne"] == said(anne, PAIRS[:6])
    assert people(store, PAIRS[9:]) == {}


def test_someone_goes_on_elsewhere_but_two_of_one_name_are_told_apart(store, tmp_path):
    here = judged(store, ANNE, PAIRS[:5])
    elsewhere = Store(tmp_path / "elsewhere")
    known = [one for pair in PAIRS[:9] for one in both_orders(*pair)]
    merge(elsewhere, ANNE, verdict_file(here), known)
    more = judged(elsewhere, ANNE, PAIRS[5:9])
    assert merge(store, ANNE, verdict_file(more), known) == 18  # what she said here is part of it
    assert merge(store, ANNE, verdict_file(here), known)  # twice is once
    other = judged(Store(tmp_path / "other"), ANNE, PAIRS[:9], "tie")
    with pytest.raises(PersonError, match="Two people of one name cannot be told apart"):
        merge(store, ANNE, verdict_file(other), known)
    assert merge(store, Person("Anne 2"), verdict_file(other), known) == 18
    assert list(people(store, PAIRS[:9])) == ["Anne", "Anne 2"]


def test_what_was_taken_back_is_not_merged(store, tmp_path):
    log = judged(store, ANNE, PAIRS[:3])
    undo(log, queue(ANNE, PAIRS[:3])[0])
    known = [one for pair in PAIRS[:3] for one in both_orders(*pair)]
    for data in (verdict_file(log), log.path.read_bytes()):
        assert merge(Store(tmp_path / "x"), ANNE, data, known) == 4


def test_a_person_needs_a_name():
    with pytest.raises(PersonError, match="name or sign"):
        Person("  ")
