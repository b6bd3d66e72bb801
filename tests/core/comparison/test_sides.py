"""Sides: layers of equal depth, names that tell apart, texts that are shared, clear refusals."""

import numpy as np
import pytest

from core import CoreError
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.comparison.sides import MOST_TEXTS, Shared, Side, same_depth, shared_by, side_names
from core.layers import EMBEDDING
from tests.core.comparison.comparesets import made_card, made_study, set_of, worded_rows


@pytest.fixture
def items(store):
    return set_of(store, worded_rows(60))


def study(items, layers=3, name="made", read=None):
    return open_study(items, made_card(name, layers), read or ReadSpec())


@pytest.mark.parametrize(
    ("layer", "n", "other", "expected"),
    [
        (17, 18, 36, 35),
        (8, 18, 36, 17),
        (0, 18, 4, 0),
        (EMBEDDING, 18, 36, EMBEDDING),
        (2, 3, 3, 2),
    ],
)
def test_a_layer_is_held_against_the_layer_of_equal_depth(items, layer, n, other, expected):
    assert same_depth(layer, study(items, n), study(items, other)) == expected


def test_only_what_differs_is_named(items):
    one, other = study(items, name="one"), study(items, name="other")
    assert side_names([Side(one, 1, "mean"), Side(other, 2, "last")]) == ["one", "other"]
    twice = [Side(one, 1, "mean"), Side(one, 2, "mean"), Side(other, 1, "mean")]
    assert side_names(twice) == ["one, layer 1", "one, layer 2", "other"]
    assert side_names([Side(one, 1, "mean"), Side(one, 1, "last")]) == [
        "one, mean state",
        "one, last state",
    ]


def test_a_pooling_or_layer_that_was_not_read_is_refused(items):
    with pytest.raises(CoreError, match="read with the states mean, last, not mean_all"):
        Side(study(items), 1, "mean_all")
    with pytest.raises(CoreError, match="layers 0 to 2 and the embedding; there is no layer 3"):
        Side(study(items), 3, "mean")


def test_one_set_is_shared_whole(items):
    shared = shared_by(study(items, name="a"), study(items, name="b"))
    assert shared.whole
    assert shared.items.tolist() == list(range(len(items)))
    np.testing.assert_array_equal(shared.own, shared.other)


def test_texts_are_found_again_in_another_set_read_with_another_template(store):
    rows = worded_rows(60)
    one, other = set_of(store, rows[:40], "one"), set_of(store, rows[20:], "other")
    first, second = study(one), study(other, read=ReadSpec(template="Is it right: {action}"))
    shared = shared_by(first, second)
    assert not shared.whole
    texts = [one.texts()[row] for row in shared.items]
    assert sorted(texts) == sorted(set(one.texts()) & set(other.texts()))
    for text, own, its in zip(texts, shared.own, shared.other, strict=True):
        assert first.plan.prompts[own] == f"{text} is morally"
        assert second.plan.prompts[its] == f"Is it right: {text}"
    assert len(shared.cohort(draws=5)) == len(texts)


def test_sets_without_shared_texts_are_refused(store):
    one, other = (
        set_of(store, worded_rows(30), "one"),
        set_of(store, worded_rows(30, head="x"), "other"),
    )
    with pytest.raises(
        CoreError, match=r"one and other share none of their texts; .* read the same set"
    ):
        shared_by(study(one), study(other))


def test_of_many_texts_a_sample_is_compared_the_same_each_time(items):
    made = study(items)
    rows = np.arange(MOST_TEXTS + 500)
    own, its = Shared(made, made, rows, rows, rows[::-1].copy()).texts
    assert len(own) == len(np.unique(own)) == MOST_TEXTS
    np.testing.assert_array_equal(its, MOST_TEXTS + 499 - own)
    again = Shared(made, made, rows, rows, rows[::-1].copy()).texts
    np.testing.assert_array_equal(own, again[0])


def test_a_side_of_an_unread_model_says_so(store, items):
    with pytest.raises(CoreError, match="made has not read table yet"):
        Side(study(items), 1, "mean").states(store, "centred")
    made_study(store, items)
    assert Side(study(items), 1, "mean").states(store, "centred").shape[1] == 16
