"""What one map view shows: pictures, colours, facts, matches, a sentence's place."""

import random
from dataclasses import replace

import numpy as np
import pytest

from core import CoreError
from core.activations.prompts import ReadSpec
from core.activations.study import layer_states, open_study
from core.dataset.sets import ItemSpec, builtin, load_or_read
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.layers import EMBEDDING
from core.maps import view as maps_view
from core.maps.layouts import model_layout
from core.maps.placing import AXES, LayerCloseness, Placed, axis_values, layer_closeness
from core.maps.view import ASKING, COLOURS, MODEL_COLOURS, ViewSpec
from core.measures.geometry import Typicality
from core.palette import FOUNDATION_COLOURS, POLE_COLOURS, SPLIT_COLOURS
from tests.core.models.madecards import made_card

WIDTH = 16
VERBS = ["help", "rob", "praise", "mock", "feed", "leave"]
WHOM = ["a friend", "the judge", "my neighbour", "an old man", "the team", "Ünal's STRASSE"]


def made_rows(seed=0):
    draw = random.Random(seed)
    rows = []
    for number, (verb, whom) in enumerate((v, w) for v in VERBS for w in WHOM):
        for foundation in draw.sample(FOUNDATIONS, 2 if number % 5 == 0 else 1):
            judged = (-2, -1, 0, 1, 2)[number % 5]
            rows.append((f"{verb} {whom}", foundation, judged, draw.randint(2, 4)))
    return rows


@pytest.fixture
def items(store):
    path = store.root.parent / "table.tsv"
    lines = ["action\tfoundation\tjudgement\tagreement"]
    path.write_text("\n".join(lines + ["\t".join(map(str, row)) for row in made_rows()]) + "\n")
    return load_or_read(store, ItemSpec("file", path))


@pytest.fixture
def study(store, items):
    card = made_card(layers=2, width=WIDTH)
    made = open_study(items, card, ReadSpec(poolings=("mean",)))
    for layer in made.plan.layers:
        rng = np.random.default_rng(layer + 5)
        strength = 5 / np.arange(1, WIDTH + 1)
        states = rng.normal(size=(len(made.plan.prompts), WIDTH)) * strength + 3
        store.save_array("acts", made.plan.key(layer, "mean"), states.astype(np.float32))
    return made


@pytest.fixture
def seen(store, study):
    return maps_view.layer_reading(store, study, ViewSpec(layer=1))


# The spec ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("method", ["pca", "umap"])
def test_a_view_asks_for_the_layout_of_its_method_and_dimensions(method, dims):
    layout = ViewSpec(method=method, dims=dims).layout
    assert (layout.method, layout.dims) == (method, dims)


def test_views_can_be_compared_and_hashed_for_caches():
    assert ViewSpec(layer=3) == ViewSpec(layer=3)
    assert len({ViewSpec(), ViewSpec(layer=3), ViewSpec(dims=3), replace(ViewSpec(), layer=3)}) == 3


# Pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [2, 3])
def test_both_pictures_have_a_place_for_every_item(store, study, seen, dims):
    spec = ViewSpec(layer=1, dims=dims)
    people = maps_view.human_picture(store, study.items, spec)
    model = maps_view.model_picture(store, study, spec, seen)
    for picture in (people, model):
        assert picture.points.shape == (len(study.items), dims)
        assert np.isfinite(picture.points).all()
        assert picture.trust is not None
        assert 0 < picture.explained <= 1
        assert picture.axes is None


def test_items_of_one_text_share_a_place_on_the_models_map(store, study, seen):
    points = maps_view.model_picture(store, study, ViewSpec(layer=1), seen).points
    layout = model_layout(store, study, 1, "mean", "standardised", ViewSpec().layout).get()
    np.testing.assert_array_equal(points, layout.points[study.plan.rows])


def test_no_two_items_hide_each_other_on_the_human_map(store, items):
    for spec in (ViewSpec(), ViewSpec(dims=3), ViewSpec(method="axes")):
        points = maps_view.human_picture(store, items, spec).points
        assert len(np.unique(points.round(6), axis=0)) == len(items)


def test_moral_axes_of_people_are_grades_up_to_spread_ties(store, items):
    spec = ViewSpec(method="axes", x="care-harm", y="cheating")
    picture = maps_view.human_picture(store, items, spec)
    vectors = items.vectors()
    exact = np.column_stack([vectors[:, 0] - vectors[:, 1], vectors[:, 3]])
    assert np.abs(picture.points - exact).max() < 0.06
    assert picture.trust is None
    assert np.isnan(picture.explained)
    assert picture.axes == ("care − harm (grade)", "cheating (grade)")


def test_on_the_built_in_set_no_disc_of_ties_reaches_the_next_grade(store):
    items = builtin(store)
    for x, y in (("care-harm", "fairness-cheating"), ("care", "harm")):
        points = maps_view.human_picture(store, items, ViewSpec(method="axes", x=x, y=y)).points
        vectors = items.vectors()
        exact = np.column_stack([axis_values(x, vectors), axis_values(y, vectors)])
        assert np.abs(points - exact).max() < 0.25


def test_moral_axes_of_a_model_are_its_cosines_exactly(store, study, seen):
    spec = ViewSpec(layer=1, method="axes", x="loyalty-betrayal", y="harm")
    picture = maps_view.model_picture(store, study, spec, seen)
    np.testing.assert_allclose(picture.points[:, 0], seen.close[:, 4] - seen.close[:, 5], atol=1e-6)
    np.testing.assert_allclose(picture.points[:, 1], seen.close[:, 1], atol=1e-6)
    assert picture.axes == ("loyalty − betrayal (cosine)", "harm (cosine to its centre)")


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_has_a_title_with_its_unit(axis):
    assert "grade" in maps_view.axis_title(axis, "people")
    assert "cosine" in maps_view.axis_title(axis, "model")
    for word in axis.split("-"):
        assert word in maps_view.axis_title(axis, "people")


# Colours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", list(COLOURS))
def test_every_colouring_has_a_value_per_item_inside_its_range(items, seen, colour):
    colours = maps_view.colouring(items, colour, seen)
    assert colours.title == COLOURS[colour]
    assert colours.data.shape == (len(items),)
    if colours.categories is not None:
        assert set(colours.data) <= set(colours.categories)
    else:
        values = colours.data[~np.isnan(colours.data)]
        assert len(values)
        assert colours.span[0] <= values.min() <= values.max() <= colours.span[1]


@pytest.mark.parametrize("colour", list(ASKING))
def test_a_colouring_that_asks_for_more_is_empty_until_it_is_told(items, seen, colour):
    colours = maps_view.colouring(items, colour, seen)
    assert colours.title == ASKING[colour]
    assert np.isnan(colours.data).all()


def test_categories_are_those_of_the_palette_in_its_order(items):
    assert maps_view.colouring(items, "foundation", None).categories == FOUNDATION_COLOURS
    assert maps_view.colouring(items, "pole", None).categories == POLE_COLOURS
    assert maps_view.colouring(items, "split", None).categories == SPLIT_COLOURS
    assert list(maps_view.colouring(items, "foundation", None).categories) == list(FOUNDATIONS)


@pytest.mark.parametrize("colour", sorted(MODEL_COLOURS))
def test_a_models_colours_are_unknown_before_its_reading(items, colour):
    assert np.isnan(maps_view.colouring(items, colour, None).data).all()


def test_the_residual_is_people_minus_model_around_zero(items, seen):
    colours = maps_view.colouring(items, "residual", seen)
    expected = seen.typicality.human - seen.typicality.model
    np.testing.assert_array_equal(colours.data, expected)
    assert colours.diverging
    assert colours.span == (-1, 1)
    assert not maps_view.colouring(items, "typicality", seen).diverging


def test_length_is_counted_in_words(items):
    colours = maps_view.colouring(items, "length", None)
    assert colours.data.tolist() == [len(text.split()) for text in items.texts()]


# Facts ------------------------------------------------------------------------------------------


def test_the_table_says_of_each_item_what_the_maps_show(items, seen):
    table = maps_view.facts(items, seen)
    assert table["item"].tolist() == items.item.tolist()
    assert table["text"].tolist() == items.texts()
    np.testing.assert_array_equal(table[list(DIMENSIONS)].to_numpy(), items.vectors())
    np.testing.assert_array_equal(table["residual"], seen.typicality.residual)
    for row in range(len(items)):
        name = table["nearest_centre"][row]
        column = DIMENSIONS.index(name)
        assert table["cosine"][row] == np.nanmax(seen.close[row]) == seen.close[row, column]
        assert table["foundation"][row] == FOUNDATIONS[items.foundation[row]]


def test_without_a_reading_the_table_has_the_human_columns_only(items):
    columns = list(maps_view.facts(items, None))
    assert not {"model_typicality", "residual", "nearest_centre", "cosine"} & set(columns)
    assert columns[:3] == ["item", "text", "foundation"]


def test_neutral_items_have_no_typicality(items, seen):
    table = maps_view.facts(items, seen)
    neutral = table["pole"] == "neutral"
    assert neutral.any()
    assert table.loc[neutral, "model_typicality"].isna().all()
    known = table.loc[~neutral, "model_typicality"].dropna()  # a centre's only member has none
    assert len(known) > 30
    assert known.between(0, 1, inclusive="neither").all()


def test_items_without_any_centre_say_none(items):
    n = len(items)
    nothing = np.full((n, 10), np.nan)
    empty = Typicality(nothing[:, 0], nothing[:, 0], np.full(n, -1))
    table = maps_view.facts(items, LayerCloseness(nothing, empty))
    assert set(table["nearest_centre"]) == {"none"}
    assert table["cosine"].isna().all()


# Search -----------------------------------------------------------------------------------------


def found(items, words):
    return [
        text
        for text, hit in zip(items.texts(), maps_view.matching(items, words), strict=True)
        if hit
    ]


def test_a_search_wants_every_word_in_any_case_and_order(items):
    assert set(found(items, "FRIEND help")) == {"help a friend"}
    assert set(found(items, "rob")) == {f"rob {whom}" for whom in WHOM}
    assert found(items, "rob xyz") == []


def test_a_search_folds_letters_that_have_no_single_lower_case(items):
    assert set(found(items, "straße")) == {f"{verb} Ünal's STRASSE" for verb in VERBS}


@pytest.mark.parametrize("words", ["", "  ", "\t\n"])
def test_a_search_for_nothing_finds_nothing(items, words):
    assert not maps_view.matching(items, words).any()


def test_a_search_is_no_pattern(items):
    for words in (".*", "[a", "(", "\\", "%", "a|b"):
        assert not maps_view.matching(items, words).any()


# Strata -----------------------------------------------------------------------------------------


def test_every_item_is_counted_in_one_stratum(items):
    counts = maps_view.strata_counts(items)
    assert counts.to_numpy().sum() == len(items)
    assert list(counts.index) == list(FOUNDATIONS)
    names = ["vice 1", "vice 0.75", "vice 0.5", "vice 0.375", "vice 0.25", "vice 0.125", "neutral"]
    assert list(counts.columns)[:7] == names
    assert list(counts.columns)[7:] == [name.replace("vice", "virtue") for name in names[5::-1]]


def test_a_stratum_holds_its_items(items):
    counts = maps_view.strata_counts(items)
    chosen = (items.foundation == 1) & (items.pole == "vice") & (items.grade == 0.75)
    assert counts.loc["fairness-cheating", "vice 0.75"] == chosen.sum()
    assert counts["neutral"].sum() == (items.pole == "neutral").sum()


# A sentence's place -----------------------------------------------------------------------------


def placed_like(store, study, item):
    """Return a sentence whose states are an item's."""
    prompt = study.plan.rows[item]
    states = np.stack(
        [
            store.open_array("acts", study.plan.key(layer, "mean"))[prompt]
            for layer in study.plan.layers
        ]
    )
    close = [
        layer_closeness(store, study, layer, "mean", "standardised").close[item]
        for layer in study.plan.layers
    ]
    return Placed(np.array(close), states)


@pytest.mark.parametrize("layer", [EMBEDDING, 0, 1])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_sentence_with_an_items_state_lies_on_the_item(store, study, layer, dims):
    spec = ViewSpec(layer=layer, dims=dims)
    seen = maps_view.layer_reading(store, study, spec)
    points = maps_view.model_picture(store, study, spec, seen).points
    place = maps_view.place_on(store, study, placed_like(store, study, 7), spec)
    np.testing.assert_allclose(place, points[7], atol=1e-3)


@pytest.mark.parametrize("layer", [EMBEDDING, 0, 1])
def test_a_sentence_lies_on_moral_axes_at_its_layers_cosines(store, study, layer):
    spec = ViewSpec(layer=layer, method="axes", x="care", y="care-harm")
    placed = placed_like(store, study, 7)
    place = maps_view.place_on(store, study, placed, spec)
    row = placed.cosine[layer + 1]
    np.testing.assert_allclose(place, [row[0], row[0] - row[1]])


def test_a_sentence_has_no_place_where_an_axis_cannot_be_computed(store, study):
    placed = placed_like(store, study, 7)
    placed.cosine[:, 1] = np.nan
    spec = ViewSpec(layer=1, method="axes", x="care", y="care-harm")
    assert maps_view.place_on(store, study, placed, spec) is None
    assert maps_view.place_on(store, study, placed, replace(spec, y="fairness")) is not None


def test_a_sentence_among_scaled_states_is_scaled_with_them(store, study):
    spec = ViewSpec(layer=1, scaling="centred")
    known = layer_states(store, study, 1, "mean", "centred")
    placed = placed_like(store, study, 3)
    layout = model_layout(store, study, 1, "mean", "centred", spec.layout).get()
    np.testing.assert_allclose(
        maps_view.place_on(store, study, placed, spec),
        layout.place(known.scaler.apply(placed.states[2])[None], known.states)[0],
        atol=1e-5,
    )


def test_a_set_too_large_for_a_map_is_refused_with_the_way_out(items, monkeypatch):
    maps_view.check_size(items)
    monkeypatch.setattr(maps_view, "MOST_ITEMS", len(items) - 1)
    with pytest.raises(CoreError, match="Diagnosis"):
        maps_view.check_size(items)
