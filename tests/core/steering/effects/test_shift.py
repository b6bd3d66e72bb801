"""Where steering moves a map's points: as a steered reading finds them, without a new reading."""

from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import read_prompts
from core.activations.prompts import encode
from core.activations.study import layer_states
from core.foundations import FOUNDATIONS
from core.maps.layouts import model_layout
from core.maps.placing import axis_values
from core.maps.view import ViewSpec, layer_reading, model_picture
from core.measures.geometry import closeness
from core.steering.edits import Steering, residual_norm, resolve
from core.steering.effects.motion import CONTROLS, OTHERS, between
from core.steering.effects.shift import control_vectors, displaced, shift
from core.steering.recipes import Recipe, Term
from tests.core.steering.steeringsets import read_by

LAYER = 1
STRENGTHS = {"care-harm": 0.3, "loyalty-betrayal": -0.2}


@pytest.fixture(scope="module")
def read(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


def recipe_of(study, strengths, **other):
    terms = tuple(Term(axis, one) for axis, one in strengths.items())
    return Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        study.plan.spec.template,
        (LAYER,),
        terms,
        **other,
    )


def steered_states(store, study, model, strengths, pooling, positions):
    """Return every prompt's pooled state at the layer, read by the steered model."""
    edits = resolve(store, study, recipe_of(study, strengths))

    def steering(mask):
        made = Steering.of(edits, positions, mask.any(dim=1), mask.device)
        made.aim(mask, prompt=True)
        return made.editors

    encoded = encode(model, list(study.plan.prompts), study.plan.spec.max_tokens)
    return read_prompts(model, encoded, (pooling,), edits=steering)[LAYER + 1, 0]


@pytest.mark.parametrize("scaling", ["standardised", "raw", "top-removed", "whitened"])
@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("positions", ["all", "not first"])
def test_points_lie_where_a_steered_reading_puts_them(llama, read, scaling, pooling, positions):
    store, study = read
    spec = ViewSpec(LAYER, pooling, scaling)
    found = shift(store, study, FOUNDATIONS, spec)
    states = steered_states(store, study, llama, STRENGTHS, pooling, positions)
    known = layer_states(store, study, LAYER, pooling, scaling)
    layout = model_layout(store, study, LAYER, pooling, scaling, spec.layout).get()
    exact = layout.place(known.scaler.apply(states), known.states)[study.plan.rows]
    np.testing.assert_allclose(found.place(STRENGTHS), exact, atol=1e-4 * found.width)
    assert found.travel(STRENGTHS) > 0.01


@pytest.mark.parametrize("x", ["care-harm", "loyalty"])
def test_on_moral_axes_the_paths_are_exact_too(llama, read, x):
    store, study = read
    spec = ViewSpec(LAYER, "mean", method="axes", x=x)
    found = shift(store, study, FOUNDATIONS, spec)
    known = layer_states(store, study, LAYER, "mean", "standardised")
    states = steered_states(store, study, llama, STRENGTHS, "mean", "not first")
    moved = known.scaler.apply(states)[study.plan.rows]
    # Only the item itself is steered: each is compared with the plain centres, one at a time.
    plain = known.states[study.plan.rows]
    for row in range(0, len(plain), 15):
        one = plain.copy()
        one[study.labels.group == study.labels.group[row]] = moved[row]
        close = closeness(one, study.members, study.labels.group)[[row]]
        exact = [axis_values(axis, close)[0] for axis in (spec.x, spec.y)]
        np.testing.assert_allclose(found.place(STRENGTHS)[row], exact, atol=1e-4 * found.width)


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_without_strength_it_is_the_plain_map_point_for_point(read, method):
    store, study = read
    spec = ViewSpec(LAYER, method=method)
    found = shift(store, study, FOUNDATIONS, spec)
    plain = model_picture(store, study, spec, layer_reading(store, study, spec))
    np.testing.assert_allclose(found.place({}), plain.points, atol=1e-5)
    assert found.travel({}) == found.length({}) == 0


def test_the_length_of_a_push_is_its_dose(read):
    store, study = read
    found = shift(store, study, FOUNDATIONS, ViewSpec(LAYER))
    assert found.length({"care-harm": -0.3}) == pytest.approx(0.3, rel=1e-5)
    edits = resolve(store, study, recipe_of(study, STRENGTHS))
    total = np.array(edits[0].strengths) @ edits[0].vectors
    assert found.length(STRENGTHS) == pytest.approx(np.linalg.norm(total), rel=1e-5)


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_the_fan_is_where_equally_long_control_pushes_take_the_middle(llama, read, method):
    store, study = read
    spec = ViewSpec(LAYER, method=method)
    found = shift(store, study, FOUNDATIONS, spec)
    controls = control_vectors(store, study, LAYER)
    assert len(controls) == len(found.fan.ways) == CONTROLS
    np.testing.assert_allclose(np.linalg.norm(controls, axis=1), 1, atol=1e-5)
    # The same as a direction of a recipe of one's own that is this control.
    raw = layer_states(store, study, LAYER, "mean", "raw").states
    pushed = raw + residual_norm(store, study, LAYER) * 0.2 * controls[3].astype(np.float32)
    known = layer_states(store, study, LAYER, "mean", "standardised")
    if method == "pca":
        layout = model_layout(store, study, LAYER, "mean", "standardised", spec.layout).get()
        exact = layout.place(known.scaler.apply(pushed), known.states)[study.plan.rows]
        moved = (exact - found.points).mean(axis=0)
    else:
        moved = on_axes(study, known.states, known.scaler.apply(pushed), spec) - found.points
        moved = np.nanmean(moved, axis=0)
    np.testing.assert_allclose(found.fan.tips(0.2)[3], moved, atol=1e-4 * found.width)
    assert np.linalg.norm(found.fan.tips(0.2)[4] - moved) > 1e-2 * found.width
    np.testing.assert_allclose(found.fan.tips(0), 0, atol=1e-12)
    beside = found.control({"care-harm": -0.2})
    far = np.linalg.norm(found.fan.tips(0.2), axis=1) / found.width
    assert beside.value == pytest.approx(np.median(far))
    assert far.min() <= beside.low < beside.value < beside.high <= far.max()


def on_axes(study, plain, moved, spec):
    """Return where each item lies if it alone is moved, one at a time."""
    places = []
    for row in range(len(study.items)):
        one = plain[study.plan.rows].copy()
        one[study.labels.group == study.labels.group[row]] = moved[study.plan.rows[row]]
        close = closeness(one, study.members, study.labels.group)[[row]]
        places.append([axis_values(axis, close)[0] for axis in (spec.x, spec.y)])
    return np.array(places)


@pytest.mark.parametrize(
    ("at", "place"), [(-1.0, (0, -1.0)), (0.0, (0, 0.0)), (1.5, (1, 0.25)), (9.0, (1, 4.0))]
)
def test_between_knots_it_goes_straight_and_beyond_them_straight_on(at, place):
    assert between(np.array([0.0, 1.0, 3.0]), at) == place


def test_other_directions_of_a_recipe_move_the_points_as_a_slider_of_theirs_would(read):
    store, study = read
    others = recipe_of(study, {"harm": 0.2, "care-harm": 0.1})
    found = shift(store, study, ["fairness-cheating"], ViewSpec(LAYER), others=others)
    asked = shift(store, study, ["harm", "care-harm"], ViewSpec(LAYER))
    moved = asked.place({"harm": 0.2, "care-harm": 0.1})
    np.testing.assert_allclose(found.place({OTHERS: 1}), moved, atol=1e-6)
    elsewhere = shift(store, study, ["harm"], ViewSpec(LAYER), others=replace(others, layers=(0,)))
    np.testing.assert_allclose(elsewhere.place({OTHERS: 1}), elsewhere.points)


def test_maps_that_do_not_move_so_are_refused(read):
    store, study = read
    for spec in (
        ViewSpec(LAYER, method="umap"),
        ViewSpec(LAYER, dims=3),
        ViewSpec(LAYER, "mean_all"),
    ):
        with pytest.raises(CoreError, match="Choose one of these"):
            shift(store, study, FOUNDATIONS, spec)


@pytest.mark.parametrize("method", ["pca", "axes"])
def test_displacement_is_the_way_of_each_point_in_map_widths(read, method):
    store, study = read
    spec = ViewSpec(LAYER, method=method)
    far = displaced(store, study, spec, STRENGTHS)
    found = shift(store, study, FOUNDATIONS, spec)
    way = np.linalg.norm(found.place(STRENGTHS) - found.points, axis=1) / found.width
    np.testing.assert_allclose(far, way, atol=1e-9)
    assert (np.ptp(far) < 1e-6) == (method == "pca")  # there all points move by one arrow


def test_displacement_on_umap_grows_with_the_push_and_ignores_the_error_of_placing(read):
    store, study = read
    spec = ViewSpec(LAYER, method="umap")
    near, far = (displaced(store, study, spec, {"care-harm": one}) for one in (1e-6, 0.5))
    assert near.shape == (len(study.items),)
    assert near.max() < 1e-3 < np.median(far)
    with pytest.raises(CoreError, match="first token is not steered"):
        displaced(store, study, replace(spec, pooling="mean_all"), STRENGTHS)
