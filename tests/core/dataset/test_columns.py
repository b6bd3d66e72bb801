"""Tables: what is accepted, what it becomes, and the one sentence said about everything else."""

import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.dataset import files as dataset_files
from core.dataset import rows as dataset_rows
from core.dataset.annotations import (
    BAD_LINE,
    BAD_VALUE,
    FLAGGED,
    MISSING,
    NO_FOUNDATION,
    SEVERAL,
    read_annotations,
)
from core.dataset.cells import parse_foundations
from core.dataset.columns import OFFICIAL_COLUMNS, ColumnMapping, inspect_table
from core.dataset.rows import TableError

OWN = [
    {"action": "helping", "foundation": "care", "judgement": "2", "agreement": "4"},
    {"action": 'saying "no"', "foundation": "care|loyalty-betrayal", "judgement": "-1"},
    {"action": "lying, often", "foundation": "Fairness-Cheating", "judgement": "-2"},
    {"action": "walking", "foundation": "purity", "judgement": "0", "agreement": "3"},
]
for _row in OWN:
    _row.setdefault("agreement", "2")


def write(path: Path, rows: list[dict[str, str]], delimiter: str = ",") -> Path:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if set('",\t\n') & set(text) else text

    lines = [delimiter.join(rows[0])]
    lines += [delimiter.join(cell(value) for value in row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def official(path: Path, rows: list[dict[str, str]]) -> Path:
    usual = {
        "m": "1",
        "rot-bad": "0",
        "action": "helping",
        "rot-moral-foundations": "care-harm",
        "action-moral-judgment": "1",
        "action-agree": "3.0",
    }
    lines = ["\t".join(OFFICIAL_COLUMNS)]
    lines += ["\t".join((usual | row).get(name, "") for name in OFFICIAL_COLUMNS) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def vectors(table: pa.Table) -> list[dict[int, float]]:
    return [
        {place: value for place, value in enumerate(row) if value}
        for row in table["vector"].to_pylist()
    ]


# What a table becomes ---------------------------------------------------------------------------


def test_a_persons_table_follows_the_formula_by_hand(tmp_path):
    read = read_annotations(write(tmp_path / "mine.csv", OWN))
    assert read.kind == "own"
    assert (read.rows, read.kept, read.table.num_rows) == (4, 4, 5)
    assert read.table["foundation"].to_pylist() == [0, 0, 2, 1, 4]
    assert vectors(read.table) == [{0: 1.0}, {1: 0.25, 5: 0.25}, {1: 0.25, 5: 0.25}, {3: 0.5}, {}]
    assert read.table["pole"].to_pylist() == ["virtue", "vice", "vice", "vice", "neutral"]
    assert read.table["grade"].to_pylist() == [1.0, 0.25, 0.25, 0.5, 0.0]
    assert read.table["text"].to_pylist()[1] == 'saying "no"'


def test_every_format_gives_the_same_annotations(tmp_path):
    paths = [
        write(tmp_path / "a.csv", OWN),
        write(tmp_path / "a.tsv", OWN, "\t"),
        write(tmp_path / "b.csv", OWN, ";"),
        tmp_path / "a.jsonl",
        tmp_path / "a.parquet",
    ]
    paths[3].write_text("".join(json.dumps(row) + "\n" for row in OWN))
    pq.write_table(pa.Table.from_pylist(OWN), paths[4])
    first, *others = [read_annotations(path).table for path in paths]
    for other in others:
        assert other.equals(first)


def test_typed_cells_and_lists_of_foundations_are_read_as_well(tmp_path):
    rows = [{"text": "helping", "foundations": ["care", "loyalty"], "judgment": -2, "agree": 3}]
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]) + "\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        read = read_annotations(tmp_path / name)
        assert vectors(read.table) == [{1: 0.75, 5: 0.75}] * 2


def test_a_signed_score_takes_the_place_of_judgement_and_agreement(tmp_path):
    rows = [
        {"text": "a b c", "axis": "care", "rating": "0.3"},
        {"text": "d e f", "axis": "harm", "rating": "-1"},
        {"text": "g h i", "axis": "care", "rating": "0"},
    ]
    table = read_annotations(write(tmp_path / "a.csv", rows)).table
    assert [round(value, 6) for value in table["grade"].to_pylist()] == [0.3, 1.0, 0.0]
    assert table["pole"].to_pylist() == ["virtue", "vice", "neutral"]
    assert table["judgement"].null_count == 3


def test_missing_agreement_is_full_agreement(tmp_path):
    rows = [{"action": "a b", "foundation": "care", "judgement": "1", "agreement": ""}]
    with_gap = read_annotations(write(tmp_path / "a.csv", rows)).table
    del rows[0]["agreement"]
    without = read_annotations(write(tmp_path / "b.csv", rows)).table
    assert with_gap["agreement"].to_pylist() == without["agreement"].to_pylist() == [4.0]
    assert with_gap["grade"].to_pylist() == [0.5]


def test_the_papers_filter_counts_each_row_under_its_first_reason(tmp_path):
    path = official(
        tmp_path / "sc.tsv",
        [
            {"rot-bad": "1", "m": "5"},
            {"m": "3"},
            {"action": ""},
            {"action-agree": ""},
            {"rot-moral-foundations": ""},
            {"rot-moral-foundations": "liberty"},
            {"action": "None"},  # pandas, and with it the paper, reads this cell as missing
            {"action": "staying"},
            {"rot-moral-foundations": "care-harm| liberty |fairness-cheating"},
        ],
    )
    read = read_annotations(path)
    assert read.kind == "official"
    assert read.dropped == {FLAGGED: 1, SEVERAL: 1, MISSING: 4, NO_FOUNDATION: 1}
    assert (read.rows, read.kept) == (9, 3)
    # Numbered after the filter: the row without a known foundation has its number too.
    ids = ["socialchem_000001", "socialchem_000002", "socialchem_000002"]
    assert read.table["annotation"].to_pylist() == ids
    assert vectors(read.table) == [{0: 0.375}, {0: 0.375, 2: 0.375}, {0: 0.375, 2: 0.375}]


def test_a_judgement_nobody_agrees_with_is_neutral(tmp_path):
    path = official(tmp_path / "sc.tsv", [{"action-moral-judgment": "-2", "action-agree": "0"}])
    assert read_annotations(path).table["pole"].to_pylist() == ["neutral"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('saying "no" twice', 'saying "no" twice'),
        ('"saying ""no"" twice"', 'saying "no" twice'),
        ('"no" said twice', '"no" said twice'),
        ('an 8" nail', 'an 8" nail'),
        ('"', '"'),
        (" two  blanks ", " two  blanks "),
    ],
)
def test_quotes_in_the_official_table_stay_whole(tmp_path, raw, text):
    path = official(tmp_path / "sc.tsv", [{"action": raw}, {"action": "after it"}])
    assert read_annotations(path).table["text"].to_pylist() == [text, "after it"]


def test_a_quoted_cell_over_two_lines_is_one_cell(tmp_path):
    path = official(tmp_path / "sc.tsv", [{"situation": '"one\ntwo"'}, {"action": '"a ""b"""'}])
    assert read_annotations(path).table["text"].to_pylist() == ["helping", 'a "b"']


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"\n", b"\r\n", 2),
        lambda data: data.rstrip(b"\n"),
        lambda data: data + b"\n\n",
    ],
    ids=["byte order mark", "CRLF", "mixed line ends", "no last line end", "blank lines"],
)
def test_ways_of_ending_lines_do_not_matter(tmp_path, change):
    path = write(tmp_path / "a.csv", OWN)
    plain = read_annotations(path).table
    path.write_bytes(change(path.read_bytes()))
    assert read_annotations(path).table.equals(plain)


@pytest.mark.parametrize("name", ["g[1].csv", "g*.csv", "o'hara.csv", "{a,b}.csv", "a b.tsv.csv"])
def test_a_name_is_a_name_and_never_a_pattern(tmp_path, name):
    write(tmp_path / "g1.csv", OWN[:1])
    assert read_annotations(write(tmp_path / name, OWN)).rows == 4


def test_repeated_ids_are_allowed_and_counted(tmp_path):
    rows = [{"id": "x", **row} for row in OWN[:3]]
    read = read_annotations(write(tmp_path / "a.csv", rows))
    assert read.repeated_ids == 2
    assert set(read.table["annotation"].to_pylist()) == {"x"}


def test_a_zip_gives_what_the_table_inside_gives(tmp_path):
    path = official(tmp_path / "sc.tsv", [{}, {"action": "b"}])
    packed = zipped(
        tmp_path / "sc.zip",
        {"d/sc.v1.tsv": path.read_bytes(), "d/README.md": b"x", "__MACOSX/d/._sc.v1.tsv": b"x"},
    )
    workspace = tmp_path / "store"
    assert read_annotations(packed, workspace).table.equals(read_annotations(path).table)
    assert inspect_table(packed).name == "d/sc.v1.tsv in sc.zip"
    assert list(workspace.iterdir()) == []


# What a page is shown ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "mapping"),
    [
        ("text,foundations,judgment,agree\nhelp,care,1,3",
         ColumnMapping("text", "foundations", "judgment", "agree")),
        ("Sentence,Category,Label\nhelp,care,2\nlie,harm,-1",
         ColumnMapping("Sentence", "Category", "Label")),
        ("ID,Action,Moral Foundation,rating\na,help,care,.5\nb,lie,harm,-1",
         ColumnMapping("Action", "Moral Foundation", score="rating", identifier="ID")),
        ("action,foundation,judgement,score\nx,x,x,x",
         ColumnMapping("action", "foundation", "judgement")),
    ],
)  # fmt: skip
def test_columns_are_recognised_by_many_names(tmp_path, columns, mapping):
    path = tmp_path / "a.csv"
    path.write_text(f"{columns}\n")
    shape = inspect_table(path)
    assert (shape.kind, shape.mapping, shape.missing) == ("own", mapping, ())


def test_an_unknown_column_leaves_the_choice_to_the_person(tmp_path):
    rows = [{"what": "1", "foundation": "care", "judgement": "2"}]
    path = write(tmp_path / "a.csv", rows)
    shape = inspect_table(path)
    assert shape.mapping is None
    assert shape.missing == ("action",)
    assert shape.guess.columns == {"foundations": "foundation", "judgement": "judgement"}
    assert shape.preview == tuple(rows)
    with pytest.raises(TableError, match=r"no column was recognised for 'action'.*'what'"):
        read_annotations(path)
    chosen = ColumnMapping("what", "foundation", "judgement")
    assert read_annotations(path, mapping=chosen).kept == 1
    with pytest.raises(TableError, match=r"no column 'who'.*'what'"):
        read_annotations(path, mapping=ColumnMapping("who", "foundation", "judgement"))


@pytest.mark.parametrize("chosen", [{}, {"judgement": "j", "score": "s"}])
def test_a_mapping_has_a_judgement_or_a_score(chosen):
    with pytest.raises(TableError, match="Choose one of them"):
        ColumnMapping("a", "f", **chosen)


def test_an_official_table_with_a_renamed_column_says_which(tmp_path):
    path = official(tmp_path / "sc.tsv", [{}])
    path.write_text(path.read_text().replace("rot-bad", "bad", 1))
    assert inspect_table(path).missing == ("rot-bad",)
    with pytest.raises(TableError, match="lacks the column 'rot-bad'"):
        read_annotations(path)


@pytest.mark.parametrize(
    ("cell", "known", "unknown"),
    [
        ("care-harm", (0,), ()),
        ("Harm", (0,), ()),
        (" sanctity_degradation ; FAIRNESS / cheating", (1, 4), ()),
        ('["care", "authority-subversion"]', (0, 3), ()),
        ("care|harm,care", (0,), ()),
        ("care|liberty", (0,), ("liberty",)),
        ("care–harm", (0,), ()),
        ("", (), ()),
        ("carefulness", (), ("carefulness",)),
    ],
)
def test_foundation_cells(cell, known, unknown):
    assert parse_foundations(cell) == (known, unknown)


# What is refused, each in a sentence ------------------------------------------------------------


def _text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


HEAD = "action,foundation,judgement,agreement\n"
GOOD = "helping,care,1,3\n"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.tsv", b"", "a.tsv is empty"),
        ("a.tsv", b" \n \n", "a.tsv is empty"),
        ("a.tsv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "holds NUL bytes"),
        ("a.csv", HEAD.encode() + b"caf\xe9,care,1,3\n", "not UTF-8 text .near byte 4"),
        ("a.csv", "\ufeffx".encode("utf-16-le")[:-1], "UTF-16, but is damaged"),
        ("a.csv", b"\x1f\x8b\x08\0abc", "gzip"),
        ("a.csv", b"no table\nat all\n", "only one column"),
        ("a.csv", b"action,action,judgement\n", "two columns named 'action'"),
        ("a.parquet", b"PAR1 and then nothing", "damaged Parquet"),
        ("a.json", b'[{"action": 1}]', "JSON Lines"),
        ("a.jsonl", b'{"action": "x"}\n{broken\n', "Line 2 of a.jsonl is not a JSON object"),
        ("a.jsonl", b'{"action": "x"}\n5\n', "Line 2 of a.jsonl is not a JSON object"),
        ("a.csv", f"{HEAD}{GOOD}short,care\n".encode(), "1 line does not fit the 4 col.*line 3"),
        ("a.csv", f"{HEAD}{GOOD}a,b,1,2,3\n".encode(), "line 3: it has too many cells"),
        ("a.csv", f"{HEAD}{GOOD},care,1,3\n".encode(), "'action'.* first in row 2: ''"),
        ("a.csv", f"{HEAD}{GOOD}a,,1,3\n".encode(), "'foundation'.* first in row 2: ''"),
        ("a.csv", f"{HEAD}a,liberty,1,3\n".encode(), "'foundation'.*'liberty'.*care-harm"),
        ("a.csv", f"{HEAD}{GOOD}a,care,3,3\n".encode(), "'judgement'.*row 2: '3'.*from -2 to 2"),
        ("a.csv", f"{HEAD}a,care,good,3\n".encode(), "'judgement'.*row 1: 'good'"),
        ("a.csv", f"{HEAD}a,care,inf,3\n".encode(), "'judgement'.*row 1: 'inf'"),
        ("a.csv", f"{HEAD}a,care,1,5\nb,care,1,9\n".encode(), "'agreement'.*2 values.*row 1: '5'"),
        ("a.csv", f"{HEAD}{GOOD}{'x' * 10**6},care,1,3\n".encode(), "'action'.*row 2.*4,000 char"),
        ("a.csv", f"{HEAD}{GOOD}{'x' * 5 * 2**20},care,1,3\n".encode(), "line 3: it is longer"),
        ("a.csv", b"action,foundation,score\na,care,1.5\n", "'score'.*from -1 to 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(tmp_path, name, content, sentence):
    path = _bytes(tmp_path / name, content)
    with pytest.raises(TableError, match=sentence) as caught:
        read_annotations(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 450
    assert "Error:" not in message


def test_json_lines_end_at_a_line_feed_and_nowhere_else(tmp_path):
    said = "one\u2028two\u0085three\x7ffour"
    lines = [json.dumps({**OWN[0], "action": said}, ensure_ascii=False), json.dumps(OWN[1])]
    path = _text(tmp_path / "a.jsonl", "\ufeff" + "\n\n".join(lines))
    assert read_annotations(path).table["text"].to_pylist()[0] == said
    assert [row["action"] for row in inspect_table(path).preview] == [said, OWN[1]["action"]]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"action": "a", "action": "b"}', "names 'action' twice"),
        ('{"action": "\\ud800"}', "half of a two-part sign"),
        ('{"action": 1} {"action": 2}', "Extra data"),
        ('{"a": ' + "[" * 5000 + "}", "nested too deeply|Expecting value"),
    ],
)
def test_a_line_of_json_that_is_no_one_object_is_named(tmp_path, line, fault):
    good = json.dumps(OWN[0])
    for head in (2, 300):  # within what is looked at first, and behind it
        text = f"{good}\n\n" + f"{good}\n" * head + line + "\n"
        with pytest.raises(TableError, match=rf"Line {head + 3} of a\.jsonl.*({fault})") as caught:
            read_annotations(_text(tmp_path / "a.jsonl", text))
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\u0085", "\u2028", "\u2029"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_only_cr_and_lf_end_a_record(tmp_path, sign, delimiter):
    head = ["action", "foundation", f"note of{sign}it", "judgement"]
    lines = [head, [f"a{sign}b", "care", "x", "1"], ["c d", "care", "y", "-2"]]
    path = _text(tmp_path / "a.csv", "\n".join(delimiter.join(line) for line in lines))
    shape = inspect_table(path)
    assert shape.columns == tuple(head)
    assert [row["action"] for row in shape.preview] == [f"a{sign}b", "c d"]
    assert read_annotations(path).table["text"].to_pylist() == [f"a{sign}b", "c d"]


def test_a_lone_cr_ends_a_record_of_csv_but_not_inside_quotes(tmp_path):
    path = _bytes(
        tmp_path / "a.csv", HEAD.encode() + b'a,care,1,3\r"b\rc",care,2,3\r\nd,care,0,3\n'
    )
    assert read_annotations(path).table["text"].to_pylist() == ["a", "b c", "d"]


@pytest.mark.parametrize("word", ["NA", "None", "null", "n/a", "NaN"])
def test_a_word_that_counts_as_missing_is_shown_as_typed(tmp_path, word):
    path = _text(tmp_path / "a.csv", f"{HEAD}{GOOD}{word},care,1,3\n")
    said = rf"row 2: '{word}' \(line 3, a word that counts as missing\)"
    with pytest.raises(TableError, match=said):
        read_annotations(path)


@pytest.mark.parametrize("blank", ["\u00a0", "\u200b", "\u3000", "\ufeff", "\u2060 \u2003", "\x0b"])
def test_blank_is_what_a_person_sees_as_blank(tmp_path, blank):
    path = _text(tmp_path / "a.csv", f"{HEAD}{GOOD}{blank},care,1,3\n")
    with pytest.raises(TableError, match=r"row 2: .* \(line 3\)\. Allowed is a cell that is not"):
        read_annotations(path)
    around = f"{HEAD}a b,{blank}care{blank},{blank}1{blank},{blank}\n{blank},,{blank},\n"
    table = read_annotations(_text(path, around)).table
    assert table.select(["text", "foundation", "judgement", "agreement"]).to_pylist() == [
        {"text": "a b", "foundation": 0, "judgement": 1.0, "agreement": 4.0}
    ]
    with pytest.raises(TableError, match="is empty"):
        read_annotations(_text(path, blank * 3))


SHEET = "action;foundation;judgement;agreement\r\nbeing kind;care;1,5;3,0\r\nlying;harm;-2;4\r\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode(),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: ("\ufeff" + text).encode("utf-16-be"),
        lambda text: b"sep=;\r\n" + text.encode(),
        lambda text: b'\xef\xbb\xbf"sep=;"\r\n' + text.encode(),
        lambda text: b"\n\n" + text.encode(),
        lambda text: text.replace(";", "\t").encode(),
        lambda text: b"sep=|\n" + text.replace(";", "|").encode(),
        lambda text: re.sub(r"[^;\r\n]+", r'"\g<0>"', text).encode(),
        lambda text: text.replace("\r\n", ";;\r\n").encode() + b";;;;;\r\n" * 3,
        lambda text: text.replace("\r\n", ";;\r\n", 1).encode() + b"\r\n;;;;;\r\n",
        lambda text: text.replace("-2;", '="-2";').encode(),
        lambda text: text.replace("-2;", "\u22122;").encode(),
        lambda text: b"\xef\xbb\xbf" + text.replace("\r\n", "\r").replace(";", "\t").encode(),
    ],
    ids=["plain", "mark", "utf-16", "utf-16 big", "sep", "quoted sep", "blank first", "tabs", "bar",
         "quoted", "empty columns", "dropped separators", "formula", "minus", "old line ends"],
)  # fmt: skip
def test_habits_of_spreadsheets_are_understood(tmp_path, change):
    read = read_annotations(_bytes(tmp_path / "a.csv", change(SHEET)))
    assert (read.rows, read.kept, read.dropped) == (2, 2, {})
    assert read.table["text"].to_pylist() == ["being kind", "lying"]
    assert read.table["judgement"].to_pylist() == [1.5, -2.0]
    assert read.table["agreement"].to_pylist() == [3.0, 4.0]


def test_a_note_in_an_unnamed_column_is_no_fault(tmp_path):
    path = _text(tmp_path / "a.csv", "action,foundation,judgement,,\na,care,1,see below,\n")
    assert read_annotations(path).kept == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_named_is_the_files_own_behind_quoted_line_ends(tmp_path, delimiter, end):
    def table(*rows: tuple[str, ...]) -> Path:
        lines = [("action", "foundation", "judgement"), ('"a\nb"', "care", "1"), ("",), *rows]
        text = end.join(delimiter.join(line) for line in lines)
        return _bytes(tmp_path / "a.csv", text.encode())

    with pytest.raises(TableError, match=r"row 2: '9' \(line 5\)"):
        read_annotations(table(("c", "care", "9")))
    if delimiter != "\t":  # a TSV with a ragged line is read without quotes
        with pytest.raises(TableError, match="the first is line 5: it has too few cells"):
            read_annotations(table(("c", "care")))
    path = _text(tmp_path / "a.jsonl", "\n".join(["", json.dumps(OWN[0] | {"judgement": 7})]))
    with pytest.raises(TableError, match=r"row 1: '7' \(line 2\)"):
        read_annotations(path)


def test_a_bad_line_deep_in_json_lines_is_found(tmp_path):
    good = json.dumps({"action": "x", "foundation": "care", "judgement": 1})
    lines = [good] * 300 + ["{broken"] + [good]
    with pytest.raises(TableError, match=r"Line 301 of a\.jsonl"):
        read_annotations(_text(tmp_path / "a.jsonl", "\n".join(lines)))


def test_paths_that_are_no_files(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="There is no file"):
        inspect_table(tmp_path / "nowhere.tsv")
    with pytest.raises(TableError, match="is a folder"):
        inspect_table(tmp_path)
    path = write(tmp_path / "a.csv", OWN)

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TableError, match=r"cannot be read \(Permission denied"):
        inspect_table(path)


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"a.csv": b"x"}, "exactly one .tsv file, but holds 0"),
        ({"a.tsv": b"x", "b.TSV": b"y"}, "holds 2 .a.tsv, b.TSV"),
        ({"[Content_Types].xml": b"x", "a.tsv": b"y"}, "Office document"),
        ({"a.tsv": b""}, "is empty"),
    ],
)
def test_zips_without_one_table(tmp_path, members, sentence):
    with pytest.raises(TableError, match=sentence):
        read_annotations(zipped(tmp_path / "a.zip", members), tmp_path / "w")


def test_a_zip_bomb_is_stopped_while_it_unpacks(tmp_path, monkeypatch):
    bomb = zipped(tmp_path / "a.zip", {"a.tsv": b"a\tb\n" * 2**23})
    workspace = tmp_path / "w"
    with pytest.raises(TableError, match="unpacks to more than is accepted"):
        read_annotations(bomb, workspace)
    assert list(workspace.iterdir()) == []
    monkeypatch.setattr(dataset_files, "MAX_RATIO", 10**6)
    monkeypatch.setattr(dataset_files, "MAX_UNPACKED", 2**20)
    with pytest.raises(TableError, match="unpacks to more than is accepted"):
        read_annotations(bomb, workspace)


def test_a_zip_that_states_a_false_size_or_is_damaged(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.tsv": b"action\tfoundation\n" * 1000})
    data = bytearray(path.read_bytes())
    damaged = data.copy()
    damaged[60] ^= 0xFF
    with pytest.raises(TableError, match="damaged"):
        read_annotations(_bytes(tmp_path / "b.zip", bytes(damaged)))
    with pytest.raises(TableError, match="damaged"):
        read_annotations(_bytes(tmp_path / "c.zip", bytes(data[:-30])))


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.tsv": b"action\tfoundation\n"})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(TableError, match="password"):
        read_annotations(_bytes(path, bytes(data)))


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path):
    text = f"{HEAD}{GOOD}a,care,9,3\nb,liberty,1,3\nragged,care\n,care,1,1\nc,harm,-2,4\n"
    path = _text(tmp_path / "a.csv", text)
    read = read_annotations(path, skip_bad_rows=True)
    assert (read.rows, read.kept) == (6, 2)
    assert read.dropped == {BAD_VALUE: 3, BAD_LINE: 1}
    assert read.table["text"].to_pylist() == ["helping", "c"]


def test_nothing_is_fetched_or_spilled_by_the_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with dataset_rows.connection() as con:
        assert con.sql("SELECT current_setting('temp_directory')").fetchall() == [("",)]
        assert con.sql("SELECT current_setting('autoinstall_known_extensions')").fetchall() == [
            (False,)
        ]
    read_annotations(write(tmp_path / "a.csv", OWN))
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_the_row_named_in_an_error_is_the_rows_number_in_a_long_file(tmp_path):
    lines = [f"doing thing {number},care,1,3" for number in range(60_000)]
    lines[54_320] = "doing harm,care,1,7"
    path = _text(tmp_path / "a.csv", HEAD + "\n".join(lines))
    with pytest.raises(TableError, match="first in row 54,321: '7'"):
        read_annotations(path)


def test_a_cell_with_a_control_sign_is_refused(tmp_path):
    line = json.dumps({"action": "a\0b", "foundation": "care", "judgement": 1})
    with pytest.raises(TableError, match=r"control signs|cannot be read"):
        read_annotations(_text(tmp_path / "a.jsonl", line))
