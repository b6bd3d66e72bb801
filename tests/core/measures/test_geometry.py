"""Centres that never contain the text they score, against slow recomputation and planted truth."""

import numpy as np
import pytest
import scipy.stats

from core.dataset.labels import ENOUGH_TYPICAL, Labels, typical_members
from core.foundations import DIMENSIONS, TYPICAL_GRADE
from core.measures.geometry import (
    centred,
    centres,
    closeness,
    own_closeness,
    ranks_within,
    sentence_closeness,
    typicality,
)


def some_labels(rng, n=240, texts=None):
    """Return labels of which a third are typical and a tenth neutral."""
    dimension = rng.integers(0, 10, n)
    grade = rng.choice([0.25, 0.5, TYPICAL_GRADE], n)
    neutral = rng.random(n) < 0.1
    dimension[neutral], grade[neutral] = -1, 0
    group = np.arange(n) if texts is None else rng.integers(0, texts, n)
    return Labels(dimension, grade, group)


def slow_closeness(states, members, group):
    """Recompute every cosine from its own explicit centre."""
    result = np.full(members.shape, np.nan)
    for i, state in enumerate(states.astype(np.float64)):
        for column in range(members.shape[1]):
            others = states[members[:, column] & (group != group[i])].astype(np.float64)
            if len(others):
                centre = others.mean(axis=0)
                result[i, column] = (
                    state @ centre / (np.linalg.norm(state) * np.linalg.norm(centre))
                )
    return result


# Members and centres ----------------------------------------------------------------------------


def one_pole(grades, groups=None):
    grades = np.array(grades, float)
    group = np.arange(len(grades)) if groups is None else np.array(groups)
    return Labels(np.zeros(len(grades), np.int64), grades, group)


def test_with_enough_typical_texts_they_alone_make_the_centre():
    labels = one_pole([1.0] * ENOUGH_TYPICAL + [0.75] * 5)
    assert typical_members(labels)[:, 0].tolist() == [True] * ENOUGH_TYPICAL + [False] * 5


def test_with_too_few_the_highest_grades_fill_up():
    labels = one_pole([1.0] * 3 + [0.75] * 4 + [0.5] * 3 + [0.25] * 9)
    assert typical_members(labels)[:, 0].tolist() == [True] * 10 + [False] * 9


def test_rows_of_one_text_count_as_one_typical_text():
    labels = one_pole([1.0] * 12 + [0.5] * 12, [*[0] * 12, *range(1, 13)])
    assert typical_members(labels)[:, 0].all()


def test_a_category_smaller_than_that_is_all_of_its_members():
    assert typical_members(one_pole([0.5, 0.25]))[:, 0].all()


def test_neutral_items_are_members_of_nothing():
    labels = Labels(np.array([-1, -1]), np.zeros(2), np.arange(2))
    assert not typical_members(labels).any()


def test_a_members_column_is_its_own_pole():
    labels = some_labels(np.random.default_rng(0))
    rows, columns = np.nonzero(typical_members(labels))
    np.testing.assert_array_equal(labels.dimension[rows], columns)


def test_centres_are_the_mean_of_their_members_and_nan_without_any():
    members = np.zeros((4, 10), bool)
    members[:2, 3] = True
    found = centres(np.array([[1.0, 0], [3, 4], [9, 9], [9, 9]]), members)
    np.testing.assert_array_equal(found[3], [2, 2])
    assert np.isnan(np.delete(found, 3, axis=0)).all()


def test_centred_states_have_no_mean_even_beside_huge_coordinates():
    states = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    states[:, 2] += 88_064
    np.testing.assert_allclose(centred(states).mean(axis=0, dtype=float), 0, atol=1e-6)
    expected = states[:, 2].astype(float) - states[:, 2].mean(dtype=float)
    np.testing.assert_allclose(centred(states)[:, 2], expected, rtol=1e-6)


# Closeness --------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [None, 60], ids=["each its own text", "shared texts"])
def test_closeness_is_what_explicit_leave_one_out_gives(texts):
    rng = np.random.default_rng(0)
    labels = some_labels(rng, texts=texts)
    states = centred(rng.normal(size=(240, 16)) + 2 * rng.normal(size=(11, 16))[labels.dimension])
    members = typical_members(labels)
    close = closeness(states, members, labels.group)
    np.testing.assert_allclose(close, slow_closeness(states, members, labels.group), atol=1e-6)


def test_under_pure_noise_own_closeness_is_nothing_only_because_the_own_text_is_left_out():
    rng = np.random.default_rng(1)
    labels = some_labels(rng, n=600)
    states = centred(rng.normal(size=(600, 64)))
    members = typical_members(labels)
    typical = members.any(axis=1)
    fair = own_closeness(closeness(states, members, labels.group), labels)[typical]
    naive = own_closeness(closeness(states, members, np.arange(600) + 10**6), labels)[typical]
    np.testing.assert_array_equal(fair, naive)  # nobody else shares a text here
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    middle = centres(states, members)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    biased = (unit @ middle.T)[np.arange(600), labels.dimension][typical]
    error = fair.std() / np.sqrt(len(fair))
    assert abs(fair.mean()) < 4 * error
    assert biased.mean() > 20 * error


def test_under_pure_noise_other_rows_of_the_own_text_are_left_out_too():
    rng = np.random.default_rng(1)
    one = some_labels(rng, n=200)
    labels = Labels(*(np.repeat(column, 3) for column in one))
    states = centred(np.repeat(rng.normal(size=(200, 64)), 3, axis=0))
    members = typical_members(labels)
    typical = members.any(axis=1)
    fair = own_closeness(closeness(states, members, labels.group), labels)[typical]
    rows = own_closeness(closeness(states, members, np.arange(600)), labels)[typical]
    assert abs(np.mean(fair)) < 4 * fair.std() / np.sqrt(len(fair) / 3)
    assert np.mean(rows) > 0.15


def test_a_planted_direction_is_found_and_its_opposite_is_far():
    rng = np.random.default_rng(2)
    labels = some_labels(rng)
    directions = np.linalg.qr(rng.normal(size=(32, 5)))[0].T
    signed = np.vstack([np.stack([d, -d]) for d in directions])
    states = rng.normal(size=(240, 32)) * 0.3
    moral = labels.dimension >= 0
    states[moral] += 3 * signed[labels.dimension[moral]]
    found = typicality(closeness(centred(states), typical_members(labels), labels.group), labels)
    assert (found.nearest == labels.dimension)[moral].mean() > 0.99
    close = closeness(centred(states), typical_members(labels), labels.group)
    opposite = close[np.flatnonzero(moral), labels.dimension[moral] ^ 1]
    assert opposite.max() < 0


def test_a_planted_gradient_is_recovered_and_without_one_there_is_none():
    rng = np.random.default_rng(3)
    labels = some_labels(rng, n=800)
    moral = labels.dimension >= 0
    directions = np.linalg.qr(rng.normal(size=(48, 10)))[0].T
    noise = rng.normal(size=(800, 48)) * 0.3

    def correlation(dose):
        states = noise.copy()
        states[moral] += dose[moral, None] * directions[labels.dimension[moral]]
        close = closeness(centred(states), typical_members(labels), labels.group)
        ranks = typicality(close, labels)
        return scipy.stats.pearsonr(ranks.human[moral], ranks.model[moral]).statistic

    assert correlation(2 * labels.grade) > 0.8
    assert abs(correlation(np.ones(800))) < 0.1


def test_a_category_without_members_is_nan_and_never_the_nearest():
    rng = np.random.default_rng(0)
    labels = some_labels(rng)
    members = typical_members(labels)
    members[:, 4] = False
    close = closeness(centred(rng.normal(size=(240, 8))), members, labels.group)
    assert np.isnan(close[:, 4]).all()
    assert np.isfinite(np.delete(close, 4, axis=1)).all()
    found = typicality(close, labels)
    assert 4 not in found.nearest
    assert np.isnan(found.model[labels.dimension == 4]).all()


def test_the_only_member_of_a_category_has_no_centre_to_be_compared_with():
    members = np.zeros((3, 10), bool)
    members[0, 0] = True
    close = closeness(np.eye(3), members, np.array([5, 5, 6]))
    assert np.isnan(close[:2, 0]).all()
    assert np.isfinite(close[2, 0])


def test_without_any_centre_nothing_is_nearest():
    labels = Labels(np.array([-1, 2]), np.array([0, 0.5]), np.arange(2))
    found = typicality(np.full((2, 10), np.nan), labels)
    assert found.nearest.tolist() == [-1, -1]


def test_closeness_does_not_depend_on_the_scale_or_the_order_of_rows():
    rng = np.random.default_rng(0)
    labels = some_labels(rng, texts=80)
    states = centred(rng.normal(size=(240, 8)))
    members = typical_members(labels)
    close = closeness(states, members, labels.group)
    np.testing.assert_allclose(closeness(states * 9e4, members, labels.group), close, atol=1e-5)
    order = rng.permutation(240)
    moved = closeness(states[order], members[order], labels.group[order])
    np.testing.assert_allclose(moved, close[order], atol=1e-9)


def test_a_state_of_nothing_is_close_to_nothing():
    states = np.vstack([np.zeros(4), np.eye(4)])
    members = np.zeros((5, 10), bool)
    members[1:, 0] = True
    assert closeness(states, members, np.arange(5))[0, 0] == 0


# Typicality -------------------------------------------------------------------------------------


def test_own_closeness_is_the_own_column_and_nan_for_neutral_items():
    close = np.arange(20.0).reshape(2, 10)
    labels = Labels(np.array([3, -1]), np.array([1.0, 0]), np.arange(2))
    np.testing.assert_array_equal(own_closeness(close, labels), [3, np.nan])


def test_ranks_are_taken_within_the_own_pole_by_hand():
    labels = Labels(np.array([0, 0, 0, 1, 1, -1]), np.ones(6), np.arange(6))
    ranks = ranks_within(np.array([0.1, 0.9, 0.5, -3.0, -3.0, 7.0]), labels)
    np.testing.assert_allclose(ranks, [1 / 6, 5 / 6, 3 / 6, 0.5, 0.5, np.nan])


def test_a_value_that_is_missing_has_no_rank_and_moves_no_other():
    labels = Labels(np.zeros(3, np.int64), np.ones(3), np.arange(3))
    np.testing.assert_allclose(
        ranks_within(np.array([2.0, np.nan, 1.0]), labels), [0.75, np.nan, 0.25]
    )


def test_the_residual_is_positive_where_the_model_finds_an_item_less_typical_than_people():
    close = np.zeros((3, 10))
    close[:, 0] = [0.1, 0.5, 0.9]
    labels = Labels(np.zeros(3, np.int64), np.array([1.0, 0.5, 0.25]), np.arange(3))
    residual = typicality(close, labels).residual
    assert residual[0] > 0
    assert residual[1] == 0
    assert residual[2] < 0
    assert np.abs(residual).max() < 1


def test_human_and_model_ranks_use_the_same_scale_whatever_the_units():
    rng = np.random.default_rng(0)
    labels = some_labels(rng)
    close = np.tile(labels.grade[:, None] ** 3 * 0.01 - 0.5, (1, 10))
    found = typicality(close, labels)
    np.testing.assert_allclose(found.residual[labels.dimension >= 0], 0, atol=1e-12)
    assert np.isnan(found.residual[labels.dimension < 0]).all()


# A sentence of one's own ------------------------------------------------------------------------


def one_category(rng, d=64, k=30, n=600, signal=0.5):
    """Return states of which the first ``k`` lean towards one direction, and that direction."""
    direction = np.zeros(d)
    direction[0] = 1
    states = rng.normal(size=(n, d)) / np.sqrt(d)
    states[:k] += signal * direction
    members = np.zeros((n, 10), bool)
    members[:k, 0] = True
    return centred(states), members, direction


def test_a_sentences_cosine_is_that_to_the_mean_of_the_members():
    rng = np.random.default_rng(0)
    states, members, _ = one_category(rng)
    sentence = rng.normal(size=64)
    centre = states[members[:, 0]].mean(axis=0)
    expected = sentence @ centre / np.linalg.norm(sentence) / np.linalg.norm(centre)
    assert sentence_closeness(sentence, states, members)[0][0].value == pytest.approx(expected)


@pytest.mark.parametrize(("d", "k"), [(8, 200), (64, 30), (640, 10)])
def test_the_interval_holds_its_own_figure_however_noisy_the_centre(d, k):
    states, members, direction = one_category(np.random.default_rng(0), d=d, k=k)
    figure = sentence_closeness(direction, states, members)[0][0]
    assert figure.low < figure.value < figure.high


@pytest.mark.parametrize(("d", "signal"), [(64, 0.5), (64, 0.05), (640, 0.05)])
def test_the_interval_covers_what_other_members_would_give_about_95_times_in_100(d, signal):
    """The truth is the mean cosine over many draws of members: noise in a centre is part of it."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        states, members, direction = one_category(rng, d=d, n=200, signal=signal)
        oblique = 0.3 * direction + np.sqrt(1 - 0.3**2) * np.eye(d)[1]
        found.append(sentence_closeness(oblique, states, members, draws=1)[0][0])
    truth = np.mean([figure.value for figure in found])
    covered = np.mean([figure.low <= truth <= figure.high for figure in found])
    assert 0.91 <= covered <= 0.99


def test_rows_of_one_text_count_once_in_the_interval():
    states, members, direction = one_category(np.random.default_rng(0))
    once = sentence_closeness(direction, states, members)[0][0]
    rows = np.repeat(np.arange(600), 2)
    twice = sentence_closeness(direction, states[rows], members[rows], group=rows)[0][0]
    assert twice == pytest.approx(once, abs=1e-6)
    naive = sentence_closeness(direction, states[rows], members[rows])[0][0]
    assert naive.high - naive.low < 0.8 * (once.high - once.low)


def test_a_single_text_tells_nothing_about_the_spread():
    states, members, direction = one_category(np.random.default_rng(0), k=1)
    figure = sentence_closeness(direction, states, members)[0][0]
    assert (figure.low, figure.high) == (-1, 1)


def test_members_that_agree_wholly_leave_no_spread():
    states = np.vstack([np.tile([1.0, 0], (5, 1)), np.tile([-1.0, 0], (5, 1))])
    members = np.zeros((10, 10), bool)
    members[:5, 0] = True
    figure = sentence_closeness(np.array([1.0, 0]), states, members)[0][0]
    assert figure == pytest.approx((1, 1, 1), abs=1e-6)


def test_a_random_sentence_lies_in_the_chance_band_about_95_times_in_100():
    rng = np.random.default_rng(0)
    inside = []
    for seed in range(40):
        states, _, _ = one_category(rng, signal=0)
        members = np.zeros((600, 10), bool)
        members[rng.choice(600, 400, replace=False), np.repeat(np.arange(10), 40)] = True
        for figure, chance in sentence_closeness(
            rng.normal(size=64), states, members, draws=200, seed=seed
        ):
            inside.append(chance.low <= figure.value <= chance.high)
    assert 0.91 <= np.mean(inside) <= 0.98


def test_a_sentence_of_the_category_lies_above_the_chance_band():
    states, members, direction = one_category(np.random.default_rng(0))
    figure, chance = sentence_closeness(direction, states, members)[0]
    assert chance.high < figure.low
    assert chance.low < 0 < chance.high


def test_without_members_there_is_no_figure():
    states, members, direction = one_category(np.random.default_rng(0))
    figures = sentence_closeness(direction, states, members)
    assert len(figures) == len(DIMENSIONS)
    assert np.isnan(figures[1]).all()


def test_sentence_figures_depend_on_the_seed_alone():
    states, members, direction = one_category(np.random.default_rng(0))
    first = sentence_closeness(direction, states, members, seed=1)[0]
    assert first == sentence_closeness(direction, states, members, seed=1)[0]
    assert first != sentence_closeness(direction, states, members, seed=2)[0]
