"""Pushes followed to a map above the steered layer, and into a UMAP: preview beside exact."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import read_prompts
from core.activations.prompts import encode
from core.activations.study import layer_states
from core.foundations import FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.runtime.store import Store
from core.steering.edits import Steering, resolve
from core.steering.effects import frame, paths, probes
from core.steering.effects.motion import OTHERS
from core.steering.effects.paths import KNOTS, NeighbourMap
from core.steering.effects.probes import (
    FEW,
    FURTHER,
    PROBES,
    ProbeMap,
    ProbeSpec,
    kept_probes,
    probe_rows,
    read_probes,
)
from core.steering.effects.readout import arms_states
from core.steering.effects.shift import shift
from core.steering.recipes import Recipe, Term
from tests.core.steering.steeringsets import bloom_folder, opened, read_by

LAYER, UPTO = 0, 2
STRENGTHS = {"care-harm": 0.3, "loyalty-betrayal": -0.15}


@pytest.fixture(scope="module")
def read(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


def probe_map(llama, read, view, *, others=None, **change):
    store, study = read
    spec = replace(ProbeSpec(LAYER, view.layer, view.pooling), **change)
    return ProbeMap(store, study, llama, read_probes(store, study, llama, spec), view, others)


def recipe_of(study, strengths):
    terms = tuple(Term(axis, one) for axis, one in strengths.items())
    spec = study.plan.spec
    return Recipe(
        str(study.card.spec), study.plan.model, study.items.digest, spec.template, (LAYER,), terms
    )


def steered_states(store, study, model, strengths, pooling, layer, positions="not first"):
    """Return every prompt's pooled state at a layer, read anew by the steered model."""
    edits = resolve(store, study, recipe_of(study, strengths))

    def steering(mask):
        made = Steering.of(edits, positions, mask.any(dim=1), mask.device)
        made.aim(mask, prompt=True)
        return made.editors

    encoded = encode(model, list(study.plan.prompts), study.plan.spec.max_tokens)
    return read_prompts(model, encoded, (pooling,), edits=steering)[layer + 1, 0]


def placed(read, view, states):
    """Return where prompts' states lie on a PCA or UMAP map, a row per item."""
    store, study = read
    known = layer_states(store, study, view.layer, view.pooling, view.scaling)
    layout = model_layout(store, study, view.layer, view.pooling, view.scaling, view.layout).get()
    return layout.place(known.scaler.apply(states), known.states)[study.plan.rows]


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("positions", ["not first", "all"])
def test_settled_probes_lie_where_a_steered_reading_puts_them(llama, read, pooling, positions):
    store, study = read
    view = ViewSpec(UPTO, pooling)
    made = probe_map(llama, read, view, positions=positions)
    found = made.settled(STRENGTHS)
    states = steered_states(store, study, llama, STRENGTHS, pooling, UPTO, positions)
    exact = placed(read, view, states)[found.rows]
    np.testing.assert_allclose(found.places, exact, atol=1e-3 * made.paths.width)
    # A control that has to fail: another strength is told apart.
    other = made.settled({**STRENGTHS, "care-harm": 0.25})
    assert np.abs(other.places - exact).max() > 1e-2 * made.paths.width


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_further_actions_settle_where_a_steered_reading_puts_them(llama, read, method, monkeypatch):
    monkeypatch.setattr(probes, "PROBES", 16)
    monkeypatch.setattr(probes, "AT_A_TIME", 8)
    store, study = read
    view = ViewSpec(UPTO, method=method)
    made = probe_map(llama, read, view)
    first, both = made.settled(STRENGTHS), made.settled(STRENGTHS, 1)
    every = probe_rows(study, FURTHER)
    np.testing.assert_array_equal(both.rows, every[:24])
    np.testing.assert_array_equal(both.places[:16], first.places)
    assert (first.own, both.own) == (16, 16)
    assert (first.left, both.left) == (len(every) - 16, len(every) - 24)
    assert made.settled(STRENGTHS, 9).left == 0
    states = steered_states(store, study, llama, STRENGTHS, view.pooling, UPTO)
    exact = frame.Frame(store, study, view, both.rows).place(states[study.plan.rows[both.rows]])
    np.testing.assert_allclose(both.places, exact, atol=1e-3 * made.paths.width)
    far = np.linalg.norm(made.paths.place(STRENGTHS)[both.rows] - both.places, axis=1)
    assert both.apart == pytest.approx(np.median(far) / made.paths.width)
    assert both.most == pytest.approx(far.max() / made.paths.width)


def test_what_strengths_have_settled_is_not_read_again(llama, read, monkeypatch):
    passes = []

    def counted(*args, **kwargs):
        passes.append(1)
        return arms_states(*args, **kwargs)

    made = probe_map(llama, read, ViewSpec(UPTO))
    monkeypatch.setattr(probes, "arms_states", counted)
    made.settled(STRENGTHS)
    assert len(passes) == 1
    made.settled(STRENGTHS)
    assert len(passes) == 1
    made.settled(STRENGTHS, 1)  # its actions without a push, and with it
    assert len(passes) == 3
    made.settled({"care-harm": 0.1}, 1)
    assert len(passes) == 5


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_at_the_steered_layer_preview_and_exact_pass_are_the_same(llama, read, method):
    store, study = read
    view = ViewSpec(LAYER, method=method)
    exact = shift(store, study, FOUNDATIONS, view)
    made = probe_map(llama, read, view)
    found = made.settled(STRENGTHS)
    preview = exact.place(STRENGTHS)[found.rows]
    np.testing.assert_allclose(preview, found.places, atol=1e-4 * exact.width)
    fan = exact.fan.tips(0.2), made.paths.fan.tips(0.2)
    if method == "pca":  # no matter which items: all go by one arrow
        np.testing.assert_allclose(*fan, atol=1e-4 * exact.width)
        assert found.most < 1e-3
        np.testing.assert_allclose(exact.place(STRENGTHS), made.paths.place(STRENGTHS), atol=1e-3)
    wrong = exact.place({**STRENGTHS, "care-harm": -0.3})[found.rows]
    assert np.linalg.norm(wrong - found.places, axis=1).min() > 1e-2 * exact.width


@pytest.mark.parametrize("method", ["pca", "umap", "axes"])
def test_at_its_knots_the_preview_is_exact_and_between_them_the_distance_is_told(
    llama, read, method
):
    made = probe_map(llama, read, ViewSpec(UPTO, method=method))
    for knot in KNOTS:
        assert made.settled({"fairness-cheating": knot}).most < 1e-3
    between = made.settled({"fairness-cheating": 0.3, "care-harm": 0.3})
    preview = made.paths.place({"fairness-cheating": 0.3, "care-harm": 0.3})[between.rows]
    far = np.linalg.norm(preview - between.places, axis=1) / made.paths.width
    assert between.apart == pytest.approx(np.median(far))
    assert between.most == pytest.approx(far.max())
    assert between.most > 1e-4


def test_points_without_a_way_of_their_own_go_by_the_probes_mean(llama, read):
    store, study = read
    view = ViewSpec(UPTO)
    found = probe_map(llama, read, view).paths
    plain = model_picture(store, study, view, layer_reading(store, study, view)).points
    np.testing.assert_allclose(found.place({}), plain, atol=1e-6)
    moved = found.place(STRENGTHS) - found.points
    rest = np.setdiff1d(np.arange(len(moved)), found.rows)
    np.testing.assert_allclose(moved[rest], np.tile(found.middle(STRENGTHS), (len(rest), 1)))
    assert np.ptp(moved[found.rows], axis=0).max() > 0
    assert found.travel(STRENGTHS) > 0.01
    assert found.control(STRENGTHS).low > 0


def test_other_directions_go_with_the_axes(llama, read):
    _, study = read
    others = recipe_of(study, {"harm": 0.2})
    made = probe_map(llama, read, ViewSpec(UPTO), others=others)
    found = made.settled({OTHERS: 1, "care-harm": 0.2})
    assert found.apart < 0.2
    assert made.settled({OTHERS: 1}).most < 1e-4
    assert made.paths.travel({OTHERS: 1}) > 0.01


def test_probes_are_held_out_and_the_poles_take_turns(read):
    _, study = read
    rows = probe_rows(study, PROBES)
    assert set(study.items.split[rows]) == {"test"}
    assert len(np.unique(study.plan.rows[rows])) == len(rows) <= PROBES
    first = study.labels.dimension[rows[:FEW]]
    assert len(np.unique(first)) == FEW


def test_a_set_that_holds_nothing_back_is_told(read):
    _, study = read
    all_train = SimpleNamespace(split=np.full(len(study.items), "train"))
    with pytest.raises(CoreError, match="holds no action back"):
        probe_rows(SimpleNamespace(items=all_train, plan=study.plan, labels=study.labels), PROBES)


def test_what_was_read_is_kept_and_damage_is_made_anew(llama, read, tmp_path):
    _, study = read
    store, spec = Store(tmp_path), ProbeSpec(LAYER, UPTO, "mean")
    made = kept_probes(store, study, spec, lambda _: read_probes(read[0], study, llama, spec))
    first = made.get()
    np.testing.assert_array_equal(made.open().steered, first.steered)
    assert first.steered.shape[:2] == (len(FOUNDATIONS), len(KNOTS))
    folder = store.open("probes", made.key)
    (folder / "probes.npz").write_bytes(b"no")
    assert made.open() is None


def test_in_a_umap_every_point_goes_by_its_neighbours(read):
    store, study = read
    view = ViewSpec(LAYER, method="umap")
    made = NeighbourMap(store, study, FOUNDATIONS, view)
    known = layer_states(store, study, LAYER, "mean", "raw").states
    edits = resolve(store, study, recipe_of(study, STRENGTHS))
    push = edits[0].norm * np.array(edits[0].strengths) @ edits[0].vectors
    exact = placed(read, view, known + push) - placed(read, view, known)
    found = made.settled(STRENGTHS)
    np.testing.assert_allclose(found.places - made.paths.points, exact, atol=1e-4)
    assert found.apart > 0
    assert made.settled({"care-harm": 0.2}).most < 1e-5
    assert len(found.rows) == len(study.items)


def test_of_a_large_umap_some_points_go_their_way_and_the_rest_by_their_mean(read, monkeypatch):
    store, study = read
    view = ViewSpec(LAYER, method="umap")
    whole = NeighbourMap(store, study, FOUNDATIONS, view)
    monkeypatch.setattr(paths, "MOST", 50)
    monkeypatch.setattr(frame, "_AT_ONCE", 16)
    some = NeighbourMap(store, study, FOUNDATIONS, view)
    assert 50 <= len(some.paths.rows) < len(study.items)
    own = whole.settled(STRENGTHS).places[some.paths.rows]
    np.testing.assert_allclose(some.settled(STRENGTHS).places, own, atol=1e-4)
    moved = some.paths.place(STRENGTHS) - some.paths.points
    rest = np.setdiff1d(np.arange(len(moved)), some.paths.rows)
    np.testing.assert_allclose(moved[rest], np.tile(some.paths.middle(STRENGTHS), (len(rest), 1)))


def test_layers_that_give_tuples_are_followed_too(tmp_path_factory):
    bloom = opened(bloom_folder(tmp_path_factory), tmp_path_factory)
    store, study = read_by(bloom, tmp_path_factory)
    view = ViewSpec(UPTO)
    found = probe_map(bloom, (store, study), view).settled(STRENGTHS)
    states = steered_states(store, study, bloom, STRENGTHS, "mean", UPTO)
    exact = placed((store, study), view, states)[found.rows]
    np.testing.assert_allclose(found.places, exact, atol=2e-3)
