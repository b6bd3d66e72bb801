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
from core.steering.directions import DirectionError, moral_direction, random_direction
from core.steering.effects import strength_sweep
from core.steering.effects.neutral import neutral_cost
from core.steering.effects.readout import Held, read_out
from core.steering.effects.strength_sweep import (
    SAFE_KL,
    Check,
    SweepSpec,
    held_out,
    measure_sweep,
    one_edit,
    safe_range,
    sense_of,
)
from core.steering.view import dose_sentence
from tests.core.steering.steeringsets import balanced_rows, read_by, read_table

NOTHING = Estimate(np.nan, np.nan, np.nan)


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.fixture
def few(monkeypatch):
    """Let a dose be measured in a second."""
    monkeypatch.setattr(strength_sweep, "STRENGTHS", (-0.2, -0.1, 0.0, 0.1, 0.2))
    monkeypatch.setattr(strength_sweep, "RANDOM", 4)
    monkeypatch.setattr(strength_sweep, "RANDOM_EACH", 2)


# The safe range ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        ({0.0: 0}, (0, 0)),
        ({}, (0, 0)),
        ({-0.2: 0.1, -0.1: 0.1, 0.0: 0, 0.1: 0.1, 0.2: 0.4}, (-0.2, 0.2)),
        ({-0.2: 9, -0.1: 0.1, 0.1: 0.1, 0.2: 0.4, 0.3: 0.6}, (-0.1, 0.2)),
        ({0.1: SAFE_KL}, (0, 0.1)),
        ({0.1: SAFE_KL + 1e-9}, (0, 0)),
        ({0.1: 0.1, 0.2: 0.9, 0.3: 0.1}, (0, 0.1)),  # safe means safe all the way
        ({-0.1: 0.9, -0.2: 0.1, 0.1: np.nan, 0.2: 0.1}, (0, 0)),
        ({-0.1: np.inf, 0.1: 0.1, 0.2: np.nan}, (0, 0.1)),
    ],
)
def test_the_safe_range_reaches_to_the_first_strength_that_is_not(kl, expected):
    for order in (list(kl), list(kl)[::-1]):
        assert safe_range({strength: kl[strength] for strength in order}) == expected


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
        monkeypatch.setattr(strength_sweep, "hold", self.hold)
        monkeypatch.setattr(strength_sweep, "steered_logits", self.steered)
        monkeypatch.setattr(strength_sweep, "log_odds", lambda _model, logits: logits)
        monkeypatch.setattr(strength_sweep, "neutral_cost", self.cost)

    def hold(self, _model, prompts, layer):
        self.asked.append((list(prompts), layer))
        return Held(layer, np.linspace(-1, 1, len(prompts)), ())

    def steered(self, _model, held, edits, positions):
        self.asked.append(positions)
        found = held.logits.copy()
        for edit in edits:
            (one,), (strength,) = edit.directions, edit.strengths
            found += self.gain * strength * float(one.vector @ self.truth)
            found += self.stir * abs(strength)  # what any push does
            found += self.size * self.noise.normal(size=len(found))
        return found

    def cost(self, _model, edits, _positions):
        (strength,) = [one.strengths[0] for one in edits] or [0.0]
        return (0.1 if -self.limits[0] <= strength <= self.limits[1] else 3.0), 20.0


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
        assert check.beats.value == 1
        assert check.effect.value == pytest.approx(2, abs=0.05)
        assert abs(check.shuffled.value) < 2
        assert (
            check.verdict
            == "moves held-out actions in its own sense, and beats 100% of random directions"
        )
    assert found.n_actions == len(held_out(made, axis))
    expected = [made.plan.prompts[row] for row in made.plan.rows[held_out(made, axis)]]
    assert planted.asked[0] == (expected, 1)
    assert set(planted.asked[1:]) == {"not first"}


def test_what_any_push_does_hides_the_push_and_cancels_in_the_sign(read_study, monkeypatch):
    """Gemma's case: random pushes raise approval as much as the moral direction does."""
    store, made = read_study
    truth = moral_direction(store, made, "harm", 1).vector  # of the pole that should lower approval
    Planted(monkeypatch, -truth, gain=10.0, stir=-100.0)
    found = measure_sweep(store, made, None, SweepSpec("harm", 1))
    assert found.push.effect.value == pytest.approx(0.2 * (10 + 100), abs=1e-4)
    assert found.push.random.value == pytest.approx(0.2 * 100, abs=1e-4)
    assert found.turn.effect.value == pytest.approx(2, abs=1e-4)
    assert found.turn.random.value == pytest.approx(0, abs=1e-9)
    assert found.turn.holds
    Planted(monkeypatch, np.roll(truth, 1), gain=0.0, stir=-100.0)
    found = measure_sweep(store, made, None, SweepSpec("harm", 1))
    assert found.push.effect.low > 0  # the interval over actions alone would let it count
    assert not found.push.holds
    assert found.turn.verdict.startswith("no effect")


def test_random_directions_are_pushed_both_ways_at_every_strength(read_study, monkeypatch):
    store, made = read_study
    own = moral_direction(store, made, "care-harm", 1)
    truth = random_direction(own, 0).vector  # one of the controls is the truth itself
    Planted(monkeypatch, truth, stir=3.0)
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))

    def drawn(count):
        some = np.array([random_direction(own, seed).vector @ truth for seed in range(count)])
        return np.concatenate([some, -some])

    for one in found.points:
        size = abs(one.strength)
        count = strength_sweep.RANDOM if size == 0.2 else strength_sweep.RANDOM_EACH
        expected = 10 * size * drawn(count)
        for band, pushes in ((one.random, expected + 3 * size), (one.random_turn, expected)):
            np.testing.assert_allclose(band, chance(pushes), atol=1e-5)
    assert found.points[-1].random == found.points[0].random  # an opposite is as random
    share = (drawn(strength_sweep.RANDOM) < own.vector @ truth).mean()
    assert found.push.beats.value == found.turn.beats.value == pytest.approx(share)
    assert 0 < found.push.beats.low < share < found.push.beats.high < 1


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
        assert check.beats.value == 0


def test_without_a_safe_strength_nothing_is_judged(read_study, monkeypatch):
    store, made = read_study
    planted = Planted(monkeypatch, np.ones(32), limits=(0.0, 0.0))
    found = measure_sweep(store, made, None, SweepSpec("care-harm", 1))
    assert (found.safe, found.calibrated, found.turned_at) == ((0, 0), 0, 0)
    assert np.isnan([*found.push.beats, *found.turn.beats]).all()
    assert dose_sentence(found).startswith("no safe strength")
    sizes = (len(strength_sweep.STRENGTHS) - 1) // 2
    assert (
        len(planted.asked) == len(strength_sweep.STRENGTHS) + 2 * sizes * strength_sweep.RANDOM_EACH
    )


def test_strengths_stand_for_both_signs():
    assert sorted(-one for one in strength_sweep.STRENGTHS) == list(strength_sweep.STRENGTHS)


# What may be said -------------------------------------------------------------------------------


def share(value):
    return Estimate(value, value - 0.1, value + 0.1)


@pytest.mark.parametrize(
    ("effect", "beats", "expected"),
    [
        (Estimate(1, 0.5, 2), 1.0, "in its own sense, and beats 100%"),
        (Estimate(1, 0.5, 2), 0.95, "and beats 95%"),
        (Estimate(1, 0.5, 2), 0.925, "but beats only 92%"),
        (Estimate(1, 0.5, 2), 0.0, "but beats only 0%"),
        (Estimate(1, 0.5, 2), np.nan, "but beats only"),
        (Estimate(1, 0.0, 2), 1.0, "no effect"),
        (Estimate(1, -0.1, 2), 1.0, "no effect"),
        (Estimate(-1, -2, -0.5), 1.0, "no effect"),
        (NOTHING, 1.0, "no effect"),
    ],
)
def test_the_verdict(effect, beats, expected):
    check = Check(effect, NOTHING, share(beats), NOTHING)
    assert expected in check.verdict
    assert check.holds == ("and beats" in check.verdict)


@pytest.mark.parametrize(
    ("beaten", "count", "low", "high"),
    [(37, 40, 0.8014, 0.9742), (40, 40, 0.9124, 1.0), (0, 40, 0.0, 0.0876), (20, 40, 0.352, 0.648)],
)
def test_a_share_has_wilsons_interval(beaten, count, low, high):
    found = strength_sweep._wilson(beaten / count, count)
    assert found == pytest.approx((beaten / count, low, high), abs=1e-4)


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
        assert (one.kl, one.perplexity) == neutral_cost(llama, edits, "all")
    none = next(one for one in found.points if one.strength == 0)
    assert (none.kl, none.effect) == (0, Estimate(0, 0, 0))


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
    monkeypatch.setattr(strength_sweep, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(steps)
    with pytest.raises(Cancelled):
        measure_sweep(store, made, llama, SweepSpec("care-harm", 1), report)
    assert len(seen) == steps + 1
    assert llama.lock.acquire(blocking=False)
    llama.lock.release()


def test_progress_only_grows_and_stays_within_its_total(read_study, llama, few, monkeypatch):
    monkeypatch.setattr(strength_sweep, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(10_000)
    measure_sweep(store, made, llama, SweepSpec("care-harm", 1), report)
    done = [one[0] / one[1] for one in seen]
    assert done == sorted(set(done))
    assert len(done) == 5 + 2 + 4
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
