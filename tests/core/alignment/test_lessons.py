"""Lessons minimise what they say; a training that was stopped ends with the same bits."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.alignment.lessons import (
    COMPARED_SIZE,
    GAP,
    ReconstructionOnly,
    Repaired,
    Triplets,
    triplets_of,
)
from core.alignment.losses import debiased_cka, distance_similarity, triplet_loss, unit_rows
from core.alignment.lowrank import LowRank
from core.alignment.paper import Paper, choose_banks
from core.alignment.spec import AlignmentError, AlignSpec
from core.alignment.splice import Splice
from core.alignment.train import learn
from core.runtime.progress import Cancelled
from tests.core.alignment.alignsets import planted
from tests.core.alignment.test_losses import drawn

QUICK = AlignSpec(latents=2, steps=60, batch=96, rate=5e-3, edit=0.1, order=0.1, patience=9)


# --- losses ---


def test_similarity_is_pearsons_correlation_of_all_distances():
    states, target = torch.nn.functional.normalize(drawn(12, 4), dim=1), drawn(12, 3, seed=1)
    own, wanted = [], []
    for i in range(12):
        for j in range(i):
            own.append(1 - float(states[i] @ states[j]))
            wanted.append(float((target[i] - target[j]).norm()))
    expected = np.corrcoef(own, wanted)[0, 1]
    assert float(distance_similarity(states, target)) == pytest.approx(expected, abs=1e-10)


def test_triplets_cost_what_their_formula_says():
    states = torch.nn.functional.normalize(drawn(6, 4), dim=1)
    triplets = torch.tensor([[0, 1, 2], [3, 4, 5], [1, 0, 5]])
    costs = [
        np.log1p(np.exp((0.05 - float(states[a] @ states[b] - states[a] @ states[c])) / 0.1))
        for a, b, c in triplets
    ]
    assert float(triplet_loss(states, triplets)) == pytest.approx(np.mean(costs))
    assert float(triplet_loss(states, triplets[:0])) == 0


def test_triplets_are_those_of_a_foundation_whose_distances_differ():
    rng = np.random.default_rng(0)
    foundation = rng.integers(0, 3, 20)
    membership = np.zeros((20, 10))
    membership[np.arange(20), 2 * foundation + rng.integers(0, 2, 20)] = rng.choice(
        [0.25, 0.5, 1.0], 20
    )
    expected = {
        (a, b, c)
        for a in range(20)
        for b in range(20)
        for c in range(20)
        if foundation[a] == foundation[b] == foundation[c]
        and a != b
        and a != c
        and np.linalg.norm(membership[a] - membership[c])
        - np.linalg.norm(membership[a] - membership[b])
        >= GAP
    }
    assert set(map(tuple, triplets_of(membership, foundation, None).tolist())) == expected
    some = triplets_of(membership, foundation, np.random.default_rng(1), most=4)
    assert set(map(tuple, some.tolist())) <= expected
    assert np.bincount(some[:, 0]).max() == 4
    assert len(triplets_of(membership * 0, foundation, None)) == 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda one: distance_similarity(
            unit_rows(one, torch.ones(4).double()), drawn(12, 3, seed=4)
        ),
        lambda one: triplet_loss(
            unit_rows(one, torch.ones(4).double()), torch.tensor([[0, 1, 2], [3, 4, 5]])
        ),
    ],
    ids=["similarity", "triplets"],
)
def test_gradients_are_those_of_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, (drawn(12, 4, seed=3).requires_grad_(),))


# --- lessons ---


def lesson_of(kind, made=None):
    dictionary, data, moral = made or planted()
    if kind == "paper":
        banks = choose_banks(dictionary, data)
        return Paper(Splice(dictionary, banks.latents, unit=True), banks, data, QUICK)
    if kind == "LoReFT":
        return Repaired(LowRank(dictionary, data.states, 0), data, QUICK)
    kinds = {"reconstruction only": ReconstructionOnly, "triplets": Triplets}
    return kinds.get(kind, Repaired)(Splice(dictionary, moral), data, QUICK)


KINDS = ["repaired", "paper", "LoReFT", "reconstruction only", "triplets"]


@pytest.mark.parametrize("kind", KINDS)
def test_everything_lies_on_the_dictionarys_device(kind):
    """What is made without a device goes to another one here, and the two do not mix."""
    made = planted()
    with torch.device("meta"):
        lesson = lesson_of(kind, made)
        lesson.draw(np.random.default_rng(0)).backward()
        with torch.no_grad():
            told = lesson.check(0, np.random.default_rng(0))
            lesson.changed.settle()
        patch = lesson.changed.patch()
    assert np.isfinite(told.loss)
    assert patch.w_dec.device.type == "cpu"
    for one in lesson.changed.weights.values():
        assert one.grad.device.type == "cpu"


def test_reconstruction_is_the_variance_missed_and_falls():
    dictionary, data, _ = planted()
    trained = learn(lesson_of("reconstruction only"), 0)
    assert trained.curve[trained.best].loss < trained.curve[0].loss - 0.01
    starts, rows = data.starts, data.of("validation")
    where = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
    states = torch.from_numpy(data.states[where])
    after = trained.patch.applied(dictionary, "after", {})
    missed = (states - after.decode(after.encode(states))).square().sum()
    whole = (states - states.mean(dim=0)).square().sum()
    found = trained.curve[trained.best].loss
    assert found == pytest.approx(float(missed / whole), rel=1e-4)


def test_triplets_bring_together_what_people_place_together():
    trained = learn(lesson_of("triplets"), 0)
    first, best = trained.curve[0], trained.curve[trained.best]
    assert best.loss < first.loss - 0.02
    assert best.similarity > first.similarity


def test_each_objective_lifts_its_own_figure():
    dictionary, data, moral = planted()
    for objective, figure in (("cka", "geometry"), ("rsa", "similarity")):
        spec = replace(QUICK, objective=objective, edit=0, order=0, stay=0)
        trained = learn(Repaired(Splice(dictionary, moral), data, spec), 0)
        first, best = trained.curve[0], trained.curve[trained.best]
        assert getattr(best, figure) > getattr(first, figure) + 0.1
        assert best.loss == pytest.approx(1 - getattr(best, figure), abs=1e-6)
        assert best.merit > first.merit or objective == "rsa"


def test_merit_counts_no_more_than_a_change_of_the_compared_size():
    lesson = lesson_of("repaired")
    with torch.no_grad():
        for one in lesson.changed.weights.values():
            one += 0.3 * torch.randn(one.shape, generator=torch.Generator().manual_seed(0))
        told = lesson.check(0, np.random.default_rng(0))
        share = (COMPARED_SIZE / told.size) ** 0.5
        assert share < 1
        validation = lesson.validation
        change = lesson.moved(validation, validation.every, share)
        reached = float(debiased_cka(*change[1:3]))
    assert told.merit == pytest.approx(reached, abs=1e-6)
    assert told.merit != pytest.approx(told.geometry, abs=1e-4)


# --- stopping and going on ---


def stopping(after):
    """Return a report that stops when it is called for the nth time."""
    calls = iter(range(after))

    def report(*_):
        if next(calls, None) is None:
            raise Cancelled

    return report


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_stopped_twice_ends_with_the_same_bits(kind, tmp_path):
    whole = learn(lesson_of(kind), 4)
    path, curve = tmp_path / "state.safetensors", []
    for calls in (2, 3):
        with pytest.raises(Cancelled):
            learn(lesson_of(kind), 4, path=path, report=stopping(calls), curve=curve)
        assert path.is_file()
    told = len(curve)
    again = learn(lesson_of(kind), 4, path=path, curve=curve)
    assert 1 < told < len(whole.curve)
    for name in ("w_enc", "b_enc", "w_dec"):
        one, other = getattr(whole.patch, name), getattr(again.patch, name)
        assert one.numpy().tobytes() == other.numpy().tobytes()
    assert json.dumps(again.curve) == json.dumps(whole.curve) == json.dumps(curve)
    assert (again.best, again.silent) == (whole.best, whole.silent)


def test_a_state_that_is_damaged_or_of_another_training_is_begun_anew(tmp_path):
    path = tmp_path / "state.safetensors"
    with pytest.raises(Cancelled):
        learn(lesson_of("repaired"), 0, path=path, report=stopping(3))
    kept = path.read_bytes()
    expected = learn(lesson_of("repaired"), 1)
    other = learn(lesson_of("repaired"), 1, path=path)  # of another seed
    assert torch.equal(other.patch.w_dec, expected.patch.w_dec)
    expected = learn(lesson_of("LoReFT"), 0)
    path.write_bytes(kept)
    low = learn(lesson_of("LoReFT"), 0, path=path)  # of other weights
    assert torch.equal(low.patch.w_dec, expected.patch.w_dec)
    path.write_bytes(kept[: len(kept) // 2])
    begun = learn(lesson_of("repaired"), 1, path=path)
    assert torch.equal(begun.patch.w_dec, other.patch.w_dec)


def test_a_loss_that_is_no_number_leaves_no_state_behind(tmp_path):
    path, lesson = tmp_path / "state.safetensors", lesson_of("repaired")
    with pytest.raises(Cancelled):
        learn(lesson, 0, path=path, report=stopping(2))
    assert all(bool(one.isfinite().all()) for one in load_file(path).values())
    broken = lesson_of("repaired")
    broken.draw = lambda rng: broken.changed.strayed() * float("nan")
    with pytest.raises(AlignmentError, match="no longer a number"):
        learn(broken, 0, path=path)
    assert not path.exists()
