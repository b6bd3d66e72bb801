"""Resamples and shuffles: texts move as wholes, and only where they may."""

import numpy as np
import pytest

from core.dataset.labels import Labels, typical_members
from core.dataset.sets import ItemSpec, load_or_read
from core.measures.cohort import Cohort, alike, cohort_of
from core.runtime.store import Store


def made_cohort(n=200, seed=0, texts=None, **options):
    """Return rows of five foundations and three poles; ``texts``: that many, at random."""
    rng = np.random.default_rng(seed)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, 3, n)
    grade = np.where(pole == 2, 0, rng.choice([0.25, 0.5, 0.75, 1.0], n))
    dimension = np.where(pole == 2, -1, 2 * foundation + pole)
    group = np.arange(n) if texts is None else rng.integers(0, texts, n)
    labels = Labels(dimension, grade, group)
    vectors = rng.random((n, 10)).astype(np.float32)
    return Cohort(
        labels, foundation, vectors, typical_members(labels), np.arange(n), seed=seed, **options
    )


def of_texts(cohort):
    """Return the sorted foundations of each text."""
    return {
        text: tuple(sorted(cohort.foundation[cohort.text == text].tolist()))
        for text in range(cohort.n_texts)
    }


# Shuffles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [None, 90])
@pytest.mark.parametrize("name", ["takers", "takers_anywhere"])
def test_a_shuffle_gives_each_row_the_labels_of_one_other(texts, name):
    takers = getattr(made_cohort(texts=texts, draws=0, shuffles=30), name)
    assert takers.shape == (30, 200)
    np.testing.assert_array_equal(np.sort(takers, axis=1), np.tile(np.arange(200), (30, 1)))


@pytest.mark.parametrize("texts", [None, 90])
def test_labels_stay_in_their_foundation(texts):
    cohort = made_cohort(texts=texts, draws=0, shuffles=30)
    assert (cohort.foundation[cohort.takers] == cohort.foundation).all()
    elsewhere = cohort.foundation[cohort.takers_anywhere] != cohort.foundation
    assert elsewhere.mean() > 0.5


@pytest.mark.parametrize("name", ["takers", "takers_anywhere"])
def test_a_text_takes_all_its_labels_from_one_text(name):
    cohort = made_cohort(texts=90, draws=0, shuffles=30)
    foundations = of_texts(cohort)
    moved = 0
    for takers in getattr(cohort, name):
        for text in range(cohort.n_texts):
            taken_by = set(cohort.text[takers[cohort.text == text]].tolist())
            assert len(taken_by) == 1
            other = taken_by.pop()
            moved += other != text
            same_size = len(foundations[other]) == len(foundations[text])
            assert foundations[other] == foundations[text] if name == "takers" else same_size
    assert moved > 30 * cohort.n_texts / 3


def test_a_text_whose_foundations_no_other_has_keeps_its_labels():
    labels = Labels(np.array([0, 2, 0, 1, 0]), np.ones(5), np.array([7, 7, 8, 9, 9]))
    foundation = np.array([0, 1, 0, 0, 0])
    members = typical_members(labels)
    cohort = Cohort(labels, foundation, np.zeros((5, 10), np.float32), members, np.arange(5), 0, 20)
    np.testing.assert_array_equal(cohort.takers, np.tile(np.arange(5), (20, 1)))
    anywhere = cohort.takers_anywhere  # two texts of two rows may swap, the third may not
    assert {tuple(row) for row in anywhere.tolist()} == {(0, 1, 2, 3, 4), (3, 4, 2, 0, 1)}


def test_every_taker_is_as_likely():
    labels = Labels(np.array([0, 0, 1, 1]), np.ones(4), np.arange(4))
    vectors, members = np.zeros((4, 10), np.float32), typical_members(labels)
    cohort = Cohort(labels, np.zeros(4, int), vectors, members, np.arange(4), 0, 4000)
    counts = np.array([np.bincount(column, minlength=4) for column in cohort.takers.T])
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


def test_texts_that_may_swap_are_matched_foundation_by_foundation():
    text = np.array([5, 5, 2, 2, 3])
    kept = np.array([1, 0, 0, 1, 0])
    found = alike(text, kept)
    assert [rows.tolist() for rows in found] == [[[2, 3], [1, 0]]]


# Resamples --------------------------------------------------------------------------------------


def test_resamples_draw_as_many_texts_as_there_are():
    cohort = made_cohort(texts=90, draws=2000, shuffles=0)
    assert cohort.weights.shape == (2000, cohort.n_texts)
    assert (cohort.weights.sum(axis=1) == cohort.n_texts).all()
    n = cohort.n_texts
    assert cohort.weights.mean(axis=0) == pytest.approx(1, abs=5 / np.sqrt(2000))
    assert cohort.weights.var() == pytest.approx(1 - 1 / n, rel=0.02)
    pair = np.cov(cohort.weights[:, 0], cohort.weights[:, 1].astype(float))[0, 1]
    assert pair == pytest.approx(-1 / n, abs=5 / np.sqrt(2000))


# Splits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blocks", "first_half"])
def test_no_text_stands_in_two_parts(name):
    cohort = made_cohort(n=500, texts=200, draws=0, shuffles=0)
    part = getattr(cohort, name)
    for text in range(cohort.n_texts):
        assert len(set(part[cohort.text == text].tolist())) == 1


def test_halves_and_blocks_are_of_equal_size():
    cohort = made_cohort(n=203, draws=0, shuffles=0)
    assert cohort.first_half.sum() == 101
    assert np.bincount(cohort.blocks).tolist() == [21] * 3 + [20] * 7


def test_halves_and_blocks_know_nothing_of_each_other():
    cohort = made_cohort(n=2000, draws=0, shuffles=0)
    inside = np.bincount(cohort.blocks[cohort.first_half], minlength=10)
    assert inside.min() > 60
    assert inside.max() < 140


# Seeds and parts --------------------------------------------------------------------------------

RANDOM = ("weights", "takers", "takers_anywhere", "blocks", "first_half")


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides_everything_random(name):
    first, again = (made_cohort(draws=9, shuffles=9, texts=90) for _ in range(2))
    np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = first.take(np.ones(len(first), bool), seed=1)
    assert (getattr(first, name) != getattr(other, name)).any()


def test_a_part_keeps_its_rows_and_counts_its_own_texts():
    cohort = made_cohort(texts=90, draws=3, shuffles=3)
    rows = np.random.default_rng(0).random(200) < 0.3
    part = cohort.take(rows, draws=2)
    np.testing.assert_array_equal(part.rows, np.flatnonzero(rows))
    np.testing.assert_array_equal(part.labels.grade, cohort.labels.grade[rows])
    np.testing.assert_array_equal(part.labels.dimension, cohort.labels.dimension[rows])
    np.testing.assert_array_equal(part.labels.group, cohort.labels.group[rows])
    np.testing.assert_array_equal(part.foundation, cohort.foundation[rows])
    np.testing.assert_array_equal(part.vectors, cohort.vectors[rows])
    np.testing.assert_array_equal(part.members, cohort.members[rows])
    assert (part.draws, part.shuffles, part.seed) == (2, 3, 0)
    assert part.n_texts == len(np.unique(cohort.text[rows]))
    assert part.weights.shape == (2, part.n_texts)
    again = part.take(np.arange(len(part)) < 5)
    np.testing.assert_array_equal(again.rows, np.flatnonzero(rows)[:5])


def test_an_empty_part_is_no_accident():
    part = made_cohort(draws=3, shuffles=3).take(np.zeros(200, bool))
    assert (len(part), part.n_texts) == (0, 0)
    assert part.weights.shape == (3, 0)
    assert part.takers.shape == part.takers_anywhere.shape == (3, 0)
    assert len(part.blocks) == len(part.first_half) == len(part.sign) == 0


def test_signs_follow_the_pole():
    cohort = made_cohort(draws=0, shuffles=0)
    dimension = cohort.labels.dimension
    np.testing.assert_array_equal(cohort.sign == 2, dimension == -1)
    np.testing.assert_array_equal(cohort.sign == 1, (dimension >= 0) & (dimension % 2 == 1))


def test_items_become_a_cohort_as_they_stand(store, tmp_path):
    path = tmp_path / "t.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    lines += ["kiss\tcare-harm\t2\t4", "Kiss.\tloyalty-betrayal\t2\t4", "hit\tcare-harm\t-2\t2"]
    path.write_text("\n".join(lines) + "\n")
    items = load_or_read(store, ItemSpec("file", path))
    cohort = cohort_of(items, draws=4, shuffles=5, seed=6)
    assert (len(cohort), cohort.n_texts) == (3, 2)  # one text in two spellings
    np.testing.assert_array_equal(cohort.vectors, items.vectors())
    np.testing.assert_array_equal(cohort.foundation, items.foundation)
    np.testing.assert_array_equal(cohort.members.any(axis=1), [True, True, True])
    assert (cohort.draws, cohort.shuffles, cohort.seed) == (4, 5, 6)


# Situations -------------------------------------------------------------------------------------


def test_texts_of_a_situation_are_drawn_together_and_stay_on_one_side():
    plain = made_cohort(texts=90, draws=40, shuffles=0)
    unit = plain.text // 3
    cohort = made_cohort(texts=90, draws=40, shuffles=0, unit=unit)
    weights = cohort.weights[:, cohort.text]
    assert cohort.weights.shape == plain.weights.shape
    for one in np.unique(unit):
        rows = unit == one
        assert (weights[:, rows] == weights[:, rows][:, :1]).all()
        assert len(set(cohort.blocks[rows])) == len(set(cohort.first_half[rows])) == 1
    sides = (plain.blocks, plain.first_half)
    assert all(len(set(side[unit == 0])) > 1 for side in sides)
    assert set(cohort.blocks) == set(range(10))
    assert 0.3 < cohort.first_half.mean() < 0.7
    half = cohort.second_half
    np.testing.assert_array_equal(half.unit, unit[~cohort.first_half])
    own = half.weights[:, half.text]
    assert (own[:, half.unit == half.unit[0]] == own[:, :1]).all()


def test_a_mean_over_situations_is_as_unsure_as_their_number_says():
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[unit]
    cohort = made_cohort(draws=2000, shuffles=0, unit=unit)
    drawn = cohort.weights.astype(float) @ values / cohort.weights.sum(axis=1)
    assert drawn.std() == pytest.approx(values[::5].std() / np.sqrt(40), rel=0.1)
    naive = made_cohort(draws=2000, shuffles=0).weights.astype(float) @ values / 200
    assert naive.std() < drawn.std() / 2


def test_a_set_that_tells_situations_is_drawn_by_them(tmp_path):
    names = ("action", "rot-moral-foundations", "action-moral-judgment", "action-agree", "rot-bad")
    rows = [
        (f"doing {text}", "care-harm", str(text % 5 - 2), "4", "0", "1", f"s{text // 4}")
        for text in range(40)
    ]
    lines = [(*names, "m", "situation-short-id"), *rows]
    for name, kept in (("told.tsv", 7), ("plain.tsv", 6)):
        text = "\n".join("\t".join(line[:kept]) for line in lines)
        (tmp_path / name).write_text(text + "\n")
    store = Store(tmp_path / "store")
    told, plain = (
        cohort_of(load_or_read(store, ItemSpec("file", tmp_path / name)), draws=20, shuffles=0)
        for name in ("told.tsv", "plain.tsv")
    )
    assert plain.unit is None
    assert len(np.unique(told.unit)) == 10
    assert len(np.unique(told.weights, axis=1).T) <= 10 < len(np.unique(plain.weights, axis=1).T)
