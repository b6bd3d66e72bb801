"""Pictures that are the same every time, lie over each other, and say how far to trust them."""

from dataclasses import replace

import numpy as np
import pytest

from core.maps.projection import (
    JUDGED_NEIGHBOURS,
    JUDGED_ROWS,
    JUDGED_WHOLE,
    SAMPLED,
    LayoutSpec,
    Trust,
    judge,
    kept_layout,
    layout_key,
    project,
    register,
    sampled_trust,
    spread_ties,
)
from core.statistics.neighbours import nearest, overlap


def states_of(n=120, d=20, seed=0):
    """Return states with a few strong directions, far from the origin."""
    rng = np.random.default_rng(seed)
    strength = 2.0 ** -np.arange(d)
    return (rng.normal(size=(n, d)) * strength * 10 + rng.normal(size=d) * 50).astype(np.float32)


def some_turn(dims, seed, *, reflect=False):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(dims, dims)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn)) * (-1 if reflect else 1)
    return turn


@pytest.fixture(params=[2, 3])
def spec(request):
    return LayoutSpec(dims=request.param)


# PCA --------------------------------------------------------------------------------------------


def test_pca_is_numpys_svd_up_to_the_signs(spec):
    states = states_of()
    layout = project(states, spec)
    moved = states - states.mean(axis=0, dtype=float)
    u, s, _ = np.linalg.svd(moved, full_matrices=False)
    expected = u[:, : spec.dims] * s[: spec.dims]
    expected /= np.sqrt((expected**2).sum(axis=1).mean())
    signs = np.sign((expected * layout.points).sum(axis=0))
    np.testing.assert_allclose(layout.points, expected * signs, atol=1e-4)
    assert layout.explained == pytest.approx((s[: spec.dims] ** 2).sum() / (s**2).sum())


def test_pca_of_a_wide_matrix_is_numpys_svd_too():
    states = states_of(n=60, d=1200)
    layout = project(states, LayoutSpec())
    u, s, _ = np.linalg.svd(states - states.mean(axis=0, dtype=float), full_matrices=False)
    expected = u[:, :2] * s[:2]
    expected /= np.sqrt((expected**2).sum(axis=1).mean())
    np.testing.assert_allclose(np.abs(layout.points), np.abs(expected), atol=1e-4)
    assert layout.explained == pytest.approx((s[:2] ** 2).sum() / (s**2).sum(), rel=1e-3)


def test_registered_pca_is_numpys_svd_up_to_one_rotation():
    states, anchor = states_of(), states_of(seed=5)[:, :2]
    free, turned = project(states, LayoutSpec()), project(states, LayoutSpec(), anchor=anchor)
    turn = np.linalg.lstsq(free.points, turned.points)[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(free.points @ turn, turned.points, atol=1e-5)
    assert turned.trust.kept == pytest.approx(free.trust.kept, abs=0.01)
    assert turned.explained == free.explained


def test_a_picture_is_centred_with_radius_one(spec):
    points = project(states_of(), spec).points.astype(float)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)
    assert np.sqrt((points**2).sum(axis=1).mean()) == pytest.approx(1, rel=1e-6)


def test_the_same_states_give_the_same_bytes(spec):
    first, second = project(states_of(), spec), project(states_of(), spec)
    assert first.points.tobytes() == second.points.tobytes()
    assert first.linear.tobytes() == second.linear.tobytes()
    assert first.trust == second.trust


def test_the_order_of_rows_does_not_change_the_picture(spec):
    states, order = states_of(), np.random.default_rng(1).permutation(120)
    np.testing.assert_allclose(
        project(states[order], spec).points, project(states, spec).points[order], atol=1e-4
    )


def test_the_unit_of_the_states_does_not_change_the_picture(spec):
    large = project(states_of() * 512, spec)
    np.testing.assert_allclose(large.points, project(states_of(), spec).points, atol=1e-5)


@pytest.mark.parametrize("registered", [False, True])
def test_linear_reproduces_the_points_and_places_a_new_state_exactly(spec, registered):
    states = states_of() + 88_064 * np.eye(20, dtype=np.float32)[3]
    anchor = states_of(seed=5)[:, : spec.dims] if registered else None
    layout = project(states, spec, anchor=anchor)
    ones = np.ones((len(states), 1))
    np.testing.assert_allclose(np.hstack([states, ones]) @ layout.linear, layout.points, atol=1e-4)
    np.testing.assert_allclose(layout.place(states, states), layout.points, atol=1e-4)
    middle = layout.place((states[:1] + states[1:2]) / 2, states)
    np.testing.assert_allclose(middle, layout.points[:2].mean(axis=0)[None], atol=1e-2)


def test_an_unregistered_pictures_axes_point_to_their_largest_weight(spec):
    for seed in range(5):
        weights = project(states_of(seed=seed), spec).linear[:-1]
        assert (weights[np.abs(weights).argmax(axis=0), range(spec.dims)] > 0).all()


def test_states_with_fewer_coordinates_than_the_picture_leave_the_rest_flat():
    layout = project(states_of(d=2), LayoutSpec(dims=3))
    assert layout.points.shape == (120, 3)
    np.testing.assert_array_equal(layout.points[:, 2], 0)
    assert layout.explained == pytest.approx(1)


@pytest.mark.parametrize("n", [4, 5, 6, 12])
def test_a_few_rows_are_enough(n, spec):
    layout = project(states_of(n=n), spec)
    assert np.isfinite(layout.points).all()
    assert 0 <= layout.trust.trustworthiness <= 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_fewer_than_four_rows_are_refused(n):
    with pytest.raises(ValueError, match="at least four"):
        project(states_of(n=4)[:n], LayoutSpec())


def test_states_that_are_not_finite_are_refused():
    states = states_of()
    states[5, 5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        project(states, LayoutSpec())


def test_states_that_are_all_the_same_lie_in_one_place():
    layout = project(np.ones((8, 5), np.float32), LayoutSpec())
    np.testing.assert_array_equal(layout.points, 0)
    assert layout.explained == 0


# Registration -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
def test_register_undoes_a_turn_or_reflection(dims, reflect):
    anchor = np.random.default_rng(0).normal(size=(50, dims))
    anchor -= anchor.mean(axis=0)
    turned = anchor @ some_turn(dims, 3, reflect=reflect)
    np.testing.assert_allclose(turned @ register(turned, anchor), anchor, atol=1e-6)


def test_register_looks_at_shared_rows_only():
    anchor = np.random.default_rng(0).normal(size=(50, 2))
    turned = anchor @ some_turn(2, 3)
    holes = anchor.copy()
    holes[10:] = np.nan
    turned[10:] *= 9
    np.testing.assert_allclose((turned @ register(turned, holes))[:10], anchor[:10], atol=1e-6)


def test_register_never_stretches():
    rng = np.random.default_rng(0)
    turn = register(rng.normal(size=(50, 3)), 7 * rng.normal(size=(50, 3)) + 2)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_without_shared_rows_nothing_is_turned():
    nowhere = np.full((5, 2), np.nan)
    np.testing.assert_array_equal(register(np.ones((5, 2)), nowhere), np.eye(2))


def test_another_layers_picture_lies_over_the_anchors():
    states = states_of()
    anchor = project(states, LayoutSpec()).points @ some_turn(2, 3, reflect=True)
    np.testing.assert_allclose(
        project(states, LayoutSpec(), anchor=anchor).points, anchor, atol=1e-5
    )


# Trust ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [60, JUDGED_ROWS + 100])
def test_a_picture_that_is_the_states_is_trusted_wholly(n):
    points = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    trust = judge(points, points, "euclidean")
    assert trust.trustworthiness == 1
    assert trust.kept == 1
    assert trust.chance == JUDGED_NEIGHBOURS / (n - 1)


@pytest.mark.parametrize("n", [400, JUDGED_ROWS + 100])
def test_random_places_are_trusted_no_more_than_chance(n):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(n, 5))
    trust = judge(states, rng.normal(size=(n, 2)).astype(np.float32), "cosine")
    assert trust.trustworthiness == pytest.approx(0.5, abs=0.03)
    assert trust.kept == pytest.approx(trust.chance, abs=0.4 * trust.chance)


def test_trust_is_scikit_learns_and_a_worse_picture_is_trusted_less():
    from sklearn.manifold import trustworthiness

    states = states_of()
    moved = states - states.mean(axis=0)
    flat, deep = project(states, LayoutSpec()), project(states, LayoutSpec(dims=3))
    expected = trustworthiness(moved, flat.points, n_neighbors=10, metric="cosine")
    assert flat.trust.trustworthiness == pytest.approx(expected, abs=1e-6)
    assert deep.trust.trustworthiness > flat.trust.trustworthiness
    assert deep.trust.kept > flat.trust.kept > flat.trust.chance


def test_a_large_picture_is_judged_by_sampled_points_among_all():
    states = np.random.default_rng(0).normal(size=(JUDGED_WHOLE + 1, 5)).astype(np.float32)
    whole, large = (judge(states[:n], states[:n, :2], "cosine") for n in (JUDGED_WHOLE, None))
    assert (whole.sampled, large.sampled) == (0, SAMPLED)
    assert whole.written == dict(zip(Trust._fields, whole[:3], strict=False))
    assert Trust(**large.written) == large
    assert np.isnan(whole.figures[0].low)
    for one, arm in zip(large.figures, (large.trust_arm, large.kept_arm), strict=True):
        assert 0 < arm < 0.02
        assert one.low < one.value < one.high


def test_sampled_trust_is_that_of_all_points_within_its_interval():
    from sklearn.manifold import trustworthiness

    states = states_of(n=1500)
    states -= states.mean(axis=0)
    points = states[:, :2] + np.random.default_rng(1).normal(size=(1500, 2)).astype(np.float32)
    near = [nearest(each, 10, metric="euclidean").rows for each in (states, points)]
    expected = trustworthiness(states, points, n_neighbors=10), overlap(*near).mean()
    found = sampled_trust(states, points, "euclidean", 400)
    for one, known in zip(found.figures, expected, strict=True):
        assert one.low < known < one.high
    assert found.chance == 10 / 1499
    nearly = sampled_trust(states, points, "euclidean", 1499)
    assert nearly[:2] == pytest.approx(expected, abs=1e-3)


def test_sampled_trust_takes_ties_by_row_number():
    points = np.random.default_rng(0).integers(0, 3, (900, 2)).astype(np.float32)
    assert sampled_trust(points, points, "euclidean", 300)[:2] == (1, 1)


# Ties -------------------------------------------------------------------------------------------


def tied(dims):
    """Return 50 places of which three are shared by 40, 5 and 2 points."""
    places = np.random.default_rng(0).normal(size=(50, dims)).astype(np.float32)
    number = np.concatenate([np.arange(50), np.full(39, 3), np.full(4, 7), [9]])
    return places[number], number


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("spacing", [0.03, 0.008])
def test_ties_are_moved_apart_within_the_radius_and_single_points_stay(dims, spacing):
    points, number = tied(dims)
    moved = spread_ties(points, spacing=spacing)
    count = np.bincount(number)[number]
    np.testing.assert_array_equal(moved[count == 1], points[count == 1])
    reach = np.linalg.norm(moved - points, axis=1)
    assert (reach <= spacing * count ** (1 / dims) * (1 + 1e-4))[count > 1].all()
    assert (reach[count > 1] > 0).all()
    assert reach[number == 3].max() > 0.9 * spacing * 40 ** (1 / dims)


@pytest.mark.parametrize("dims", [2, 3])
def test_ties_are_spread_evenly_on_all_sides(dims):
    points, number = tied(dims)
    shift = (spread_ties(points, spacing=0.03) - points)[number == 3]
    radius = np.linalg.norm(shift, axis=1).max()
    assert np.linalg.norm(shift.mean(axis=0)) < 0.15 * radius
    assert (np.ptp(shift, axis=0) > 1.4 * radius).all()
    assert nearest(shift, 1, metric="euclidean").distance.min() > 0.5 * 0.03


def test_spreading_is_deterministic_and_does_not_change_its_input():
    points, _ = tied(2)
    before = points.copy()
    assert spread_ties(points).tobytes() == spread_ties(points).tobytes()
    np.testing.assert_array_equal(points, before)


def test_a_point_goes_where_its_place_among_its_own_ties_sends_it():
    points, number = tied(2)
    moved = spread_ties(points)
    alone = number == 3
    np.testing.assert_array_equal(spread_ties(points[alone]), moved[alone])


def test_rounding_noise_does_not_hide_a_tie():
    points, number = tied(2)
    points[number == 3] = [0.5, 0.25]
    noisy = points + np.random.default_rng(0).normal(size=points.shape).astype(np.float32) * 1e-7
    shift = np.linalg.norm(spread_ties(noisy) - noisy, axis=1)
    assert (shift[number == 3] > 1e-3).all()


def test_without_ties_nothing_moves():
    points = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    np.testing.assert_array_equal(spread_ties(points), points)


# Kept on disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("anchored", [False, True])
def test_a_kept_layout_is_opened_equal(store, spec, anchored):
    anchor = states_of(seed=5)[:, : spec.dims] if anchored else None
    layout = project(states_of(), spec, anchor=anchor)
    key = layout_key(spec, {"states": "x"}, "", 120)
    kept = kept_layout(store, key, lambda _: layout)
    assert kept.open() is None
    kept.get()
    opened = kept.open()
    assert opened.points.tobytes() == layout.points.tobytes()
    assert opened.linear.tobytes() == layout.linear.tobytes()
    assert (opened.trust, opened.explained) == (layout.trust, layout.explained)
    np.testing.assert_array_equal(
        opened.place(states_of(seed=2), states_of()), layout.place(states_of(seed=2), states_of())
    )


def test_everything_that_changes_the_picture_changes_its_key(store):
    source = {"states": "x"}
    keys = [
        layout_key(LayoutSpec(), source, "", 9),
        layout_key(LayoutSpec(dims=3), source, "", 9),
        layout_key(LayoutSpec("umap"), source, "", 9),
        layout_key(LayoutSpec("umap", neighbours=5), source, "", 9),
        layout_key(LayoutSpec("umap", min_dist=0.5), source, "", 9),
        layout_key(LayoutSpec("umap", seed=1), source, "", 9),
        layout_key(LayoutSpec(), {"states": "y"}, "", 9),
        layout_key(LayoutSpec(), source, "layer 9", 9),
        layout_key(LayoutSpec(), source, "", JUDGED_WHOLE + 1),
    ]
    assert len({store.folder("layout", key) for key in keys}) == len(keys)


def test_a_picture_whose_points_are_all_judged_keeps_its_key():
    few, many = (layout_key(LayoutSpec(), {}, "", n) for n in (9, JUDGED_WHOLE))
    assert few == many
    assert "judged" not in few


@pytest.mark.parametrize("sampled", [False, True])
def test_a_kept_picture_says_by_how_many_points_it_was_judged(store, sampled):
    states = states_of(n=300)
    layout = project(states, LayoutSpec())
    trust = sampled_trust(states, layout.points, "cosine", 100) if sampled else layout.trust
    made = kept_layout(store, {"x": sampled}, lambda _: replace(layout, trust=trust))
    made.get()
    assert made.open().trust == trust


# UMAP -------------------------------------------------------------------------------------------

UMAP = LayoutSpec("umap")


def three_clusters():
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(3), 40)
    return (rng.normal(size=(120, 12)) + 8 * np.eye(12)[label]).astype(np.float32), label


@pytest.fixture(scope="module")
def umap_layout():
    """Return a UMAP picture of three clusters, made once: numba compiles for seconds."""
    return project(three_clusters()[0], UMAP)


@pytest.mark.slow
def test_a_seeded_umap_is_the_same_every_time(umap_layout):
    again = project(three_clusters()[0], UMAP)
    assert again.points.tobytes() == umap_layout.points.tobytes()
    assert again.trust == umap_layout.trust
    other = project(three_clusters()[0], LayoutSpec("umap", seed=1))
    assert other.points.tobytes() != umap_layout.points.tobytes()


@pytest.mark.slow
def test_umap_keeps_clusters_together_and_earns_trust(umap_layout):
    label = three_clusters()[1]
    near = nearest(umap_layout.points, 10, metric="euclidean").rows
    assert (label[near] == label[:, None]).mean() > 0.99
    assert umap_layout.trust.trustworthiness > 0.85
    assert umap_layout.trust.kept > 3 * umap_layout.trust.chance
    assert np.isnan(umap_layout.explained)
    assert umap_layout.linear is None


@pytest.mark.slow
def test_umap_of_another_layer_begins_at_the_anchor_and_lies_over_it(umap_layout):
    states, label = three_clusters()
    other = states + np.random.default_rng(1).normal(size=states.shape).astype(np.float32) * 0.3
    near = project(other, UMAP, anchor=umap_layout.points).points
    here, there = (
        np.stack([points[label == cluster].mean(axis=0) for cluster in range(3)])
        for points in (near, umap_layout.points)
    )
    moved = np.linalg.norm(here[:, None] - there[None], axis=2)
    np.testing.assert_array_equal(moved.argmin(axis=1), [0, 1, 2])
    assert moved.diagonal().max() < 0.5 < moved[~np.eye(3, dtype=bool)].min()


@pytest.mark.slow
def test_umap_turned_onto_another_picture_takes_nothing_but_the_turn_from_it(umap_layout):
    states, _ = three_clusters()
    anchor = np.random.default_rng(4).normal(size=(120, 2))
    turned = project(states, UMAP, anchor=anchor, start_at_anchor=False)
    turn = register(umap_layout.points, turned.points)
    np.testing.assert_allclose(umap_layout.points @ turn, turned.points, atol=1e-4)
    assert turned.trust.kept == pytest.approx(umap_layout.trust.kept, abs=0.01)


@pytest.mark.slow
def test_a_new_state_is_placed_beside_its_likes_in_a_umap_picture(umap_layout):
    states, label = three_clusters()
    placed = umap_layout.place(states[:5], states)
    assert np.linalg.norm(placed - umap_layout.points[:5], axis=1).max() < 0.2
    new = 8 * np.eye(12)[1:2]
    centre = umap_layout.points[label == 1].mean(axis=0)
    assert np.linalg.norm(umap_layout.place(new, states)[0] - centre) < 0.4


@pytest.mark.slow
def test_a_kept_umap_picture_is_opened_equal(store, umap_layout):
    key = layout_key(UMAP, {"states": "x"}, "", 90)
    kept = kept_layout(store, key, lambda _: umap_layout)
    kept.get()
    opened = kept.open()
    assert opened.points.tobytes() == umap_layout.points.tobytes()
    assert np.isnan(opened.explained)
    assert opened.linear is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 5, 8, 20])
@pytest.mark.parametrize("dims", [2, 3])
def test_umap_of_a_few_rows_is_a_picture(n, dims):
    layout = project(states_of(n=n), LayoutSpec("umap", dims=dims))
    assert layout.points.shape == (n, dims)
    assert np.isfinite(layout.points).all()
