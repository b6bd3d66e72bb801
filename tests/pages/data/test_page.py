"""The data page: what is shown of a set, and how a person's own table becomes one."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.pages.atlases import maps

#: Two foundations, both poles; enough different actions for a map.
ROWS = [
    ("helping a neighbour carry boxes", "care-harm", 2, 4),
    ("feeding a stray cat", "care-harm", 1, 3),
    ("kicking a dog", "care-harm", -2, 4),
    ("mocking a child who cries", "care-harm", -2, 3),
    ("reading under a tree", "care-harm", 0, 2),
    ("sharing the last slice evenly", "fairness-cheating", 1, 4),
    ("paying back a loan early", "fairness-cheating", 2, 3),
    ("copying in an exam", "fairness-cheating", -2, 4),
    ("jumping the queue", "fairness-cheating", -1, 3),
    ("waiting for a bus", "fairness-cheating", 0, 1),
]
SAMPLE = Path(__file__).parents[4] / "shared" / "social-chemistry-sample" / "sample.tsv"


def write(path: Path, head: str, rows: list[tuple[object, ...]] = ROWS) -> Path:
    lines = [head, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path / "mine.csv", "action,foundation,judgement,agreement")


@pytest.fixture
def open_data(open_page: Any, model_text: str) -> Any:
    """Open the data page where a file's path is asked for, with one typed in."""

    def opened(path: Path | str) -> Any:
        return type_path(open_page("data", model=model_text), path)

    return opened


def type_path(app: Any, path: Path | str) -> Any:
    app.segmented_control(key="way").set_value("A file on this machine").run()
    return app.text_input(key="local-path").set_value(str(path)).run()


def press(app: Any, label: str) -> Any:
    (button,) = [one for one in app.button if one.label == label]
    return button.click().run()


def read(app: Any, work: Any) -> Any:
    """Press the button that reads, and wait for the job."""
    press(app, "Read the table")
    for job in work.runner.jobs():
        job.wait(60)
    return app.run()


def select(app: Any, label: str) -> Any:
    (box,) = [one for one in app.selectbox if one.label == label]
    return box


def table(app: Any, words: str) -> Any:
    """Return a table by words of its accessible name."""
    (found,) = [one for one in app.dataframe if words in one.proto.alt]
    return found.value


def test_the_built_in_set_says_that_it_is_authored(open_page):
    app = open_page("data")
    assert any("not human-annotated" in one.value for one in app.info)
    assert any("Licence" in one.value for one in app.caption)


def test_metrics_name_rows_items_and_texts(open_page, work):
    app = open_page("data")
    items = work.items()
    told = {one.label: one.value for one in app.metric}
    assert told["Items"] == f"{len(items):,}"
    assert told["Different texts"] == f"{len(set(items.texts())):,}"


def test_the_actions_can_be_filtered(open_read, few, complaints):
    app = open_read("data")
    app.multiselect(key="browse-foundation").set_value(["care-harm"])
    app.multiselect(key="browse-pole").set_value(["vice"]).run()
    assert complaints(app) == []
    shown = table(app, "moral vectors")
    assert len(shown)
    assert set(shown["foundation"]) == {"care-harm"}
    assert set(shown["pole"]) == {"vice"}
    app.text_input(key="browse-words").set_value("zzzqqq").run()
    assert complaints(app) == []
    assert any(one.value.startswith(f"0 of {len(few):,}") for one in app.caption)


def test_a_table_of_ones_own_is_read_and_used(open_data, work, good, complaints):
    app = read(open_data(good), work)
    assert complaints(app) == []
    assert any(f"{len(ROWS)} items" in one.value for one in app.success)
    press(app, "Use it now")
    assert complaints(app) == []
    assert app.subheader[0].value == "mine"
    assert app.query_params["set"] == app.selectbox(key="set").value != "builtin"
    assert {one.label: one.value for one in app.metric}["Items"] == str(len(ROWS))


def test_a_table_of_ones_own_goes_through_the_map(open_data, work, good, complaints):
    app = press(read(open_data(good), work), "Use it now")
    app.switch_page("../map/page.py").run()
    press(app, "Read them")
    for job in work.runner.jobs():
        job.wait(60)
    app.run()
    assert complaints(app) == []
    assert list(maps(app)) == ["chart-people", "chart-model"]


def test_a_set_stays_after_a_restart(open_page, open_data, work, good, complaints):
    import streamlit as st

    app = press(read(open_data(good), work), "Use it now")
    name = app.query_params["set"]
    st.cache_resource.clear()
    again = open_page("data", set=name)
    assert complaints(again) == []
    assert again.subheader[0].value == "mine"
    assert again.query_params["set"] == name


def chosen(app: Any) -> dict[str, str]:
    """Return the boxes that are filled in: label -> column."""
    boxes = [one for one in app.selectbox if (one.key or "").startswith("map-")]
    return {one.label: one.value for one in boxes if one.value != "—"}


def test_columns_without_names_are_filled_in_and_can_be_corrected(
    open_data, work, tmp_path, complaints
):
    path = write(tmp_path / "odd.csv", "spalte1,spalte2,spalte3,spalte4")
    app = open_data(path)
    assert complaints(app) == []
    assert list(table(app, "first rows").columns) == ["spalte1", "spalte2", "spalte3", "spalte4"]
    guess = {"Action": "spalte1", "Foundations": "spalte2", "Judgement": "spalte3"}
    assert chosen(app) == guess
    assert [one.value for one in app.caption].count("by its values") == len(guess)
    assert any("No column looks like an agreement" in one.value for one in app.caption)
    assert list(table(app, "becomes of each row")["grade"])[:3] == ["1", "0.5", "1"]
    select(app, "Agreement").set_value("spalte4").run()
    assert chosen(app) == guess | {"Agreement": "spalte4"}
    assert not any("No column looks like" in one.value for one in app.caption)
    assert list(table(app, "becomes of each row")["grade"])[:3] == ["1", "0.375", "1"]
    read(app, work)
    assert complaints(app) == []
    press(app, "Use it now")
    name = app.query_params["set"]
    assert sorted(set(work.items(name).grade.tolist())) == [0, 0.375, 0.5, 0.75, 1]


def test_poles_and_grades_are_filled_in_with_a_preview(open_data, tmp_path, work, complaints):
    rows = [("to help a friend", "care", "good", 0.5), ("to lie to me", "cheating", "bad", 1)]
    app = open_data(write(tmp_path / "odd.csv", "Sentence,MFT,Valence,Typicality", rows))
    assert chosen(app) == {
        "Action": "Sentence",
        "Foundations": "MFT",
        "Pole": "Valence",
        "Grade": "Typicality",
    }
    shown = table(app, "becomes of each row")
    assert list(shown["pole"]) == ["virtue", "vice"]
    assert list(shown["grade"]) == ["0.5", "1"]
    read(app, work)
    assert complaints(app) == []
    assert any("2 items" in one.value for one in app.success)


def test_two_columns_that_compete_are_left_open(open_data, tmp_path, complaints):
    rows = [("to help a friend", "my old friend", "care", 1), ("to lie", "to them", "harm", -2)]
    app = open_data(write(tmp_path / "odd.csv", "what,whom,foundation,judgement", rows))
    assert complaints(app) == []
    assert "Action" not in chosen(app)
    assert any("'what' and 'whom' each look like a text" in one.value for one in app.caption)
    (button,) = [one for one in app.button if one.label == "Read the table"]
    assert button.disabled
    app = select(app, "Action").set_value("what").run()
    assert list(table(app, "becomes of each row")["action"]) == [rows[0][0], rows[1][0]]
    assert not any("each look like a text" in one.value for one in app.caption)


def test_a_row_that_will_not_be_read_says_so_beforehand(open_data, tmp_path):
    rows = [*ROWS[:2], ("singing", "care-harm", 9, 4)]
    app = open_data(write(tmp_path / "odd.csv", "action,foundation,judgement,agreement", rows))
    shown = table(app, "becomes of each row")
    assert list(shown["pole"]) == ["virtue", "virtue", "not read"]
    assert any("Row 3: 'judgement' holds '9'; allowed is" in one.value for one in app.caption)


def test_known_columns_are_guessed(open_data, good):
    app = open_data(good)
    assert select(app, "Action").value == "action"
    assert select(app, "Foundations").value == "foundation"
    assert select(app, "Judgement").value == "judgement"
    assert select(app, "Agreement").value == "agreement"


BAD = [
    ("judgement", [(*ROWS[0][:2], 7, 4), *ROWS[1:]], "7"),
    ("type", [(*ROWS[0][:2], "very good", 4), *ROWS[1:]], "very good"),
    ("foundation", [(ROWS[0][0], "beauty-ugliness", 2, 4), *ROWS[1:]], "beauty"),
    ("empty", [], ""),
]


@pytest.mark.parametrize(("rows", "named"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
def test_an_impossible_value_gets_one_clear_sentence(
    open_data, work, tmp_path, complaints, rows, named
):
    path = write(tmp_path / "bad.csv", "action,foundation,judgement,agreement", rows)
    app = open_data(path)
    if not complaints(app):
        read(app, work)
    told = complaints(app)
    assert len(told) == 1
    assert named in told[0]
    assert len(told[0]) < 500
    assert app.subheader[0].value.startswith("Everyday actions"), "the set before is still shown"


def test_bad_rows_can_be_skipped_and_are_counted(open_data, work, tmp_path, complaints):
    rows = [*ROWS, ("singing", "care-harm", 9, 4)]
    app = open_data(write(tmp_path / "bad.csv", "action,foundation,judgement,agreement", rows))
    (skip,) = [one for one in app.toggle if one.label == "Skip bad rows"]
    skip.set_value(True)
    read(app.run(), work)
    assert complaints(app) == []
    press(app, "Use it now")
    assert any(one.value.startswith("Left out") and ": 1" in one.value for one in app.caption)


def test_a_repaired_table_takes_away_the_complaint(open_data, work, tmp_path, complaints):
    head = "action,foundation,judgement,agreement"
    path = write(tmp_path / "bad.csv", head, [("singing", "care-harm", 9, 4), *ROWS])
    app = read(open_data(path), work)
    assert len(complaints(app)) == 1
    read(type_path(app, write(tmp_path / "good.csv", head)), work)
    assert complaints(app) == []
    assert app.success


def test_a_reading_that_fails_keeps_what_was_typed_and_chosen(
    open_data, work, tmp_path, complaints
):
    path = write(tmp_path / "odd.csv", "spalte1,spalte2,spalte3,spalte4", [("sing", "x", 9, 4)])
    app = open_data(path)
    for label, column in (("Action", 1), ("Foundations", 2), ("Judgement", 3)):
        select(app, label).set_value(f"spalte{column}")
    read(app.run(), work)
    assert len(complaints(app)) == 1
    assert app.text_input(key="local-path").value == str(path)
    assert select(app, "Judgement").value == "spalte3"


@pytest.mark.parametrize(
    "name",
    ["/no/such/file.csv", "relative.csv", "/", "/etc/shadow-", "\x00", "~nobody/x", "x" * 500, " "],
)
def test_a_path_that_leads_nowhere_gets_one_clear_sentence(open_data, complaints, name):
    app = open_data(name)
    assert len(complaints(app)) <= 1
    assert app.subheader[0].value.startswith("Everyday actions")


def _binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 50)


def _no_zip(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"\x00" * 100)


def _one_column(path: Path) -> None:
    path.write_text("action\nhelping\n")


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("binary.tsv", _binary),
        ("broken.zip", _no_zip),
        ("broken.parquet", _binary),
        ("nothing.csv", _nothing),
        ("lines.jsonl", _binary),
        ("picture.png", _binary),
    ],
)
def test_a_file_that_is_no_table_gets_one_clear_sentence(
    open_data, tmp_path, complaints, name, make
):
    make(tmp_path / name)
    told = complaints(open_data(tmp_path / name))
    assert len(told) == 1
    assert name in told[0]


def test_a_table_with_too_few_columns_is_not_read(open_data, tmp_path, work, complaints):
    _one_column(tmp_path / "one.csv")
    app = open_data(tmp_path / "one.csv")
    if not complaints(app):
        press(app, "Read the table")
    assert len(complaints(app)) == 1
    assert work.runner.jobs() == []


def test_a_megabyte_in_a_cell_is_survived(open_data, work, tmp_path, complaints):
    rows = [("word " * 200_000, "care-harm", 2, 4), *ROWS]
    path = write(tmp_path / "large.csv", "action,foundation,judgement,agreement", rows)
    app = open_data(path)
    if not complaints(app):
        read(app, work)
    assert len(complaints(app)) <= 1


def test_an_upload_is_read_like_a_path(open_page, work, good, complaints):
    app = open_page("data")
    app.file_uploader(key="upload").upload("mine.csv", good.read_bytes(), "text/csv").run()
    assert complaints(app) == []
    assert table(app, "first rows")["action"][0] == ROWS[0][0]
    read(app, work)
    assert complaints(app) == []
    assert any(f"{len(ROWS)} items" in one.value for one in app.success)


@pytest.mark.parametrize("name", ["../../evil.csv", "..csv", "a b;c'.csv", "ü" * 200 + ".csv"])
def test_an_upload_with_an_odd_name_stays_inside_the_cache(
    open_page, work, good, complaints, name, tmp_path
):
    app = open_page("data")
    app.file_uploader(key="upload").upload(name, good.read_bytes(), "text/csv").run()
    assert len(complaints(app)) <= 1
    kept = [one for one in tmp_path.rglob("*") if one.is_file() and one != good]
    assert all(one.is_relative_to(work.store.root) for one in kept)


@pytest.mark.skipif(not SAMPLE.exists(), reason="the Social-Chemistry sample is not here")
def test_the_social_chemistry_sample_is_recognised(open_data, complaints):
    app = open_data(SAMPLE)
    assert complaints(app) == []
    assert not [one for one in app.selectbox if one.label == "Judgement"], "nothing to map"


def test_without_a_network_the_page_says_what_to_do_by_hand(
    open_page, work, complaints, monkeypatch
):
    def no_network(*_: Any, **__: Any) -> Any:
        raise urllib.error.URLError("Network is unreachable")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", no_network)
    app = open_page("data")
    app.segmented_control(key="way").set_value("Social-Chemistry-101").run()
    assert any("Without a network" in one.value for one in app.caption)
    next(one for one in app.button if "Fetch" in one.label).click().run()
    work.runner.jobs()[0].wait(60)
    app.run()
    told = complaints(app)
    assert len(told) == 1
    assert str(work.store.root) in told[0]


def test_rows_of_several_people_can_be_kept_in_an_official_table(
    open_data, work, tmp_path, complaints
):
    names = ("action", "rot-moral-foundations", "action-moral-judgment", "action-agree", "rot-bad")
    rows = [(text, axis, str(judgement), "4", "0", "5") for text, axis, judgement, _ in ROWS]
    path = tmp_path / "official.tsv"
    path.write_text("\n".join("\t".join(row) for row in [(*names, "m"), *rows]) + "\n")
    app = open_data(path)
    (several,) = [one for one in app.toggle if one.label == "Several people"]
    several.set_value(True).run()
    read(app, work)
    assert complaints(app) == []
    assert any(f"{len(ROWS)} items" in one.value for one in app.success)


def test_a_persons_own_table_is_not_asked_for_several_people(open_data, good):
    assert "Several people" not in [one.label for one in open_data(good).toggle]
