"""A diagnosis written down: the same figures as text, records, JSON and CSV."""

import csv
import json
from dataclasses import replace

import pytest

from core import CoreError
from core.diagnosis.diagnosed import Diagnosed
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.records import json_text, record, records, write_csv, write_receipt
from core.diagnosis.report import text
from core.diagnosis.verdicts import RULE
from core.measures.result import TESTS


@pytest.fixture
def diagnosed(study, make_diagnosis):
    return Diagnosed(make_diagnosis(study), make_diagnosis(study, flat=True))


def lines_of(diagnosed, **options):
    return list(text([diagnosed], **options))


def row_of(lines, *begin):
    return next(line for line in lines if tuple(line.split()[: len(begin)]) == begin)


def test_the_text_begins_with_who_read_what_and_ends_with_the_rule(diagnosed, study):
    lines = lines_of(diagnosed)
    assert lines[0].startswith(f"model    {study.card.name} · folder:")
    assert "Written for this project, not human-annotated." in lines[2]
    assert "pooling mean, standardised" in "\n".join(lines[:8])
    assert lines[-1] == RULE


def test_the_scorecard_has_a_row_per_test_with_every_control(diagnosed):
    lines = lines_of(diagnosed)
    head = lines.index(row_of(lines, "test", "figure"))
    rows = lines[head + 1 : lines.index("", head)]
    assert [row.split()[0] for row in rows] == list(TESTS)
    gradient = " ".join(row_of(rows, "gradient", "typicality", "1").split())
    assert gradient == (
        "gradient typicality 1 0.600 [0.550, 0.650] 0.000 [−0.030, 0.030] 0.100 [0.050, 0.150] "
        "0.100 [0.050, 0.150] 0.100 [0.050, 0.150] 0.040 [−0.010, 0.090] 0.050 [0.000, 0.100] "
        "0.000 [−0.019, 0.019] structure beyond all controls"
    )


def test_without_an_untrained_copy_the_verdict_says_so(study, make_diagnosis):
    plain = Diagnosed(make_diagnosis(study), None)
    row = row_of(lines_of(plain), "dimensional")
    assert row.endswith("beyond chance and words; no untrained copy measured")
    assert "  –  " in row
    assert {score["level"] for score in record(plain)["scorecard"]} == {"partly"}
    assert {score["untrained"] for score in record(plain)["scorecard"]} == {None}
    assert " partly" in row_of(lines_of(plain), "1")


def test_a_sentence_embedding_that_was_not_measured_is_told_before_the_rule(study, make_diagnosis):
    whole = make_diagnosis(study)
    assert not any("No sentence embedding" in line for line in lines_of(Diagnosed(whole, None)))
    rest = {name: one for name, one in whole.baselines.items() if name != "sentence"}
    without = Diagnosed(replace(whole, baselines=rest), None)
    lines = lines_of(without)
    assert lines[-2].startswith("No sentence embedding is among these controls")
    assert lines[-1] == RULE
    assert {score["sentence"] for score in record(without)["scorecard"]} == {None}


def test_every_layer_and_baseline_has_its_headlines(diagnosed):
    lines = lines_of(diagnosed)
    assert row_of(lines, "1").split().count("beyond") == 4
    assert row_of(lines, "0").split().count("0.300") == 4
    assert row_of(lines, "emb").split().count("chance") == 4
    assert "beyond" not in row_of(lines, "word", "counts")


def test_a_broken_layer_is_told_and_the_rest_stays(study, make_diagnosis):
    broken = Diagnosed(make_diagnosis(study, broken=(-1, 1)), None)
    lines = lines_of(broken)
    assert "Layer -1 cannot be measured." in lines
    assert row_of(lines, "1").split() == ["1"] + 4 * ["–"]
    assert row_of(lines, "gradient", "typicality", "2")  # the highest that is left
    assert record(broken)["problems"] == {
        -1: "Layer -1 cannot be measured.",
        1: "Layer 1 cannot be measured.",
    }
    assert not [row for row in records(broken) if row["layer"] in (-1, 1)]


def test_a_test_that_no_layer_can_compute_keeps_its_row(study, make_diagnosis):
    nothing = Diagnosed(make_diagnosis(study, broken=(-1, 0, 1, 2)), None)
    rows = [row_of(lines_of(nothing), test) for test in TESTS]
    assert all(row.endswith("not computable at any layer") for row in rows)
    card = record(nothing)["scorecard"]
    assert [(one["test"], one["layer"], one["value"]) for one in card] == [
        (test, None, None) for test in TESTS
    ]
    assert {one["verdict"] for one in card} == {"not computable at any layer"}


def test_records_hold_each_figure_once(diagnosed):
    found = records(diagnosed)
    # Four tests: two figures on all texts, a headline on either half; 4 layers of two models, and
    # three baselines, which the untrained copy shares.
    assert len(found) == 4 * 4 * (4 + 4 + 3)
    where = ("states", "layer", "texts", "test", "name", "part")
    assert len({tuple(row[name] for name in where) for row in found}) == len(found)
    told = {(row["states"], row["texts"], row["part"]) for row in found if row["verdict"]}
    assert told == {("model", "all", "all")}


def test_json_has_null_where_nothing_can_be_computed(diagnosed):
    record = json.loads(json_text([diagnosed]))
    care = next(row for row in record["figures"] if row["part"] == "care")
    assert (care["value"], care["low"]) == (None, None)
    assert record["receipt"] == diagnosed.receipt
    assert record["rule"] == RULE
    score = record["scorecard"][1]
    assert (score["test"], score["layer"], score["value"]) == ("gradient", 1, 0.6)
    assert score["words_low"] < score["words"] < score["words_high"]
    assert (score["level"], score["verdict"]) == ("beyond", "structure beyond all controls")


def test_csv_rows_are_the_records_to_the_last_digit(diagnosed, tmp_path):
    told = list(write_csv([diagnosed], tmp_path / "figures.csv"))
    assert told == [f"Wrote 176 figures to {tmp_path / 'figures.csv'}."]
    rows = list(csv.DictReader((tmp_path / "figures.csv").read_text().splitlines()))
    for row, one in zip(rows, records(diagnosed), strict=True):
        assert row["layer"] == ("" if one["layer"] is None else str(one["layer"]))
        assert row["value"] == ("" if one["value"] != one["value"] else repr(one["value"]))
        assert [row[n] for n in ("pooling", "states", "test", "verdict")] == [
            one[n] for n in ("pooling", "states", "test", "verdict")
        ]


def test_every_figure_can_be_read_as_a_table(diagnosed):
    assert not any("care" in line.split() for line in lines_of(diagnosed))
    lines = lines_of(diagnosed, figures=True)
    assert sum("care" in line.split() for line in lines) == 4 * (4 + 4 + 3)


def test_two_poolings_stand_under_their_names(study, make_diagnosis, tmp_path):
    both = [Diagnosed(make_diagnosis(study, DiagnosisSpec(one)), None) for one in ("mean", "last")]
    record = json.loads(json_text(both))
    assert list(record) == ["mean", "last"]
    assert record["last"]["measured"]["pooling"] == "last"
    write_receipt(both, tmp_path / "receipt.json")
    kept = json.loads((tmp_path / "receipt.json").read_text())
    assert kept == {"mean": both[0].receipt, "last": both[1].receipt}
    assert sum(line == RULE for line in text(both)) == 2


@pytest.mark.parametrize("write", [write_csv, write_receipt])
def test_a_file_that_cannot_be_written_is_one_sentence(write, diagnosed, tmp_path):
    with pytest.raises(CoreError, match="cannot be written: No such file or directory"):
        list(write([diagnosed], tmp_path / "no" / "file") or ())
