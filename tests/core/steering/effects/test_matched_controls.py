"""Matched controls: what may be said, and that stopping early says the same as asking all."""

import numpy as np
import pytest

from core.statistics.bootstrap import Estimate
from core.statistics.false_discovery import counted_p
from core.steering.directions import control_directions
from core.steering.effects import matched_controls, pushes
from core.steering.effects.matched_controls import (
    JUDGED,
    NOTHING,
    Beside,
    Check,
    beside_controls,
)
from core.steering.effects.pushes import Pushes, SweepSpec
from core.steering.effects.safe_ranges import SAFE_KL
from tests.core.steering.effects.test_strength_sweep import Planted
from tests.core.steering.steeringsets import read_by


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


# What may be said -------------------------------------------------------------------------------


def beside(*above):
    """Return the four judged families with so many of 40 controls above, and isotropic ones."""
    kinds = [(family, equal) for family in JUDGED for equal in ("length", "KL")]
    judged = [
        Beside(*kind, NOTHING, count, 40, NOTHING, 40, 0)
        for kind, count in zip(kinds, above, strict=True)
    ]
    return (*judged, Beside("isotropic", "length", NOTHING, 8, 8, NOTHING, 8, 0))


CLEAR = Estimate(1, 0.5, 2)


@pytest.mark.parametrize(
    ("effect", "above", "kl", "expected"),
    [
        (CLEAR, (0, 0, 0, 0), 0.4, "in its own sense, beyond all control directions"),
        (CLEAR, (1, 1, 1, 1), SAFE_KL, "beyond all control directions"),
        (
            CLEAR,
            (2, 0, 0, 0),
            0.4,
            "but not beyond 1 of 4 kinds of control directions (p up to 0.073)",
        ),
        (CLEAR, (0, 2, 0, 0), 0.4, "not beyond 1 of 4"),
        (CLEAR, (0, 0, 2, 0), 0.4, "not beyond 1 of 4"),
        (CLEAR, (0, 0, 9, 40), 0.4, "not beyond 2 of 4 kinds of control directions (p up to 1)"),
        (CLEAR, (0, 0, 0, 0), 0.51, "but changes neutral text too much to count"),
        (CLEAR, (0, 0, 0, 0), np.nan, "but changes neutral text too much to count"),
        (Estimate(1, 0.0, 2), (0, 0, 0, 0), 0.4, "no effect"),
        (Estimate(1, -0.1, 2), (0, 0, 0, 0), 0.4, "no effect"),
        (Estimate(-1, -2, -0.5), (0, 0, 0, 0), 0.4, "no effect"),
        (NOTHING, (0, 0, 0, 0), 0.4, "no effect"),
    ],
)
def test_the_verdict(effect, above, kl, expected):
    check = Check(effect, kl, beside(*above))
    assert expected in check.verdict
    assert check.holds == ("beyond all" in check.verdict)


def test_without_controls_nothing_holds():
    assert not Check(CLEAR, 0.1).holds


@pytest.mark.parametrize(
    ("beaten", "count", "low", "high"),
    [(37, 40, 0.8014, 0.9742), (40, 40, 0.9124, 1.0), (0, 40, 0.0, 0.0876), (20, 40, 0.352, 0.648)],
)
def test_a_share_has_wilsons_interval(beaten, count, low, high):
    found = matched_controls._wilson(beaten / count, count)
    assert found == pytest.approx((beaten / count, low, high), abs=1e-4)


def test_kinds_that_were_not_asked_can_never_hold():
    """Whatever else was found: an effect holds beyond all four kinds, or not at all."""
    for count in range(4):
        check = Check(CLEAR, 0.1, beside(0, 0, 0, 0)[:count])
        assert (check.holds, check.may_hold) == (False, True)
        assert len(check.unasked) == 4 - count


# Stopping early ---------------------------------------------------------------------------------


def test_stopping_early_and_asking_all_are_of_one_mind(read_study, monkeypatch):
    store, made = read_study
    many = {
        family: control_directions(store, made, family, "care-harm", 1, 40) for family in JUDGED
    }
    many["isotropic"] = control_directions(store, made, "isotropic", "care-harm", 1, 1)
    monkeypatch.setattr(Pushes, "controls", lambda _self, family, count: many[family][:count])
    monkeypatch.setattr(matched_controls, "ISOTROPIC", 1)
    own = control_directions(store, made, "covariance", "care-harm", 1, 41)[-1]
    rng, asked, verdicts = np.random.default_rng(5), 0, []
    for _ in range(60):
        truth = rng.normal(size=32)
        truth += rng.uniform(0, 8) * own.vector  # from no effect to one beyond all
        Planted(monkeypatch, truth * np.sign(truth @ own.vector))
        found = beside_controls(
            Pushes.of(store, made, None, SweepSpec("care-harm", 1)), own, [0.2], lambda *_: None
        )
        vectors = {family: np.array([one.vector for one in many[family]]) for family in JUDGED}
        effect = own.vector @ truth * np.sign(truth @ own.vector)
        above = [
            int((vectors[family] @ truth * np.sign(truth @ own.vector) >= effect).sum())
            for family in JUDGED
        ]
        # At equal cost all are pushed alike here, so that a family counts the same twice.
        assert found.holds == all(counted_p(one, 40) <= 0.05 for one in above)
        verdicts.append(found.holds)
        asked += sum(one.n for one in found.judged)
    assert 10 < sum(verdicts) < 50
    assert asked < 0.8 * 60 * 4 * 40


def test_equal_divergence_is_not_asked_where_equal_length_decides(read_study, monkeypatch):
    store, made = read_study
    [own, *_] = control_directions(store, made, "covariance", "care-harm", 1, 1)
    Planted(monkeypatch, -own.vector)
    monkeypatch.setattr(pushes, "equal_strength", None)
    spec = SweepSpec("care-harm", 1)
    found = beside_controls(Pushes.of(store, made, None, spec), own, [0.2, -0.2], lambda *_: None)
    assert [one.equal for one in found.judged] == ["length", "length"]
    assert [one.n for one in found.judged] == [matched_controls.FEWEST] * 2
    assert found.unasked == (
        "shuffled labels, equal KL",
        "random, as the states vary, equal KL",
    )
