"""What the comparison page says: no difference is said plainly, a difference with its interval."""

import numpy as np
import pandas as pd
import pytest

from core.comparison.differences import Difference, ItemDifferences, without_evidence
from core.comparison.pairs import Comparison, SideMap
from core.comparison.profiles import Profile
from core.comparison.sides import Side
from core.comparison.view import (
    VERDICTS,
    alike_sentence,
    at_layers,
    cka_table,
    depth_curves,
    depth_table,
    difference_colouring,
    difference_table,
    headline,
    item_table,
    items_sentence,
    moved_colouring,
    moved_sentence,
    overlap_table,
    sure_sentence,
    templates_sentence,
    unsure_sentence,
)
from core.diagnosis.templates import Phrasing
from core.maps.displacement import Noise
from core.maps.projection import Trust
from core.measures.result import NOTHING, TESTS
from core.statistics.bootstrap import Estimate
from core.statistics.similarity import Cka, Overlap
from core.wording import interval


def difference(test, value=0.0, level="noise"):
    found = Estimate(value, value - 0.1, value + 0.1) if level != "nothing" else NOTHING
    side = Estimate(0.3, 0.2, 0.4)
    return Difference(test, side, side, found, Estimate(0.0, -0.02, 0.02), level)


def four(**levels):
    return [difference(test, *levels.get(test, (0.01, "noise"))) for test in TESTS]


@pytest.fixture
def made(study):
    """Return a comparison in which the third item differs most, and surely."""
    n = len(study.items)
    first, second = np.full(n, 0.5), np.full(n, 0.5)
    first[2], second[2], second[4] = 0.9, 0.1, 0.6
    first[3] = second[3] = np.nan
    sure = np.arange(n) == 2
    items = ItemDifferences(
        first, second, first, second, second - first - 0.1, second - first + 0.1, sure
    )
    overlap = Overlap(np.full(n, 0.2), Estimate(0.2, 0.19, 0.21), Estimate(0.006, 0.005, 0.007))
    alike = Cka(Estimate(0.5, 0.45, 0.55), Estimate(0.0, -0.01, 0.01), 0.6)
    side = Side(study, 1, "mean")
    return Comparison(side, side, n, n, alike, overlap, items)


def picture(n, moved):
    return SideMap(np.zeros((n, 2), np.float32), Trust(0.7, 0.1, 0.01), 0.1, moved, Noise(0.1, 0.3))


def test_no_difference_is_said_plainly():
    assert headline(four()) == (
        "No difference beyond noise between B and A in any of the four tests."
    )
    assert sure_sentence(four()) == ""
    assert unsure_sentence(four()).count("+0.01") == 4


def test_what_differs_is_said_in_words_and_the_rest_is_counted():
    found = four(gradient=(-0.3, "beyond"), categorical=(0.2, "beyond"))
    assert headline(found) == (
        "Compared with A, B keeps virtue and vice further apart and grades actions less as people "
        "do; the other two tests show no difference beyond noise."
    )
    assert sure_sentence(found).startswith("excess opposition +0.20 [0.10, 0.30], typicality −0.30")
    one = four(**dict.fromkeys(TESTS[1:], (0.5, "beyond")))
    assert "the other test shows no difference" in headline(one)
    assert "grades actions more as people do, has groups that" in headline(one)
    assert "morality more and lets the ten" in headline(one)
    everything = four(**dict.fromkeys(TESTS, (0.5, "beyond")))
    assert "other" not in headline(everything, "A", "C")
    assert headline(everything, "A", "C").startswith("Compared with A, C keeps")
    assert unsure_sentence(everything) == ""


def test_what_a_model_was_taught_is_no_evidence():
    found = without_evidence(four(gradient=(-0.3, "beyond"), structural=(0.2, "labels")))
    assert [one.level for one in found] == ["noise", "taught", "labels", "noise"]
    assert headline(found) == (
        "B was trained on labels of these actions, so what differs is no evidence: compared with "
        "A, it grades actions less as people do; the other three tests show no difference beyond "
        "noise."
    )
    assert "no evidence" in sure_sentence(found)
    assert difference_table([("B - A", found)])["verdict"].tolist()[1] == VERDICTS["taught"]
    assert headline(without_evidence(four())) == headline(four())


def test_tests_that_cannot_be_computed_are_not_counted():
    nothing = four(**dict.fromkeys(TESTS, (0, "nothing")))
    assert headline(nothing) == "B and A cannot be compared: no test is computable for both."
    some = four(categorical=(0, "nothing"))
    assert "any of the 3 computable tests" in headline(some)
    assert "opposition (not computable)" in unsure_sentence(some)


def test_a_difference_that_shuffled_labels_give_too_is_none():
    found = four(structural=(-0.3, "labels"))
    assert headline(found).startswith("No difference beyond noise")
    difference = interval(found[2].difference, signed=True)
    assert f"clusters {difference} ({VERDICTS['labels']})" in unsure_sentence(found)


def test_a_difference_is_told_under_each_template_that_both_read():
    first = [Phrasing(name, "", {"gradient": 0.4}) for name in ("own", "bare", "chat turn")]
    second = [
        Phrasing(name, "", {"gradient": value})
        for name, value in (("own", 0.1), ("bare", 0.2), ("chat turn", np.nan), ("other", 0.9))
    ]
    assert templates_sentence("gradient", first, second, "C") == (
        "C − A under each of 2 templates: −0.30 to −0.20, sd 0.071"
    )
    assert templates_sentence("gradient", first, []) == ""
    assert templates_sentence("dimensional", first, second) == ""


def test_likeness_stands_beside_random_pairings(made):
    said = alike_sentence(made)
    assert "CKA 0.50 [0.45, 0.55] (texts paired at random 0.000 [−0.010, 0.010])" in said
    assert "share 20% [19%, 21%] of an action's 10 nearest actions (at random 0.6%)" in said
    unknown = Cka(NOTHING, NOTHING, np.nan)
    assert "cannot be compared" in alike_sentence(Comparison(*_with(made, cka=unknown)))


def _with(made, **changes):
    return [changes.get(name, getattr(made, name)) for name in made.__dataclass_fields__]


def test_items_are_counted_and_listed_with_the_largest_difference_first(made):
    n = made.n_items
    assert items_sentence(made).startswith(f"1 of {n - 1:,} actions are placed differently")
    moved = np.arange(n, dtype=float)
    table = item_table(made, picture(n, moved))
    assert table["text"].iloc[0] == made.first.study.items.texts()[2]
    assert table["item"].iloc[0] == made.first.study.items.item[2]
    assert table["difference"].iloc[:2].tolist() == pytest.approx([-0.8, 0.1])
    assert len(table) == n - 1  # the one without a place is left out
    assert table["moved"].iloc[0] == 2
    assert "moved" not in item_table(made)
    still = made.items._replace(sure=np.zeros(n, bool))
    assert items_sentence(Comparison(*_with(made, items=still))).startswith("None of")


def test_movement_stands_beside_the_movement_between_halves():
    moved = np.array([0.1, 0.2, 0.4, np.nan])
    said = moved_sentence(picture(4, moved))
    assert "more than 0.20 from their place in A" in said
    assert "halves of A's texts 0.10. 33% move further than 95 % do there (0.30)" in said
    still, far = picture(4, moved * 0), picture(4, moved)
    assert moved_colouring(still, [still, far]).span == moved_colouring(far, [still, far]).span
    assert moved_colouring(far, [far]).span[1] == pytest.approx(np.quantile(moved[:3], 0.98))


def test_the_colour_of_a_difference_has_zero_in_the_middle(made):
    colours = difference_colouring(made)
    assert colours.span == (-1, 1)
    assert colours.diverging
    np.testing.assert_array_equal(colours.data, made.items.value)


def test_tables_hold_every_figure(study):
    table = difference_table([("B − A", four()), ("C − A", four(gradient=(0.4, "beyond")))])
    assert len(table) == 8
    row = table[(table["pair"] == "C − A") & (table["test"] == "typicality")].iloc[0]
    assert row[["difference", "low", "high"]].tolist() == pytest.approx([0.4, 0.3, 0.5])
    assert row["verdict"] == "differs beyond noise"
    cells = np.arange(20.0).reshape(4, 5)
    profile = Profile(cells, cells / 2, np.array([-1, 0, 2, 3]), np.ones((4, 3)), np.zeros((4, 3)))
    ckas = cka_table(profile)
    assert ckas.iloc[-1].tolist() == [2, 3, 19, 9.5]
    assert ckas.iloc[0].tolist() == [-1, -1, 0, 0]
    shared = overlap_table([profile, profile], Side(study, 1, "mean"))
    assert shared["side"].tolist() == ["B"] * 4 + ["C"] * 4
    assert shared["other"].tolist() == [-1, 0, 2, 3] * 2
    assert isinstance(shared, pd.DataFrame)


def test_curves_lie_on_one_depth_axis(study, make_diagnosis):
    curves = depth_curves([make_diagnosis(study), None, make_diagnosis(study)], "gradient")
    assert [one.letter for one in curves] == ["A", "C"]
    assert curves[0].depth == [0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1]
    assert curves[0].figures[2].value == 0.6
    table = depth_table([make_diagnosis(study), make_diagnosis(study)])
    assert len(table) == 4 * 2 * 4
    row = table[(table["side"] == "B") & (table["test"] == "typicality") & (table["layer"] == 1)]
    assert row[["depth", "value"]].iloc[0].tolist() == pytest.approx([2 / 3, 0.6])


def test_layers_are_named():
    assert at_layers((4, -1), "C") == "layers A 4, C emb"
    assert at_layers((None, 0), "B") == "layers A none, B 0"
