"""Answers on the moral map: where Steer puts them, pair by pair, beside controls; kept by arm."""

import numpy as np
import pytest

from core.evaluation.answers import Arm
from core.evaluation.jobs import evaluation
from core.evaluation.landing import KIND, Landing, landing
from core.evaluation.plots import landing_map, ways_figure
from core.evaluation.report import AGAIN, PLAIN, RANDOM
from core.evaluation.spec import EvaluateSpec
from core.evaluation.view import centre_table, place_table
from core.foundations import DIMENSIONS
from core.maps.view import ViewSpec
from core.steering.effects.landing import land
from core.steering.view import landed_places
from tests.core.benches import closed, finish
from tests.core.evaluation.evaluations import FEW, SHORT, coin
from tests.core.evaluation.test_judging import Rule

N = 60


def test_answers_lie_where_steer_puts_them_and_open_without_weights(bench, monkeypatch):
    work, study = bench
    spec = EvaluateSpec((Arm(PLAIN), Arm(AGAIN, seed=1)), ("safer",), SHORT, None)
    made = evaluation(work, study, FEW, spec, Rule(coin))
    finish(work, made)
    found = made.open()
    blank = found.answers[AGAIN][0]._replace(text="…")
    found.answers[AGAIN][0] = blank
    finish(work, landing(work, study, found))
    here = landing(work, study, found).open()
    assert here.layer == study.anchor
    assert np.isnan(here.places[AGAIN][0]).all()  # no word, no place
    view = ViewSpec(here.layer)
    model = work.shelf.get(study.card.spec)
    text = found.answers[PLAIN][1].text
    alone = land(work.store, study, model, [text], here.layer, view.pooling, view.scaling)
    there = landed_places(work.store, study, alone, view)[0]
    np.testing.assert_allclose(here.places[PLAIN][1], there, atol=1e-4)
    np.testing.assert_allclose(here.percentile[PLAIN][1], alone.percentile[0], atol=0.02)
    assert len(work.store.artefacts(KIND)) == 2
    fresh = closed(work, monkeypatch)
    again = landing(fresh, study, found).open()
    np.testing.assert_array_equal(again.places[AGAIN], here.places[AGAIN])


def made(shift=0.0, push=0.0):
    """Return a landing where an arm's answers are nearer to care by a share."""
    rng = np.random.default_rng(0)
    places = {PLAIN: rng.normal(size=(N, 2))}
    percentile = {PLAIN: rng.uniform(0.3, 0.6, (N, 10))}
    for arm, more in ((AGAIN, 0.0), ("arm", shift), (RANDOM, push)):
        places[arm] = places[PLAIN] + rng.normal(more, 0.05, (N, 2))
        percentile[arm] = percentile[PLAIN] + rng.normal(0, 0.02, (N, 10))
        percentile[arm][:, 0] += more
    items = rng.normal(size=(100, 2)).astype(np.float32)
    poles = np.array(["virtue", "vice"] * 50)
    return Landing(3, places, percentile, items, poles)


def test_what_moves_is_told_only_beyond_a_a_and_a_random_push():
    assert made(0.2).told == ("arm lies nearer to care, beside plain again and random push.")
    assert made(-0.2).told.startswith("arm lies farther from care")
    assert made(0.2, push=0.3).told.startswith("No arm's answers lie elsewhere")
    assert made().told.startswith("No arm's answers lie elsewhere")


def test_ways_are_in_map_widths_and_their_intervals_hold_the_truth():
    found = made(0.2)
    way = found.way("arm")
    assert way.x.low < 0.2 / found.width < way.x.high
    assert way.texts == N
    found.places["arm"][0] = np.nan
    assert found.way("arm").texts == N - 1


def test_tables_hold_what_the_figures_show():
    found = made(0.2)
    table = place_table(found, FEW, 2)
    assert list(table["arm"]) == [PLAIN, AGAIN, "arm", RANDOM] * 2
    figure = landing_map(found, 2, "arm")
    marks = {one.name: (one.x[0], one.y[0]) for one in figure.data if one.mode == "markers"}
    means = table[table["answers to"] == "all, mean"].set_index("arm")
    one = table[table["answers to"] == FEW.texts[2]].set_index("arm")
    assert marks["arm, mean"] == pytest.approx(tuple(means.loc["arm", ["x", "y"]]))
    assert marks["arm, this answer"] == pytest.approx(tuple(one.loc["arm", ["x", "y"]]))
    ways = {mark.name: (mark.x[0], mark.y[0]) for mark in ways_figure(found).data}
    assert ways["arm"] == pytest.approx(tuple(means.loc["arm", ["right", "up"]]))
    symbols = {mark.marker.symbol for mark in ways_figure(found).data}
    assert len(symbols) == 4  # shape tells arms apart without colour
    centres = centre_table(found).query("arm == 'arm' and centre == 'care'").iloc[0]
    assert centres["arm's"] - centres["plain"] == pytest.approx(centres["change"])
    assert set(centre_table(found)["centre"]) == set(DIMENSIONS)


def test_arms_without_a_word_have_no_place_and_break_nothing():
    found = made()
    found.places["arm"][:] = np.nan
    found.percentile["arm"][:] = np.nan
    assert np.isnan(found.way("arm").x.value)
    assert found.told.startswith("No arm's")
    landing_map(found, 0, "arm")
    ways_figure(found)
    assert place_table(found, FEW, None)["texts"].tolist() == [N, N, 0, N]
