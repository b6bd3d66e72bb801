"""The set written for this project: enough in every stratum, no template, nothing twice."""

import csv
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from core.dataset.columns import OFFICIAL_COLUMNS
from core.foundations import FOUNDATIONS, GRADES

PATH = Path(__file__).resolve().parents[3] / "core" / "data" / "everyday.tsv"
STOP = set(
    re.findall(
        r"\w+",
        "a an the to of in on at for with and or your you their his her my our from by that who is "
        "are was be as it its up out after into when while about not so no than but this them him",
    )
)


@pytest.fixture(scope="module")
def rows():
    with PATH.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def words(action: str) -> list[str]:
    return re.findall(r"[\w'’-]+", action.lower())


def test_it_has_the_official_columns_and_says_where_it_is_from(rows):
    assert tuple(rows[0]) == OFFICIAL_COLUMNS
    assert {(row["area"], row["m"], row["rot-bad"]) for row in rows} == {("authored", "1", "0")}
    assert all(row["situation"] for row in rows)


def test_it_has_at_least_1500_different_actions(rows):
    assert len({row["action"].casefold() for row in rows}) == len(rows) >= 1500


def test_every_stratum_is_filled(rows):
    cells = Counter()
    for row in rows:
        judgement, agreement = int(row["action-moral-judgment"]), int(row["action-agree"])
        assert -2 <= judgement <= 2
        assert 0 <= agreement <= 4
        grade = abs(judgement) / 2 * agreement / 4
        pole = "neutral" if not grade else "virtue" if judgement > 0 else "vice"
        for foundation in row["rot-moral-foundations"].split("|"):
            cells[foundation, pole, grade] += 1
    for foundation in FOUNDATIONS:
        assert cells[foundation, "neutral", 0.0] >= 20
        for pole, grade in itertools.product(("virtue", "vice"), GRADES):
            needed = 40 if grade == 1.0 else 20
            assert cells[foundation, pole, grade] >= needed, (foundation, pole, grade)
    assert {foundation for foundation, _, _ in cells} == set(FOUNDATIONS)


def test_actions_are_short_and_clean(rows):
    for row in rows:
        action = row["action"]
        assert 3 <= len(words(action)) <= 20, action
        assert action == " ".join(action.split())
        assert not action.endswith(".")


def test_no_two_actions_are_nearly_the_same(rows):
    keys = [frozenset(words(row["action"])) - STOP for row in rows]
    holders: dict[str, list[int]] = {}
    for number, key in enumerate(keys):
        for word in key:
            holders.setdefault(word, []).append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for numbers in holders.values():
        shared.update(itertools.combinations(numbers, 2))
    near = [
        (rows[first]["action"], rows[second]["action"])
        for (first, second), common in shared.items()
        if common / len(keys[first] | keys[second]) >= 0.6
    ]
    assert near == []


def test_no_template_opens_many_actions(rows):
    first = Counter(words(row["action"])[0] for row in rows)
    two = Counter(" ".join(words(row["action"])[:2]) for row in rows)
    assert max(first.values()) <= 0.04 * len(rows), first.most_common(3)
    assert max(two.values()) <= 0.015 * len(rows), two.most_common(3)


def test_the_length_of_an_action_does_not_tell_its_pole(rows):
    lengths: dict[int, list[int]] = {-1: [], 0: [], 1: []}
    for row in rows:
        judgement = int(row["action-moral-judgment"])
        lengths[(judgement > 0) - (judgement < 0)].append(len(words(row["action"])))
    means = [sum(found) / len(found) for found in lengths.values()]
    assert max(means) - min(means) < 1.5
