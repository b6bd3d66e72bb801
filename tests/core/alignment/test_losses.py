"""Losses of alignment against plain loops, finite differences and exact cases."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.alignment.losses import SCALE, debiased_cka, divergence, order_loss, unit_rows


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_hsic(one, other):
    """Return the unbiased HSIC by its definition over sums of pairs, triples and quadruples."""
    n = len(one)
    pairs = triples = quadruples = 0.0
    for i in range(n):
        for j in range(n):
            if j == i:
                continue
            pairs += float(one[i, j] * other[i, j])
            for q in range(n):
                if q in (i, j):
                    continue
                triples += float(one[i, j] * other[i, q])
                for r in range(n):
                    if r not in (i, j, q):
                        quadruples += float(one[i, j] * other[q, r])
    falling = [math.perm(n, k) for k in (2, 3, 4)]
    return pairs / falling[0] - 2 * triples / falling[1] + quadruples / falling[2]


def test_cka_is_its_definition_over_quadruples():
    states, target = drawn(7, 3), drawn(7, 2, seed=1)
    one, other = states @ states.T, target @ target.T
    expected = slow_hsic(one, other) / math.sqrt(slow_hsic(one, one) * slow_hsic(other, other))
    assert float(debiased_cka(states, target)) == pytest.approx(expected, abs=1e-10)


def test_cka_is_1_for_turned_states_and_about_0_for_others():
    states = drawn(60, 4)
    turn = torch.linalg.qr(drawn(4, 4, seed=2)).Q
    assert float(debiased_cka(states, 3 * states @ turn)) == pytest.approx(1, abs=1e-9)
    # The plain figure of so wide a noise would be near 1.
    chance = [float(debiased_cka(drawn(60, 500, seed=s), drawn(60, 5, seed=-s))) for s in range(9)]
    assert abs(np.mean(chance)) < 0.05


def slow_order(states, grades):
    """Return the order loss pair by pair."""
    poles = []
    for column in range(grades.shape[1]):
        rows = [row for row in range(len(grades)) if grades[row, column] > 0]
        if len(rows) < 3:
            continue
        close = []
        for row in rows:
            centre = sum(states[other] for other in rows if other != row)
            close.append(float(functional.cosine_similarity(states[row], centre, dim=0)))
        costs = [
            math.log1p(math.exp(-(close[a] - close[b]) / SCALE))
            for a in range(len(rows))
            for b in range(len(rows))
            if grades[rows[a], column] > grades[rows[b], column]
        ]
        if costs:
            poles.append(sum(costs) / len(costs))
    return sum(poles) / len(poles)


def test_order_is_the_mean_over_pairs_of_a_pole_and_ties_cost_nothing():
    states = functional.normalize(drawn(24, 5), dim=1)
    rng = np.random.default_rng(0)
    grades = torch.tensor(rng.choice([0, 0, 0.25, 0.5, 1.0], (24, 10)))
    assert float(order_loss(states, grades)) == pytest.approx(slow_order(states, grades), rel=1e-9)
    assert float(order_loss(states, torch.ones(24, 10))) == 0
    assert float(order_loss(states, torch.zeros(24, 10))) == 0


def test_order_is_low_where_the_typical_lie_near_the_centre():
    grades = torch.zeros(9, 10, dtype=torch.float64)
    grades[:, 0] = torch.linspace(0.1, 1, 9)
    angle = torch.linspace(1.5, 0, 9, dtype=torch.float64)
    side = torch.tensor([1, -1] * 4 + [1], dtype=torch.float64)
    good = torch.stack([angle.cos(), side * angle.sin()], dim=1)
    assert float(order_loss(good, grades)) < 0.3
    assert float(order_loss(good.flip(0), grades)) > 2


@pytest.mark.parametrize(
    "loss",
    [
        lambda states: debiased_cka(
            unit_rows(states, torch.ones(4).double()), drawn(12, 3, seed=4)
        ),
        lambda states: order_loss(
            unit_rows(states, torch.ones(4).double()),
            torch.tensor(np.random.default_rng(1).choice([0, 0.3, 0.6, 1.0], (12, 10))),
        ),
        lambda states: divergence(
            states, drawn(6, 12, 4, seed=5), torch.arange(12).div(4, rounding_mode="floor")
        ),
    ],
    ids=["cka", "order", "divergence"],
)
def test_gradients_are_those_of_finite_differences(loss):
    assert torch.autograd.gradcheck(loss, (drawn(12, 4, seed=3).requires_grad_(),))


def test_a_push_that_all_share_is_no_geometry():
    states, spread = drawn(20, 6), drawn(6, seed=1).abs() + 0.1
    moved = unit_rows(states + 100, spread)
    torch.testing.assert_close(moved, unit_rows(states, spread), atol=1e-9, rtol=0)
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(20, dtype=torch.float64))


def test_the_divergence_of_a_small_change_is_the_exact_one():
    """A text of three tokens, each read by a linear head of five words."""
    head, states, change = drawn(4, 5), drawn(3, 4, seed=1), 0.02 * drawn(3, 4, seed=2)
    before, after = (torch.log_softmax(one @ head, dim=1) for one in (states, states + change))
    exact = float((before.exp() * (before - after)).sum() / 3)
    generator, leaf = torch.Generator().manual_seed(0), states.clone().requires_grad_()
    logs = torch.log_softmax(leaf @ head, dim=1)
    words = torch.multinomial(logs.detach().exp(), 4000, replacement=True, generator=generator)
    likelihood = logs.gather(1, words).sum(dim=0)
    scores = torch.stack(
        [torch.autograd.grad(one, leaf, retain_graph=True)[0] for one in likelihood]
    )
    found = float(divergence(change, scores, torch.zeros(3, dtype=torch.int64)))
    assert found == pytest.approx(exact, rel=0.1)
