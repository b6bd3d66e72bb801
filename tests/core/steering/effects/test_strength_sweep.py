"""Dose: planted responses, plain recomputation, what may be said, what is refused."""

import numpy as np
import pytest

from core import CoreError
from core.activations.extraction import load_or_extract
from core.activations.prompts import ReadSpec
from core.activations.study import open_study
from core.dataset.sets import builtin
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.runtime.progress import Cancelled
from core.runtime.store import Store
from core.statistics.bootstrap import Estimate, bootstrap_mean, chance
from core.statistics.sequential import decided_after
from core.steering.directions import (
    DirectionError,
    control_directions,
    covariance_direction,
    moral_direction,
)
from core.steering.effects import matched_controls, pushes, safe_ranges, strength_sweep
from core.steering.effects.matched_controls import JUDGED
from core.steering.effects.neutral import TOLERANCE, Cost, neutral_cost
from core.steering.effects.pushes import SweepSpec, held_out, one_edit, sense_of
from core.steering.effects.readout import Held, read_out
from core.steering.effects.safe_ranges import SAFE_KL
from core.steering.effects.strength_sweep import kept_sweep, measure_sweep
from tests.core.steering.steeringsets import balanced_rows, read_by, read_table

NOTHING = Estimate(np.nan, np.nan, np.nan)


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.fixture
def few(monkeypatch):
    """Let a dose be measured in a second."""
    monkeypatch.setattr(strength_sweep, "STRENGTHS", (-0.2, -0.1, 0.0, 0.1, 0.2))
    monkeypatch.setattr(matched_controls, "CONTROLS", 4)
    monkeypatch.setattr(strength_sweep, "RANDOM_EACH", 2)
    monkeypatch.setattr(matched_controls, "ISOTROPIC", 1)


# Held-out actions -------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [*FOUNDATIONS, *DIMENSIONS])
def test_held_out_actions_are_of_the_axis_and_never_of_training(read_study, axis):
    _, made = read_study
    rows = held_out(made, axis)
    assert len(rows) > 0
    assert set(made.items.split[rows]) == {"test"}
    assert len(set(made.plan.rows[rows])) == len(rows)
    trained = made.plan.rows[made.items.split == "train"]
    assert not set(made.plan.rows[rows]) & set(trained)
    if axis in FOUNDATIONS:
        assert {FOUNDATIONS[one] for one in made.items.foundation[rows]} == {axis}
    else:
        assert {DIMENSIONS[one] for one in made.labels.dimension[rows]} == {axis}


def test_at_most_so_many_are_asked_evenly_over_all(read_study):
    _, made = read_study
    every = held_out(made, "care-harm", 10_000)
    assert len(every) > 5
    for most in range(1, len(every) + 2):
        some = held_out(made, "care-harm", most)
        assert len(set(some)) == len(some) == min(most, len(every))
        assert set(some) <= set(every)
    two = held_out(made, "care-harm", 2)
    assert two.tolist() == [every[0], every[-1]]


def test_a_text_that_stands_twice_is_asked_once(store, llama):
    rows = balanced_rows()
    twice = rows + [(f"{text}.", *rest) for text, *rest in rows]
    made = open_study(read_table(store, twice), llama.card, ReadSpec())
    found = held_out(made, "care-harm", 10_000)
    assert len(set(made.plan.rows[found])) == len(found)


def test_an_axis_without_held_out_actions_is_a_clear_sentence(store, llama):
    rows = balanced_rows(foundations=("care-harm",))
    made = open_study(read_table(store, rows), llama.card, ReadSpec())
    with pytest.raises(CoreError, match="No action of loyalty is held out"):
        held_out(made, "loyalty")


@pytest.mark.parametrize("axis", FOUNDATIONS)
def test_the_sense_is_towards_approval_but_for_vices(axis):
    virtue, vice = DIMENSIONS[2 * FOUNDATIONS.index(axis) :][:2]
    assert (sense_of(axis), sense_of(virtue), sense_of(vice)) == (1, 1, -1)


# A planted response -----------------------------------------------------------------------------


class Planted:
    """A model whose log odds follow one direction, and any push, and whose text suffers."""

    def __init__(self, monkeypatch, truth, *, gain=10.0, stir=0.0, noise=0.0, limits=(0.25, 0.25)):
        self.truth, self.gain, self.stir, self.limits = truth, gain, stir, limits
        self.noise, self.size = np.random.default_rng(0), noise
        self.asked = []
        monkeypatch.setattr(pushes, "hold", self.hold)
        monkeypatch.setattr(pushes, "hold_neutral", lambda _model, layer: layer)
        monkeypatch.setattr(pushes, "arms_logits", self.steered)
        monkeypatch.setattr(pushes, "log_odds", lambda _model, logits: logits)
        monkeypatch.setattr(pushes, "cost_of", self.cost)

    def hold(self, _model, prompts, layer):
        self.asked.append((list(prompts), layer))
        return Held(layer, np.linspace(-1, 1, len(prompts)), ())

    def steered(self, _model, held, arms, positions):
        self.asked.append(positions)
        return [self._arm(held.logits.copy(), edits) for edits in arms]

    def _arm(self, found, edits):
        for edit in edits:
            (one,), (strength,) = edit.directions, edit.strengths
            found += self.gain * strength * float(one.vector @ self.truth)
            found += self.stir * abs(strength)  # what any push does
            found += self.size * self.noise.normal(size=len(found))
        return found

    def cost(self, _model, _held, edits, _positions):
        (strength,) = [one.strengths[0] for one in edits] or [0.0]
        return Cost(0.1 if -self.limits[0] <= strength <= self.limits[1] else 3.0, 20.0)


class Dented(Planted):
    """The same, and its text suffers by the square of a push, weighed by coordinate."""

    def __init__(self, monkeypatch, truth, weights, **changes):
        super().__init__(monkeypatch, truth, **changes)
        self.weights = weights

    def cost(self, _model, _held, edits, _positions):
        kl = sum((edit.strengths[0] * edit.vectors[0]) ** 2 @ self.weights for edit in edits)
        return Cost(float(kl), 20.0)


@pytest.mark.parametrize("axis", ["care-harm", "care", "harm", "cheating"])
def test_a_planted_effect_is_found_in_its_own_sense(read_study, monkeypatch, axis):
    store, made = read_study
    truth = moral_direction(store, made, axis, 1).vector * sense_of(axis)
    planted = Planted(monkeypatch, truth, noise=0.01)
    found = measure_sweep(store, made, None, SweepSpec(axis, 1))
    assert found.sense == sense_of(axis)
    assert [one.strength for one in found.points] == sorted(strength_sweep.STRENGTHS)
    for one in found.points:
        for effect in (one.effect, one.turn):
            assert effect.value == pytest.approx(10 * one.strength, abs=0.05)
            assert effect.low <= effect.value <= effect.high
    assert found.safe == (-0.2, 0.2)
    assert (found.calibrated, found.turned_at) == (0.2, 0.2)
    for check in (found.push, found.turn):
        assert check.holds
        assert check.kl == 0.1
        kinds = [(one.family, one.equal) for one in check.judged]
        assert kinds == [
            ("covariance", "length"),
            ("shuffled", "length"),
            ("shuffled", "KL"),
            ("covariance", "KL"),
        ]
        for one in check.judged:
            assert (one.above, one.n, one.after) == (0, matched_controls.CONTROLS, 0)
            assert one.p == 1 / (1 + matched_controls.CONTROLS)
            assert one.beaten.value == 1
            assert one.kl == pytest.approx((0.1, 0.1, 0.1))
        assert check.effect.value == pytest.approx(2, abs=0.05)
        said = "moves held-out actions in its own sense, beyond all control directions"
        assert check.verdict == said
        assert check.beside[-1].family == "isotropic"
    assert found.n_actions == len(held_out(made, axis))
    expected = [made.plan.prompts[row] for row in made.plan.rows[held_out(made, axis)]]
    assert planted.asked[0] == (expected, 1)
    assert set(planted.asked[1:]) == {"not first"}


def test_what_any_push_does_hides_the_push_and_cancels_in_the_sign(read_study, monkeypatch):
    """Random pushes raise approval as much as the moral direction does."""
    store, made = read_study
    truth = moral_direction(store, made, "harm", 1).vector  # of the pole that should lower approval
    Planted(monkeypatch, -truth, gain=10.0, stir=-100.0)
    found = measure_sweep(store, made, None, SweepSpec("harm", 1))
    assert found.push.effect.value == pytest.approx(0.2 * (10 + 100), abs=1e-4)
    assert found.turn.effect.value == pytest.approx(2, abs=1e-4)
    assert found.push.judged[0].band.value == pytest.approx(0.2 * 100, abs=1)
    assert found.turn.judged[0].band.value == pytest.approx(0, abs=1)
    assert found.turn.holds
    Planted(monkeypatch, np.roll(truth, 1), gain=0.0, stir=-100.0)
    found = measure_sweep(store, made, None, SweepSpec("harm", 1))
    assert found.push.effect.low > 0  # the interval over actions alone would let it count
    assert not found.push.holds
    assert found.turn.verdict.startswith("no effect")


def test_random_directions_are_pushed_both_ways_at_every_strength(read_study, monkeypatch):
    store, made = read_study
    truth = covariance_direction(store, made, 1, 0).vector  # one of the controls is the truth
    Planted(monkeypatch, truth, stir=3.0)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    drawn = control_directions(
        store, made, "covariance", "care-harm", 1, strength_sweep.RANDOM_EACH
    )
    along = np.array([one.vector @ truth for one in drawn])
    for one in found.points:
        size = abs(one.strength)
        expected = 10 * size * np.concatenate([along, -along])
        for band, moved in ((one.random, expected + 3 * size), (one.random_turn, expected)):
            np.testing.assert_allclose(band, chance(moved), atol=1e-5)
    assert found.points[-1].random == found.points[0].random  # an opposite is as random


@pytest.mark.parametrize("method", ["means", "probe"])
def test_controls_are_counted_in_each_family_at_equal_length(read_study, monkeypatch, method):
    store, made = read_study
    truth = np.random.default_rng(2).normal(size=32)
    truth *= np.sign(moral_direction(store, made, "care-harm", 1, method=method).vector @ truth)
    Planted(monkeypatch, truth)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1, method))
    own = moral_direction(store, made, "care-harm", 1, method=method).vector @ truth
    for check in (found.push, found.turn):
        assert check.effect.value == pytest.approx(2 * own, abs=1e-4)
        for one in check.judged:
            drawn = control_directions(
                store, made, one.family, "care-harm", 1, one.n, method=method
            )
            moved = 2 * np.array([other.vector @ truth for other in drawn])
            above = (moved >= check.effect.value).tolist()
            assert one.above == sum(above)
            assert one.after == decided_after(above, matched_controls.CONTROLS, 0.05)
            assert one.n == (max(one.after, 10) if one.after else matched_controls.CONTROLS)
            np.testing.assert_allclose(one.band, chance(moved), atol=1e-4)
            assert one.beaten.low < one.beaten.value == 1 - one.above / one.n


def test_controls_of_equal_divergence_are_pushed_as_far_as_that_takes(read_study, monkeypatch):
    """A direction beats controls of equal length because it costs more; at equal cost it loses."""
    store, made = read_study
    own = moral_direction(store, made, "care-harm", 1).vector
    weights = 1 + 400 * own**2  # text suffers where the direction lies
    Dented(monkeypatch, own, weights / (own**2 @ weights) * 0.4 / 0.04)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    assert found.calibrated == 0.2
    assert found.push.kl == pytest.approx(0.4, rel=1e-4)
    for check in (found.push, found.turn):
        for one in check.judged:
            drawn = control_directions(store, made, one.family, "care-harm", 1, one.n)
            vectors = np.array([other.vector for other in drawn])
            costs = 0.04 * vectors**2 @ (weights / (own**2 @ weights) * 10)
            if one.equal == "length":
                some = costs[: matched_controls.COSTED]
                np.testing.assert_allclose(one.kl, chance(some), rtol=1e-3)
                continue
            assert one.kl.low >= 0.4 * (1 - TOLERANCE)
            assert one.kl.high <= 0.4 * (1 + TOLERANCE)
            moved = 2 * vectors @ own * np.sqrt(0.4 / costs)
            assert one.band == pytest.approx(chance(moved), rel=0.05, abs=0.05)


def test_a_control_that_no_strength_makes_equal_counts_against_the_effect(read_study, monkeypatch):
    store, made = read_study
    own = moral_direction(store, made, "care-harm", 1)
    Planted(monkeypatch, own.vector)
    cost = pushes.cost_of

    def jumps(model, held, edits, positions):
        mine = not edits or edits[0].directions[0].digest == own.digest
        return cost(model, held, edits, positions) if mine else Cost(0.3, 20.0)

    monkeypatch.setattr(pushes, "cost_of", jumps)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    last = found.push.judged[-1]
    assert (last.family, last.equal, last.above, last.n) == ("shuffled", "KL", 10, 10)
    assert last.p == 1
    assert not found.push.holds
    assert (
        "not beyond 1 of 3 kinds of control directions that were asked (p up to 1)"
        in found.push.verdict
    )


def test_a_random_direction_in_place_of_the_moral_one_seldom_holds(read_study, monkeypatch):
    """The control that must fail: drawn as its controls are, it passes in at most alpha of runs."""
    store, made = read_study
    monkeypatch.setattr(strength_sweep, "STRENGTHS", (-0.2, 0.0, 0.2))
    monkeypatch.setattr(strength_sweep, "RANDOM_EACH", 1)
    monkeypatch.setattr(matched_controls, "ISOTROPIC", 1)
    many = {
        family: control_directions(store, made, family, "care-harm", 1, 140) for family in JUDGED
    }
    many["isotropic"] = control_directions(store, made, "isotropic", "care-harm", 1, 1)
    rng, held = np.random.default_rng(11), 0
    for run in range(100):
        own = many["covariance"][40 + run]
        monkeypatch.setattr(strength_sweep, "moral_direction", lambda *_, own=own, **__: own)
        monkeypatch.setattr(
            pushes.Pushes, "controls", lambda _self, family, count: many[family][:count]
        )
        Planted(monkeypatch, rng.normal(size=32), noise=0.01)
        found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
        held += found.push.holds or found.turn.holds
    assert held <= 8  # 5 of 100 expected at most, two standard deviations above it


def test_the_sign_is_judged_where_both_signs_are_safe(read_study, monkeypatch):
    store, made = read_study
    truth = moral_direction(store, made, "care-harm", 1).vector
    Planted(monkeypatch, truth, stir=3.0, limits=(0.07, 0.35))
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    assert (found.calibrated, found.turned_at) == (0.3, 0.05)
    assert found.push.effect.value == pytest.approx(3.9, abs=1e-4)
    assert found.turn.effect.value == pytest.approx(0.5, abs=1e-4)
    Planted(monkeypatch, truth, limits=(0.0, 0.35))
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    assert (found.calibrated, found.turned_at) == (0.3, 0)
    assert np.isnan(found.turn.effect.value)
    assert not found.turn.holds


def test_a_wrong_sense_is_no_effect(read_study, monkeypatch):
    store, made = read_study
    Planted(monkeypatch, -moral_direction(store, made, "care-harm", 1).vector)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    for check in (found.push, found.turn):
        assert check.verdict == "no effect in its own sense on held-out actions"
        assert all(one.p == 1 for one in check.judged)


def test_without_a_safe_strength_nothing_is_judged(read_study, monkeypatch):
    store, made = read_study
    planted = Planted(monkeypatch, np.ones(32), limits=(0.0, 0.0))
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    assert (found.safe, found.calibrated, found.turned_at) == ((0, 0), 0, 0)
    assert np.isnan([*found.push.effect, *found.turn.effect]).all()
    assert (found.push.beside, found.turn.beside) == ((), ())
    assert found.said.startswith("no safe strength")
    sizes = (len(strength_sweep.STRENGTHS) - 1) // 2
    steps = len(strength_sweep.STRENGTHS) + sizes * strength_sweep.RANDOM_EACH
    assert len(planted.asked) == 1 + steps  # no control is tried


def test_strengths_stand_for_both_signs():
    assert sorted(-one for one in strength_sweep.STRENGTHS) == list(strength_sweep.STRENGTHS)


# On a real model --------------------------------------------------------------------------------


def test_a_dose_of_a_tiny_model_is_that_of_its_parts(read_study, llama, few):
    store, made = read_study
    spec = SweepSpec("care-harm", 1, positions="all")
    found = measure_sweep(store, made, llama, spec)
    assert measure_sweep(store, made, llama, spec).points[-1].effect == found.points[-1].effect
    prompts = [made.plan.prompts[row] for row in made.plan.rows[held_out(made, "care-harm")]]
    direction = moral_direction(store, made, "care-harm", 1)
    for one in found.points:
        edits = [one_edit(store, made, direction, one.strength)] if one.strength else []
        shift = read_out(llama, prompts, edits, "all").shift
        assert one.effect.value == pytest.approx(shift.mean(), abs=1e-5)
        assert (one.kl, one.perplexity) == pytest.approx(neutral_cost(llama, edits, "all"))
    none = next(one for one in found.points if one.strength == 0)
    assert (none.kl, none.effect) == (0, Estimate(0, 0, 0))


def test_controls_of_a_real_model_cost_what_the_direction_costs(
    read_study, llama, few, monkeypatch
):
    monkeypatch.setattr(safe_ranges, "SAFE_KL", 1e9)
    monkeypatch.setattr(matched_controls, "SAFE_KL", 1e9)
    store, made = read_study
    found = measure_sweep(store, made, llama, SweepSpec("care-harm", 1, positions="all"))
    own = neutral_cost(
        llama, [one_edit(store, made, moral_direction(store, made, "care-harm", 1), 0.2)], "all"
    ).kl
    assert found.push.kl == pytest.approx(own)
    for check in (found.push, found.turn):
        for one in check.judged:
            assert one.n == 4
            if one.equal == "KL":
                assert np.abs(np.array(one.kl) / own - 1).max() <= 1.01 * TOLERANCE
            else:
                drawn = control_directions(store, made, one.family, "care-harm", 1, 4)
                costs = [
                    neutral_cost(llama, [one_edit(store, made, other, 0.2)], "all").kl
                    for other in drawn
                ]
                assert one.kl == pytest.approx(chance(np.array(costs)), rel=1e-4)


def test_a_dose_opens_as_it_was_kept(read_study, llama, few, tmp_path):
    store, made = read_study
    spec = SweepSpec("care-harm", 1)
    found = measure_sweep(store, made, llama, spec)
    made_once = kept_sweep(Store(tmp_path), made, spec, lambda _: found)
    made_once.get()
    assert repr(made_once.open()) == repr(found)


@pytest.mark.parametrize("method", ["probe", "shuffled"])
def test_other_ways_of_making_a_direction_are_measured_too(read_study, llama, few, method):
    store, made = read_study
    found = measure_sweep(store, made, llama, SweepSpec("harm", 2, method, "mean", "generated"))
    assert found.sense == -1
    assert len(found.points) == 5


def cancel_after(steps):
    seen = []

    def report(done, total, text):
        seen.append((done, total, text))
        if len(seen) > steps:
            raise Cancelled

    return seen, report


@pytest.mark.parametrize("steps", [0, 2, 5])
def test_a_dose_can_be_cancelled_between_steps(read_study, llama, few, monkeypatch, steps):
    monkeypatch.setattr(safe_ranges, "SAFE_KL", 1e9)
    monkeypatch.setattr(matched_controls, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(steps)
    with pytest.raises(Cancelled):
        measure_sweep(store, made, llama, SweepSpec("care-harm", 1), report)
    assert len(seen) == steps + 1
    assert llama.lock.acquire(blocking=False)
    llama.lock.release()


def test_progress_only_grows_and_stays_within_its_total(read_study, llama, few, monkeypatch):
    monkeypatch.setattr(safe_ranges, "SAFE_KL", 1e9)
    monkeypatch.setattr(matched_controls, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(10_000)
    measure_sweep(store, made, llama, SweepSpec("care-harm", 1), report)
    done = [one[0] / one[1] for one in seen]
    assert done == sorted(set(done))
    assert len(done) >= 5 + 2 * 2 + 2 * (1 + 2 * 4)
    assert done[-1] < 1


def test_a_dose_of_an_unknown_axis_or_layer_is_refused(read_study, llama):
    store, made = read_study
    for spec in (SweepSpec("courage", 1), SweepSpec("care-harm", 3)):
        with pytest.raises(DirectionError):
            measure_sweep(store, made, llama, spec)


# The packaged model -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gemma_care(gemma, tmp_path_factory):
    """Return a store and the care-harm items of the built-in set as Gemma has read them."""
    store = Store(tmp_path_factory.mktemp("gemma") / "store")
    items = builtin(store)
    made = open_study(items.take(items.foundation == 0), gemma.card, ReadSpec())
    load_or_extract(store, made.plan, lambda: gemma)
    return store, made


@pytest.mark.gemma
@pytest.mark.slow
def test_gemmas_care_harm_direction_moves_held_out_actions_in_its_own_sense(gemma, gemma_care):
    """The share of random directions it beats is told by the verdict, and is no promise."""
    store, made = gemma_care
    rows = held_out(made, "care-harm", 12)
    prompts = [made.plan.prompts[row] for row in made.plan.rows[rows]]
    own, shuffled = (
        moral_direction(store, made, "care-harm", 12, method=method)
        for method in ("means", "shuffled")
    )

    def shift(direction, strength):
        edits = [one_edit(store, made, direction, strength)]
        return bootstrap_mean(
            read_out(gemma, prompts, edits, "not first").shift, np.arange(len(rows))
        )

    towards, away = shift(own, 0.1), shift(own, -0.1)
    assert towards.low > 0 > away.high
    assert towards.value - away.value > abs(
        shift(shuffled, 0.1).value - shift(shuffled, -0.1).value
    )
    assert neutral_cost(gemma, [one_edit(store, made, own, 0.1)], "not first")[0] < SAFE_KL
