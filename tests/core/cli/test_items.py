"""The commands ``items`` and ``fetch``: a table becomes a stored set; what became of its rows."""

import pytest

from core.dataset import archive, sets
from tests.core.cli.commands import value_of
from tests.core.leaderboard.manysets import ROWS


def test_a_table_becomes_a_stored_set_that_its_digest_opens(run, actions):
    status, out, err = run("items", actions, "--name", "Mine")
    assert (status, err) == (0, "")
    digest = value_of(out, "digest")
    assert (value_of(out, "name"), value_of(out, "rows read")) == ("Mine", str(ROWS))
    assert value_of(out, "licence") == "not stated"
    _, listed, _ = run("items")
    assert digest[:12] in listed
    assert "Mine" in listed
    assert run("read", "folder:/nowhere", "--items", digest[:12])[2].startswith(
        "There is no folder"
    )


def test_no_stored_set_is_said_so(run):
    assert run("items")[1].startswith("No set is stored yet.")


def test_the_builtin_set_says_that_it_is_authored(run):
    _, out, _ = run("items", "builtin", "--sample", "diagnosis")
    assert sets.AUTHORED_NOTE in value_of(out, "note")
    assert sets.SAMPLED_NOTE in value_of(out, "note")
    assert "diagnosis" in run("items")[1]


def test_columns_can_be_mapped_over_the_guessed_ones(run, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("sentence,foundation,verdict,pull\nlie to me,harm,-1,0.5\nhelp me,care,2,1\n")
    _, guessed, _ = run("items", path)
    _, mapped, _ = run("items", path, "--map", "score=pull")
    assert value_of(mapped, "rows read") == "2"
    assert value_of(guessed, "digest") != value_of(mapped, "digest")
    path.write_text("what,who,foundation,verdict\nlie to me,all of us,harm,-2\n")
    status, _, err = run("items", path)
    assert status == 2
    assert "'what' and 'who' each look like a text" in err
    assert run("items", path, "--map", "action=what")[0] == 0


def test_what_was_guessed_is_told(run, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("what,axis,side\nlie to me,care,vice\nhelp me,care,virtue\n")
    status, out, err = run("items", path)
    assert (status, err) == (0, "")
    assert "Guessed   action = 'what', by its values\n" in out
    assert "Guessed   foundations = 'axis', by its name and values\n" in out
    assert "No column looks like a grade from 0 to 1; every text counts as 1.\n" in out
    _, chosen, _ = run("items", path, "--map", "action=what", "foundations=axis", "pole=side")
    assert "Guessed" not in chosen
    assert value_of(chosen, "digest") == value_of(out, "digest")
    status, out, err = run("read", "folder:/nowhere", "--items", path)
    assert (status, out) == (2, "")
    assert err.startswith("Guessed   "), "beside the results, which may be read by a program"


def test_plainly_named_columns_are_no_guess_to_tell(run, actions):
    assert "Guessed" not in run("items", actions)[1]
    assert run("read", "folder:/nowhere", "--items", actions)[2].startswith("There is no folder")


def test_bad_rows_are_refused_or_counted(run, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("action,foundation,judgement\nlie,harm,-1\nhelp,care,9\n")
    status, out, err = run("items", path)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    _, out, _ = run("items", path, "--skip-bad-rows")
    assert value_of(out, "dropped") == "1"
    assert "  1  " in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "x"], "Name the FILE"),
        (["builtin", "--map", "action=a"], "has its own columns"),
        (["TABLE", "--map", "mood=a"], "a role is one of: action"),
        (["TABLE", "--map", "action"], "Write --map ROLE=COLUMN"),
        (["TABLE", "--map", "action=nowhere"], "no column 'nowhere'"),
        (["/nowhere.csv"], "/nowhere.csv"),
    ],
)
def test_items_that_cannot_be_read_are_one_sentence(words, said, run, actions):
    status, out, err = run("items", *[actions if word == "TABLE" else word for word in words])
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_fetch_tells_the_licence_first_and_counts_beside_the_published(run, monkeypatch):
    monkeypatch.setattr(archive, "fetch", lambda store, report: sets.BUILTIN_FILE)
    status, out, _ = run("fetch")
    assert status == 0
    assert out.index(archive.CITATION) < out.index("digest")
    assert out.splitlines()[0].endswith(f"{archive.LICENCE} ({archive.LICENCE_URL})")
    assert "203,431 annotations and 251,334 rows: NOT the same" in out


def test_fetch_without_a_network_has_told_the_licence(run, monkeypatch):
    def fail(*_):
        raise archive.FetchError("The archive cannot be reached.")

    monkeypatch.setattr(archive, "fetch", fail)
    status, out, err = run("fetch")
    assert (status, err) == (2, "The archive cannot be reached.\n")
    assert archive.CITATION in out


def test_rows_of_several_people_are_left_out_or_kept(run, tmp_path):
    path = tmp_path / "official.tsv"
    names = ("action", "rot-moral-foundations", "action-moral-judgment", "action-agree", "rot-bad")
    rows = [("lie", "care-harm", "-1", "3", "0", m) for m in ("1", "5", "50")]
    path.write_text("\n".join("\t".join(row) for row in [(*names, "m"), *rows]) + "\n")
    assert value_of(run("items", path)[1], "dropped") == "2"
    _, out, _ = run("items", path, "--several")
    assert value_of(out, "annotations") == "3"
    assert sets.SEVERAL_NOTE in out
    assert run("items", "--several")[0] == 2
