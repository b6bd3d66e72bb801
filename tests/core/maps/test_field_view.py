"""Fields as they are shown: contours on their level, arrows uphill on one scale, honest words."""

from dataclasses import replace

import numpy as np
import pytest

from core.dataset import sets
from core.maps.field import Agreement, field_of
from core.maps.field_view import (
    field_arrows,
    field_items,
    field_lines,
    field_note,
    field_sentence,
    field_table,
)
from core.maps.scene import legend_data
from core.maps.view import Picture
from core.statistics.bootstrap import Estimate
from tests.core.maps.test_field import made


@pytest.fixture(scope="module")
def field():
    return field_of(made(strength=1.5), "virtue", draws=40)


def test_contours_lie_where_the_field_has_their_level(field):
    heights = field.drawn["people"].heights
    lines = field_lines(field, "people")
    named = {line.label: line for line in lines if line.label}
    assert len(named) >= 3
    for label, line in named.items():
        for x, y in line.points[:: max(1, len(line.points) // 5)]:
            column, row = np.searchsorted(field.x, x) - 1, np.searchsorted(field.y, y) - 1
            around = heights[max(row, 0) : row + 2, max(column, 0) : column + 2]
            assert np.nanmin(around) - 1e-6 <= float(label) <= np.nanmax(around) + 1e-6
    colours = {line.colour for line in lines}
    assert len(colours) > 2


def test_arrows_point_uphill_and_are_none_longer_than_they_lie_apart(field):
    arrows = field_arrows(field, "model")
    way = arrows.end - arrows.start
    assert (way[:, 0] > 0).mean() > 0.9  # the made gradient runs along x
    every = [
        np.linalg.norm(one.end - one.start, axis=1).max()
        for one in (
            field_arrows(field, side, shuffled=shuffled)
            for side in ("people", "model")
            for shuffled in (False, True)
        )
    ]
    assert max(every) == pytest.approx(4 * (field.x[1] - field.x[0]))


def test_a_field_shows_the_items_of_its_pole_alone(store):
    items = sets.builtin(store)
    points = np.random.default_rng(0).normal(size=(len(items), 2)).astype(np.float32)
    picture, grey = field_items(items, Picture(points, None, np.nan, None), "vice")
    shown = np.isfinite(picture.points).all(axis=1)
    np.testing.assert_array_equal(shown, items.pole == "vice")
    np.testing.assert_array_equal(picture.points[shown], points[shown])
    assert np.isnan(grey.data).all()
    assert legend_data(grey)["scale"]["span"] == [0.25, 0.75]


def test_shuffled_labels_have_contours_of_their_own(field):
    real, mixed = (field_lines(field, "people", shuffled=one) for one in (False, True))
    assert sum(len(line.points) for line in real) != sum(len(line.points) for line in mixed)


@pytest.mark.parametrize(
    ("shuffled", "moved", "said"),
    [
        ((-0.2, 0.2), (0.1, 0.3), "agree beyond both controls"),
        ((-0.2, 0.2), (0.1, 0.6), "no more than single actions would"),
        ((-0.2, 0.5), (0.1, 0.3), "no more than under shuffled labels"),
    ],
)
def test_the_sentence_says_what_the_controls_allow(field, shuffled, moved, said):
    told = Agreement(Estimate(0.6, 0.4, 0.8), Estimate(0, *shuffled), Estimate(0.2, *moved))
    sentence = field_sentence(replace(field, correlation=told))
    assert said in sentence
    assert "0.60 [0.40, 0.80]" in sentence


def test_the_table_is_the_twin_of_the_sentence(field):
    table = field_table(field)
    assert table.shape == (2, 10)
    assert table["value"].tolist() == [
        field.correlation.observed.value,
        field.cosine.observed.value,
    ]
    assert table["moved high"].iloc[0] == field.correlation.moved.high
    assert "400 texts of virtue" in field_note(field)
