"""Typicality gradient: against plain loops, planted truth, pure noise and bad input."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from core.dataset.labels import Labels, typical_members
from core.foundations import DIMENSIONS
from core.measures import gradients
from core.measures.cohort import Cohort
from core.measures.geometry import centred
from core.measures.gradients import HIGHEST, VARIANTS, fisher_mean, measure
from core.measures.result import ALL
from core.measures.shuffled_gradients import null_correlations

TYPICALITY = VARIANTS[:1]


def made_cohort(n=300, seed=0, texts=None, grades=(0.25, 0.5, 0.75, 1.0), poles=3, **options):
    """Return rows of five foundations and ``poles``; ``texts``: that many, at random."""
    rng = np.random.default_rng(seed)
    foundation, pole = rng.integers(0, 5, n), rng.integers(0, poles, n)
    grade = np.where(pole == 2, 0, rng.choice(grades, n))
    dimension = np.where(pole == 2, -1, 2 * foundation + pole)
    group = np.arange(n) if texts is None else rng.integers(0, texts, n)
    labels = Labels(dimension, grade, group)
    vectors = np.zeros((n, 10), np.float32)
    members = typical_members(labels)
    options = {"draws": 0, "shuffles": 0, **options}
    return Cohort(labels, foundation, vectors, members, np.arange(n), seed=seed, **options)


def noise(cohort, width=24, seed=0):
    """Return independent states, equal ones for rows that share a text."""
    rows = np.random.default_rng([seed, 77]).normal(size=(cohort.n_texts, width))
    return centred(rows[cohort.text])


def planted(cohort, strength=1.0, width=24, seed=0):
    """Return noise with a direction per pole, the grade being its dose."""
    own = np.random.default_rng(3).normal(size=(11, width)) / np.sqrt(width)
    own[-1] = 0
    dose = strength * np.sqrt(width) * cohort.labels.grade[:, None] * own[cohort.labels.dimension]
    return centred(noise(cohort, width, seed) + dose)


def figures_of(measured, name=VARIANTS[0]):
    return {one.part: one for one in measured.figures if one.name == name}


# Plain loops ------------------------------------------------------------------------------------


def cosine(one, other):
    return one @ other / np.sqrt((one @ one) * (other @ other))


def plain_closeness(states, members, text, row, column):
    others = [i for i in np.flatnonzero(members[:, column]) if text[i] != text[row]]
    if not others:
        return np.nan
    return cosine(states[row], np.mean([states[i] for i in others], axis=0))


def plain_pole(states, cohort, taker, column, variant, digits=9):
    """Return a pole's correlation if row ``taker[i]`` has the labels of row ``i``."""
    states, n = states.astype(float), len(cohort)
    dimension, grade, members = np.empty(n, int), np.empty(n), np.empty((n, 10), bool)
    dimension[taker], grade[taker] = cohort.labels.dimension, cohort.labels.grade
    members[taker] = cohort.members
    close, people, texts = [], [], set()
    for row in range(n):
        neutral = dimension[row] < 0 and cohort.foundation[row] == column // 2
        if dimension[row] != column and not (variant == VARIANTS[1] and neutral):
            continue
        own = plain_closeness(states, members, cohort.text, row, column)
        if variant == VARIANTS[2]:
            own -= plain_closeness(states, members, cohort.text, row, column ^ 1)
        if np.isnan(own):
            continue
        close.append(round(own, digits))  # what differs by rounding is the same
        people.append(grade[row])
        texts.add(cohort.text[row])
    if len(texts) < 5 or len(set(people)) == 1 or len(set(close)) == 1:
        return np.nan, 0
    return spearmanr(close, people).statistic, len(texts)


def plain_mean(pairs):
    """Return the weighted mean on Fisher's scale of pairs of correlation and texts."""
    known = [(np.clip(r, -HIGHEST, HIGHEST), max(n - 3, 1)) for r, n in pairs if not np.isnan(r)]
    if not known:
        return np.nan
    r, weight = np.array(known).T
    return np.tanh(np.average(np.arctanh(r), weights=weight))


@pytest.mark.parametrize("texts", [None, 110], ids=["each its own text", "shared texts"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_figures_are_those_of_a_plain_loop(variant, texts):
    cohort = made_cohort(220, seed=4, texts=texts)
    if texts:  # some centre holds several rows of one text
        assert any(
            np.bincount(cohort.text[cohort.members[:, column]]).max() > 1 for column in range(10)
        )
    states = planted(cohort, 0.5)
    found = figures_of(measure(states, cohort), variant)
    pairs = []
    for column, part in enumerate(DIMENSIONS):
        pairs.append(plain_pole(states, cohort, np.arange(220), column, variant))
        assert found[part].observed.value == pytest.approx(pairs[-1][0], abs=1e-6, nan_ok=True)
    assert found[ALL].observed.value == pytest.approx(plain_mean(pairs), abs=1e-6)


@pytest.mark.parametrize("texts", [None, 90], ids=["each its own text", "shared texts"])
def test_the_null_is_a_plain_loop_over_shuffled_labels(texts):
    cohort = made_cohort(160, seed=2, texts=texts, shuffles=4)
    states = planted(cohort, 0.5)
    states[:, 0] *= 5  # one large coordinate, as in real models
    null = null_correlations(states, cohort, VARIANTS)
    taken = cohort.takers
    expected = np.array(
        [
            [
                [plain_pole(states, cohort, taken[s], column, v)[0] for column in range(10)]
                for s in range(4)
            ]
            for v in VARIANTS
        ]
    )
    np.testing.assert_allclose(null, expected, atol=1e-4)
    assert np.isfinite(expected).mean() > 0.8
    measured = measure(states, cohort)
    for s in range(4):
        pairs = [plain_pole(states, cohort, taken[s], column, VARIANTS[0]) for column in range(10)]
        assert measured.null[s] == pytest.approx(plain_mean(pairs), abs=1e-4)


@pytest.mark.parametrize("texts", [None, 60], ids=["each its own text", "shared texts"])
def test_ties_of_closeness_share_their_rank_in_the_null_too(texts):
    cohort = made_cohort(160, seed=2, texts=texts, shuffles=6)
    states = np.sign(noise(cohort, 3)) + np.float32(
        [0.3, 0.2, 0.1]
    )  # eight different states, so nearly all are tied
    null = null_correlations(states, cohort, VARIANTS)
    for s, v in np.ndindex(6, 3):
        taker = cohort.takers[s]
        expected = [plain_pole(states, cohort, taker, k, VARIANTS[v], 5)[0] for k in range(10)]
        np.testing.assert_allclose(null[v, s], expected, atol=1e-4)


def test_resamples_are_a_plain_loop_with_ranks_held_fixed(monkeypatch):
    monkeypatch.setattr(gradients, "_pull", lambda *given: np.zeros(given[2].n_texts))
    monkeypatch.setattr(gradients, "recentred", lambda _value, draws, _wider: draws)
    cohort = made_cohort(200, seed=1, texts=120, draws=15)
    states = planted(cohort, 0.5)
    found = measure(states, cohort, variants=TYPICALITY)
    close = gradients.closeness(states, cohort.members, cohort.labels.group)
    for draw in range(15):
        weights = cohort.weights[draw][cohort.text]
        pairs = []
        for column in range(10):
            own = np.flatnonzero(cohort.labels.dimension == column)
            x, y = rankdata(cohort.labels.grade[own]), rankdata(close[own, column].round(9))
            again = np.repeat(np.arange(len(own)), weights[own])
            r = np.corrcoef(x[again], y[again])[0, 1]
            pairs.append((r, len(np.unique(cohort.text[own]))))
        assert found.draws[draw] == pytest.approx(plain_mean(pairs), abs=1e-5)


def test_a_texts_pull_is_the_slope_of_the_correlation_in_its_weight():
    """Weigh one member's text by 1 ± h in the centre, and correlate again."""
    cohort = made_cohort(120, seed=1, texts=80, poles=2)
    states = planted(cohort, 1.0)
    column = 2
    own = np.flatnonzero(cohort.labels.dimension == column)
    grade = rankdata(cohort.labels.grade[own])

    def correlation(text, weight):
        close = []
        for row in own:
            others = [
                i
                for i in np.flatnonzero(cohort.members[:, column])
                if cohort.text[i] != cohort.text[row]
            ]
            share = np.where(cohort.text[others] == text, weight, 1)
            close.append(cosine(states[row].astype(float), share @ states[others].astype(float)))
        return close

    base = np.array(correlation(-1, 1))
    ranks = rankdata(base.round(9))
    slope = np.cov(ranks, base)[0, 1] / base.var(ddof=1)
    close = gradients.closeness(states, cohort.members, cohort.labels.group)
    graded = gradients._graded(close, cohort, column, VARIANTS[0], states)
    members = np.unique(cohort.text[cohort.members[:, column]])
    moved = []
    for text in members:  # ranks follow closeness along their regression line
        up, down = (
            np.corrcoef(ranks + slope * (correlation(text, w) - base), grade)[0, 1]
            for w in (1 + 1e-3, 1 - 1e-3)
        )
        moved.append((up - down) / 2e-3)
    share = graded.pull[members] @ moved / (np.array(moved) @ moved)
    assert np.sqrt(1 / 8) - 1e-6 <= share <= 1
    # ours takes the whole centre's length for that of the centre without a row's own text
    np.testing.assert_allclose(graded.pull[members], share * np.array(moved), atol=2e-3)
    assert np.abs(graded.pull).max() > 0.05
    assert np.flatnonzero(graded.pull).tolist() == members.tolist()


# Fisher's mean ----------------------------------------------------------------------------------


def test_the_mean_is_taken_on_fishers_scale_with_weights():
    found = fisher_mean(np.array([[0.2, 0.9], [0.5, np.nan]]), np.array([3.0, 1.0]))
    expected = np.tanh((3 * np.arctanh(0.2) + np.arctanh(0.9)) / 4)
    np.testing.assert_allclose(found, [expected, 0.5])


def test_the_mean_of_nothing_is_nothing():
    assert np.isnan(fisher_mean(np.full((2, 3), np.nan), np.ones(3))).all()
    assert fisher_mean(np.zeros((0, 2)), np.ones(2)).shape == (0,)


def test_a_perfect_correlation_of_five_texts_does_not_outweigh_hundreds():
    found = fisher_mean(np.array([[1.0, 0.1]]), np.array([2.0, 200.0]))
    assert 0.1 < found[0] < 0.13


# Truth ------------------------------------------------------------------------------------------


def test_a_planted_gradient_is_recovered_and_stands_out():
    cohort = made_cohort(600, draws=200, shuffles=200)
    for name in VARIANTS:
        whole = figures_of(measure(planted(cohort, 1.0), cohort), name)[ALL]
        assert whole.observed.low > max(0.3, whole.shuffled.high)
        assert whole.shuffled.low < 0 < whole.shuffled.high


def test_a_pole_without_gradient_is_not_mistaken_for_one():
    values = []
    for seed in range(12):
        cohort = made_cohort(400, seed)
        flat = cohort.take(np.ones(400, bool))
        even = Labels(flat.labels.dimension, (flat.labels.dimension >= 0) * 1.0, flat.labels.group)
        states = planted(Cohort(even, *cohort_rest(flat)), 1.0, seed=seed)
        values.append(measure(states, cohort, variants=TYPICALITY).headline.observed.value)
    error = np.std(values) / np.sqrt(12)
    assert np.mean(values) < 3 * error  # below 0 rather: the centre of a member is one short
    assert np.mean(values) > -0.12


def cohort_rest(cohort):
    return cohort.foundation, cohort.vectors, cohort.members, cohort.rows, 0, 0, 0


def test_pure_noise_has_no_gradient_only_because_the_own_text_is_left_out():
    fair, naive = [], []
    for seed in range(12):
        cohort = made_cohort(300, seed)
        states = noise(cohort, 64, seed)
        fair.append(measure(states, cohort, variants=TYPICALITY).headline.observed.value)
        pairs = []
        for column in range(10):
            own = np.flatnonzero(cohort.labels.dimension == column)
            centre = states[cohort.members[:, column]].mean(axis=0)
            close = [cosine(states[row], centre) for row in own]
            pairs.append((spearmanr(close, cohort.labels.grade[own]).statistic, len(own)))
        naive.append(plain_mean(pairs))
    assert abs(np.mean(fair)) < 3 * np.std(fair) / np.sqrt(12)
    assert np.mean(naive) > 0.3


def test_other_rows_of_the_own_text_are_no_way_around_it():
    values = []
    for seed in range(12):
        cohort = made_cohort(450, seed, texts=150)
        order = np.random.default_rng(seed).permutation(150)
        one = made_cohort(150, seed)
        labels = Labels(*(np.repeat(column[order], 3) for column in one.labels))
        again = Cohort(
            labels,
            np.repeat(one.foundation[order], 3),
            np.repeat(one.vectors[order], 3, axis=0),
            typical_members(labels),
            np.arange(450),
            0,
            0,
        )
        del cohort
        values.append(measure(noise(again, 64, seed), again).headline.observed.value)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(12)


def test_shuffled_labels_lie_in_their_band_as_often_as_it_says():
    inside = 0
    for seed in range(60):
        cohort = made_cohort(150, seed, texts=110, shuffles=200)
        whole = measure(noise(cohort, 16, seed), cohort, variants=TYPICALITY).headline
        inside += whole.shuffled.low <= whole.observed.value <= whole.shuffled.high
    assert inside >= 51  # 57 expected; fewer than 51 once in 500 runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "width", "strength"), [(300, 48, 0.3), (300, 48, 0), (150, 12, 1), (600, 100, 0.2)]
)
def test_the_interval_covers_what_repeated_studies_find_on_average(n, width, strength):
    values, covers = [], []
    for seed in range(300):
        cohort = made_cohort(n, seed, draws=200 if seed < 100 else 0)
        found = measure(planted(cohort, strength, width, seed), cohort, variants=TYPICALITY)
        values.append(found.headline.observed.value)
        covers.append(found.headline.observed)
    truth = np.mean(values)
    covered = np.mean([one.low <= truth <= one.high for one in covers[:100]])
    width_of = np.mean([one.high - one.low for one in covers[:100]])
    assert covered >= 0.88
    assert width_of < 7 * np.std(values)


# Invariances ------------------------------------------------------------------------------------


def values_of(measured):
    return np.array([one.observed for one in measured.figures])


def test_resamples_of_few_texts_spread_as_fisher_says_and_lie_around_the_figure(monkeypatch):
    cohort = made_cohort(200, texts=150, draws=300)
    states = planted(cohort, 0.5)
    close = gradients.closeness(states, cohort.members, cohort.labels.group)
    found = gradients.by_pole(close, cohort, "typicality", states)
    monkeypatch.setattr(gradients, "recentred", lambda _value, draws, _wider: draws)
    plain = gradients.by_pole(close, cohort, "typicality", states)
    known = found.weights > 5
    wide, narrow = (np.arctanh(one.draws[:, known]) for one in (found, plain))
    wider = np.sqrt(1 + 3 / found.weights[known])
    assert np.nanstd(wide, axis=0) / np.nanstd(narrow, axis=0) == pytest.approx(wider, rel=1e-3)
    assert np.tanh(np.nanmean(wide, axis=0)) == pytest.approx(found.values[known])


def test_rotation_and_scale_of_the_states_change_nothing():
    cohort = made_cohort(200, texts=150, draws=30, shuffles=30)
    states = planted(cohort)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(24, 24)))[0]
    first = measure(states, cohort)
    # Rounding swaps neighbours of nearly the same closeness: a rank or two of a pole's twenty.
    for other in (states @ turn.astype(np.float32), 1000 * states):
        again = measure(other.astype(np.float32), cohort)
        np.testing.assert_allclose(values_of(again), values_of(first), atol=2e-2)
        np.testing.assert_allclose(again.null, first.null, atol=1e-2)


def test_the_order_of_the_rows_does_not_matter():
    cohort = made_cohort(200, texts=150, draws=30, shuffles=0)
    states, order = planted(cohort), np.random.default_rng(0).permutation(200)
    mixed = Cohort(
        Labels(*(column[order] for column in cohort.labels)),
        cohort.foundation[order],
        cohort.vectors[order],
        cohort.members[order],
        np.arange(200),
        30,
        0,
    )
    first, again = measure(states, cohort), measure(states[order], mixed)
    np.testing.assert_allclose(values_of(again), values_of(first), atol=1e-6)


def test_the_same_seed_gives_the_same_figures_to_the_last_bit():
    cohort = made_cohort(300, draws=50, shuffles=50)
    states = planted(cohort)
    first, again = measure(states, cohort), measure(states, cohort)
    np.testing.assert_array_equal(values_of(first), values_of(again))
    np.testing.assert_array_equal(first.null, again.null)
    np.testing.assert_array_equal(first.draws, again.draws)


# Bad input --------------------------------------------------------------------------------------


def nothing(figure):
    return np.isnan([*figure.observed, *figure.shuffled]).all()


def test_a_pole_without_rows_is_nothing_and_the_others_stay():
    cohort = made_cohort(300, draws=20, shuffles=20)
    kept = cohort.labels.dimension != 3
    found = measure(planted(cohort)[kept], cohort.take(kept))
    assert nothing(figures_of(found)["cheating"])
    assert nothing(figures_of(found, VARIANTS[2])["fairness"])  # nothing is opposed to it
    assert np.isfinite(figures_of(found)["fairness"].observed).all()
    assert np.isfinite(found.headline.observed).all()


@pytest.mark.parametrize("kept", [1, 4])
def test_too_few_texts_are_nothing(kept):
    cohort = made_cohort(300, draws=20, shuffles=20)
    dimension = cohort.labels.dimension
    rows = np.concatenate([np.flatnonzero(dimension == column)[:kept] for column in range(10)])
    few = cohort.take(np.isin(np.arange(300), rows))
    found = measure(noise(few), few)
    assert all(nothing(one) for one in found.figures if one.name != VARIANTS[1])
    assert len(found.draws) == len(found.null) == 0


def test_many_rows_of_one_text_are_no_interval():
    one = made_cohort(60, poles=2, draws=20, shuffles=20)
    labels = one.labels._replace(group=np.zeros(60, int))
    cohort = Cohort(labels, one.foundation, one.vectors, typical_members(labels), one.rows, 20, 20)
    found = measure(np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32), cohort)
    assert all(nothing(figure) for figure in found.figures)


def test_only_neutral_rows_are_nothing():
    cohort = made_cohort(60, draws=20, shuffles=20)
    neutral = cohort.labels.dimension < 0
    found = measure(noise(cohort)[neutral], cohort.take(neutral))
    assert all(nothing(one) for one in found.figures)


def test_constant_grades_are_nothing_but_beside_neutrals():
    cohort = made_cohort(300, grades=(1.0,), draws=20, shuffles=20)
    found = measure(planted(cohort), cohort)
    assert all(nothing(one) for one in found.figures if one.name != VARIANTS[1])
    assert figures_of(found, VARIANTS[1])[ALL].observed.low > 0


@pytest.mark.parametrize("states", [np.zeros((300, 8)), np.ones((300, 8))])
def test_states_that_do_not_differ_are_nothing(states):
    cohort = made_cohort(300, draws=20, shuffles=20)
    found = measure(states.astype(np.float32), cohort)
    assert np.isnan([one.observed.value for one in found.figures]).all()


def test_one_coordinate_is_enough_for_a_figure_and_no_crash():
    cohort = made_cohort(300, draws=20, shuffles=20)
    found = measure(noise(cohort, 1), cohort)
    assert -1 <= found.headline.observed.value <= 1


def test_without_draws_and_shuffles_there_is_a_figure_alone():
    found = measure(planted(cohort := made_cohort(200)), cohort).headline
    assert np.isfinite(found.observed.value)
    assert np.isnan([found.observed.low, found.observed.high, *found.shuffled]).all()
