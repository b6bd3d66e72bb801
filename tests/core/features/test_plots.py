"""Figures of a latent's passport: read from their data, not from pixels."""

import numpy as np
import pytest

from core.features.dashboard import BINS, Dashboard
from core.features.effect import Effect, EffectSpec, Tried
from core.features.plots import activation_figure, centres_figure, correlation_figure, effect_figure
from core.foundations import DIMENSIONS
from core.statistics.bootstrap import Estimate

NOTHING = Estimate(np.nan, np.nan, np.nan)


@pytest.fixture
def passport() -> Dashboard:
    own = (Estimate(0.4, 0.3, 0.5), *[NOTHING] * 9)
    null = (Estimate(0.0, -0.1, 0.1), *[NOTHING] * 9)
    centres = np.linspace(-0.4, 0.5, 10)
    bands = np.tile([-0.1, 0.1], (10, 1))
    counts, edges = np.arange(BINS)[::-1], np.linspace(0, 2, BINS + 1)
    return Dashboard(
        3,
        0.01,
        0.1,
        counts,
        edges,
        np.linspace(0, 2, 11),
        (),
        (),
        own,
        null,
        50,
        (),
        centres,
        bands,
    )


def test_a_correlation_stands_on_its_band_of_shuffled_labels(passport):
    figure = correlation_figure(passport)
    band, own = figure.data
    assert (band.base[0], band.base[0] + band.x[0]) == pytest.approx((-0.1, 0.1))
    assert own.x[0] == 0.4
    assert (own.error_x.array[0], own.error_x.arrayminus[0]) == pytest.approx((0.1, 0.1))
    assert np.isnan(own.x[1])
    assert list(figure.layout.yaxis.ticktext) == list(DIMENSIONS)
    assert "50 held-out texts" in figure.layout.xaxis.title.text
    assert len(set(own.marker.symbol)) == 2  # poles differ in shape


def test_cosines_stand_beside_those_of_all_latents(passport):
    band, own = centres_figure(passport).data
    np.testing.assert_allclose(own.x, passport.centres)
    assert [low + more for low, more in zip(band.base, band.x, strict=True)] == [0.1] * 10
    assert not np.any(own.error_x.array)


def test_the_histogram_holds_all_tokens_and_the_deciles(passport):
    bars, ticks = activation_figure(passport).data
    assert sum(bars.y) == passport.counts.sum()
    assert list(ticks.customdata) == list(range(0, 101, 10))
    assert activation_figure(passport).layout.yaxis.type == "log"


def test_an_effect_stands_among_all_random_latents():
    steering = Tried(Estimate(0.5, 0.3, 0.7), 16, (0.1, -0.2, 0.05))
    missing = Tried(NOTHING, 0, (0.3,))
    figure = effect_figure(Effect(EffectSpec(1, "care"), steering, missing))
    off, off_own, pushed, pushed_own = figure.data
    assert list(off.x) == [0.3]
    assert np.isnan(off_own.x[0])
    assert list(pushed.x) == [0.1, -0.2, 0.05]
    assert pushed_own.x[0] == 0.5
    assert "16 texts" in pushed_own.hovertemplate
