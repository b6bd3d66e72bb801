"""Intervals of reported effects: beside the dense computation, only for what was selected."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from core.features.intervals import reported_effects
from core.statistics.scores import auroc_draws
from core.statistics.sparse_ranks import SortedCodes
from tests.core.features.latentsets import made_set, random_codes, same_length


def reported(dense, labels, chosen, selected, tokens=None, **how):
    codes = csr_array(dense)
    how = {"rare": 8, "draws": 200, "seed": 0, **how}
    tokens = same_length(len(dense)) if tokens is None else tokens
    return reported_effects(codes, SortedCodes.of(codes), labels, tokens, chosen, selected, **how)


def test_merging_silent_texts_does_not_change_the_interval_of_the_auroc():
    rng = np.random.default_rng(0)
    labels, split = made_set(400, rng)
    dense = random_codes(400, 3, rng, 0.2, 0.5)
    selected = np.zeros((3, 10), bool)
    selected[1, 4] = True
    found = reported(dense, labels, split.test, selected)
    n = int(split.test.sum())
    weights = np.random.default_rng([0, 8]).multinomial(n, np.full(n, 1 / n), 200)
    drawn = auroc_draws(
        torch.from_numpy(dense[split.test, 1:2]),
        torch.from_numpy(labels.membership[split.test, 4:5]),
        torch.arange(n),
        weights.astype(np.uint8),
    )
    expected = np.quantile(drawn, [0.025, 0.975])
    ends = found.low.membership[1, 4], found.high.membership[1, 4]
    np.testing.assert_allclose(ends, expected, atol=1e-6)


def test_intervals_hold_their_figure_and_only_selected_ones_have_one():
    rng = np.random.default_rng(1)
    labels, split = made_set(600, rng)
    dense = random_codes(600, 5, rng, 0.5, 0.8)
    selected = rng.random((5, 10)) < 0.5
    found = reported(dense, labels, split.test, selected, rare=3)
    for value, low, high, missed in zip(*found, strict=True):
        np.testing.assert_array_equal(np.isfinite(low), selected)
        np.testing.assert_array_equal(np.isfinite(missed), selected)
        assert (low[selected] < value[selected]).all()
        assert (value[selected] < high[selected]).all()
        assert np.isfinite(value).all()


def test_nineteen_of_twenty_intervals_hold_chance_for_latents_of_chance():
    rng = np.random.default_rng(2)
    labels, split = made_set(500, rng, test=0.8)
    dense = random_codes(500, 80, rng, 0.1, 0.4)
    found = reported(dense, labels, split.test, np.ones((80, 10), bool))
    for statistic, chance in (("membership", 0.5), ("within", 0), ("contrast", 0), ("gradient", 0)):
        low, high = (getattr(one, statistic) for one in (found.low, found.high))
        known = np.isfinite(low)
        assert 0.91 < ((low < chance) & (chance < high))[known].mean() < 0.98
        assert (low > chance)[known].mean() < 0.05


def test_a_membership_of_chance_is_hardly_ever_confirmed_on_few_texts():
    rng = np.random.default_rng(4)
    labels, split = made_set(220, rng, test=0.8)  # about 17 members per dimension
    dense = random_codes(220, 40, rng, 0.02, 0.1)
    found = reported(dense, labels, split.test, np.ones((40, 10), bool))
    assert (found.low.membership > 0.5).mean() < 0.025


def test_contrasts_and_gradients_of_latents_that_are_hardly_ever_on_have_no_interval():
    rng = np.random.default_rng(5)
    labels, split = made_set(300, rng)
    dense = random_codes(300, 3, rng, 0.5, 0.8)
    dense[np.flatnonzero(labels.membership[:, 0] > 0), 1] = 0
    found = reported(dense, labels, split.test, np.ones((3, 10), bool))
    assert np.isfinite(found.low.gradient[:, 0]).tolist() == [True, False, True]
    assert np.isfinite(found.low.membership[:, 0]).all()


def test_where_a_dimension_is_missing_nothing_is_reported():
    rng = np.random.default_rng(3)
    labels, split = made_set(300, rng)
    labels.membership[:, 7] = 0
    dense = random_codes(300, 2, rng)
    found = reported(dense, labels, split.test, np.ones((2, 10), bool))
    assert np.isnan(found.value.membership[:, 7]).all()
    assert np.isnan(found.low.membership[:, 7]).all()
    assert np.isnan(found.value.contrast[:, 6]).all()


def test_the_interval_of_strata_holds_each_draws_mean_over_strata():
    rng = np.random.default_rng(6)
    labels, split = made_set(400, rng)
    dense = np.round(random_codes(400, 2, rng, 0.3, 0.5))
    tokens = np.where(rng.random(400) < 0.4, 4, 9)
    selected = np.zeros((2, 10), bool)
    selected[1, 4] = True
    found = reported(dense, labels, split.test, selected, tokens)
    n = int(split.test.sum())
    weights = np.random.default_rng([0, 8]).multinomial(n, np.full(n, 1 / n), 200)
    own, member = dense[split.test, 1], labels.membership[split.test, 4] > 0
    drawn = []
    for times in weights:
        won = whole = 0.0
        for one in (4, 9):
            rows = np.repeat(np.arange(n), times)
            rows = rows[tokens[split.test][rows] == one]
            high, low = own[rows][member[rows]], own[rows][~member[rows]]
            above = (high[:, None] > low).sum() + (high[:, None] == low).sum() / 2
            won += above / len(rows)
            whole += len(high) * len(low) / len(rows)
        drawn.append(won / whole)
    expected = np.quantile(drawn, [0.025, 0.975])
    ends = found.low.membership[1, 4], found.high.membership[1, 4]
    np.testing.assert_allclose(ends, expected, atol=1e-5)
    assert found.missed.membership[1, 4] == pytest.approx(np.mean(np.array(drawn) <= 0.5))
