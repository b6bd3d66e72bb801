"""From a recipe to edits: what they promise to do to states, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import CoreError
from core.activations.study import open_study, states_of
from core.sae.latent_names import give_name
from core.sae.patches import Patch
from core.sae.shelf import keep_dictionary
from core.steering.aligned import aligned_axis
from core.steering.directions import (
    Direction,
    DirectionError,
    covariance_direction,
    moral_direction,
)
from core.steering.edits import (
    Editor,
    Firings,
    LayerEdit,
    Steering,
    allowed,
    residual_norm,
    resolve,
)
from core.steering.effects.controls import control_edits
from core.steering.latents import latent_axis, recipe_names
from core.steering.recipes import Recipe, RecipeError, Term
from tests.core.sae.saesets import made_dictionary
from tests.core.steering.steeringsets import (
    balanced_rows,
    made_direction,
    made_edit,
    read_by,
    read_table,
)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


def recipe_for(study, *terms, **fields):
    asked = Recipe(
        str(study.card.spec),
        study.plan.model,
        study.items.digest,
        study.plan.spec.template,
        (1,),
        terms,
    )
    return replace(asked, **fields)


# Resolving --------------------------------------------------------------------------------------


def test_a_recipe_becomes_an_edit_per_layer(read_study):
    store, made = read_study
    recipe = recipe_for(made, Term("care-harm", 0.1), Term("harm", -0.2, "probe"), layers=(2, 0))
    edits = resolve(store, made, recipe)
    assert [edit.layer for edit in edits] == [2, 0]
    for edit in edits:
        own = moral_direction(store, made, "care-harm", edit.layer)
        probe = moral_direction(store, made, "harm", edit.layer, method="probe")
        np.testing.assert_array_equal(edit.vectors, [own.vector, probe.vector])
        assert edit.strengths == (0.1, -0.2)
        assert edit.operation == "add"
        raw = states_of(store, made).prompt_states(edit.layer, "last")
        assert edit.norm == pytest.approx(np.median(np.linalg.norm(raw, axis=1)), rel=1e-6)
        assert edit.norm == residual_norm(store, made, edit.layer)


def test_a_recipes_pooling_is_that_of_its_directions(read_study):
    store, made = read_study
    one, other = (
        resolve(store, made, recipe_for(made, Term("care-harm", 0.1), pooling=pooling))[0]
        for pooling in ("mean", "last")
    )
    assert one.directions[0].digest != other.directions[0].digest
    assert one.norm == other.norm  # a strength means the same


def test_nothing_active_is_no_edit_and_asks_for_no_states(store, llama):
    made = open_study(read_table(store, balanced_rows()), llama.card, read_spec())
    assert resolve(store, made, recipe_for(made)) == []
    assert resolve(store, made, recipe_for(made, Term("care", 0.0), Term("harm", -0.0))) == []
    with pytest.raises(CoreError, match="has not read"):
        resolve(store, made, recipe_for(made, Term("care-harm", 0.1)))


def read_spec():
    from core.activations.prompts import ReadSpec

    return ReadSpec()


def test_setting_to_nothing_is_an_edit(read_study):
    store, made = read_study
    edits = resolve(store, made, recipe_for(made, Term("care-harm", 0.0), operation="set"))
    assert [edit.strengths for edit in edits] == [(0.0,)]


@pytest.mark.parametrize("terms", [(), (Term("care-harm", 0.1),)])
def test_another_model_or_a_layer_beyond_is_refused(read_study, terms):
    store, made = read_study
    with pytest.raises(RecipeError, match="the model opened here is tiny-llama"):
        resolve(store, made, recipe_for(made, *terms, identity="folder:other"))
    with pytest.raises(RecipeError, match=r"no layer 3. Choose layers 0 to 2"):
        resolve(store, made, recipe_for(made, *terms, layers=(0, 3)))
    assert isinstance(resolve(store, made, recipe_for(made, *terms, identity="")), list)


def test_other_items_or_another_template_are_refused(read_study):
    store, made = read_study
    term = Term("care-harm", 0.1)
    with pytest.raises(RecipeError, match="other items"):
        resolve(store, made, recipe_for(made, term, items="f" * 64))
    with pytest.raises(RecipeError, match=r"read .*is this right"):
        resolve(store, made, recipe_for(made, term, template="{action}, is this right"))
    assert resolve(store, made, recipe_for(made, term, items=""))
    # A loaded direction and no direction at all need no items.
    found = made_direction(layer=1)
    loaded = recipe_for(made, Term(f"file:{found.digest}", 0.1), items="f" * 64)
    assert resolve(store, made, loaded, {found.digest: found})
    assert resolve(store, made, recipe_for(made, items="f" * 64)) == []


# Loaded directions ------------------------------------------------------------------------------


def test_a_loaded_direction_is_found_by_its_digest(read_study):
    store, made = read_study
    files = {one.digest: one for one in (made_direction(seed) for seed in range(5))}
    for digest, direction in files.items():
        for name in (digest, digest[:16]):
            [edit] = resolve(store, made, recipe_for(made, Term(f"file:{name}", 0.1)), files)
            assert edit.directions == (direction,)


@pytest.mark.parametrize("digest", ["", "0", "abc", "f" * 64])
def test_a_direction_that_is_not_loaded_is_refused(read_study, digest):
    store, made = read_study
    files = {one.digest: one for one in (made_direction(seed) for seed in range(40))}
    with pytest.raises(DirectionError, match=r"not loaded here\. Load its file again"):
        resolve(store, made, recipe_for(made, Term(f"file:{digest}", 0.1)), files)


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        (made_direction(width=33), "has 33 numbers; tiny-llama has 32"),
        (made_direction(model="folder:other"), "belongs to another model"),
        (made_direction(layer=2), "was made at layer 2, not 1"),
        (made_direction(layer=0), "was made at layer 0, not 1"),
    ],
)
def test_a_direction_of_another_width_model_or_layer_is_refused(read_study, direction, message):
    store, made = read_study
    recipe = recipe_for(made, Term(f"file:{direction.digest}", 0.1))
    with pytest.raises(DirectionError, match=message):
        resolve(store, made, recipe, {direction.digest: direction})


def test_a_direction_that_names_no_layer_may_stand_anywhere(read_study):
    store, made = read_study
    direction = made_direction(layer=-2)
    recipe = recipe_for(made, Term(f"file:{direction.digest}", 0.1), layers=(0, 1, 2))
    edits = resolve(store, made, recipe, {direction.digest: direction})
    assert [edit.layer for edit in edits] == [0, 1, 2]


def test_a_layer_whose_norm_is_not_finite_is_refused(store, llama):
    made = open_study(read_table(store, balanced_rows()), llama.card, read_spec())
    for layer in made.plan.layers:
        for pooling in made.plan.spec.poolings:
            broken = np.full((len(made.plan.prompts), 32), np.nan, np.float32)
            store.save_array("acts", made.plan.key(layer, pooling), broken)
    direction = made_direction()
    recipe = recipe_for(made, Term(f"file:{direction.digest}", 0.1))
    with pytest.raises(CoreError, match="not finite"):
        resolve(store, made, recipe, {direction.digest: direction})


# What edits do to states ------------------------------------------------------------------------


def states(rows=4, tokens=6, width=32, seed=3, dtype=torch.float32):
    made = np.random.default_rng(seed).normal(size=(rows, tokens, width)) * 3 + 1
    return torch.tensor(made).to(dtype)


def edited(edit, hidden, rows=None, where=None):
    rows = torch.ones(len(hidden), dtype=torch.bool) if rows is None else torch.tensor(rows)
    firings = Firings()
    editor = Editor(edit, rows, firings, CPU)
    editor.where = where
    return editor(hidden), firings


def along(hidden, edit):
    return hidden.float() @ torch.tensor(edit.vectors).T


@pytest.mark.parametrize("strengths", [(0.5,), (0.4, -0.7, 0.2), (0.0, 0.0)])
def test_set_gives_exactly_the_wanted_projections(strengths):
    edit, hidden = made_edit(strengths, "set"), states()
    moved, _ = edited(edit, hidden)
    wanted = torch.tensor(strengths).expand(4, 6, -1) * edit.norm
    torch.testing.assert_close(along(moved, edit), wanted, atol=1e-4, rtol=1e-5)
    again, _ = edited(edit, moved)
    torch.testing.assert_close(again, moved, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("strengths", [(1.0,), (1.0, 1.0, 1.0), (-1.0, 4.0)])
def test_projecting_out_with_full_strength_leaves_nothing(strengths):
    edit, hidden = made_edit(strengths, "project out"), states()
    moved, _ = edited(edit, hidden)
    assert along(hidden, edit).abs().max() > 1
    assert along(moved, edit).abs().max() < 1e-5 * hidden.norm(dim=-1).max()


def test_projecting_out_a_share_leaves_the_rest_of_each():
    edit, hidden = made_edit((0.25, -0.5, 0.0), "project out"), states()
    moved, _ = edited(edit, hidden)
    left = torch.tensor([0.75, 0.5, 1.0]) * along(hidden, edit)
    torch.testing.assert_close(along(moved, edit), left, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("operation", ["set", "project out"])
def test_what_is_not_asked_for_stays(operation):
    """The change lies in the span of the directions: all that is orthogonal to them is kept."""
    edit, hidden = made_edit((0.5, 0.3), operation), states()
    change = (edited(edit, hidden)[0] - hidden).reshape(-1, 32).numpy()
    basis = np.linalg.qr(edit.vectors.T)[0]
    np.testing.assert_allclose(change - change @ basis @ basis.T, 0, atol=1e-4)


@pytest.mark.parametrize("operation", ["set", "project out"])
def test_one_direction_named_twice_does_no_harm(operation):
    one = made_direction(4)
    edit = LayerEdit(1, (one, one), (1.0, 1.0), 5.0, operation)
    moved, _ = edited(edit, states())
    wanted = 5.0 if operation == "set" else 0.0
    torch.testing.assert_close(along(moved, edit), torch.full((4, 6, 2), wanted), atol=1e-3, rtol=0)


def test_adding_moves_by_strength_times_norm_and_back():
    edit, hidden = made_edit((0.5, -0.2)), states()
    moved, _ = edited(edit, hidden)
    expected = 10 * (0.5 * edit.vectors[0] - 0.2 * edit.vectors[1])
    np.testing.assert_allclose((moved - hidden).numpy(), np.tile(expected, (4, 6, 1)), atol=1e-5)
    back, _ = edited(replace(edit, strengths=(-0.5, 0.2)), moved)
    torch.testing.assert_close(back, hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operation", ["add", "set", "project out"])
def test_half_precision_is_moved_in_float32_and_rounded_once(dtype, operation):
    edit, hidden = made_edit((0.4, 0.3), operation), states(dtype=dtype)
    moved, _ = edited(edit, hidden)
    assert moved.dtype == dtype
    torch.testing.assert_close(moved, edited(edit, hidden.float())[0].to(dtype), atol=0, rtol=0)


def test_only_chosen_rows_and_tokens_move_and_are_counted():
    hidden = states()
    where = torch.zeros(4, 6, dtype=torch.bool)
    where[:, 2:5] = True
    moved, firings = edited(made_edit(), hidden, [True, False, True, False], where)
    same = (moved == hidden).all(dim=-1)
    expected = torch.ones(4, 6, dtype=torch.bool)
    expected[0, 2:5] = expected[2, 2:5] = False
    assert torch.equal(same, expected)
    assert (firings.calls, firings.tokens) == (1, 6)


def test_numbers_that_are_not_finite_stay_where_they_are():
    hidden = states()
    hidden[1, 0] = float("nan")
    for operation in ("add", "set", "project out"):
        moved, _ = edited(made_edit((0.5, 0.1), operation), hidden)
        assert torch.isfinite(moved[[0, 2, 3]]).all()
        assert torch.isfinite(moved[1, 1:]).all()


# Positions --------------------------------------------------------------------------------------

RIGHT, LEFT = [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("positions", "prompt", "mask", "expected"),
    [
        ("all", True, RIGHT, RIGHT),
        ("all", True, LEFT, LEFT),
        ("all", False, [1], [1]),
        ("not first", True, RIGHT, [0, 1, 1, 0, 0]),
        ("not first", True, LEFT, [0, 0, 0, 1, 1]),
        ("not first", False, [1], [1]),
        ("not first", True, [0, 1, 0], [0, 0, 0]),
        ("generated", True, RIGHT, [0, 0, 1, 0, 0]),
        ("generated", True, LEFT, [0, 0, 0, 0, 1]),
        ("generated", True, [0, 1, 0], [0, 1, 0]),
        ("generated", False, [1], [1]),
        ("generated", False, [0], [0]),
    ],
)
def test_which_tokens_may_move(positions, prompt, mask, expected):
    rows = torch.tensor([mask, mask]).bool()
    found = allowed(positions, rows, prompt=prompt)
    assert found.dtype == torch.bool
    assert found.int().tolist() == [expected, expected]


def test_one_aim_holds_for_every_layer():
    edits = [made_edit(layer=layer) for layer in (0, 2)]
    rows = torch.tensor([False, True])
    steering = Steering.of(edits, "not first", rows, CPU)
    steering.aim(torch.ones(2, 6, dtype=torch.bool), prompt=True)
    for number, layer in enumerate((0, 2), 1):
        hidden = states(rows=2)
        moved = steering.editors[layer](hidden)
        assert torch.equal(moved[0], hidden[0])
        assert torch.equal(moved[1, 0], hidden[1, 0])
        assert (moved[1, 1:] != hidden[1, 1:]).any(dim=-1).all()
        assert (steering.firings.calls, steering.firings.tokens) == (number, 5 * number)


def test_directions_are_stacked_in_the_order_of_their_strengths():
    edit = made_edit((0.1, 0.2))
    assert isinstance(edit.directions[0], Direction)
    assert edit.vectors.shape == (2, 32)
    np.testing.assert_array_equal(edit.vectors[1], edit.directions[1].vector)


# Latents of a dictionary -------------------------------------------------------------------------


@pytest.fixture
def dictionary(read_study):
    store, made = read_study
    one = made_dictionary(model=made.card.identity)
    keep_dictionary(store, one, made.card)
    return one


def test_a_latent_is_added_like_any_direction_of_its_layer(read_study, dictionary):
    store, made = read_study
    term = Term(latent_axis(dictionary, 7), 0.1)
    [edit] = resolve(store, made, recipe_for(made, term, layers=(1,), items=""))
    np.testing.assert_allclose(edit.directions[0].vector, dictionary.direction(7))
    with pytest.raises(DirectionError, match="made at layer 1, not 2"):
        resolve(store, made, recipe_for(made, term, layers=(2,)))


def test_a_receipt_names_the_latents_that_have_a_name(read_study, dictionary):
    store, study = read_study
    give_name(store, dictionary, 7, "taking")
    terms = [Term(latent_axis(dictionary, one), 0.1) for one in (7, 9)]
    made = recipe_for(study, *terms, Term("care-harm", 0.1), layers=(1,))
    assert recipe_names(store, study.card, made) == {latent_axis(dictionary, 7): "taking"}


def test_latents_are_set_together_at_their_layer(read_study, dictionary):
    store, made = read_study
    terms = [Term(latent_axis(dictionary, one), dose) for one, dose in ((7, 0.1), (9, 0.0))]
    recipe = recipe_for(made, *terms, layers=(1,), operation="clamp")
    [edit] = resolve(store, made, recipe)
    assert (edit.latents, edit.strengths) == ((7, 9), (0.1, 0.0))
    assert edit.dictionary.digest == dictionary.digest


def test_the_control_of_added_directions_is_as_long_and_drawn_as_the_states_vary(read_study):
    store, made = read_study
    terms = (Term("care-harm", 0.3), Term("loyalty", -0.1))
    edits = resolve(store, made, recipe_for(made, *terms, layers=(1, 2)))
    for edit, control in zip(edits, control_edits(store, made, edits, seed=4), strict=True):
        length = np.linalg.norm(0.3 * edit.vectors[0] - 0.1 * edit.vectors[1])
        assert control.strengths == (pytest.approx(length),)
        expected = covariance_direction(store, made, edit.layer, 4)
        np.testing.assert_array_equal(control.vectors[0], expected.vector)
        assert (control.layer, control.norm) == (edit.layer, edit.norm)


def test_the_control_of_set_latents_are_as_many_others_set_to_the_same(read_study, dictionary):
    store, made = read_study
    terms = [Term(latent_axis(dictionary, one), dose) for one, dose in ((7, 0.1), (9, 0.0))]
    [edit] = resolve(store, made, recipe_for(made, *terms, layers=(1,), operation="clamp"))
    [control], [other] = (control_edits(store, made, [edit], seed=seed) for seed in (0, 1))
    assert not {7, 9} & set(control.latents)
    assert len(set(control.latents)) == 2
    assert (control.strengths, control.norm) == (edit.strengths, edit.norm)
    assert control.latents != other.latents
    np.testing.assert_allclose(control.vectors[0], dictionary.direction(control.latents[0]))


def test_setting_latents_elsewhere_below_zero_or_of_two_dictionaries_is_refused(
    read_study, dictionary
):
    store, made = read_study
    term = Term(latent_axis(dictionary, 7), 0.1)
    other = made_dictionary(seed=5, model=made.card.identity)
    keep_dictionary(store, other, made.card)
    clamp = {"operation": "clamp", "layers": (1,)}
    with pytest.raises(RecipeError, match="layer of their dictionary"):
        resolve(store, made, recipe_for(made, term, operation="clamp", layers=(2,)))
    with pytest.raises(RecipeError, match="one dictionary at a time"):
        resolve(store, made, recipe_for(made, term, Term(latent_axis(other, 7), 0.1), **clamp))
    with pytest.raises(RecipeError, match="below 0"):
        resolve(store, made, recipe_for(made, replace(term, strength=-0.1), **clamp))
    with pytest.raises(DirectionError, match="names no latent"):
        resolve(store, made, recipe_for(made, Term("care-harm", 0.1), **clamp))


# Aligned dictionaries ----------------------------------------------------------------------------


@pytest.fixture
def spliced(read_study, dictionary):
    """Return a dictionary after and before, both at hand."""
    store, made = read_study
    patch = Patch.of(dictionary, np.array([7, 9]))
    patch.w_dec.mul_(3)
    after = patch.applied(dictionary, "after", {})
    keep_dictionary(store, after, made.card)
    return after, dictionary


def splice_for(made, spliced, strength, operation="align", **changes):
    term = Term(aligned_axis(*spliced), strength)
    return recipe_for(made, term, layers=(1,), operation=operation, items="", **changes)


def test_an_aligned_dictionary_adds_what_it_reconstructs_more_than_before(read_study, spliced):
    store, made = read_study
    after, before = spliced
    hidden = states()
    for strength in (1.0, 0.5, -0.5):
        [edit] = resolve(store, made, splice_for(made, spliced, strength))
        moved, firings = edited(edit, hidden)
        difference = after.decode(after.encode(hidden)) - before.decode(before.encode(hidden))
        torch.testing.assert_close(moved, hidden + strength * difference)
        assert firings.calls == 1
    [edit] = resolve(store, made, splice_for(made, spliced, 1.0, "replace"))
    torch.testing.assert_close(edited(edit, hidden)[0], after.decode(after.encode(hidden)))


def test_a_splice_of_nothing_is_no_edit_and_misfits_are_refused(read_study, spliced):
    store, made = read_study
    assert resolve(store, made, splice_for(made, spliced, 0.0)) == []
    recipe = splice_for(made, spliced, 1.0)
    alien = Term("aligned:12:34", 1.0)
    gone = Term(f"aligned:{'0' * 16}:{spliced[1].digest[:16]}", 1.0)
    for changes, kind, said in (
        ({"layers": (2,)}, RecipeError, "its own layer, 1"),
        ({"terms": recipe.terms * 2}, RecipeError, "One aligned dictionary"),
        ({"terms": (alien,)}, DirectionError, "names no aligned dictionary"),
        ({"terms": (gone,)}, CoreError, "not at hand"),
    ):
        with pytest.raises(kind, match=said):
            resolve(store, made, replace(recipe, **changes))


def test_the_control_of_a_splice_is_a_random_push_as_long_as_it_moves_the_items(
    read_study, spliced
):
    store, made = read_study
    [edit] = resolve(store, made, splice_for(made, spliced, 1.0))
    [control] = control_edits(store, made, [edit], seed=2)
    pooled = torch.from_numpy(states_of(store, made).prompt_states(1, "last").copy())
    far = (edited(edit, pooled[:, None])[0][:, 0] - pooled).norm(dim=1).median()
    assert control.operation == "add"
    assert control.strengths[0] * control.norm == pytest.approx(float(far), rel=1e-5)
