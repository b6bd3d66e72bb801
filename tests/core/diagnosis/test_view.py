"""What the diagnosis page shows: which part, which points, which rows; nothing from nothing."""

import numpy as np
import pandas as pd
import pytest

from core.diagnosis.layer import LayerDiagnosis
from core.diagnosis.verdicts import CONTROLS, scorecard
from core.diagnosis.view import (
    POLE_FIGURES,
    ceiling_text,
    confusion_table,
    cosine_grid,
    curve,
    figure_of,
    furthest_table,
    part_of,
    pole_grid,
    structure_table,
    summary,
)
from core.foundations import DIMENSIONS
from core.layers import EMBEDDING, layer_name
from core.measures.ceiling import Ceiling
from core.measures.confusions import Confusion
from core.measures.result import ALL, NOTHING, TESTS, Measured, Measurement
from core.statistics.bootstrap import Estimate
from core.wording import in_parts, interval, number

EMPTY = LayerDiagnosis({}, {}, {}, "Nothing here.")
NO_SAMPLES = np.zeros(0, np.float32)


def layer_of(test, *figures):
    return LayerDiagnosis({test: Measured(figures, NO_SAMPLES, NO_SAMPLES)}, {}, {})


def test_numbers_are_short_and_have_a_true_minus():
    assert [number(one) for one in (0.314, -0.5, -0.001, np.nan)] == [
        "0.31",
        "−0.50",
        "0.00",
        "–",
    ]
    assert interval(Estimate(0.5, 0.25, 0.75)) == "0.50 [0.25, 0.75]"
    assert interval(Estimate(3.0, np.nan, np.nan)) == "3.00"
    assert interval(NOTHING) == "not computable"
    assert interval(NOTHING, 3) == "–"
    assert interval(Estimate(0.5, -0.25, 0.75), signed=True) == "+0.50 [−0.25, 0.75]"
    assert interval(Estimate(0.029, 0.02, 0.039)) == "0.029 [0.020, 0.039]"
    assert in_parts(Estimate(0.029, 0.02, 0.1)) == ("0.03", "[0.02, 0.10]")
    # On which side of 0 an end lies can be read off; 0 itself is 0.
    assert interval(Estimate(0.058, 0.003, 0.117)) == "0.058 [0.003, 0.117]"
    assert interval(Estimate(0.5, -0.004, 1.0)) == "0.500 [−0.004, 1.000]"
    assert interval(Estimate(0.5, 0.0, 1.0)) == "0.50 [0.00, 1.00]"
    assert in_parts(NOTHING) == ("–", "")
    layers = (EMBEDDING, 0, 17)
    assert [layer_name(one) for one in layers] == ["emb", "0", "17"]
    told = [layer_name(one, long=True) for one in layers]
    assert told == ["embedding", "layer 0", "layer 17"]


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (ALL, [ALL, ALL, ALL, ALL]),
        ("loyalty-betrayal", ["loyalty-betrayal", ALL, ALL, ALL]),
        ("betrayal", ["loyalty-betrayal", "betrayal", ALL, "betrayal"]),
    ],
)
def test_each_test_shows_the_part_that_it_has(part, shown):
    assert [part_of(test, part) for test in TESTS] == shown


def test_a_curve_has_every_layer_with_all_it_must_exceed(study, make_diagnosis):
    found = curve(make_diagnosis(study), "gradient", ALL, make_diagnosis(study, flat=True))
    assert [point.layer for point in found.points] == [EMBEDDING, 0, 1, 2]
    assert [point.observed.value for point in found.points] == [0.04, 0.3, 0.6, 0.5]
    assert set(found.points[1].controls) == set(CONTROLS)
    assert found.points[0].verdict == "not distinguishable from chance"
    assert found.points[1].verdict == "structure beyond all controls"
    assert found.chosen == 1
    assert found.highest == pytest.approx(0.019, abs=1e-3)


def test_a_part_has_neither_a_chosen_layer_nor_a_highest_of_all(study, make_diagnosis):
    found = curve(make_diagnosis(study), "gradient", "care")
    assert found.chosen is None
    assert np.isnan(found.highest)
    assert {point.verdict for point in found.points} == {"not computable"}
    assert "untrained" not in found.points[1].controls


def test_a_broken_layer_keeps_its_place_in_the_curve(study, make_diagnosis):
    found = curve(make_diagnosis(study, broken=(EMBEDDING,)), "structural", ALL)
    assert np.isnan(found.points[0].observed.value)
    assert [point.layer for point in found.points] == [EMBEDDING, 0, 1, 2]


def test_the_summary_counts_what_may_be_said(study, make_diagnosis):
    plain, flat = make_diagnosis(study), make_diagnosis(study, flat=True)
    assert summary(scorecard(plain, flat)).startswith("4 of 4 tests show moral structure beyond")
    assert summary(scorecard(plain)).endswith("the untrained copy is still to be compared.")
    assert summary(scorecard(flat, flat)).startswith("No test of the four")
    assert summary([]).startswith("No test of the four")
    one = summary(scorecard(plain, flat)[:1])
    assert one == "1 of 4 tests shows moral structure beyond every control: categorical."
    assert "(categorical, gradient, structural, dimensional)" in summary(scorecard(plain))


def test_the_grid_of_poles_has_ten_cells_per_figure():
    known = Measurement("dimensional", "AUROC", "harm", 7, Estimate(0.8, 0.7, 0.9), NOTHING)
    grid = pole_grid(layer_of("dimensional", known))
    assert list(grid) == [title for title, _, _ in POLE_FIGURES]
    assert all(len(column) == len(DIMENSIONS) for column in grid.values())
    assert grid["AUROC"][1] is known
    assert np.isnan([one.observed.value for one in grid["R²"]]).all()
    assert np.isnan(figure_of(EMPTY, "gradient", "typicality", ALL).observed.value)


def test_the_cosine_grid_is_symmetric_and_empty_where_nothing_is_known():
    pairs = [("care", "harm", -0.5), ("care", "fairness", 0.25)]
    figures = [
        Measurement(
            "categorical", "cosine", f"{one}|{other}", 5, Estimate(v, v - 0.1, v + 0.1), NOTHING
        )
        for one, other, v in pairs
    ]
    grid = cosine_grid(layer_of("categorical", *figures))
    assert grid[0, 1].tolist() == grid[1, 0].tolist() == [-0.5, -0.6, -0.4]
    assert grid[0, 2, 0] == 0.25
    assert [grid[n, n, 0] for n in (0, 1, 2)] == [1, 1, 1]
    assert np.isnan(grid[3:]).all()
    assert np.isnan(cosine_grid(EMPTY)).all()


def test_the_structure_table_splits_names_and_carries_the_coverage():
    def made(name, part, value):
        return Measurement(
            "structural", name, part, 9, Estimate(value, 0, 1), Estimate(0, -0.1, 0.1)
        )

    names = ["ARI of k-means", "NMI of HDBSCAN", "ARI without noise", "neighbour purity"]
    figures = [made(name, ALL, 0.5) for name in names]
    extent = [made("coverage of HDBSCAN", ALL, 0.3), made("clusters of HDBSCAN", ALL, 4)]
    table = structure_table(
        layer_of("structural", *figures, made(names[0], "polarity", 1), *extent)
    )
    assert table["labels"].tolist() == ["15 classes"] * 4 + ["3 polarities"]
    assert table["clusters"].tolist() == ["k-means", "HDBSCAN", "HDBSCAN", "none", "k-means"]
    assert table["score"].tolist()[:4] == ["ARI", "NMI", "ARI without noise", "neighbour purity"]
    assert table["coverage"].fillna(-1).tolist() == [-1, 0.3, 0.3, -1, -1]
    assert structure_table(EMPTY).empty


def test_confusions_are_shown_with_texts_and_grades(study):
    items = study.items
    (row,) = confusion_table(items, [Confusion(2, 3, 5, 0.9, 0.75)]).to_dict("records")
    assert (row["virtue"], row["vice"]) == (items.texts()[3], items.texts()[5])
    assert row["foundation"] == "loyalty-betrayal"
    assert (row["cosine"], row["closer_than"]) == (0.9, 0.75)
    assert list(confusion_table(items, []).columns) == list(row)


def test_the_furthest_items_come_first_and_neutral_ones_never():
    facts = pd.DataFrame(
        {
            "text": list("abcd"),
            "foundation": "care-harm",
            "pole": "virtue",
            "grade": 1.0,
            "model_typicality": 0.5,
            "residual": [0.1, np.nan, -0.9, 0.4],
            "nearest_centre": "care",
        }
    )
    assert furthest_table(facts)["text"].tolist() == ["c", "d", "a"]
    assert furthest_table(facts, 1)["text"].tolist() == ["c"]


def test_the_ceiling_is_a_sentence_with_or_without_people():
    few = Ceiling(0, 0, NOTHING, NOTHING, NOTHING, reason="No text was graded twice.")
    assert ceiling_text(few) == "Human ceiling: No text was graded twice."
    half = Estimate(0.5, 0.4, 0.6)
    told = ceiling_text(Ceiling(1234, 3000, half, half, half, basis="Two people each."))
    assert "1,234 texts" in told
    assert told.endswith("Two people each.")
    assert told.count("0.50 [0.40, 0.60]") == 2
