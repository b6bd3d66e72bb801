"""Directions: equal to plain means of the training split, planted truth, refusals, files."""

import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import CoreError
from core.activations.prompts import ReadSpec
from core.activations.study import open_study, states_of
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.models.open_models import ModelSpec, describe
from core.runtime.store import Store
from core.steering import directions
from core.steering.directions import (
    FEWEST_TEXTS,
    DirectionError,
    control_directions,
    covariance_direction,
    direction_bytes,
    isotropic_direction,
    load_direction,
    moral_direction,
    sides,
)
from tests.core.steering.steeringsets import TEXTS, balanced_rows, made_direction, read_table

READ = ReadSpec()
WIDTH = 32


@pytest.fixture(scope="module")
def card(tiny_llama_folder, tmp_path_factory):
    spec = ModelSpec("folder", str(tiny_llama_folder), device="cpu")
    return describe(spec, Store(tmp_path_factory.mktemp("card")))


def study_of(store, card, rows, states=None):
    """Return a study of made states: ``states(study)`` or noise, the same at all layers."""
    made = open_study(read_table(store, rows), card, READ)
    rng = np.random.default_rng(5)
    for layer in made.plan.layers:
        for pooling in READ.poolings:
            own = rng.normal(size=(len(made.plan.prompts), WIDTH)) + 7
            own = own if states is None else states(made)
            store.save_array("acts", made.plan.key(layer, pooling), own.astype(np.float32))
    return made


@pytest.fixture
def made(store, card):
    return study_of(store, card, balanced_rows())


def wanted_sides(study, axis):
    """Return texts of both sides by the table's own columns, without the code under test."""
    towards, away = set(), set()
    rows = zip(
        study.items.texts(),
        study.items.foundation,
        study.items.pole,
        study.items.grade,
        study.items.split,
        strict=True,
    )
    for text, foundation, pole, grade, split in rows:
        if split != "train":
            continue
        if axis in FOUNDATIONS:
            if FOUNDATIONS[foundation] == axis and pole != "neutral" and grade == 1:
                (towards if pole == "virtue" else away).add(text)
            continue
        column = DIMENSIONS.index(axis)
        if foundation != column // 2:
            continue
        if pole == "neutral":
            away.add(text)
        elif pole == ("virtue", "vice")[column % 2] and grade == 1:
            towards.add(text)
    return towards, away


# Means ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [*FOUNDATIONS, *DIMENSIONS])
def test_a_direction_is_the_plain_difference_of_two_means(store, made, axis):
    towards, away = wanted_sides(made, axis)
    assert min(len(towards), len(away)) >= FEWEST_TEXTS
    raw = states_of(store, made).prompt_states(1, "last").astype(np.float64)
    row = {prompt: raw[number] for number, prompt in enumerate(made.plan.prompts)}
    mean = [
        np.mean([row[f"{text} is morally"] for text in sorted(side)], axis=0)
        for side in (towards, away)
    ]
    expected = (mean[0] - mean[1]) / np.linalg.norm(mean[0] - mean[1])
    found = moral_direction(store, made, axis, 1)
    np.testing.assert_allclose(found.vector, expected, atol=1e-6)
    assert found.vector.dtype == np.float32
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-6)
    assert (found.name, found.layer, found.model) == (axis, 1, made.plan.model)
    assert made.items.digest[:12] in found.source


def test_no_item_outside_the_training_split_is_used(store, tmp_path, card):
    rows = balanced_rows()
    first = study_of(store, card, rows)
    other = Store(tmp_path / "other" / "store")

    def spoilt(study):
        """Return the same states, those of other splits far away."""
        own = states_of(store, first).prompt_states(1, "last").copy()
        outside = np.unique(study.plan.rows[study.items.split != "train"])
        assert len(outside) > 20
        own[outside] += 1000
        return own

    second = study_of(other, card, rows, spoilt)
    for method in ("means", "probe", "shuffled"):
        one = moral_direction(store, first, "care-harm", 1, method=method)
        two = moral_direction(other, second, "care-harm", 1, method=method)
        np.testing.assert_array_equal(one.vector, two.vector)
    assert (sides(first, "harm")[first.items.split != "train"] == 0).all()


def test_pooling_and_layer_choose_the_states(store, made):
    found = [
        moral_direction(store, made, "care-harm", layer, pooling=pooling).digest
        for layer in range(3)
        for pooling in READ.poolings
    ]
    assert len(set(found)) == 6


def test_a_poles_opposite_are_the_neutral_items_of_its_own_foundation(made):
    side = sides(made, "cheating")
    own = made.items.foundation == 1
    assert (side[~own] == 0).all()
    assert set(made.items.pole[side == 1]) == {"vice"}
    assert set(made.items.pole[side == -1]) == {"neutral"}


# Controls ---------------------------------------------------------------------------------------


def test_shuffled_labels_keep_the_number_of_texts_per_side(made):
    side = sides(made, "care-harm")
    rows = np.flatnonzero(side)
    mixed = directions._swapped(side[rows], made.labels.group[rows], 4)
    assert sorted(mixed) == sorted(side[rows])
    assert (mixed != side[rows]).any()
    again = directions._swapped(side[rows], made.labels.group[rows], 4)
    np.testing.assert_array_equal(mixed, again)


def test_rows_of_one_text_are_shuffled_together():
    group = np.repeat(np.arange(20), 3)
    side = np.repeat([1, -1], 30)
    for seed in range(5):
        mixed = directions._swapped(side, group, seed).reshape(20, 3)
        assert (mixed == mixed[:, :1]).all()
        assert (mixed[:, 0] == 1).sum() == 10


def test_a_shuffled_direction_is_another_one_and_depends_on_the_seed(store, made):
    plain = moral_direction(store, made, "care-harm", 1)
    one, other, again = (
        moral_direction(store, made, "care-harm", 1, method="shuffled", seed=seed)
        for seed in (0, 1, 0)
    )
    assert len({plain.digest, one.digest, other.digest}) == 3
    assert one.digest == again.digest
    assert "shuffled" in one.name


# Controls ---------------------------------------------------------------------------------------


def spread_over(*axes):
    """Return states that vary independently along orthonormal axes, by so many deviations."""

    def states(study):
        own = np.random.default_rng(4).normal(size=(len(study.plan.prompts), len(axes)))
        train = np.unique(study.plan.rows[study.items.split == "train"])
        own -= own[train].mean(axis=0)
        left, _, right = np.linalg.svd(own[train], full_matrices=False)
        own = own @ np.linalg.inv(np.diag(np.linalg.norm(own[train] @ right.T, axis=0)) @ right).T
        basis, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(WIDTH, WIDTH)))
        return 5 + own @ (np.array(axes)[:, None] * basis[: len(axes)]) * np.sqrt(len(left))

    basis, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(WIDTH, WIDTH)))
    return states, basis[: len(axes)]


def test_states_along_one_axis_give_that_axis(store, card):
    states, (axis,) = spread_over(3.0)
    made = study_of(store, card, balanced_rows(), states)
    along = [covariance_direction(store, made, 1, seed).vector @ axis for seed in range(12)]
    np.testing.assert_allclose(np.abs(along), 1, atol=1e-5)
    assert {round(one) for one in along} == {-1, 1}  # either way


def test_random_directions_have_the_covariance_of_the_states(store, card):
    """Of unit length, a normal pair with deviations a and b holds a / (a + b) of its square."""
    states, basis = spread_over(3.0, 1.0)
    made = study_of(store, card, balanced_rows(), states)
    drawn = np.array([covariance_direction(store, made, 1, seed).vector for seed in range(800)])
    along = drawn @ basis.T
    np.testing.assert_allclose((along**2).sum(axis=1), 1, atol=1e-5)
    assert (along[:, 0] ** 2).mean() == pytest.approx(0.75, abs=0.04)
    assert (along[:, 0] * along[:, 1]).mean() == pytest.approx(0, abs=0.04)
    assert along.mean(axis=0) == pytest.approx([0, 0], abs=0.1)


def test_random_directions_are_of_unit_length_and_depend_on_the_seed(store, made):
    for draw in (
        lambda seed: covariance_direction(store, made, 1, seed),
        lambda seed: isotropic_direction(made, 1, seed),
    ):
        drawn = [draw(seed) for seed in range(200)]
        assert [np.linalg.norm(one.vector) for one in drawn] == pytest.approx([1] * 200, abs=1e-5)
        assert np.abs(np.mean([one.vector for one in drawn], axis=0)).max() < 0.06
        assert len({one.digest for one in drawn}) == 200
        assert drawn[3].digest == draw(3).digest
        assert (drawn[0].layer, drawn[0].model) == (1, made.plan.model)


@pytest.mark.parametrize("method", ["means", "probe"])
def test_shuffled_controls_are_many_and_made_as_the_direction_is(store, made, method):
    drawn = control_directions(store, made, "shuffled", "care-harm", 1, 40, method=method)
    assert len({one.digest for one in drawn}) == 40
    plain = moral_direction(store, made, "care-harm", 1, method=method)
    assert plain.digest not in {one.digest for one in drawn}
    assert all(f"shuffled {method}" in one.source for one in drawn)
    if method == "means":
        old = moral_direction(store, made, "care-harm", 1, method="shuffled", seed=7)
        np.testing.assert_array_equal(drawn[7].vector, old.vector)


def test_each_family_of_controls_is_drawn_in_one_place(store, made):
    for family, draw in (
        ("covariance", lambda seed: covariance_direction(store, made, 2, seed)),
        ("isotropic", lambda seed: isotropic_direction(made, 2, seed)),
    ):
        drawn = control_directions(store, made, family, "care", 2, 3)
        assert [one.digest for one in drawn] == [draw(seed).digest for seed in range(3)]


def test_states_that_do_not_vary_give_no_random_direction(store, card):
    made = study_of(
        store, card, balanced_rows(), lambda study: np.ones((len(study.plan.prompts), WIDTH))
    )
    with pytest.raises(DirectionError, match="has no length"):
        covariance_direction(store, made, 1, 0)


# Probe ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["means", "probe"])
def test_a_planted_direction_is_found(store, card, method):
    rng = np.random.default_rng(9)
    truth = rng.normal(size=WIDTH)
    truth /= np.linalg.norm(truth)

    def planted(study):
        own = np.random.default_rng(2).normal(size=(len(study.plan.prompts), WIDTH))
        for row, foundation, pole in zip(
            study.plan.rows, study.items.foundation, study.items.pole, strict=True
        ):
            own[row] += {"virtue": 6, "vice": -6, "neutral": 0}[pole] * truth * (foundation == 0)
        return own

    made = study_of(store, card, balanced_rows(), planted)
    assert moral_direction(store, made, "care-harm", 1, method=method).vector @ truth > 0.6
    assert abs(moral_direction(store, made, "loyalty-betrayal", 1).vector @ truth) < 0.6


def test_a_probe_separates_what_means_cannot(store, card):
    """One coordinate is large noise; a probe weighs it down, a difference of means does not."""

    def planted(study):
        own = np.random.default_rng(2).normal(size=(len(study.plan.prompts), WIDTH))
        own[:, 0] *= 500
        for row, pole in zip(study.plan.rows, study.items.pole, strict=True):
            own[row, 1] += {"virtue": 4, "vice": -4, "neutral": 0}[pole]
        return own

    made = study_of(store, card, balanced_rows(), planted)
    side = sides(made, "care-harm")
    raw = states_of(store, made).prompt_states(1, "last")[made.plan.rows]
    right = {}
    for method in ("means", "probe"):
        along = raw @ moral_direction(store, made, "care-harm", 1, method=method).vector
        high, low = along[side > 0], along[side < 0]
        right[method] = (high[:, None] > low[None]).mean()
    assert right["probe"] > 0.95 > right["means"]


# Refusals ---------------------------------------------------------------------------------------


def test_an_unknown_axis_is_refused_with_the_known_ones(store, made):
    with pytest.raises(DirectionError, match=r"no axis 'courage'.*care-harm"):
        moral_direction(store, made, "courage", 1)


@pytest.mark.parametrize("layer", [-1, 3, 99])
def test_a_layer_out_of_range_is_refused(store, made, layer):
    with pytest.raises(DirectionError, match=rf"no layer {layer} to steer at.* 0 to 2"):
        moral_direction(store, made, "care-harm", layer)


def test_too_few_texts_are_refused_and_the_side_is_named(store, card):
    rows = [(text, "care-harm", 2, 4) for text in TEXTS[:60]]
    rows += [(text, "care-harm", -2, 4) for text in TEXTS[60:63]]
    made = study_of(store, card, rows)
    with pytest.raises(DirectionError, match=r"typical texts for harm; 5 are needed"):
        moral_direction(store, made, "care-harm", 1)
    with pytest.raises(DirectionError, match="0 neutral texts of care-harm; 5 are needed"):
        moral_direction(store, made, "care", 1)
    with pytest.raises(DirectionError, match="0 typical texts for loyalty;"):
        moral_direction(store, made, "loyalty-betrayal", 1)


def test_repeats_of_a_text_are_no_further_texts(store, card):
    rows = [(text, "care-harm", 2, 4) for text in TEXTS[:60]]
    rows += [(f"{TEXTS[60]}{'!' * n}", "care-harm", -2, 4) for n in range(20)]
    made = study_of(store, card, rows)
    with pytest.raises(DirectionError, match=r"has [01] typical texts for harm"):
        moral_direction(store, made, "care-harm", 1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_states_that_are_not_finite_are_refused(store, card, bad):
    def broken(study):
        own = np.random.default_rng(2).normal(size=(len(study.plan.prompts), WIDTH))
        own[:, 3] = bad
        return own

    made = study_of(store, card, balanced_rows(), broken)
    with pytest.raises(DirectionError, match=r"layer 1 hold numbers that are not finite"):
        moral_direction(store, made, "care-harm", 1)


@pytest.mark.parametrize("method", ["means", "probe", "shuffled"])
def test_states_that_are_all_the_same_have_no_direction(store, card, method):
    made = study_of(
        store, card, balanced_rows(), lambda study: np.ones((len(study.plan.prompts), WIDTH))
    )
    with pytest.raises(DirectionError, match="has no length"):
        moral_direction(store, made, "care-harm", 1, method=method)


def test_before_the_reading_it_is_said_how_to_read(store, card):
    made = open_study(read_table(store, balanced_rows()), card, READ)
    with pytest.raises(CoreError, match="has not read"):
        moral_direction(store, made, "care-harm", 1)


def test_a_pooling_that_was_not_stored_is_a_clear_sentence(store, made):
    with pytest.raises(CoreError, match="not stored"):
        moral_direction(store, made, "care-harm", 1, pooling="mean_all")


# Files ------------------------------------------------------------------------------------------


def written(tmp_path, tensors, about=None, name="own.safetensors"):
    path = tmp_path / name
    save_file(tensors, path, metadata=about)
    return path


def test_a_saved_direction_is_the_same_again(store, made, card, tmp_path):
    first = moral_direction(store, made, "sanctity-degradation", 2)
    path = tmp_path / "out.safetensors"
    path.write_bytes(direction_bytes(first))
    again = load_direction(path, card)
    np.testing.assert_allclose(again.vector, first.vector, atol=1e-7)
    assert (again.name, again.model, again.layer) == (first.name, first.model, first.layer)
    path.write_bytes(direction_bytes(again))
    assert load_direction(path, card).digest == again.digest


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int32])
@pytest.mark.parametrize("shape", [(WIDTH,), (1, WIDTH), (WIDTH, 1)])
def test_any_number_format_and_a_row_or_column_are_read(card, tmp_path, dtype, shape):
    vector = torch.arange(1, WIDTH + 1).to(dtype)
    found = load_direction(written(tmp_path, {"v": vector.reshape(shape)}), card)
    expected = np.arange(1, WIDTH + 1) / np.linalg.norm(np.arange(1, WIDTH + 1))
    np.testing.assert_allclose(found.vector, expected, atol=1e-6)
    assert (found.name, found.model, found.layer) == ("own", "", -2)


@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        ({"v": torch.ones(WIDTH + 1)}, None, r"shape \(33,\).* needs one vector of 32"),
        ({"v": torch.ones(4, 8)}, None, r"shape \(4, 8\)"),
        ({"v": torch.ones(1, 1, WIDTH)}, None, "needs one vector"),
        ({"v": torch.tensor(1.0)}, None, r"shape \(\)"),
        ({"v": torch.ones(0)}, None, r"shape \(0,\)"),
        ({"v": torch.zeros(WIDTH)}, None, "no length"),
        ({"v": torch.full((WIDTH,), float("nan"))}, None, "not finite"),
        ({"v": torch.full((WIDTH,), float("inf"))}, None, "not finite"),
        ({"v": torch.ones(WIDTH), "w": torch.ones(WIDTH)}, None, "holds 2 arrays"),
        ({}, None, "holds 0 arrays"),
        ({"v": torch.ones(WIDTH)}, {"model": "folder:other"}, "made on another model"),
        ({"v": torch.ones(WIDTH, dtype=torch.complex64)}, None, "complex numbers"),
    ],
)
def test_what_is_no_direction_of_this_model_is_refused(card, tmp_path, tensors, about, message):
    with pytest.raises(DirectionError, match=message):
        load_direction(written(tmp_path, tensors, about), card)


@pytest.mark.parametrize("layer", ["--3", "²", "3.5", "", "x", "9" * 5000, "-"])
def test_a_layer_that_is_no_number_is_no_layer(card, tmp_path, layer):
    path = written(tmp_path, {"v": torch.ones(WIDTH)}, {"layer": layer})
    assert load_direction(path, card).layer == -2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not safetensors",
        b"\xff" * 200,
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"null",
    ],
)
def test_other_files_are_refused_in_one_sentence(card, tmp_path, content):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(DirectionError, match=r"other\.safetensors"):
        load_direction(path, card)


def test_a_cut_file_a_folder_and_no_file_are_refused(card, tmp_path):
    whole = direction_bytes(made_direction())
    cut = tmp_path / "cut.safetensors"
    for length in range(0, len(whole), 37):
        cut.write_bytes(whole[:length])
        with pytest.raises(DirectionError):
            load_direction(cut, card)
    with pytest.raises(DirectionError, match="cannot be read"):
        load_direction(tmp_path, card)
    with pytest.raises(DirectionError, match="cannot be read"):
        load_direction(tmp_path / "none.safetensors", card)


def test_a_file_that_is_too_large_is_not_read(card, tmp_path):
    path = tmp_path / "large.safetensors"
    with path.open("wb") as file:
        file.truncate(directions.MOST_BYTES + 1)
    with pytest.raises(DirectionError, match="larger than a direction can be"):
        load_direction(path, card)


def test_a_header_with_odd_offsets_is_refused(card, tmp_path):
    header = json.dumps({"v": {"dtype": "F32", "shape": [WIDTH], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(DirectionError, match="cannot be read"):
        load_direction(path, card)
