"""Dose and leakage: planted responses, plain recomputation, what may be said, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import CoreError, dose
from core.activations import load_or_extract
from core.dataset import builtin
from core.directions import DirectionError, moral_direction, random_direction
from core.dose import (
    SAFE_KL,
    Dose,
    DoseSpec,
    Point,
    held_out,
    measure_dose,
    measure_leakage,
    neutral_cost,
    safe_range,
    sense_of,
)
from core.foundations import DIMENSIONS, FOUNDATIONS
from core.progress import Cancelled, silent
from core.prompts import ReadSpec
from core.readout import ReadOut, read_out
from core.stats import Estimate, bootstrap_mean
from core.store import Store
from core.study import open_study
from tests.core.steeringsets import (
    balanced_rows,
    made_edit,
    opened,
    plain_logits,
    read_by,
    read_table,
)
from tests.core.test_traces_steering import hook_logits

NOTHING = Estimate(np.nan, np.nan, np.nan)


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory):
    return opened(tiny_gpt2_folder, tmp_path_factory)


@pytest.fixture(params=["llama", "gpt2"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def read_study(llama, tmp_path_factory):
    return read_by(llama, tmp_path_factory)


@pytest.fixture
def few(monkeypatch):
    """Let a dose be measured in a second."""
    monkeypatch.setattr(dose, "STRENGTHS", (-0.2, 0.0, 0.1, 0.2))
    monkeypatch.setattr(dose, "RANDOM", 4)


def point(strength, kl, effect=NOTHING):
    return Point(strength, effect, kl, 1.0, NOTHING)


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
    points = [point(strength, value) for strength, value in kl.items()]
    for order in (points, points[::-1]):
        assert safe_range(order) == expected


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


# Cost on neutral text ---------------------------------------------------------------------------


def by_hand(model, edits=(), first=0):
    """Return divergence and perplexity over every token after the first, by plain hooks."""
    kl, surprise = [], []
    for text in dose.NEUTRAL:
        ids = model.tokenizer(text)["input_ids"]
        before = torch.log_softmax(plain_logits(model, ids), dim=1)[:-1]
        chosen = torch.arange(len(ids)) >= first
        after = torch.log_softmax(hook_logits(model, ids, edits, chosen).double(), dim=1)[:-1]
        kl += (after.exp() * (after - before)).sum(dim=1).tolist()
        surprise += (-after[torch.arange(len(ids) - 1), ids[1:]]).tolist()
    return np.mean(kl), np.exp(np.mean(surprise))


@pytest.fixture
def short(model, monkeypatch):
    """Return a model and few words of neutral text: tiny tokenizers make many tokens of one."""
    monkeypatch.setattr(
        dose, "NEUTRAL", ("Rain is expected.", "He plays the piano", "Add flour", "A", "It is")
    )
    return model


def test_without_an_edit_neutral_text_costs_nothing_and_has_its_plain_perplexity(short):
    kl, perplexity = neutral_cost(short, [], "all")
    assert kl == 0
    assert perplexity == pytest.approx(by_hand(short)[1], rel=1e-4)


@pytest.mark.parametrize(("positions", "first"), [("all", 0), ("not first", 1), ("generated", 1)])
def test_the_cost_of_an_edit_is_that_of_plain_hooks(short, positions, first):
    """Under ``generated`` moving the last token alone would cost nothing and look safe."""
    edits = [made_edit((0.2,), layer=0), made_edit((0.1,), layer=2, seed=5)]
    kl, perplexity = neutral_cost(short, edits, positions)
    expected = by_hand(short, edits, first)
    assert kl == pytest.approx(expected[0], rel=1e-3)
    assert perplexity == pytest.approx(expected[1], rel=1e-3)
    assert kl > 0.01


def test_a_larger_dose_costs_more(model):
    costs = [neutral_cost(model, [made_edit((dose,))], "all")[0] for dose in (0.01, 0.1, 1.0)]
    assert costs == sorted(costs)


def test_numbers_that_are_not_finite_are_no_safe_cost(model):
    kl, _ = neutral_cost(model, [made_edit((4.0,), norm=1e38)], "all")
    assert not kl <= SAFE_KL
    assert safe_range([point(0.1, kl)]) == (0, 0)


# A planted response -----------------------------------------------------------------------------


class Planted:
    """A model whose read-out follows one direction and whose neutral text suffers by strength."""

    def __init__(self, monkeypatch, truth, gain=10.0, noise=0.0, limit=0.25):
        self.truth, self.gain, self.limit = truth, gain, limit
        self.noise = np.random.default_rng(0)
        self.size = noise
        self.asked = []
        monkeypatch.setattr(dose, "read_out", self.read_out)
        monkeypatch.setattr(dose, "neutral_cost", self.cost)

    def read_out(self, _model, prompts, edits, positions, **_):
        self.asked.append((list(prompts), positions))
        plain = np.zeros(len(prompts))
        move = sum(
            self.gain * strength * float(one.vector @ self.truth)
            for edit in edits
            for one, strength in zip(edit.directions, edit.strengths, strict=True)
        )
        steered = plain + move + self.size * self.noise.normal(size=len(prompts)) * bool(edits)
        return ReadOut(plain, steered, plain, plain)

    def cost(self, _model, edits, _positions):
        strength = max((abs(one.strengths[0]) for one in edits), default=0.0)
        return (0.1 if strength <= self.limit else 3.0) * bool(strength), 20.0


@pytest.mark.parametrize("axis", ["care-harm", "care", "harm", "cheating"])
def test_a_planted_effect_is_found_in_its_own_sense(read_study, monkeypatch, axis):
    store, made = read_study
    truth = moral_direction(store, made, axis, 1).vector * sense_of(axis)
    planted = Planted(monkeypatch, truth, noise=0.01)
    found = measure_dose(store, made, None, DoseSpec(axis, 1))
    assert found.sense == sense_of(axis)
    assert [one.strength for one in found.points] == sorted(dose.STRENGTHS)
    for one in found.points:
        assert one.effect.value == pytest.approx(10 * one.strength, abs=0.05)
        assert one.effect.low <= one.effect.value <= one.effect.high
    assert found.safe == (-0.2, 0.2)
    assert found.calibrated == 0.2
    assert found.beats_random == 1
    assert abs(found.shuffled.value) < 2
    assert found.n_actions == len(held_out(made, axis))
    assert found.verdict == "moves held-out actions in its own sense, beyond 100% of random"
    random = {one.strength for one in found.points if np.isfinite(one.random.value)}
    assert random == {0.2}
    expected = [made.plan.prompts[row] for row in made.plan.rows[held_out(made, axis)]]
    assert all(asked == (expected, "not first") for asked in planted.asked)


def test_random_directions_have_the_calibrated_strength_and_count_as_they_fall(
    read_study, monkeypatch
):
    store, made = read_study
    own = moral_direction(store, made, "care-harm", 1)
    truth = random_direction(own, 0).vector  # one of the controls is the truth itself
    Planted(monkeypatch, truth)
    found = measure_dose(store, made, None, DoseSpec("care-harm", 1))
    drawn = np.array([random_direction(own, seed).vector @ truth for seed in range(dose.RANDOM)])
    share = (drawn < own.vector @ truth).mean()
    assert found.beats_random == pytest.approx(share)
    best = next(one for one in found.points if one.strength == found.calibrated)
    assert best.random.value == pytest.approx(10 * 0.2 * drawn.mean(), abs=1e-5)


def test_a_wrong_sense_is_no_effect(read_study, monkeypatch):
    store, made = read_study
    Planted(monkeypatch, -moral_direction(store, made, "care-harm", 1).vector)
    found = measure_dose(store, made, None, DoseSpec("care-harm", 1))
    assert found.verdict == "no effect in its own sense on held-out actions"
    assert found.beats_random == 0


def test_without_a_safe_strength_no_control_is_asked(read_study, monkeypatch):
    store, made = read_study
    planted = Planted(monkeypatch, np.ones(32), limit=0.0)
    found = measure_dose(store, made, None, DoseSpec("care-harm", 1))
    assert (found.safe, found.calibrated) == ((0, 0), 0)
    assert np.isnan(found.beats_random)
    assert found.n_actions == len(held_out(made, "care-harm"))
    assert found.verdict.startswith("no safe strength")
    assert len(planted.asked) == len(dose.STRENGTHS)


# What may be said -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calibrated", "effect", "beats", "expected"),
    [
        (0.0, NOTHING, np.nan, "no safe strength"),
        (0.1, Estimate(1, 0.5, 2), 1.0, "moves held-out actions in its own sense, beyond 100%"),
        (0.1, Estimate(1, 0.5, 2), 0.95, "beyond 95%"),
        (0.1, Estimate(1, 0.5, 2), 0.925, "beats only 92%"),
        (0.1, Estimate(1, 0.5, 2), 0.0, "beats only 0%"),
        (0.1, Estimate(1, 0.5, 2), np.nan, "beats only"),
        (0.1, Estimate(1, 0.0, 2), 1.0, "no effect"),
        (0.1, Estimate(1, -0.1, 2), 1.0, "no effect"),
        (0.1, Estimate(-1, -2, -0.5), 1.0, "no effect"),
        (0.1, NOTHING, 1.0, "no effect"),
    ],
)
def test_the_verdict(calibrated, effect, beats, expected):
    points = (point(-0.1, 0.1), point(0.0, 0.0), point(0.1, 0.1, effect))
    made = Dose(DoseSpec("care", 1), 1, 9, points, (-0.1, calibrated), calibrated, beats, NOTHING)
    assert expected in made.verdict


# On a real model --------------------------------------------------------------------------------


def test_a_dose_of_a_tiny_model_is_that_of_its_parts(read_study, llama, few):
    store, made = read_study
    spec = DoseSpec("care-harm", 1, positions="all")
    found = measure_dose(store, made, llama, spec)
    assert measure_dose(store, made, llama, spec).points[-1].effect == found.points[-1].effect
    prompts = [made.plan.prompts[row] for row in made.plan.rows[held_out(made, "care-harm")]]
    direction = moral_direction(store, made, "care-harm", 1)
    for one in found.points:
        edits = [dose._edit(store, made, direction, one.strength)] if one.strength else []
        shift = read_out(llama, prompts, edits, "all").shift
        assert one.effect.value == pytest.approx(shift.mean(), abs=1e-5)
        assert (one.kl, one.perplexity) == neutral_cost(llama, edits, "all")
    none = next(one for one in found.points if one.strength == 0)
    assert (none.kl, none.effect) == (0, Estimate(0, 0, 0))


@pytest.mark.parametrize("method", ["probe", "shuffled"])
def test_other_ways_of_making_a_direction_are_measured_too(read_study, llama, few, method):
    store, made = read_study
    found = measure_dose(store, made, llama, DoseSpec("harm", 2, method, "mean", "generated"))
    assert found.sense == -1
    assert len(found.points) == 4


def cancel_after(steps):
    seen = []

    def report(done, total, text):
        seen.append((done, total, text))
        if len(seen) > steps:
            raise Cancelled

    return seen, report


@pytest.mark.parametrize("steps", [0, 2, 5])
def test_a_dose_can_be_cancelled_between_steps(read_study, llama, few, monkeypatch, steps):
    monkeypatch.setattr(dose, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(steps)
    with pytest.raises(Cancelled):
        measure_dose(store, made, llama, DoseSpec("care-harm", 1), report)
    assert len(seen) == steps + 1
    assert llama.lock.acquire(blocking=False)
    llama.lock.release()


def test_progress_only_grows_and_stays_within_its_total(read_study, llama, few, monkeypatch):
    monkeypatch.setattr(dose, "SAFE_KL", 1e9)
    store, made = read_study
    seen, report = cancel_after(10_000)
    measure_dose(store, made, llama, DoseSpec("care-harm", 1), report)
    done = [one[0] for one in seen]
    assert done == sorted(set(done))
    assert {one[1] for one in seen} == {4 + 4 + 1}
    assert done[-1] < 9


def test_a_dose_of_an_unknown_axis_or_layer_is_refused(read_study, llama):
    store, made = read_study
    for spec in (DoseSpec("courage", 1), DoseSpec("care-harm", 3)):
        with pytest.raises(DirectionError):
            measure_dose(store, made, llama, spec)


# Leakage ----------------------------------------------------------------------------------------


def test_leakage_is_a_row_per_pole_and_two_controls(read_study, llama):
    store, made = read_study
    found = measure_leakage(store, made, llama, 1, 0.1, positions="all", report=silent)
    assert found.rows == (*DIMENSIONS, "random", "shuffled labels")
    assert found.columns == DIMENSIONS
    assert found.shift.shape == (12, 10)
    assert np.isfinite(found.shift).all()
    for row, column in ((0, 0), (3, 8), (9, 1)):
        rows = held_out(made, DIMENSIONS[column], 8)
        assert found.counts[column] == len(rows)
        direction = moral_direction(store, made, DIMENSIONS[row], 1)
        edits = [dose._edit(store, made, direction, 0.1)]
        prompts = [made.plan.prompts[one] for one in made.plan.rows[rows]]
        expected = read_out(llama, prompts, edits, "all").shift.mean()
        assert found.shift[row, column] == pytest.approx(expected, abs=1e-4)
    first = moral_direction(store, made, "care", 1)
    control = dose._edit(store, made, random_direction(first, 0), 0.1)
    assert np.linalg.norm(control.vectors) == pytest.approx(1, abs=1e-6)


def test_poles_without_items_are_nan_rows_and_no_columns(llama, tmp_path_factory):
    rows = balanced_rows(foundations=("care-harm", "loyalty-betrayal"))
    store, made = read_by(llama, tmp_path_factory, rows)
    found = measure_leakage(store, made, llama, 1, 0.1)
    assert found.columns == ("care", "harm", "loyalty", "betrayal")
    assert found.shift.shape == (12, 4)
    empty = np.isnan(found.shift).all(axis=1)
    assert [name for name, none in zip(found.rows, empty, strict=True) if none] == [
        name for name in DIMENSIONS if name not in found.columns
    ]
    assert not np.isnan(found.shift[~empty]).any()


def test_leakage_names_what_is_wrong(read_study, llama, store):
    kept, made = read_study
    with pytest.raises(DirectionError, match="no layer 7 to steer at"):
        measure_leakage(kept, made, llama, 7, 0.1)
    with pytest.raises(CoreError, match="has not read"):
        measure_leakage(store, made, llama, 1, 0.1)
    train = replace(made, items=made.items.take(made.items.split == "train"))
    only = open_study(train.items, llama.card, ReadSpec())
    load_or_extract(store, only.plan, lambda: llama)
    with pytest.raises(CoreError, match="no held-out actions"):
        measure_leakage(store, only, llama, 1, 0.1)


def test_leakage_can_be_cancelled(read_study, llama):
    store, made = read_study
    seen, report = cancel_after(3)
    with pytest.raises(Cancelled):
        measure_leakage(store, made, llama, 1, 0.1, report=report)
    assert len(seen) == 4


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
        edits = [dose._edit(store, made, direction, strength)]
        return bootstrap_mean(
            read_out(gemma, prompts, edits, "not first").shift, np.arange(len(rows))
        )

    towards, away = shift(own, 0.1), shift(own, -0.1)
    assert towards.low > 0 > away.high
    assert towards.value - away.value > abs(
        shift(shuffled, 0.1).value - shift(shuffled, -0.1).value
    )
    assert neutral_cost(gemma, [dose._edit(store, made, own, 0.1)], "not first")[0] < SAFE_KL
