"""Items: vectors recomputed in plain Python, splits, the diagnosis sample, and the store."""

import csv
import errno
import hashlib
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import CoreError
from core.dataset import sets
from core.dataset.columns import ColumnMapping
from core.dataset.sets import ItemSpec, builtin, load_or_read, open_set, stored_sets
from core.dataset.splits import diagnosis_rows, split_of, strata, text_group, units
from core.foundations import FOUNDATIONS, GRADES
from core.runtime.progress import Cancelled
from core.runtime.store import CacheError, Store

REPO = Path(__file__).resolve().parents[3]
SAMPLE = REPO.parent / "shared" / "social-chemistry-sample" / "sample.tsv"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason="shared sample is not here")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def table(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    lines = ["action\tfoundation\tjudgement\tagreement", *("\t".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def made_rows(n: int, seed: int = 0) -> list[tuple[str, str, str, str]]:
    draw = random.Random(seed)
    return [
        (
            f"doing thing number {number} {draw.choice(['well', 'badly'])}",
            draw.choice([*FOUNDATIONS, "care|loyalty", "fairness-cheating|harm"]),
            str(draw.randint(-2, 2)),
            str(draw.randint(0, 4)),
        )
        for number in range(n)
    ]


def read(store: Store, path: Path, **options):
    return load_or_read(store, ItemSpec("file", path, **options))


# Vectors ----------------------------------------------------------------------------------------


@needs_sample
def test_the_shared_sample_agrees_with_plain_python(store):
    expected = []
    with SAMPLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            vector = [0.0] * 10
            for name in row["rot-moral-foundations"].split("|"):
                place = 2 * FOUNDATIONS.index(name)
                vector[place : place + 2] = [float(row["m_virtue"]), float(row["m_vice"])]
            own = FOUNDATIONS.index(row["sampled_dimension"])
            pole = row["sample_type"].removesuffix("_typical")
            grade = float(row["score_stratum"])
            expected.append((row["id"], row["action"], own, pole, grade, tuple(vector)))
    items = read(store, SAMPLE)
    assert len(items) == 2601
    found = zip(
        items.table["annotation"].to_pylist(),
        items.texts(),
        items.foundation.tolist(),
        items.pole.tolist(),
        items.grade.tolist(),
        map(tuple, items.vectors().tolist()),
        strict=True,
    )
    assert sorted(found) == sorted(expected)
    assert np.bincount(items.foundation).tolist() == [559, 546, 501, 509, 486]
    assert items.provenance.licence == "CC BY-SA 4.0"
    assert not items.provenance.authored


def test_ids_are_the_hash_of_text_foundation_and_vector(store, tmp_path):
    items = read(store, table(tmp_path / "a.tsv", [("helping", "care", "2", "3")] * 3))
    vector = np.array([0.75] + [0] * 9, dtype="<f4").tobytes()
    base = hashlib.sha256(b"helping\0" + bytes([0]) + vector).hexdigest()[:16]
    assert items.item.tolist() == [base, f"{base}-2", f"{base}-3"]


def test_columns_have_the_promised_types(store, tmp_path):
    items = read(store, table(tmp_path / "a.tsv", made_rows(50)))
    kinds = {field.name: str(field.type) for field in items.table.schema}
    assert kinds["foundation"] == "int8"
    assert kinds["vector"].startswith("fixed_size_list<")
    assert kinds["words"] == "int16"
    assert items.vectors().dtype == np.float32
    assert items.vectors().shape == (len(items), 10)
    own = items.vectors().reshape(-1, 5, 2).max(axis=2)[np.arange(len(items)), items.foundation]
    np.testing.assert_array_equal(own, items.grade)


# Invariances, each with a control that must fail --------------------------------------------------


def test_the_order_of_rows_does_not_matter_but_a_changed_label_does(store, tmp_path):
    rows = made_rows(300) + made_rows(20)
    first = read(store, table(tmp_path / "a.tsv", rows))
    shuffled = random.Random(1).sample(rows, len(rows))
    second = read(store, table(tmp_path / "b.tsv", shuffled))
    assert second.digest == first.digest
    assert second.table.drop(["annotation"]).equals(first.table.drop(["annotation"]))
    text, foundation, judgement, _ = rows[7]
    rows[7] = (text, foundation, "-2" if judgement != "-2" else "2", "4")
    assert read(store, table(tmp_path / "c.tsv", rows)).digest != first.digest


def test_repeats_with_the_same_vector_but_other_judgements_keep_their_numbers(store, tmp_path):
    rows = [("x y", "care", "2", "1"), ("x y", "care", "1", "2"), ("x y", "care", "1", "2")]
    first = read(store, table(tmp_path / "a.tsv", rows))
    second = read(store, table(tmp_path / "b.tsv", rows[::-1]))
    assert first.digest == second.digest
    assert first.table["judgement"].to_pylist() == [1.0, 1.0, 2.0]


def test_the_order_inside_a_foundation_cell_does_not_matter(store, tmp_path):
    first = read(store, table(tmp_path / "a.tsv", [("x y", "care|loyalty|authority", "1", "4")]))
    second = read(store, table(tmp_path / "b.tsv", [("x y", "subversion;loyalty,Care", "1", "4")]))
    other = read(store, table(tmp_path / "c.tsv", [("x y", "care|loyalty|sanctity", "1", "4")]))
    assert first.digest == second.digest != other.digest


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("Helping  a friend. ", "helping a friend"),
        ("HELPING A FRIEND!?", "helping a friend"),
        ("ﬁne", "fine"),
        ("Straße", "strasse"),
        ("wait…", "wait"),
        ("a.b", "a.b"),
        ("?!", "?!"),
        ("", ""),
    ],
)
def test_text_groups(text, group):
    assert text_group(text) == group


def test_no_text_stands_in_two_splits(store, tmp_path):
    rows = made_rows(400)
    rows += [(f" {text.upper()}.", foundation, "1", "2") for text, foundation, _, _ in rows]
    items = read(store, table(tmp_path / "a.tsv", rows))
    seen: dict[str, set[str]] = {}
    for group, split in zip(items.table["text_group"].to_pylist(), items.split, strict=True):
        seen.setdefault(group, set()).add(split)
    assert len(seen) < len(set(items.texts()))
    assert {len(splits) for splits in seen.values()} == {1}


def test_splits_have_their_shares_and_do_not_move_when_rows_are_added(store, tmp_path):
    few = read(store, table(tmp_path / "a.tsv", made_rows(3000)))
    many = read(store, table(tmp_path / "b.tsv", made_rows(4000)))
    shares = Counter(few.split.tolist())
    n = len(few)
    for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert abs(shares[split] / n - share) < 5 * (share * (1 - share) / 3000) ** 0.5
    later = dict(zip(many.texts(), many.split.tolist(), strict=True))
    assert all(later[text] == split for text, split in zip(few.texts(), few.split, strict=True))
    other = read(store, tmp_path / "a.tsv", split_seed=43)
    assert (other.split != few.split).mean() > 0.2
    assert split_of("x", 42) == split_of("x", 42)


# Who graded what ---------------------------------------------------------------------------------


def graded_table(path: Path, rows: list[tuple[object, ...]], extra: bool = True) -> Path:
    """Write rows (action, judgement, m, person, situation) in Social-Chemistry's columns."""
    names = ["action", "action-moral-judgment", "m", "breakdown-worker-id", "situation-short-id"]
    usual = {"rot-moral-foundations": "care-harm", "action-agree": "4", "rot-bad": "0"}
    names = names if extra else names[:3]
    lines = ["\t".join((*names, *usual))]
    for row in rows:
        lines.append("\t".join((*map(str, row[: len(names)]), *usual.values())))
    path.write_text("\n".join(lines) + "\n")
    return path


GRADED: list[tuple[object, ...]] = [
    ("helping", 1, 1, "w1", "s1"),
    ("helping", 1, 1, "w2", "s1"),
    ("lying", -1, 1, "", "s2"),
    ("lying", -2, 5, "w3", ""),
]


def test_who_graded_and_where_is_carried_whatever_the_order_of_rows(store, tmp_path):
    items = read(store, graded_table(tmp_path / "a.tsv", GRADED))
    assert items.person is not None
    assert items.situation is not None
    found = sorted(zip(items.texts(), items.person, items.situation, strict=True))
    assert found == [("helping", "w1", "s1"), ("helping", "w2", "s1"), ("lying", "", "s2")]
    turned = read(store, graded_table(tmp_path / "b.tsv", GRADED[::-1]))
    assert turned.digest == items.digest
    assert turned.person.tolist() == items.person.tolist()
    others = [("helping", 1, 1, "w9", "s1"), *GRADED[1:]]
    assert read(store, graded_table(tmp_path / "c.tsv", others)).digest != items.digest
    reopened = open_set(Store(store.root), items.digest)
    assert reopened.person.tolist() == items.person.tolist()
    assert items.take(np.arange(2)).situation.tolist() == items.situation[:2].tolist()


def test_a_table_that_does_not_tell_people_is_what_it_was(store, tmp_path):
    rows = [(text, judgement, m, "", "") for text, judgement, m, *_ in GRADED]
    without = read(store, graded_table(tmp_path / "a.tsv", rows, extra=False))
    empty = read(store, graded_table(tmp_path / "b.tsv", rows))
    assert empty.digest == without.digest
    assert (empty.person, empty.situation) == (None, None)
    assert empty.table.column_names == without.table.column_names
    assert all("people" not in entry.artefact.key for entry in stored_sets(store))


def test_a_set_stored_without_its_people_is_read_again(store, tmp_path, monkeypatch):
    path = graded_table(tmp_path / "a.tsv", GRADED)
    with monkeypatch.context() as before:
        before.setattr("core.dataset.annotations.people_columns", lambda _: {})
        before.setattr(sets, "tells_people", lambda _: False)
        assert read(store, path).person is None
    assert read(store, path).person is not None
    monkeypatch.setattr(sets, "tells_people", None)  # found by its key, the table stays closed
    assert read(store, path).person is not None
    path.unlink()
    sha256 = read_sha(store)
    assert load_or_read(store, ItemSpec("file", None, sha256=sha256)).person is not None


def read_sha(store: Store) -> str:
    (sha256,) = {entry.provenance.sha256 for entry in stored_sets(store)}
    return sha256


def test_rows_of_several_people_are_kept_where_asked_for(store, tmp_path):
    path = graded_table(tmp_path / "a.tsv", GRADED)
    items = read(store, path, several=True)
    assert sorted(items.person) == ["", "w1", "w2", "w3"]
    assert items.provenance.counts.dropped == {}
    assert items.provenance.note == sets.SEVERAL_NOTE
    assert len(read(store, path)) == 3
    assert len(stored_sets(store)) == 2


def test_texts_of_one_situation_stand_in_one_split(store, tmp_path):
    rows = [(f"doing {text}", 1, 1, "w", f"s{text // 5}") for text in range(300)]
    items = read(store, graded_table(tmp_path / "a.tsv", rows))
    splits: dict[str, set[str]] = {}
    for situation, split in zip(items.situation, items.split, strict=True):
        splits.setdefault(situation, set()).add(split)
    assert {len(own) for own in splits.values()} == {1}
    assert set(items.split) == {"train", "validation", "test"}
    plain = read(store, graded_table(tmp_path / "b.tsv", rows, extra=False))
    assert plain.unit is None
    assert plain.split.tolist() == [split_of(text_group(text), 42) for text in plain.texts()]


def test_a_text_of_several_situations_goes_by_itself():
    groups = ["a", "a", "b", "c", "d", "e", "e"]
    situations = ["1", "2", "1", "2", "", "3", "3"]
    found = [unit.replace("\0", ":") for unit in units(groups, situations)]
    assert found == ["a", "a", "situation:1", "situation:2", "d", "situation:3", "situation:3"]


# The diagnosis sample ---------------------------------------------------------------------------


def made_strata(n: int):
    draw = np.random.default_rng(5)
    item = np.array([f"{number:016x}" for number in draw.integers(0, 2**63, n)])
    foundation = draw.integers(0, 5, n).astype(np.int8)
    pole = draw.choice(["virtue", "vice", "neutral"], n, p=[0.45, 0.45, 0.1])
    grade = draw.choice(GRADES, n, p=[0.02, 0.2, 0.2, 0.2, 0.2, 0.18]).astype(np.float32)
    grade[pole == "neutral"] = 0
    return item, foundation, pole, grade


def test_the_diagnosis_sample_fills_the_papers_quotas():
    item, foundation, pole, grade = made_strata(20_000)
    rows = diagnosis_rows(item, strata(foundation, pole, grade), 42)
    have = Counter(zip(foundation.tolist(), pole.tolist(), grade.tolist(), strict=True))
    chosen = [values[rows].tolist() for values in (foundation, pole, grade)]
    drawn = Counter(zip(*chosen, strict=True))
    for (axis, side, score), count in have.items():
        quota = 150 if score == 1.0 else 300
        assert drawn[axis, side, score] == min(count, quota)
    assert any(count < 300 for (_, side, score), count in have.items() if score == 0.125)
    assert len(set(rows.tolist())) == len(rows)


def test_the_diagnosis_sample_depends_on_the_seed_and_not_on_the_order():
    item, foundation, pole, grade = made_strata(20_000)
    stratum = strata(foundation, pole, grade)
    first = set(item[diagnosis_rows(item, stratum, 42)])
    order = np.random.default_rng(0).permutation(len(item))
    assert set(item[order][diagnosis_rows(item[order], stratum[order], 42)]) == first
    other = set(item[diagnosis_rows(item, stratum, 43)])
    assert 0.2 < len(first & other) / len(first) < 0.9


def test_the_draw_is_even_within_a_stratum():
    item = np.array([f"{number:016x}" for number in range(3000)])
    stratum = np.zeros(3000, dtype=np.int64)
    hits = np.zeros(3000)
    for seed in range(200):
        hits[diagnosis_rows(item, stratum, seed)] += 1
    # Expected 20 of 200; the variance over ids is that of a binomial, 200 x 0.1 x 0.9 = 18.
    assert hits.mean() == 20
    assert 15 < hits.var() < 21
    assert abs(np.corrcoef(np.arange(3000), hits)[0, 1]) < 0.08


def test_grades_between_two_attainable_ones_count_as_the_nearer():
    grade = np.array([0.01, 0.18, 0.2, 0.6, 0.7, 0.87, 0.88], dtype=np.float32)
    cells = strata(np.zeros(7, np.int8), np.array(["virtue"] * 7), grade)
    assert cells.tolist() == [0, 0, 1, 3, 4, 4, 5]


def test_the_diagnosis_set_is_part_of_the_whole_and_says_that_it_is_a_sample(store, tmp_path):
    rows = [("very good", "care", "2", "4")] * 200 + made_rows(2000)
    path = table(tmp_path / "a.tsv", rows)
    whole, drawn = read(store, path), read(store, path, sample="diagnosis")
    assert set(drawn.item) < set(whole.item)
    assert drawn.digest != whole.digest
    assert drawn.provenance.counts.items == len(drawn)
    assert "sample" in drawn.provenance.note
    assert "sample" not in whole.provenance.note


# The store --------------------------------------------------------------------------------------


def test_a_set_survives_a_restart_without_its_file(store, tmp_path):
    path = table(tmp_path / "mine.tsv", made_rows(60))
    first = read(store, path)
    path.unlink()
    again = Store(store.root)
    (entry,) = stored_sets(again)
    assert (entry.digest, entry.sample, entry.provenance) == (
        first.digest,
        "all",
        first.provenance,
    )
    reopened = open_set(again, first.digest[:12])
    assert reopened.table.equals(first.table)
    assert reopened.provenance == first.provenance
    spec = ItemSpec("file", None, sha256=first.provenance.sha256)
    assert load_or_read(again, spec).digest == first.digest
    with pytest.raises(CoreError, match="no longer in the store"):
        load_or_read(again, replace(spec, split_seed=1))


def test_the_key_follows_everything_that_changes_the_content(store, tmp_path):
    path = table(tmp_path / "a.tsv", made_rows(30))
    mapping = ColumnMapping("action", "foundation", "judgement")
    for options in ({}, {"split_seed": 1}, {"mapping": mapping}, {"skip_bad_rows": True}):
        read(store, path, **options)
    assert len(stored_sets(store)) == 4
    named = read(store, path, name="My table")
    assert named.provenance.name == "My table"
    assert len(stored_sets(store)) == 4
    copied = table(tmp_path / "other-name.tsv", made_rows(30))
    read(store, copied)
    assert len(stored_sets(store)) == 4


def test_a_damaged_set_is_made_again(store, tmp_path):
    path = table(tmp_path / "a.tsv", made_rows(30))
    first = read(store, path)
    (file,) = store.root.glob("items/*/table.parquet")
    file.write_bytes(file.read_bytes()[:-50])
    assert read(Store(store.root), path).table.equals(first.table)


@pytest.mark.parametrize("digest", ["", "12345678", "zzzz"])
def test_an_unknown_digest_is_said(store, digest):
    builtin(store)
    with pytest.raises(CoreError, match="No stored set"):
        open_set(store, digest)


def test_a_table_of_which_nothing_stays_says_why(store, tmp_path):
    path = table(tmp_path / "a.tsv", [("x", "liberty", "1", "1")])
    with pytest.raises(CoreError, match="a value that is not allowed, 1"):
        read(store, path, skip_bad_rows=True)
    with pytest.raises(CoreError, match="No table was named"):
        load_or_read(store, ItemSpec("file"))


def test_a_cache_that_cannot_be_written_is_told_in_a_sentence(store, tmp_path, monkeypatch):
    path = table(tmp_path / "a.tsv", made_rows(30))

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", "/somewhere/cache/.table-x")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(CacheError, match=r"cannot be written\. Give this user write access"):
        load_or_read(store, ItemSpec("file", path))


def test_cancelling_leaves_nothing_behind(store, tmp_path):
    def cancel(_done, _total, note):
        if note == "Filtering":
            raise Cancelled

    path = table(tmp_path / "a.tsv", made_rows(30))
    with pytest.raises(Cancelled):
        load_or_read(store, ItemSpec("file", path), cancel)
    assert stored_sets(store) == []
    assert not list(store.root.glob(".table-*"))


def test_the_builtin_set_says_that_it_is_not_human_annotated(store):
    items = builtin(store)
    assert items.provenance.authored
    assert "not human-annotated" in items.provenance.note
    assert items.provenance.counts.dropped == {}
    assert builtin(store).digest == items.digest
    assert items.table["annotation"][0].as_py().startswith("everyday_")


def test_taking_items_keeps_the_order_and_changes_the_digest(store, tmp_path):
    items = read(store, table(tmp_path / "a.tsv", made_rows(30)))
    some = items.take(items.split == "train")
    assert set(some.split) == {"train"}
    assert some.item.tolist() == sorted(some.item.tolist())
    assert some.digest != items.digest
    assert items.take(np.arange(len(items))[::-1]).digest == items.digest


def test_importing_is_quick_and_pulls_in_no_database():
    code = "import sys, core.dataset; print({'duckdb', 'pyarrow', 'torch'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
    assert sets.KIND == "items"
