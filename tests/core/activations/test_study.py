"""A set as one model reads it: pictures that chain, clear refusals, a sentence among the items."""

import random
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import PRESETS, ReadSpec
from core.activations.study import FEWEST_TEXTS, has_picture, layer_states, open_study, states_of
from core.dataset.sets import ItemSpec, load_or_read
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import EMBEDDING
from core.maps import layouts, placing
from core.maps.layouts import human_layout, model_layout
from core.maps.placing import (
    AXES,
    axis_values,
    layer_closeness,
    nearest_items,
    place_sentence,
    sentence_bands,
)
from core.maps.projection import LayoutSpec, Trust, register
from core.measures.geometry import closeness
from core.models.open_models import ModelSpec, describe, open_model
from core.runtime.store import Store
from core.statistics.neighbours import normalised
from core.statistics.scaling import Scaling
from tests.core.models.madecards import made_card

LAYERS, WIDTH = 3, 24
ANCHOR = 1
CARD = made_card(layers=LAYERS, width=WIDTH)
READ = ReadSpec(poolings=("mean",))
STANDARD = ("mean", "standardised")
CENTRED = ("mean", "centred")
VERBS = ["help", "rob", "praise", "mock", "feed", "leave", "thank", "cheat"]
WHOM = ["a friend", "the judge", "my neighbour", "an old man", "the team", "some child"]
EVERYONE = [f"{verb} {whom}" for verb in VERBS for whom in WHOM]


def made_rows(texts=EVERYONE, seed=0):
    """Return a row per text, one of six twice, on another foundation."""
    draw = random.Random(seed)
    rows = []
    for number, text in enumerate(texts):
        for foundation in draw.sample(FOUNDATIONS, 2 if number % 6 == 0 else 1):
            rows.append((text, foundation, draw.choice([-2, -1, 0, 1, 2]), draw.randint(2, 4)))
    return rows


def read_rows(store, rows, name="table"):
    path = store.root.parent / f"{name}.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in rows]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


def some_states(prompts, seed):
    """Return states that follow from the text alone, as a model's do; far from the origin."""
    rows = []
    for prompt in prompts:
        words = [np.random.default_rng([seed, *word.encode()]) for word in prompt.split()]
        rows.append(sum(one.normal(size=WIDTH) for one in words) + 5 * seed)
    strength = 1 / np.arange(1, WIDTH + 1)
    return (np.array(rows) * strength * 10).astype(np.float32)


def keep(store, made, states, layer, pooling="mean"):
    store.save_array("acts", made.plan.key(layer, pooling), np.asarray(states, np.float32))


def study_of(store, items, states=None, read=READ):
    """Return a study whose states were made up: by layer, or from the texts."""
    made = open_study(items, CARD, read)
    for layer in made.plan.layers:
        own = (states or {}).get(layer)
        own = some_states(made.plan.prompts, layer + 2) if own is None else own
        keep(store, made, own, layer)
    return made


@pytest.fixture
def items(store):
    return read_rows(store, made_rows())


@pytest.fixture
def made(store, items):
    return study_of(store, items)


@pytest.fixture(params=[2, 3])
def pca(request):
    return LayoutSpec(dims=request.param)


# Opening ----------------------------------------------------------------------------------------


def test_the_plan_has_a_row_per_prompt_and_a_prompt_per_item(made, items):
    assert len(made.plan.prompts) == len(EVERYONE) < len(items)
    texts = items.texts()
    for prompt, row in enumerate(made.first_rows):
        assert made.plan.prompts[prompt] == f"{texts[row]} is morally"
        assert made.plan.rows[row] == prompt


def test_too_few_different_texts_is_a_clear_sentence(store):
    few = EVERYONE[: FEWEST_TEXTS - 1]
    again = [f"{text}!" for text in few]  # stripped they are the same prompts
    items = read_rows(store, made_rows(few + again))
    with pytest.raises(CoreError, match=f"at least {FEWEST_TEXTS} different actions.* has 7"):
        open_study(items, CARD, READ)


def test_the_fewest_texts_are_enough_for_everything(store, pca):
    items = read_rows(store, made_rows(EVERYONE[:FEWEST_TEXTS]))
    made = study_of(store, items)
    assert model_layout(store, made, 2, *STANDARD, pca).get().points.shape == (
        FEWEST_TEXTS,
        pca.dims,
    )
    assert human_layout(store, items, pca).get().points.shape == (len(items), pca.dims)
    assert layer_closeness(store, made, 2, *STANDARD).close.shape == (len(items), 10)


def test_before_the_reading_it_is_said_how_to_read(store, items):
    made = open_study(items, CARD, READ)
    with pytest.raises(CoreError, match=r"made has not read table.*python -m core read"):
        states_of(store, made)


# States -----------------------------------------------------------------------------------------


def test_states_are_scaled_and_new_ones_are_scaled_alike(store, made):
    raw = some_states(made.plan.prompts, 2)
    known = layer_states(store, made, 0, *STANDARD)
    np.testing.assert_allclose(known.states.std(axis=0), 1, atol=1e-4)
    np.testing.assert_array_equal(known.scaler.apply(raw[5]), known.states[5])
    shifted = layer_states(store, made, 0, *CENTRED).states
    np.testing.assert_allclose(shifted, raw - raw.mean(axis=0), atol=1e-4)


def test_the_papers_preset_counts_each_row_and_the_default_each_text(store):
    # A text in five foundations draws the mean to itself, as it does in the paper's code.
    rows = [(text, one, -1, 4) for text in EVERYONE[:1] for one in FOUNDATIONS]
    rows += [(text, "care-harm", 1, 4) for text in EVERYONE[1:12]]
    items = read_rows(store, rows)
    paper = study_of(store, items, read=replace(PRESETS["paper"], poolings=("mean",)))
    raw = some_states(paper.plan.prompts, 3)
    for scaling, spread in (("centred", 1), ("standardised", raw[paper.plan.rows].std(axis=0))):
        own = layer_states(store, paper, 1, "mean", scaling).states
        wanted = (raw - raw[paper.plan.rows].mean(axis=0)) / spread
        np.testing.assert_allclose(own, wanted, atol=1e-4)
        texts = replace(paper.plan, spec=replace(paper.plan.spec, centred_over="texts"))
        other = layer_states(store, replace(paper, plan=texts), 1, "mean", scaling).states
        assert np.abs(own - other).max() > 0.1
        assert texts.key(1, "mean") == paper.plan.key(1, "mean") == texts.measured_key(1, "mean")
        assert paper.plan.measured_key(1, "mean") != texts.measured_key(1, "mean")


def test_what_is_measured_of_other_repeats_of_the_same_texts_is_another_thing(store):
    read = PRESETS["paper"]
    once = [(text, "care-harm", 1, 4) for text in EVERYONE[:12]]
    twice = [*once, (once[0][0], "loyalty-betrayal", -1, 4)]
    first, second = (
        open_study(read_rows(store, rows, name), CARD, read).plan
        for name, rows in (("once", once), ("twice", twice))
    )
    assert first.key(1, "mean") == second.key(1, "mean")
    assert first.measured_key(1, "mean") != second.measured_key(1, "mean")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_states_that_are_not_finite_are_a_clear_sentence(store, items, bad):
    states = some_states(open_study(items, CARD, READ).plan.prompts, 4)
    states[3, 2] = bad
    made = study_of(store, items, {2: states})
    with pytest.raises(CoreError, match=r"layer 2 .*not finite.*runs in float32 already"):
        layer_states(store, made, 2, *STANDARD)
    assert not has_picture(store, made, 2, "mean")
    assert has_picture(store, made, 0, "mean")


def test_infinity_in_every_row_is_no_picture_either(store, items):
    states = some_states(open_study(items, CARD, READ).plan.prompts, 4)
    states[:, 2] = np.inf
    assert not has_picture(store, study_of(store, items, {2: states}), 2, "mean")


def test_the_embedding_of_the_last_token_is_the_same_for_all_and_said_so(store, items, llama_spec):
    card = describe(llama_spec, store)
    made = open_study(items, card, ReadSpec())
    model = open_model(card, store)
    load_or_extract(store, made.plan, lambda: model)
    with pytest.raises(CoreError, match=r"embedding output the last state is the same for every"):
        layer_states(store, made, EMBEDDING, "last", "standardised")
    assert not has_picture(store, made, EMBEDDING, "last")
    assert has_picture(store, made, EMBEDDING, "mean")
    assert has_picture(store, made, 0, "last")


# The chain of pictures --------------------------------------------------------------------------


def turned_onto(points, anchor):
    """Tell how far the best turn of one picture onto the other is from no turn at all."""
    return np.abs(register(points, anchor) - np.eye(points.shape[1])).max()


def test_the_anchor_is_turned_onto_the_human_map_and_all_others_onto_the_anchor(store, made, pca):
    human = human_layout(store, made.items, pca).get().points
    own = [human[made.plan.rows == row].mean(axis=0) for row in range(len(made.plan.prompts))]
    anchor = model_layout(store, made, ANCHOR, *STANDARD, pca).get().points
    assert made.anchor == ANCHOR
    assert turned_onto(anchor, np.array(own)) < 1e-3
    for layer in (EMBEDDING, 0, 2):
        assert (
            turned_onto(model_layout(store, made, layer, *STANDARD, pca).get().points, anchor)
            < 1e-3
        )


def test_a_turned_copy_of_the_anchor_has_the_anchors_picture(store, items, pca):
    states = some_states(open_study(items, CARD, READ).plan.prompts, ANCHOR + 2)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(WIDTH, WIDTH)))[0]
    made = study_of(store, items, {0: states @ turn + 7, 2: -states * 3})
    anchor = model_layout(store, made, ANCHOR, *CENTRED, pca).get().points
    for layer in (0, 2):
        copy = model_layout(store, made, layer, *CENTRED, pca).get().points
        np.testing.assert_allclose(copy, anchor, atol=2e-3)


def test_other_layers_have_other_pictures(store, made, pca):
    first, second = (model_layout(store, made, n, *STANDARD, pca).get().points for n in (0, 2))
    assert np.abs(first - second).max() > 0.1


def test_the_order_of_asking_does_not_matter(store, tmp_path, made, pca):
    last = model_layout(store, made, 2, *STANDARD, pca).get().points
    other = Store(tmp_path / "other")
    again = study_of(other, made.items)
    model_layout(other, again, ANCHOR, *STANDARD, pca).get()
    np.testing.assert_array_equal(model_layout(other, again, 2, *STANDARD, pca).get().points, last)


def test_a_kept_picture_is_opened_and_not_drawn_again(store, made, pca, monkeypatch):
    first = model_layout(store, made, 2, *STANDARD, pca).get()
    people = human_layout(store, made.items, pca).get()
    monkeypatch.setattr(layouts, "project", None)
    monkeypatch.setattr(layouts, "layer_states", None)
    kept = model_layout(store, made, 2, *STANDARD, pca).get()
    np.testing.assert_array_equal(kept.points, first.points)
    np.testing.assert_allclose(kept.linear, first.linear)
    assert kept.trust == first.trust
    np.testing.assert_array_equal(human_layout(store, made.items, pca).get().points, people.points)


def test_every_choice_has_a_picture_of_its_own(store, made):
    asked = [
        (layer, *how, LayoutSpec(method, dims))
        for layer in (0, ANCHOR)
        for how in (STANDARD, CENTRED)
        for method in ("pca", "umap")
        for dims in (2, 3)
    ]
    keys = [str(model_layout(store, made, *one).key) for one in asked]
    assert len(set(keys)) == len(asked)


def test_shuffled_rows_of_the_table_give_the_same_picture_per_item(store, tmp_path, pca):
    rows = made_rows()
    other_store = Store(tmp_path / "elsewhere" / "store")
    other_store.root.mkdir(parents=True)
    shuffled = random.Random(1).sample(rows, len(rows))
    pictures = []
    for place, table in ((store, rows), (other_store, shuffled)):
        made = study_of(place, read_rows(place, table))
        pictures.append(
            {
                "item": made.items.item,
                "people": human_layout(place, made.items, pca).get().points,
                "model": model_layout(place, made, 2, *STANDARD, pca).get().points[made.plan.rows],
                "close": layer_closeness(place, made, 2, *STANDARD).close,
            }
        )
    for name in pictures[0]:
        np.testing.assert_array_equal(pictures[0][name], pictures[1][name], name)


def test_an_added_row_moves_no_layer_states(store, items):
    more = read_rows(store, [*made_rows(), ("sing a song", "care-harm", 1, 3)], "more")
    first, second = study_of(store, items), study_of(store, more)
    assert set(items.item) < set(more.item)
    assert first.plan.digest != second.plan.digest


# The human map ----------------------------------------------------------------------------------


def test_items_with_one_vector_share_one_place(store, items, pca):
    points = human_layout(store, items, pca).get().points
    _, number = np.unique(items.vectors(), axis=0, return_inverse=True)
    for value in np.unique(number):
        same = points[number == value]
        np.testing.assert_allclose(same, np.broadcast_to(same[0], same.shape), atol=1e-5)


def test_a_set_without_any_judgement_still_has_a_map(store, pca):
    items = read_rows(store, [(text, "care-harm", 0, 4) for text in EVERYONE])
    assert np.ptp(items.vectors(), axis=0).max() == 0
    made = study_of(store, items)
    assert np.isfinite(human_layout(store, items, pca).get().points).all()
    assert np.isfinite(model_layout(store, made, 2, *STANDARD, pca).get().points).all()
    seen = layer_closeness(store, made, 2, *STANDARD)
    assert np.isnan(seen.close).all()
    assert (seen.typicality.nearest == -1).all()


def test_a_set_of_few_items_is_refused_in_one_sentence(store):
    items = read_rows(store, made_rows(EVERYONE[:3]))
    with pytest.raises(CoreError, match="at least 8 actions"):
        human_layout(store, items, LayoutSpec()).get()


def test_umap_of_few_different_labels_is_refused_in_one_sentence(store):
    items = read_rows(store, [(text, "care-harm", 2, 4) for text in EVERYONE])
    with pytest.raises(CoreError, match=r"only 1 different values: too few for UMAP.*PCA"):
        human_layout(store, items, LayoutSpec("umap")).get()


@pytest.mark.slow
def test_umap_pictures_chain_as_well_and_ties_share_a_place(store, made):
    spec = LayoutSpec("umap")
    human = human_layout(store, made.items, spec).get()
    _, number = np.unique(made.items.vectors(), axis=0, return_inverse=True)
    for value in np.unique(number):
        assert np.ptp(human.points[number == value], axis=0).max() == 0
    anchor = model_layout(store, made, ANCHOR, *STANDARD, spec).get()
    layer = model_layout(store, made, 0, *STANDARD, spec).get()
    assert turned_onto(layer.points, anchor.points) < 1e-3
    assert isinstance(layer.trust, Trust)


# Moral axes -------------------------------------------------------------------------------------


def test_axis_values_by_hand():
    scores = np.array([[0.9, 0.2, 0, 0, 0, 0, 0, 0, 0.25, 1], [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(axis_values("care-harm", scores), [0.7, 0])
    np.testing.assert_allclose(axis_values("sanctity-degradation", scores), [-0.75, 0])
    np.testing.assert_allclose(axis_values("fairness-cheating", scores), [0, 0])
    np.testing.assert_allclose(axis_values("cheating", scores), [0, 0.5])
    np.testing.assert_allclose(axis_values("degradation", scores), [1, 0])


def test_there_are_fifteen_axes_and_each_can_be_computed():
    scores = np.random.default_rng(0).random((4, 10))
    assert len(AXES) == len(set(AXES)) == 15
    for axis in AXES:
        assert np.isfinite(axis_values(axis, scores)).all()
    assert {*AXES} == {*FOUNDATIONS, *DIMENSIONS}


def test_an_unknown_axis_is_the_programmers_mistake():
    with pytest.raises(ValueError, match="not in tuple"):
        axis_values("virtue", np.zeros((1, 10)))


# Reading ----------------------------------------------------------------------------------------


def test_a_reading_is_the_cosine_to_each_centre_without_the_own_text(store, made):
    known = layer_states(store, made, 2, *STANDARD).states[made.plan.rows].astype(float)
    close = layer_closeness(store, made, 2, *STANDARD).close
    texts = np.array([text.casefold() for text in made.items.texts()])
    for row in range(0, len(texts), 7):
        for column in range(10):
            others = made.members[:, column] & (texts != texts[row])
            centre = known[others].mean(axis=0)
            expected = known[row] @ centre / np.linalg.norm(known[row]) / np.linalg.norm(centre)
            assert close[row, column] == pytest.approx(expected, abs=1e-5)


# A sentence of one's own ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read_study(tiny_llama_folder, tmp_path_factory):
    """Return a store, a study that the tiny Llama has read, and the open Llama."""
    store = Store(tmp_path_factory.mktemp("study") / "store")
    store.root.mkdir()
    items = read_rows(store, made_rows())
    card = describe(ModelSpec("folder", str(tiny_llama_folder), device="cpu"), store)
    made, model = open_study(items, card, ReadSpec()), open_model(card, store)
    load_or_extract(store, made.plan, lambda: model)
    return store, made, model


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("scaling", get_args(Scaling))
def test_an_items_own_text_lies_on_the_item_and_is_nearest_to_it(read_study, pooling, scaling, pca):
    store, made, model = read_study
    item = 23
    text = made.items.texts()[item]
    placed = place_sentence(store, made, model, f"{text}.", pooling, scaling)
    assert placed.states.shape == (len(made.plan.layers), made.card.d_model)
    for layer in (0, 1, 2):
        own = placed.states[layer + 1]
        rows, cosine = nearest_items(store, made, own, layer, pooling, scaling)
        assert made.items.texts()[rows[0]] == text
        assert cosine[0] == pytest.approx(1, abs=1e-4)
        assert (np.diff(cosine) <= 0).all()
        assert len(set(made.plan.rows[rows])) == len(rows) == 10
        known = layer_states(store, made, layer, pooling, scaling)
        layout = model_layout(store, made, layer, pooling, scaling, pca).get()
        there = layout.place(known.scaler.apply(own)[None], known.states)[0]
        np.testing.assert_allclose(there, layout.points[made.plan.rows[item]], atol=1e-3)


def test_a_sentences_cosines_are_those_of_a_plain_recomputation(read_study):
    store, made, model = read_study
    placed = place_sentence(store, made, model, "sell the old house", "mean", "standardised")
    for row, layer in enumerate(made.plan.layers):
        raw = states_of(store, made).prompt_states(layer, "mean").astype(float)
        known = ((raw - raw.mean(0)) / raw.std(0))[made.plan.rows]
        own = (placed.states[row] - raw.mean(0)) / raw.std(0)
        for column in range(10):
            centre = known[made.members[:, column]].mean(axis=0)
            cosine = own @ centre / np.linalg.norm(own) / np.linalg.norm(centre)
            assert placed.cosine[row, column] == pytest.approx(cosine, abs=1e-4)


def test_where_all_texts_have_one_state_a_sentence_has_no_cosine(read_study):
    store, made, model = read_study
    placed = place_sentence(store, made, model, "sell the old house", "last", "centred")
    assert np.isnan(placed.cosine[0]).all()
    assert np.isfinite(placed.cosine[1:]).all()


def test_a_sentence_cannot_be_placed_among_items_that_were_not_read(store, read_study):
    _, made, model = read_study
    with pytest.raises(CoreError, match="has not read"):
        place_sentence(store, made, model, "sell the old house", "mean", "centred")


def test_a_sentences_bands_hold_its_cosine_and_count_texts_once(store):
    rows = made_rows()
    many = rows + [(f"{text}.", *rest) for text, *rest in rows for _ in range(3)]
    made = study_of(store, read_rows(store, many))
    state = some_states(["sell the old house is morally"], 4)[0]
    placed = placing.Placed(np.zeros((4, 10)), np.tile(state, (4, 1)))
    bands = sentence_bands(store, made, placed, 2, *STANDARD)
    known = layer_states(store, made, 2, *STANDARD)
    own = normalised(known.scaler.apply(state)[None])[0]
    once = study_of(store, read_rows(store, rows, "once"))
    plain = sentence_bands(store, once, placed, 2, *STANDARD)
    for column, ((value, null), (alone, _)) in enumerate(zip(bands, plain, strict=True)):
        members = made.members[:, column]
        if not members.any():
            assert np.isnan(value.value)
            continue
        centre = known.states[made.plan.rows][members].mean(axis=0)
        assert value.value == pytest.approx(own @ centre / np.linalg.norm(centre), abs=1e-4)
        assert value.low <= value.value <= value.high
        assert null.low <= null.high
        # Repeats of a text are no further evidence: the interval must not shrink.
        assert value.high - value.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_closeness_is_asked_with_the_texts_groups(store, made, monkeypatch):
    asked = []

    def spy(states, members, group):
        asked.append(group)
        return closeness(states, members, group)

    monkeypatch.setattr(placing, "closeness", spy)
    layer_closeness(store, made, 2, *STANDARD)
    np.testing.assert_array_equal(asked[0], made.labels.group)
