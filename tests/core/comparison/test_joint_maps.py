"""Two sides on one map: kept and the same, a place per item, NaN where a text is not shared."""

import numpy as np
import pytest

from core.comparison.joint_maps import shared_map
from core.comparison.sides import Side
from core.comparison.view import MOST_ARROWS, joint_arrows, joint_sentence, joint_table
from core.maps.projection import LayoutSpec
from tests.core.comparison.comparesets import WIDTH, made_study, noise, planted, set_of, worded_rows

SPEC = LayoutSpec()


@pytest.fixture
def items(store):
    return set_of(store, worded_rows(150))


@pytest.fixture
def first(store, items):
    return Side(made_study(store, items, planted, name="knows"), 1, "mean")


def turned_side(store, items):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0]
    study = made_study(store, items, lambda s, layer: planted(s, layer) @ turn, name="turned")
    return Side(study, 1, "mean")


def test_a_turned_model_lies_on_the_first(store, items, first):
    made = shared_map(store, first, turned_side(store, items), "centred", SPEC).get()
    np.testing.assert_allclose(made.second, made.first, atol=1e-3)
    assert made.first.shape == (len(items), 2)
    assert made.joint.typical < 0.01 < made.joint.random


def test_it_is_kept_as_it_was_made(store, items, first):
    other = Side(made_study(store, items, noise, name="noise", width=9), 1, "mean")
    kept = shared_map(store, first, other, "standardised", SPEC)
    assert kept.open() is None
    made, opened = kept.get(), kept.open()
    np.testing.assert_array_equal(opened.second, made.second)
    assert opened.joint._replace(pair=None) == made.joint._replace(pair=None)
    assert opened.joint.pair.trust == made.joint.pair.trust
    assert shared_map(store, other, first, "standardised", SPEC).open() is None
    assert shared_map(store, first, other, "standardised", LayoutSpec("umap")).open() is None


def test_items_of_one_text_share_a_place_and_unshared_ones_have_none(store, first):
    rows = worded_rows(150)
    more = set_of(store, [*rows[:80], *worded_rows(40, seed=9, head="other ")], name="other")
    other = Side(made_study(store, more, noise, name="noise"), 1, "mean")
    made = shared_map(store, first, other, "standardised", SPEC).get()
    shared = np.isin(first.study.items.texts(), more.texts())
    np.testing.assert_array_equal(np.isfinite(made.first).all(axis=1), shared)
    np.testing.assert_array_equal(np.isfinite(made.second).all(axis=1), shared)


def test_it_is_told_in_a_sentence_and_as_a_table_beside_its_controls(store, items, first):
    joint = shared_map(store, first, turned_side(store, items), "centred", SPEC).get().joint
    said = joint_sentence(joint)
    assert "1.00 [1.00, 1.00]" in said
    assert "paired at random" in said
    table = joint_table(joint)
    assert table["figure"].tolist() == [
        "alignment of the states",
        "distance of a text from itself",
        "trustworthiness of A's half",
        "trustworthiness of B's half",
    ]
    assert (table["paired at random"] < 1.5).all()


def test_arrows_lead_from_a_to_b_for_the_chosen_or_the_furthest(store, items, first):
    other = Side(made_study(store, items, noise, name="noise", width=9), 1, "mean")
    made = shared_map(store, first, other, "standardised", SPEC).get()
    nothing = np.zeros(len(items), bool)
    arrows = joint_arrows(made, nothing)
    far = np.linalg.norm(made.second - made.first, axis=1)
    assert len(arrows.rows) == MOST_ARROWS
    assert far[arrows.rows].min() >= np.delete(far, arrows.rows).max()
    np.testing.assert_array_equal(arrows.end, made.second[arrows.rows])
    chosen = nothing.copy()
    chosen[[4, 9]] = True
    assert joint_arrows(made, chosen).rows.tolist() == [4, 9]
