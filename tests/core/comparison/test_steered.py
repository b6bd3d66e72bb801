"""A steered reading: plain below the edit, plain at strength 0, else what hooks by hand give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations.extraction import load_or_extract, open_states, read_prompts
from core.activations.jobs import study_of
from core.activations.prompts import ReadSpec, encode
from core.activations.study import states_of
from core.comparison.jobs import reading
from core.comparison.sides import Side, side_names
from core.comparison.steered import axis_recipe, edits_of, plain, recipe_in, steered, told
from core.diagnosis.diagnosis import DiagnosisSpec
from core.diagnosis.jobs import diagnosis
from core.diagnosis.leaderboard_rows import leaderboard
from core.diagnosis.receipt import command
from core.layers import EMBEDDING
from core.steering.directions import DirectionError, moral_direction
from core.steering.edits import LayerEdit, Steering, residual_norm
from core.steering.latents import DIGITS
from core.steering.recipes import RecipeError, Term
from core.workbench import Workbench
from tests.core.steering.steeringsets import (  # fmt: skip
    balanced_rows,
    bloom_folder,
    made_direction,
    opened,
    read_by,
    read_table,
)

LAYER = 1


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def bloom(tmp_path_factory):
    """Return a model whose layers give tuples."""
    return opened(bloom_folder(tmp_path_factory), tmp_path_factory)


@pytest.fixture(scope="module")
def both(llama, tmp_path_factory):
    """Return a store with the tiny Llama's reading, plain and steered."""
    store, study = read_by(llama, tmp_path_factory)
    moved = steered(study, axis_recipe(study, "care-harm", 0.5, LAYER))
    load_or_extract(store, moved.plan, lambda: llama, edits=edits_of(store, moved))
    return store, study, moved


def arrays(store, study, layer):
    states = states_of(store, study)
    return [states.prompt_states(layer, pooling) for pooling in study.plan.spec.poolings]


def test_an_aligned_side_says_that_what_it_learned_from_is_no_evidence(both):
    _, study, moved = both
    term = Term(f"aligned:{'a' * DIGITS}:{'b' * DIGITS}", 1.0)
    recipe = replace(axis_recipe(study, "care-harm", 0.5, LAYER), operation="align", terms=(term,))
    sides = (Side(one, LAYER, "mean") for one in (study, moved, steered(study, recipe)))
    said = ["a difference is no evidence" in told("B", side) for side in sides]
    assert said == [False, False, True]


def test_below_the_edit_the_states_are_the_plain_ones_byte_for_byte(both):
    store, study, moved = both
    for layer in range(EMBEDDING, LAYER):
        for one, other in zip(
            arrays(store, study, layer), arrays(store, moved, layer), strict=True
        ):
            assert one.tobytes() == other.tobytes()


def test_at_the_edit_each_state_is_moved_by_the_dose_and_above_it_differently(both):
    store, study, moved = both
    unit = moral_direction(store, study, "care-harm", LAYER).vector
    step = 0.5 * residual_norm(store, study, LAYER) * unit
    for one, other in zip(arrays(store, study, LAYER), arrays(store, moved, LAYER), strict=True):
        np.testing.assert_allclose(other - one, np.tile(step, (len(one), 1)), atol=2e-5)
    change = [b - a for a, b in zip(arrays(store, study, 2), arrays(store, moved, 2), strict=True)]
    assert all(np.abs(one).max() > 1e-3 for one in change)
    assert all(np.ptp(one, axis=0).max() > 1e-3 for one in change)  # no mere shift any more


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_the_layers_above_are_those_of_hooks_by_hand(name, request):
    model = request.getfixturevalue(name)
    edit = LayerEdit(0, (made_direction(layer=0),), (0.7,), 8.0, "add")
    prompts = ["Helping a friend is morally"]
    (ids,) = encode(model, prompts, 99)

    def edits(mask):
        steering = Steering.of([edit], "not first", mask.any(dim=1), mask.device)
        steering.aim(mask, prompt=True)
        return steering.editors

    got = read_prompts(model, [ids], ("mean", "last"), edits=edits)
    layers = model.module.get_submodule(model.layers)
    seen = []

    def move(_layer, _args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        moved = hidden.clone()
        moved[:, 1:] += 0.7 * 8.0 * torch.tensor(edit.vectors[0])
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    def keep(_layer, _args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layers[0].register_forward_hook(move)]
    hooks += [layer.register_forward_hook(keep) for layer in layers]
    with model.lock, torch.no_grad():
        model.module(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    for layer, hidden in enumerate(seen):
        np.testing.assert_allclose(got[layer + 1, 0, 0], hidden[0, 1:].mean(0), atol=1e-4)
        np.testing.assert_allclose(got[layer + 1, 1, 0], hidden[0, -1], atol=1e-4)


def test_states_that_steering_makes_infinite_are_told_as_such(llama):
    [ids] = encode(llama, ["to lie"], 99)

    def edits(_):
        return {0: lambda hidden: hidden * torch.inf}

    with pytest.raises(CoreError, match=r"Steered like this.*layer 0, in the text 'to lie'"):
        read_prompts(llama, [ids], ("mean",), edits=edits)


def test_strength_0_is_the_plain_study_and_an_edit_of_nothing_changes_no_byte(llama, both):
    _, study, _ = both
    assert steered(study, axis_recipe(study, "care-harm", 0.0, LAYER)) is study
    edit = LayerEdit(LAYER, (made_direction(),), (0.0,), 8.0, "add")

    def edits(mask):
        steering = Steering.of([edit], "all", mask.any(dim=1), mask.device)
        steering.aim(mask, prompt=True)
        return steering.editors

    some = encode(llama, ["Lying is morally", "Helping an old man today is morally"], 99)
    without, with_it = (read_prompts(llama, some, ("mean", "last"), edits=e) for e in (None, edits))
    assert without.tobytes() == with_it.tobytes()


def test_each_recipe_has_states_of_its_own_and_plain_ones_keep_their_key(both):
    store, study, moved = both
    other = steered(study, axis_recipe(study, "care-harm", 0.4, LAYER))
    assert moved.plan.key(2, "mean")["steered"] == recipe_in(moved).digest
    assert "steered" not in study.plan.key(2, "mean")
    assert open_states(store, other.plan) is None
    assert plain(moved).plan.key(2, "mean") == study.plan.key(2, "mean")
    assert plain(moved).card.name == study.card.name
    # How texts would be written changes nothing that is read.
    written = replace(recipe_in(moved), decoding=replace(recipe_in(moved).decoding, seed=9))
    assert steered(study, written).plan.key(2, "mean") == moved.plan.key(2, "mean")


def test_a_steered_side_says_what_was_done_and_names_no_command_that_repeats_it(both):
    _, study, moved = both
    names = side_names([Side(study, 2, "mean"), Side(moved, 2, "mean")])
    assert names[1] == f"{names[0]}, care-harm +50% after layer 1"
    assert command(study, DiagnosisSpec(), control=True) is not None
    assert command(moved, DiagnosisSpec(), control=True) is None


def test_a_workbench_reads_it_and_keeps_it_off_the_leaderboard(tmp_path, llama_spec):
    work = Workbench.at(tmp_path / "cache")
    study = study_of(work, read_table(work.store, balanced_rows()), llama_spec, ReadSpec())
    moved = steered(study, axis_recipe(study, "care", 0.5))
    early = work.runner.ensure(reading(work, moved))
    early.wait(60)
    assert "has not read" in early.error  # the directions are made of the plain reading
    for job in (work.runner.ensure(reading(work, study)), work.runner.ensure(reading(work, moved))):
        job.wait(60)
        assert job.state == "done", job.error
    job = work.runner.ensure(diagnosis(work, moved, DiagnosisSpec(draws=5, shuffles=5)))
    job.wait(60)
    assert job.state == "done", job.error
    assert not len(leaderboard(work.store, study.items.digest))


def test_edits_without_a_steered_plan_are_refused(llama, both):
    store, study, moved = both
    with pytest.raises(ValueError, match="needs edits"):
        load_or_extract(store, study.plan, lambda: llama, edits=edits_of(store, moved))
    with pytest.raises(ValueError, match="needs edits"):
        load_or_extract(store, moved.plan, lambda: llama)


def test_what_cannot_be_steered_is_refused_with_what_is_possible(both, store):
    _, study, _ = both
    with pytest.raises(RecipeError, match=r"has no layer 7\. Choose layers 0 to 2"):
        steered(study, axis_recipe(study, "care-harm", 0.5, 7))
    with pytest.raises(DirectionError, match=r"There is no axis 'kindness'\. Choose one of: care"):
        axis_recipe(study, "kindness", 0.5)
    with pytest.raises(RecipeError, match="A strength must lie between"):
        axis_recipe(study, "care", 9)
    other = replace(axis_recipe(study, "care", 0.5), identity="folder:other")
    with pytest.raises(RecipeError, match="Choose the same model"):
        steered(study, other)
    foreign = replace(axis_recipe(study, "care", 0.5), items="0" * 64)
    with pytest.raises(RecipeError, match="Choose the same set"):
        steered(study, foreign)
