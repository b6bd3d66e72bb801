"""One item looked at closely: neighbours counted by hand, chance, centres that leave it out."""

import numpy as np
import pytest

from core.activations.study import layer_states
from core.maps.placing import layer_closeness
from core.maps.point import (
    centres_by_layer,
    nearest_centre_table,
    neighbour_table,
    neighbourhood,
)


@pytest.mark.parametrize("row", [0, 5, 20])
def test_neighbours_are_the_nearest_other_texts(store, two_layers, row):
    found = neighbourhood(store, two_layers, row, 1, "mean", "centred", k=5)
    states = layer_states(store, two_layers, 1, "mean", "centred").states[two_layers.plan.rows]
    texts = np.array(two_layers.items.texts())
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    cosine = unit @ unit[row]
    vectors = two_layers.items.vectors()
    distance = np.linalg.norm(vectors - vectors[row], axis=1)
    for rows in (found.people, found.model):
        assert len(rows) == len(set(texts[rows])) == 5
        assert texts[row] not in texts[rows]
    others = texts != texts[row]
    best = {text: cosine[texts == text].max() for text in texts[others]}
    wanted = sorted(best, key=lambda text: -best[text])[:5]
    assert list(texts[found.model]) == wanted
    assert found.cosine == pytest.approx([best[text] for text in wanted], abs=1e-5)
    assert found.distance == pytest.approx(distance[found.people], abs=1e-6)
    assert (np.diff(found.distance) >= 0).all()


def test_what_is_shared_counts_ties_and_stands_beside_chance(store, two_layers):
    found = neighbourhood(store, two_layers, 3, 1, "mean", "centred", k=6)
    vectors = two_layers.items.vectors()
    first = two_layers.first_rows[
        two_layers.first_rows != two_layers.first_rows[two_layers.plan.rows[3]]
    ]
    distance = np.linalg.norm(vectors[first] - vectors[3], axis=1)
    near = distance <= found.distance[-1] + 1e-6
    assert found.level == near.sum()
    assert found.chance == pytest.approx(6 * near.mean())
    assert set(found.shared) == set(found.model) & set(first[near])
    table = neighbour_table(two_layers.items, found)
    assert list(table["near"]) == ["people"] * 6 + ["model"] * 6
    assert table[table["near"] == "model"]["shared"].sum() == len(found.shared)


def test_asked_for_more_than_there_are_it_gives_all(store, two_layers):
    found = neighbourhood(store, two_layers, 3, 1, "mean", "centred", k=10_000)
    assert len(found.model) == len(two_layers.plan.prompts) - 1
    assert len(found.shared) == pytest.approx(found.chance)


def test_centres_by_layer_are_those_of_the_map_and_skip_what_has_no_picture(store, two_layers):
    row = 7
    found = centres_by_layer(store, two_layers, row, "mean", "centred")
    assert found.shape == (3, 10)
    assert np.isnan(found[1]).all()
    for place, layer in ((0, two_layers.plan.layers[0]), (2, 1)):
        close = layer_closeness(store, two_layers, layer, "mean", "centred").close[row]
        assert found[place] == pytest.approx(close, abs=1e-5, nan_ok=True)
    table = nearest_centre_table(found, list(two_layers.plan.layers))
    assert list(table["layer"]) == ["emb", "1"]
    assert (table["lead"] >= 0).all()
