"""Figures from finished results, read as data: who is grey, which shape, what a point says."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from core.foundations import DIMENSIONS, FOUNDATIONS, POLES
from core.maps.plots import (
    distribution_figure,
    hover_texts,
    layers_heatmap,
    map_figure,
    sentence_figure,
    strata_figure,
)
from core.maps.projection import Trust
from core.maps.view import Colouring, Picture
from core.palette import FADED, FOUNDATION_COLOURS, OWN, POLE_SYMBOLS, SPLIT_COLOURS, UNKNOWN
from core.statistics.bootstrap import Estimate

N = 60


@pytest.fixture(params=[2, 3])
def picture(request):
    points = np.random.default_rng(0).normal(size=(N, request.param)).astype(np.float32)
    return Picture(points, Trust(0.9, 0.5, 0.1), 0.6, None)


@pytest.fixture
def poles():
    return np.array(POLES)[np.random.default_rng(1).integers(0, 3, N)]


@pytest.fixture
def by_foundation():
    data = np.array(FOUNDATIONS)[np.random.default_rng(2).integers(0, 5, N)]
    return Colouring("Foundation", data, dict(FOUNDATION_COLOURS))


@pytest.fixture
def by_residual():
    data = np.random.default_rng(3).uniform(-0.4, 0.9, N)
    data[::7] = np.nan
    return Colouring("Residual", data, span=(-1, 1), diverging=True)


@pytest.fixture
def chosen():
    return np.random.default_rng(4).random(N) < 0.3


def hover():
    return [f"text {row}" for row in range(N)]


def traces(figure):
    """Return the traces that stand for items."""
    return [trace for trace in figure.data if trace.customdata is not None]


def grey_rows(figure, grey=FADED):
    faded = [
        t for t in traces(figure) if isinstance(t.marker.color, str) and t.marker.color == grey
    ]
    return sorted(int(row) for trace in faded for row in trace.customdata)


def all_rows(figure):
    return sorted(int(row) for trace in traces(figure) for row in trace.customdata)


# Maps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colouring", ["by_foundation", "by_residual"])
def test_every_item_is_drawn_once_at_its_place_with_its_own_text(
    request, picture, poles, chosen, colouring
):
    colours = request.getfixturevalue(colouring)
    for selection in (None, chosen):
        figure = map_figure(picture, colours, poles, hover(), chosen=selection)
        assert all_rows(figure) == list(range(N))
        for trace in traces(figure):
            rows = np.array(trace.customdata, int)
            for axis, column in zip("xyz", picture.points.T, strict=False):
                np.testing.assert_array_equal(trace[axis], column[rows])
            assert list(trace.text) == [f"text {row}" for row in rows]
            assert trace.hovertemplate == "%{text}<extra></extra>"


def test_shape_follows_the_pole(picture, poles, by_foundation, chosen):
    figure = map_figure(picture, by_foundation, poles, hover(), chosen=chosen)
    assert len(set(POLE_SYMBOLS.values())) == 3
    for trace in traces(figure):
        rows = np.array(trace.customdata, int)
        assert list(trace.marker.symbol) == [POLE_SYMBOLS[pole] for pole in poles[rows]]


def test_grey_are_exactly_the_items_outside_the_selection(picture, poles, by_foundation, chosen):
    figure = map_figure(picture, by_foundation, poles, hover(), chosen=chosen)
    assert grey_rows(figure) == np.flatnonzero(~chosen).tolist()
    assert traces(figure)[0].marker.color == FADED  # under the others


@pytest.mark.parametrize("selection", [None, np.zeros(N, bool), np.ones(N, bool)])
def test_nothing_is_grey_without_a_selection_or_with_all_selected(
    picture, poles, by_foundation, selection
):
    figure = map_figure(picture, by_foundation, poles, hover(), chosen=selection)
    assert grey_rows(figure) == []


def test_items_without_a_number_are_grey_too_and_still_found(picture, poles, by_residual, chosen):
    unknown = np.isnan(by_residual.data)
    figure = map_figure(picture, by_residual, poles, hover())
    assert grey_rows(figure, UNKNOWN) == np.flatnonzero(unknown).tolist()
    figure = map_figure(picture, by_residual, poles, hover(), chosen=chosen)
    assert grey_rows(figure, UNKNOWN) == np.flatnonzero(chosen & unknown).tolist()
    assert grey_rows(figure) == np.flatnonzero(~chosen).tolist()


def test_each_category_has_its_colour(picture, poles, by_foundation):
    for trace in traces(map_figure(picture, by_foundation, poles, hover())):
        rows = np.array(trace.customdata, int)
        assert set(by_foundation.data[rows]) == {trace.name}
        assert trace.marker.color == FOUNDATION_COLOURS[trace.name]


def test_the_residuals_scale_is_symmetric_whatever_the_values(picture, poles, by_residual):
    trace = next(
        t for t in traces(map_figure(picture, by_residual, poles, hover())) if t.marker.cmax
    )
    assert (trace.marker.cmin, trace.marker.cmax) == (-1, 1)
    scale = trace.marker.colorscale
    assert [stop for stop, _ in scale] == [0, 0.5, 1]
    assert len({colour for _, colour in scale}) == 3
    np.testing.assert_array_equal(
        trace.marker.color, by_residual.data[np.array(trace.customdata, int)]
    )
    assert trace.marker.colorbar.title.text == "Residual"


def test_a_colouring_has_one_scale_also_with_a_selection(picture, poles, by_residual, chosen):
    figure = map_figure(picture, by_residual, poles, hover(), chosen=chosen)
    assert sum(bool(trace.marker.showscale) for trace in figure.data) == 1
    figure = map_figure(picture, by_residual, poles, hover(), chosen=chosen, scale=False)
    assert not any(trace.marker.showscale for trace in figure.data)


def test_a_selection_without_any_number_can_be_drawn(picture, poles, by_residual):
    only_unknown = np.isnan(by_residual.data)
    figure = map_figure(picture, by_residual, poles, hover(), chosen=only_unknown)
    assert all_rows(figure) == list(range(N))


def test_matches_of_a_search_are_ringed_and_add_nothing_to_a_selection(poles, by_foundation):
    points = np.random.default_rng(0).normal(size=(N, 2)).astype(np.float32)
    marked = np.zeros(N, bool)
    marked[[3, 9]] = True
    picture = Picture(points, None, float("nan"), None)
    figure = map_figure(picture, by_foundation, poles, hover(), marked=marked)
    ring = figure.data[-1]
    np.testing.assert_array_equal(ring.x, points[[3, 9], 0])
    np.testing.assert_array_equal(ring.y, points[[3, 9], 1])
    assert ring.customdata is None
    assert ring.hoverinfo == "skip"
    without = map_figure(picture, by_foundation, poles, hover(), marked=np.zeros(N, bool))
    assert len(without.data) == len(figure.data) - 1


def test_matches_of_a_search_are_marked_in_three_dimensions(poles, by_foundation):
    picture = Picture(np.eye(N, 3, dtype=np.float32), None, float("nan"), None)
    marked = np.arange(N) < 2
    with_marks = map_figure(picture, by_foundation, poles, hover(), marked=marked)
    assert len(with_marks.data) == len(map_figure(picture, by_foundation, poles, hover()).data) + 1


def test_the_own_sentence_is_one_mark_above_all_others(picture, poles, by_foundation):
    own = np.arange(picture.points.shape[1]) + 0.5
    star = map_figure(picture, by_foundation, poles, hover(), own=own).data[-1]
    assert [star[axis][0] for axis in "xyz"[: len(own)]] == own.tolist()
    assert star.marker.color == OWN
    assert list(star.text) == ["you"]
    assert star.customdata is None


def test_pictures_whose_axes_mean_nothing_show_none_and_are_not_stretched(poles, by_foundation):
    picture = Picture(np.eye(N, 2, dtype=np.float32), None, float("nan"), None)
    layout = map_figure(picture, by_foundation, poles, hover()).layout
    assert (layout.xaxis.visible, layout.yaxis.visible) == (False, False)
    assert layout.yaxis.scaleanchor == "x"
    assert layout.dragmode == "select"


def test_moral_axes_are_named_with_their_unit(poles, by_foundation):
    titles = ("care − harm (cosine)", "harm (cosine to its centre)")
    picture = Picture(np.eye(N, 2, dtype=np.float32), None, float("nan"), titles)
    layout = map_figure(picture, by_foundation, poles, hover()).layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == titles


def test_the_view_stays_when_only_the_colours_change(picture, poles, by_foundation, by_residual):
    first, second = (
        map_figure(picture, colours, poles, hover(), name="people")
        for colours in (by_foundation, by_residual)
    )
    assert first.layout.uirevision == second.layout.uirevision == "people"


# What is read on a point ------------------------------------------------------------------------


def table_of(*texts, pole="vice"):
    return pd.DataFrame(
        {"text": texts, "foundation": "care-harm", "pole": pole, "grade": np.float32(0.375)}
    )


def test_a_point_says_its_text_and_labels():
    assert hover_texts(table_of("rob a bank")) == [
        "<b>rob a bank</b><br>care-harm · vice · grade 0.375"
    ]
    assert hover_texts(table_of("walk", pole="neutral")) == ["<b>walk</b><br>care-harm · neutral"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<a href='http://x'>click</a>",
        "<img src=x onerror=alert(1)>",
        "</b><br>fake",
        "&lt;b&gt; stays as written",
        "AT&T",
        "a < b > c",
    ],
)
def test_texts_cannot_become_markup(text):
    shown = hover_texts(table_of(text))[0]
    assert set(re.findall(r"<[^>]*>", shown)) <= {"<b>", "</b>", "<br>"}
    action = shown.split("</b><br>care-harm")[0].removeprefix("<b>")
    assert html.unescape(action.replace("<br>", " ")) == text


def test_a_long_text_is_wrapped_and_nothing_is_lost():
    text = "telling the neighbour about it " * 6
    action = hover_texts(table_of(text.strip()))[0].split("</b>")[0].removeprefix("<b>")
    lines = action.split("<br>")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 46
    assert " ".join(lines) == text.strip()


def test_wrapping_cuts_no_escaped_letter_in_two():
    action = hover_texts(table_of("<&>" * 40))[0].split("</b><br>care-harm")[0]
    lines = action.removeprefix("<b>").split("<br>")
    assert "".join(html.unescape(line) for line in lines) == "<&>" * 40


def test_a_megabyte_of_text_is_shortened():
    assert len(hover_texts(table_of("word " * 200_000))[0]) < 2000


# Distribution -----------------------------------------------------------------------------------


def test_shares_of_categories_are_counted_within_each_group(by_foundation, chosen):
    everyone, selected = distribution_figure(by_foundation, chosen).data
    for trace, rows in ((everyone, np.ones(N, bool)), (selected, chosen)):
        assert sum(trace.x) == pytest.approx(1)
        for name, share in zip(trace.y, trace.x, strict=True):
            assert share == pytest.approx((by_foundation.data[rows] == name).mean())


def test_numbers_are_binned_over_the_whole_range(by_residual, chosen):
    everyone, selected = distribution_figure(by_residual, chosen).data
    known = ~np.isnan(by_residual.data)
    np.testing.assert_array_equal(everyone.x, by_residual.data[known])
    np.testing.assert_array_equal(selected.x, by_residual.data[known & chosen])
    for trace in (everyone, selected):
        assert trace.histnorm == "probability"
        assert trace.xbins.start == -1
        assert trace.xbins.size == pytest.approx(0.1)


@pytest.mark.parametrize("selection", [np.zeros(N, bool), np.ones(N, bool)])
def test_without_a_selection_there_is_one_group(by_foundation, selection):
    assert [one.name for one in distribution_figure(by_foundation, selection).data] == ["all items"]


def test_values_that_are_all_the_same_or_unknown_can_be_drawn(chosen):
    for data in (np.full(N, 5.0), np.full(N, np.nan)):
        colours = Colouring("Length", data, span=(5.0, 5.0))
        assert all(trace.xbins.size > 0 for trace in distribution_figure(colours, chosen).data)


def test_splits_keep_the_palettes_order_from_the_top(chosen):
    data = np.array(list(SPLIT_COLOURS))[np.arange(N) % 3]
    figure = distribution_figure(Colouring("Split", data, dict(SPLIT_COLOURS)), chosen)
    assert list(figure.data[0].y)[::-1] == list(SPLIT_COLOURS)


# A sentence -------------------------------------------------------------------------------------


def test_a_sentences_cosine_stands_with_its_interval_beside_the_chance_band():
    rng = np.random.default_rng(0)
    bands = [
        (Estimate(v, v - 0.05, v + 0.1), Estimate(0.0, -0.2 - v / 9, 0.2))
        for v in rng.uniform(-0.5, 0.5, 10)
    ]
    band, mark = sentence_figure(bands).data
    assert list(mark.y) == list(band.y) == list(DIMENSIONS)[::-1]
    for row, name in enumerate(mark.y):
        own, null = bands[DIMENSIONS.index(name)]
        assert mark.x[row] == own.value
        assert mark.error_x.array[row] == pytest.approx(0.1)
        assert mark.error_x.arrayminus[row] == pytest.approx(0.05)
        assert band.base[row] == null.low
        assert band.base[row] + band.x[row] == pytest.approx(null.high)
        number = DIMENSIONS.index(name)
        assert mark.marker.color[row] == FOUNDATION_COLOURS[FOUNDATIONS[number // 2]]
        assert mark.marker.symbol[row] == POLE_SYMBOLS[POLES[number % 2]]


def test_a_dimension_without_members_can_be_drawn():
    nothing = Estimate(np.nan, np.nan, np.nan)
    figure = sentence_figure([(nothing, nothing)] * 10)
    assert np.isnan(np.array(figure.data[1].x, float)).all()


def test_the_layers_heatmap_is_symmetric_around_zero():
    cosine = np.random.default_rng(0).uniform(-0.3, 0.7, (4, 10))
    cosine[0] = np.nan
    heat = layers_heatmap(cosine, ["emb", "0", "1", "2"]).data[0]
    assert heat.zmax == -heat.zmin == np.nanmax(np.abs(cosine))
    np.testing.assert_array_equal(np.array(heat.z, float), cosine.T)
    assert list(heat.x) == ["emb", "0", "1", "2"]
    assert list(heat.y) == list(DIMENSIONS)


def test_a_heatmap_of_nothing_known_can_be_drawn():
    heat = layers_heatmap(np.full((2, 10), np.nan), ["emb", "0"]).data[0]
    assert (heat.zmin, heat.zmax) == (-1, 1)


def test_strata_show_their_counts():
    counts = pd.DataFrame(
        np.arange(65).reshape(5, 13), index=list(FOUNDATIONS), columns=[f"s{n}" for n in range(13)]
    )
    heat = strata_figure(counts).data[0]
    np.testing.assert_array_equal(heat.z, counts)
    np.testing.assert_array_equal(heat.text, counts)
    assert list(heat.y) == ["care – harm", *(name.replace("-", " – ") for name in FOUNDATIONS[1:])]
