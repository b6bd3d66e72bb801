"""A person judges blind: sides at random, undo, a file that can be merged."""

import numpy as np
import pytest

from core.evaluation.judging import VerdictLog, both_orders
from core.evaluation.person import Person, PersonError, merge, queue, said, say, undo, verdict_file
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


def test_a_person_needs_a_name():
    with pytest.raises(PersonError, match="name or sign"):
        Person("  ")
