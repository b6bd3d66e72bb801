"""Which column holds what: guessed by names and values, left open where two columns compete."""

import json
from pathlib import Path

import pytest

from core.dataset.annotations import read_annotations
from core.dataset.columns import ColumnMapping, inspect_table
from core.dataset.guess import BY_BOTH, BY_NAME, BY_VALUES, guess_columns
from core.dataset.preview import read_first_rows
from core.dataset.rows import TableError

TEXTS = ("to help a child", "to lie to a friend", "to hit a dog", "to share the bill")
FOUNDATIONS = ("care-harm", "Fairness / Cheating", "HARM", "loyalty")
POLES = ("virtue", "vice", "vice", "virtue")
WAYS = "judgement or score or pole"


def guessed(**columns: tuple[object, ...]):
    """Guess on a table given by columns, each with its cells; return the guess."""
    count = len(next(iter(columns.values())))
    rows = [{name: str(cells[at]) for name, cells in columns.items()} for at in range(count)]
    return guess_columns(tuple(columns), rows)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# By name ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["Action", "TEXT", "sentence", "Prompt", "be-haviour", "state ment"]
)
def test_the_text_is_known_by_many_names(name):
    guess = guessed(**{name: TEXTS}, note=("a b c", "d e f", "g h i", "k l m"))
    assert guess.columns["action"] == name
    assert guess.reasons["action"] == (BY_NAME if name == "Action" else BY_BOTH)


@pytest.mark.parametrize(
    "name", ["Foundation", "moral-foundations", "Moral_Foundation", "MFT", "category", "label"]
)
def test_the_foundation_is_known_by_many_names(name):
    guess = guessed(text=TEXTS, **{name: FOUNDATIONS}, other=FOUNDATIONS)
    assert guess.columns["foundations"] == name
    assert guess.reasons["foundations"].startswith(BY_NAME)


@pytest.mark.parametrize("name", ["pole", "Valence", "label", "judgment", "Judgement", "Virtue"])
@pytest.mark.parametrize(
    "values", [POLES, ("Good", "bad", "BAD", "good"), (1, -1, -1, 1), ("moral", *["immoral"] * 3)]
)
def test_the_pole_is_known_by_many_names(name, values):
    guess = guessed(text=TEXTS, foundation=FOUNDATIONS, **{name: values})
    plain = name.casefold() in ("judgment", "judgement") and values[0] == 1
    assert guess.columns["judgement" if plain else "pole"] == name


@pytest.mark.parametrize("name", ["grade", "typicality", "Score", "weight", "rating"])
def test_the_grade_stands_beside_a_pole(name):
    columns = {"text": TEXTS, "foundation": FOUNDATIONS, name: (1, 0.5, 0.25, 1)}
    guess = guessed(**columns, side=POLES)
    assert (guess.columns["grade"], guess.columns["pole"]) == (name, "side")
    assert "grade" not in guessed(**columns).columns


def test_social_chemistry_names_go_on_being_known():
    guess = guessed(
        **{
            "action": TEXTS,
            "situation": ("long " * 9,) * 4,
            "rot-moral-foundations": FOUNDATIONS,
            "action-moral-judgment": (1, -1, 0, 2),
            "action-agree": (3, 4, 2, 1),
        }
    )
    assert guess.columns == {
        "action": "action",
        "foundations": "rot-moral-foundations",
        "judgement": "action-moral-judgment",
        "agreement": "action-agree",
    }
    assert guess.open == {}


# By values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "role"),
    [
        (POLES, "pole"),
        (("positive", "negative", "neutral", "negative"), "pole"),
        ((1, -1, -1, 1), "pole"),
        ((2, -1, 0, 1), "judgement"),
        (("1,5", "-2", "0", "1"), "judgement"),
        ((0.5, -1, 0, "\u22120.25"), "score"),
    ],
)
def test_columns_without_names_are_told_by_their_values(values, role):
    guess = guessed(b=values, a=TEXTS, c=FOUNDATIONS)
    assert guess.columns == {"action": "a", "foundations": "c", role: "b"}
    assert set(guess.reasons.values()) == {BY_VALUES}


def test_foundations_named_by_their_poles_tell_the_pole_as_well():
    guess = guessed(text=TEXTS, what=("care", "cheating", "harm", "purity"))
    told = guessed(text=TEXTS, what=("care", "cheating", "harm", "sanctity"))
    rival = guessed(text=TEXTS, what=("care", "cheating", "harm", "sanctity"), label=(0, 1, 1, 0))
    assert WAYS in rival.open, "the label may well be the pole"
    assert "pole" not in guess.columns, "purity is an older name of the whole foundation"
    assert (told.columns["foundations"], told.columns["pole"]) == ("what", "what")


def test_a_few_wrong_cells_do_not_hide_a_column():
    cells = (*FOUNDATIONS[:3], "liberty")
    assert guessed(a=TEXTS, b=cells, pole=POLES).columns["foundations"] == "b"


def test_missing_cells_say_nothing():
    guess = guessed(a=TEXTS, b=("care", "NA", "", "harm"), c=("good", "bad", "None", "bad"))
    assert guess.columns == {"action": "a", "foundations": "b", "pole": "c"}


def test_a_clearly_longer_column_of_texts_is_the_text():
    short = ("Dog", "Lie", "Bill", "Child")
    assert guessed(a=short, b=TEXTS, c=FOUNDATIONS).columns["action"] == "b"


# Left open ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "role", "said"),
    [
        ({"a": TEXTS, "b": TEXTS[::-1], "c": FOUNDATIONS}, "action", "'a' and 'b' each look like"),
        ({"Text": TEXTS, "sentence": TEXTS}, "action", "'Text' and 'sentence' each"),
        ({"a": FOUNDATIONS, "b": FOUNDATIONS}, "foundations", "'a' and 'b' each look like moral"),
        ({"foundation": FOUNDATIONS, "Foundations": FOUNDATIONS}, "foundations", "each look like"),
        ({"text": TEXTS, "topic": ("dogs", "lies", "dogs", "bills")}, "foundations", "No column"),
        ({"a": POLES, "b": (1, -1, 1, -1)}, WAYS, "in 'a' (a pole) or in 'b' (a pole)"),
        ({"a": POLES, "b": (0.5, -1, 0.1, 1)}, WAYS, "in 'b' (a score"),
        ({"label": (0, 1, 1, 0)}, WAYS, "'label' is named so, but holds '0', '1'."),
        ({"label": (0, 1, -1, 0)}, WAYS, "No column looks like a judgement"),
        ({"label": (1, 5, 3, 4)}, WAYS, "'label' is named so, but holds '1', '3', '4', '5'."),
        ({"pole": POLES, "typicality": (1, 5, 3, 4)}, "grade", ""),
        ({"pole": POLES, "x": (1, 0.5, 0, 1), "y": (1, 0.2, 0, 1)}, "grade", "counts as 1."),
        ({"pole": POLES, "weight": (70, 80, 60, 50)}, "grade", "every text counts as 1."),
        ({"judgement": (1, 2, -1, 0)}, "agreement", "every judgement counts as fully agreed on."),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_left_open_and_said(columns, role, said):
    guess = guessed(**columns)
    if said:
        assert role not in guess.columns
        assert said in guess.open[role]
        assert not {"judgement", "score", "pole"} & set(guess.columns) or role != WAYS
    else:  # a plain name is taken though its values contradict it, and the doubt is told
        assert guess.columns[role] == "typicality"
        assert "do not bear it out" in guess.reasons[role]


def test_a_score_without_a_negative_value_is_doubted():
    guess = guessed(text=TEXTS, foundation=FOUNDATIONS, score=(0.9, 0.1, 0.5, 1))
    assert guess.reasons["score"] == f"{BY_NAME}; its values do not bear it out"


def test_an_empty_table_is_guessed_by_plain_names():
    assert guess_columns(("action", "foundation", "pole", ""), ()).columns == {
        "action": "action",
        "foundations": "foundation",
        "pole": "pole",
    }
    assert guess_columns((), ()).columns == {}


# Tables from files --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("twelve.csv", "action,foundations,judgement\nto help someone,care-harm,2\n"
         "to lie to someone,fairness-cheating,-2\n", {"judgement": "judgement"}),
        ("vertical-tab.csv", "action,foundations,judgement of the\x0bact,judgement\n"
         "Helping a lost child,care-harm,x,2\nHitting a dog,care-harm,x,-2\n",
         {"judgement": "judgement"}),
        ("separator.jsonl", json.dumps({"action": "a\u2028b", "foundations": "care", "score": -1}),
         {"score": "score"}),
    ],
)  # fmt: skip
def test_tables_with_odd_signs_are_guessed(tmp_path, name, text, columns):
    mapping = inspect_table(write(tmp_path / name, text)).mapping
    assert mapping == ColumnMapping("action", "foundations", **columns)


def test_a_table_without_foundations_is_refused_with_what_it_lacks(tmp_path):
    path = write(tmp_path / "a.csv", "sentence,label\nto help,1\nto lie,-1\n")
    with pytest.raises(TableError, match="No column looks like moral foundations"):
        read_annotations(path)


def test_poles_and_grades_become_vectors(tmp_path):
    rows = "to help,care,Good,0.5\nto lie,cheating,\u22121,1\nto sit,care,neutral,0\n"
    path = write(tmp_path / "a.csv", f"text,foundation,valence,typicality\n{rows}")
    mapping = ColumnMapping("text", "foundation", pole="valence", grade="typicality")
    table = read_annotations(path, mapping=mapping).table
    assert table["pole"].to_pylist() == ["virtue", "vice", "neutral"]
    assert table["grade"].to_pylist() == [0.5, 1.0, 0.0]
    assert table["vector"].to_pylist()[1] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    alone = read_annotations(path, mapping=ColumnMapping("text", "foundation", pole="valence"))
    assert alone.table["grade"].to_pylist() == [1.0, 1.0, 0.0]
    for cell, fault in (
        ("maybe,1", "'valence'.*virtue or vice"),
        ("bad,2", "'typicality'.*0 to 1"),
    ):
        write(path, f"text,foundation,valence,typicality\nto help,care,{cell}\n")
        with pytest.raises(TableError, match=fault):
            read_annotations(path, mapping=mapping)


@pytest.mark.parametrize("lone", [{"agreement": "x", "pole": "p"}, {"grade": "x", "score": "p"}])
def test_a_scale_needs_what_it_scales(lone):
    with pytest.raises(TableError, match="goes with a"):
        ColumnMapping("a", "f", **lone)


def test_the_first_rows_are_shown_as_they_are_read(tmp_path):
    rows = 'to help,"care, loyalty",1;to lie,cheating,-2;to sit,beauty,0;to go,harm,9;,care,1'
    path = write(tmp_path / "a.csv", "text,foundation,judgement\n" + rows.replace(";", "\n") + "\n")
    shape = inspect_table(path)
    shown = read_first_rows(shape, shape.mapping)
    read = read_annotations(path, skip_bad_rows=True).table
    assert [row.text for row in shown] == ["to help", "to lie", "to sit", "to go", ""]
    assert [(row.pole, row.grade) for row in shown[:2]] == [("virtue", 0.5), ("vice", 1.0)]
    assert shown[0].foundations == "care-harm, loyalty-betrayal"
    assert sorted(set(read["grade"].to_pylist())) == [0.5, 1.0]
    faults = [row.fault for row in shown]
    assert faults[:2] == ["", ""]
    assert faults[2].startswith("'foundation' holds 'beauty'; allowed is care-harm")
    assert faults[3] == "'judgement' holds '9'; allowed is a number from -2 to 2"
    assert faults[4] == "'text' holds ''; allowed is a cell that is not empty"
