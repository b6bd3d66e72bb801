"""Comparisons of studies: nothing against itself, kept and the same, one model at a time."""

import numpy as np
import pytest

from core import CoreError
from core.comparison.pairs import (
    compared,
    picture,
    side_map,
)
from core.comparison.pairs import noise as map_noise
from core.comparison.profiles import profiled
from core.comparison.sides import Side
from core.layers import EMBEDDING
from core.maps.projection import LayoutSpec
from core.runtime.progress import Cancelled
from core.statistics.similarity import cka
from tests.core.comparison.comparesets import WIDTH, made_study, noise, planted, set_of, worded_rows

PCA = LayoutSpec()


@pytest.fixture
def items(store):
    return set_of(store, worded_rows(150))


@pytest.fixture
def pair(store, items):
    """Return a model that knows the labels and one that does not, of other depth and width."""
    first = made_study(store, items, planted, name="knows")
    second = made_study(store, items, noise, name="noise", layers=4, width=9)
    return Side(first, 1, "mean"), Side(second, 2, "mean")


def arrays(made):
    parts = [*made.items, made.overlap.share, *made.cka.observed, *made.overlap.observed]
    return [np.asarray(one) for one in (*parts, *made.cka.shuffled, *made.overlap.shuffled)]


def test_a_model_beside_itself_differs_in_nothing(store, pair):
    made = compared(store, pair[0], pair[0], "standardised").get()
    assert made.cka.observed.value == pytest.approx(1, abs=1e-6)
    assert made.overlap.observed == (1, 1, 1)
    known = made.items.value[np.isfinite(made.items.value)]
    assert (known == 0).all()
    assert not made.items.sure.any()
    drawn = side_map(store, pair[0], pair[0], "standardised", PCA)
    assert (drawn.moved == 0).all()


def test_states_turned_in_their_own_space_are_the_same_model(store, items):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0]
    first = made_study(store, items, planted, name="one")
    second = made_study(store, items, lambda s, layer: planted(s, layer) @ turn, name="turned")
    sides = Side(first, 2, "mean"), Side(second, 2, "mean")
    drawn = side_map(store, *sides, "centred", PCA)
    assert drawn.moved.max() <= 1e-6
    made = compared(store, *sides, "centred").get()
    assert made.cka.observed.value == pytest.approx(1, abs=1e-6)
    assert made.overlap.observed.value == 1
    assert not made.items.sure.any()


def test_unrelated_models_are_alike_by_chance_only(store, items):
    first, second = (
        Side(
            made_study(store, items, lambda s, layer, n=n: noise(s, layer, n), name=f"n{n}"),
            1,
            "mean",
        )
        for n in (0, 1)
    )
    made = compared(store, first, second, "standardised").get()
    assert made.cka.shuffled.low <= made.cka.observed.value <= made.cka.shuffled.high
    assert made.overlap.shuffled.low <= made.overlap.observed.value <= made.overlap.shuffled.high
    drawn = side_map(store, first, second, "standardised", PCA)
    assert np.median(drawn.moved) > 0.5


def test_what_is_kept_is_what_was_computed(store, pair):
    assert not compared(store, *pair, "standardised").has()
    made = compared(store, *pair, "standardised").get()
    assert compared(store, *pair, "standardised").has()
    kept = compared(store, *pair, "standardised").open()
    for one, other in zip(arrays(made), arrays(kept), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (kept.n_items, kept.n_texts) == (made.n_items, made.n_texts)


def test_a_comparison_depends_on_layer_pooling_scaling_and_direction(store, pair):
    compared(store, *pair, "standardised").get()
    first, second = pair
    for other in (
        (second, first, "standardised"),
        (first, second, "centred"),
        (first, Side(second.study, 1, "mean"), "standardised"),
        (first, Side(second.study, 2, "last"), "standardised"),
    ):
        assert not compared(store, *other).has()


def test_what_one_comparison_leaves_behind_does_not_change_another(store, items, tmp_path):
    from core.runtime.store import Store

    def both(where, order):
        first = made_study(where, items, planted, name="knows")
        second = made_study(where, items, noise, name="noise")
        sides = Side(first, 1, "mean"), Side(second, 1, "mean")
        for one, other in order:
            compared(where, sides[one], sides[other], "standardised").get()
        return arrays(compared(where, *sides, "standardised").get())

    alone = both(store, [])
    after = both(Store(tmp_path / "other"), [(1, 0), (0, 0), (1, 1)])
    for one, other in zip(alone, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_shared_items_are_compared_and_the_rest_is_empty(store):
    rows = worded_rows(150)
    first, second = (
        made_study(store, set_of(store, part, name), planted, name=name)
        for name, part in (("one", rows[:120]), ("other", rows[40:]))
    )
    made = compared(store, Side(first, 1, "mean"), Side(second, 1, "mean"), "centred").get()
    both = np.isin(first.items.texts(), second.items.texts())
    assert made.n_items == both.sum() == np.isfinite(made.overlap.share).sum()
    assert np.isnan(made.items.value[~both]).all()
    drawn = side_map(store, Side(first, 1, "mean"), Side(second, 1, "mean"), "centred", PCA)
    assert len(drawn.points) == len(second.items)
    np.testing.assert_array_equal(np.isfinite(drawn.moved), both)


def test_nothing_shared_and_nothing_read_are_refused(store, pair):
    other = set_of(store, worded_rows(40, head="x"), "other")
    alien = Side(made_study(store, other, name="alien"), 1, "mean")
    with pytest.raises(CoreError, match="share none of their texts"):
        compared(store, pair[0], alien, "centred").get()
    flat = made_study(
        store, pair[0].study.items, lambda s, _: np.ones((len(s.plan.prompts), WIDTH))
    )
    with pytest.raises(CoreError, match="the same for every text"):
        compared(store, pair[0], Side(flat, 1, "mean"), "centred").get()


def test_pictures_and_noise_are_told_to_be_kept(store, pair):
    first, second = pair
    assert not picture(store, first, "standardised", PCA).has()
    assert not map_noise(store, first, "standardised", PCA).has()
    drawn = side_map(store, first, second, "standardised", PCA)
    assert picture(store, first, "standardised", PCA).has()
    assert picture(store, second, "standardised", PCA).has()
    assert map_noise(store, first, "standardised", PCA).has()
    again = side_map(store, first, second, "standardised", PCA)
    np.testing.assert_array_equal(drawn.points, again.points)
    assert again.noise == drawn.noise


# Profiles ----------------------------------------------------------------------------------------


def test_a_profile_holds_every_pair_of_layers(store, pair):
    first, second = pair
    made = profiled(store, first, second, "standardised").get()
    assert made.debiased.shape == made.plain.shape == (4, 5)
    assert made.partner.tolist() == [EMBEDDING, 0, 2, 3]
    alone = cka(*(side.states(store, "standardised") for side in pair))
    assert made.debiased[2, 3] == pytest.approx(alone.observed.value, abs=1e-6)
    whole = compared(store, *pair, "standardised").get()
    assert made.shared(1).value == whole.overlap.observed.value


def test_a_profile_is_kept_whatever_the_layers_shown(store, pair):
    made = profiled(store, *pair, "standardised").get()
    elsewhere = Side(pair[0].study, 0, "mean"), Side(pair[1].study, 0, "mean")
    assert profiled(store, *elsewhere, "standardised").has()
    assert not profiled(store, *elsewhere, "centred").has()
    kept = profiled(store, *elsewhere, "standardised").open()
    for one, other in zip(made, kept, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_with_one_state_are_left_empty(store, items):
    def dull(study, layer):
        return np.ones((len(study.plan.prompts), WIDTH)) if layer < 0 else planted(study, layer)

    first, second = (Side(made_study(store, items, dull, name=n), 1, "mean") for n in ("a", "b"))
    made = profiled(store, first, second, "centred").get()
    assert np.isnan(made.debiased[0]).all()
    assert np.isnan(made.debiased[:, 0]).all()
    assert np.isnan(made.overlap[0]).all()
    assert np.isfinite(made.debiased[1:, 1:]).all()


def test_cancel_leaves_nothing_half_done(store, pair):
    def stop(*_):
        raise Cancelled

    with pytest.raises(Cancelled):
        compared(store, *pair, "standardised").get(stop)
    with pytest.raises(Cancelled):
        profiled(store, *pair, "standardised").get(stop)
    assert not compared(store, *pair, "standardised").has()
    assert not profiled(store, *pair, "standardised").has()
    assert compared(store, *pair, "standardised").open() is None
