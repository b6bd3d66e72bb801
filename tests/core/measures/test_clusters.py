"""Clusters held against labels: scores as scikit-learn's, planted structure found, chance not."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

from core.dataset.labels import Labels, typical_members
from core.measures import clusters
from core.measures.clustering import NOISE, NOT_ASKED, Clustering, cluster
from core.measures.clusters import (
    agreement,
    headline,
    headline_alone,
    measure,
)
from core.measures.cohort import Cohort
from core.measures.result import ALL, HEADLINES
from core.statistics.neighbours import normalised

PARTS = [ALL, "foundations", "polarity"]
BOTH_KINDS = ["ARI of k-means", "NMI of k-means", "ARI of HDBSCAN", "NMI of HDBSCAN"]


def cohort_of(foundation, sign, text=None, draws=60, shuffles=60, seed=0):
    """Return rows with a foundation (0-4) and a sign (0 virtue, 1 vice, 2 neutral)."""
    foundation, sign = np.asarray(foundation), np.asarray(sign)
    n = len(foundation)
    dimension = np.where(sign < 2, 2 * foundation + sign, -1)
    text = np.arange(n) if text is None else text
    labels = Labels(dimension, np.where(sign < 2, 1.0, 0.0), text)
    vectors = np.zeros((n, 10), np.float32)
    rows = np.arange(n)
    members = typical_members(labels)
    return Cohort(labels, foundation, vectors, members, rows, draws, shuffles, seed)


def random_cohort(n, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    return cohort_of(rng.integers(0, 5, n), rng.integers(0, 3, n), seed=seed, **kwargs)


def blobs(cohort, d=20, apart=8.0, seed=0):
    """Return states that lie around one place for each of the 15 classes."""
    rng = np.random.default_rng(seed)
    centres = apart * rng.normal(size=(15, d))
    own = 3 * cohort.foundation + cohort.sign
    return np.asarray(centres[own] + rng.normal(size=(len(cohort), d)), np.float32)


def noise(n, d=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def found(measured):
    """Return the figures by part and name."""
    return {(figure.part, figure.name): figure for figure in measured.figures}


def by_hand(cohort, kmeans=None, density=None, near=None, d=5):
    """Return a clustering made by hand; what is not given is empty."""
    n = len(cohort)
    return Clustering(
        kmeans or {3: np.zeros(n, int)},
        np.full(n, NOISE) if density is None else density,
        np.full((n, 10), -1) if near is None else near,
        noise(n, d) / np.linalg.norm(noise(n, d), axis=1, keepdims=True),
    )


# Scores -----------------------------------------------------------------------------------------


def random_tables():
    rng = np.random.default_rng(0)
    for _ in range(40):
        n, k, c = rng.integers(2, 200), rng.integers(1, 9), rng.integers(2, 7)
        first, second = rng.integers(0, k, n), rng.integers(0, c, n)
        second[:2] = 0, 1  # two classes at least
        mixed = np.where(rng.random(n) < rng.random(), second, first)
        table = np.zeros((12, 7))
        np.add.at(table, (mixed, second), 1)
        yield mixed, second, table


def test_scores_of_a_stack_are_scikit_learns():
    first, second, tables = zip(*random_tables(), strict=True)
    ari = [adjusted_rand_score(b, a) for a, b in zip(first, second, strict=True)]
    nmi = [normalized_mutual_info_score(b, a) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(clusters._adjusted_rand(np.stack(tables)), ari, atol=1e-12)
    np.testing.assert_allclose(clusters._mutual_information(np.stack(tables)), nmi, atol=1e-12)


@pytest.mark.parametrize("score", [clusters._adjusted_rand, clusters._mutual_information])
def test_a_perfect_table_scores_1_and_one_class_alone_nothing(score):
    values = score(np.array([np.diag([4.0, 5, 6]), [[3, 0, 0], [2, 0, 0], [0, 0, 0]]]))
    np.testing.assert_allclose(values, [1, np.nan], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 5, 15])
def test_silhouettes_are_scikit_learns(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, size=(12, 120))  # more than are made at once
    labels[:, 0] = classes  # alone in its class
    states = noise(120, 30) + 3 * noise(classes + 1, 30, 1)[labels[0]]
    unit = states / np.linalg.norm(states, axis=1, keepdims=True)
    ours = clusters._silhouettes(unit, labels, classes + 3).mean(axis=1)  # two are empty
    theirs = [silhouette_score(unit, row, metric="cosine") for row in labels]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert theirs[0] > 0.3  # not all about 0


def test_classes_in_one_place_have_no_silhouette():
    unit = np.tile(normalised(noise(1)), (40, 1))
    labels = np.arange(40)[None] % 2
    np.testing.assert_allclose(clusters._silhouettes(unit, labels, 2), 0, atol=0.3)


# Figures as counted one by one --------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
def test_purity_is_counted_one_by_one(part):
    cohort = random_cohort(80, text=np.arange(80) // 2, shuffles=7)
    clustering = cluster(noise(80), cohort)
    near, shown = clustering.near.copy(), found(measure(clustering, cohort))
    labels = clusters._labels(part, cohort)
    figure = shown[part, "neighbour purity"]
    plain = np.mean([[labels[j] == labels[i] for j in near[i]] for i in range(80)])
    assert figure.observed.value == pytest.approx(plain, abs=1e-6)
    takers = cohort.takers_anywhere if part == "foundations" else cohort.takers
    null = []
    for taker in takers:
        mixed = np.empty_like(labels)
        mixed[taker] = labels
        null.append(np.mean([[mixed[j] == mixed[i] for j in near[i]] for i in range(80)]))
    assert figure.shuffled.value == pytest.approx(np.mean(null), abs=1e-6)


def test_neighbours_are_the_nearest_of_other_texts():
    cohort = random_cohort(60, text=np.arange(60) // 3)
    clustering = cluster(noise(60), cohort)
    cosine = clustering.unit @ clustering.unit.T
    cosine[cohort.text[:, None] == cohort.text] = -9
    np.testing.assert_array_equal(clustering.near, np.argsort(-cosine, axis=1)[:, :10])


def test_rows_that_lack_neighbours_are_averaged_over_those_they_have():
    cohort = cohort_of([0] * 6, [0, 0, 0, 1, 1, 1], text=np.array([0, 0, 0, 1, 1, 2]))
    near = cluster(noise(6), cohort).near
    np.testing.assert_array_equal((near >= 0).sum(axis=1), [3, 3, 3, 4, 4, 5])
    figure = found(measure(by_hand(cohort, near=near), cohort))["polarity", "neighbour purity"]
    assert figure.observed.value == pytest.approx(np.mean([0, 0, 0, 1 / 4, 1 / 4, 2 / 5]))


@pytest.mark.parametrize("part", PARTS)
def test_tables_of_resamples_and_shuffles_are_counted_one_by_one(part, monkeypatch):
    cohort = random_cohort(90, text=np.arange(90) // 2, draws=7, shuffles=130)
    density = np.random.default_rng(3).integers(-1, 4, 90)
    monkeypatch.setattr(clusters, "_MOST_CELLS", 3 * 90)  # few draws and shuffles at once
    labels, classes = clusters._labels(part, cohort), clusters.PARTS[part]
    runs = np.stack([density, np.random.default_rng(4).integers(-1, 3, 90)])
    drawn = clusters._drawn_tables(runs, part, cohort)
    weights = np.vstack([np.ones(45), cohort.weights])[:, cohort.text]
    mixed = np.concatenate(list(clusters._mixed_tables(runs, part, cohort)), axis=1)
    for number, run in enumerate(runs):
        for table, weight in zip(drawn[number], weights, strict=True):
            plain = np.zeros((5, classes))
            np.add.at(plain, (run + 1, labels), weight)
            np.testing.assert_array_equal(table, plain)
        for table, taker in zip(mixed[number], clusters._takers(part, cohort), strict=True):
            plain = np.zeros((5, classes))
            np.add.at(plain, (run[taker] + 1, labels), 1)
            np.testing.assert_array_equal(table, plain)


# What is found ------------------------------------------------------------------------------------


def test_planted_blobs_are_found_by_every_figure():
    cohort = random_cohort(450)
    measured = measure(cluster(blobs(cohort), cohort), cohort)
    shown = found(measured)
    for name in [*BOTH_KINDS, "ARI without noise", "neighbour purity"]:
        figure = shown[ALL, name]
        assert figure.observed.value > 0.9, name
        assert figure.observed.low > figure.shuffled.high + 0.2, name
    assert shown[ALL, "silhouette"].observed.low > shown[ALL, "silhouette"].shuffled.high + 0.2
    assert shown[ALL, "clusters of HDBSCAN"].observed.value == 15
    assert shown[ALL, "coverage of HDBSCAN"].observed.value > 0.9


def test_the_headline_comes_first_with_its_resamples_and_shuffles():
    cohort = random_cohort(120, draws=30, shuffles=20)
    clustering = cluster(noise(120), cohort)
    measured = measure(clustering, cohort)
    assert (measured.headline.name, measured.headline.part) == (HEADLINES["structural"], ALL)
    assert measured.draws.shape == (30,)
    assert measured.null.shape == (20,)
    assert measured.null.mean() == pytest.approx(measured.headline.shuffled.value, abs=1e-6)
    alone = headline(clustering, cohort.take(np.ones(120, bool)))
    assert alone.figures == measured.figures[:1]
    np.testing.assert_array_equal(alone.null, measured.null)


def test_each_name_stands_once_in_each_part():
    cohort = random_cohort(60, draws=3, shuffles=3)
    figures = measure(cluster(noise(60), cohort), cohort).figures
    names = [(figure.part, figure.name) for figure in figures]
    everywhere = [*BOTH_KINDS, "ARI without noise", "neighbour purity", "silhouette"]
    wanted = [(part, name) for part in PARTS for name in everywhere]
    wanted += [(ALL, "coverage of HDBSCAN"), (ALL, "clusters of HDBSCAN")]
    assert sorted(names) == sorted(wanted)


def test_random_labels_lie_within_the_band_nineteen_times_in_twenty():
    states = noise(90)
    once = cluster(states, random_cohort(90, draws=0, shuffles=0))
    inside = []
    for seed in range(60):
        cohort = random_cohort(90, seed=seed, draws=0, shuffles=200)
        shown = found(measure(once, cohort))
        keys = [(ALL, "ARI of k-means"), ("foundations", "NMI of k-means")]
        keys += [("polarity", "neighbour purity"), ("polarity", "silhouette")]
        figures = [shown[key] for key in keys]
        inside.append([f.shuffled.low <= f.observed.value <= f.shuffled.high for f in figures])
    # Of 60 at 95 %, 50 or fewer happen once in 1,000 runs; labels that never left it are no test.
    assert (np.sum(inside, axis=0) > 50).all()
    assert np.mean(inside) < 1


def test_intervals_hold_the_figure_even_with_few_rows_and_little_structure():
    cohort = random_cohort(60, draws=400)
    shown = found(measure(cluster(noise(60), cohort), cohort))
    for part in PARTS:
        for name in ("ARI of k-means", "NMI of k-means", "neighbour purity", "silhouette"):
            value, low, high = shown[part, name].observed
            assert low < value < high, (part, name)


def test_rows_in_one_foundation_are_scored_among_themselves():
    cohort = random_cohort(300)
    states = blobs(cohort)
    states[cohort.foundation == 1] = noise(300)[cohort.foundation == 1]  # one without structure
    clustering = cluster(states, cohort)
    clear = headline(clustering, cohort.take(cohort.foundation == 0)).headline
    lost = headline(clustering, cohort.take(cohort.foundation == 1)).headline
    assert clear.n == (cohort.foundation == 0).sum()
    assert clear.observed.low > clear.shuffled.high
    assert lost.observed.value <= lost.shuffled.high
    own = cohort.foundation == 1
    runs = [adjusted_rand_score(cohort.sign[own], run[own]) for run in clustering.kmeans[15]]
    assert lost.observed.value == pytest.approx(np.mean(runs), abs=1e-9)


def test_a_resample_shares_the_luck_of_two_runs_of_k_means():
    cohort = random_cohort(300, draws=400)
    runs = cluster(blobs(cohort, apart=0.6), cohort).kmeans[15]
    assert len({tuple(run) for run in runs}) == len(runs) == 10
    each = [agreement("k-means", run, ALL, cohort)[0] for run in runs]
    both = agreement("k-means", runs, ALL, cohort)[0]
    values = [one.headline.observed.value for one in each]
    assert both.headline.observed.value == pytest.approx(np.mean(values))
    assert both.null == pytest.approx(np.mean([one.null for one in each], axis=0), abs=1e-6)
    assert both.draws.mean() == pytest.approx(np.mean(values), abs=1e-6)
    fewer = np.mean([one.draws for one in each], axis=0)
    assert both.draws.var() > fewer.var() + np.var(values) / 3


def test_clusters_by_chance_spread_no_more_than_studies_do():
    """A resample of pure chance spreads three times as widely as chance itself (variance)."""
    values, claimed, plain = [], [], []
    for seed in range(400):
        cohort = random_cohort(200, seed=seed, draws=150, shuffles=0)
        runs = np.random.default_rng([seed, 1]).integers(0, 15, (1, 200))
        one = agreement("k-means", runs, ALL, cohort, scores=1)[0]
        values.append(one.headline.observed.value)
        claimed.append(one.draws.var())
        [tables], [squares] = (
            clusters._drawn_tables(runs, ALL, cohort),
            clusters._drawn_squares(runs, cohort),
        )
        plain.append(clusters._adjusted_rand(tables[1:], squares[1:, 0]).var())
    truth = np.var(values)
    assert np.mean(plain) == pytest.approx(3 * truth, rel=0.25)
    assert 0.8 * truth < np.mean(claimed) < 1.7 * truth


def test_a_row_drawn_twice_is_no_pair():
    """Weighted agreement is that of pairs of different rows."""
    cohort = random_cohort(40, text=np.arange(40) // 2, draws=3)
    runs = np.random.default_rng(1).integers(-1, 3, (2, 40))
    labels = clusters._labels("polarity", cohort)
    tables, squares = (
        clusters._drawn_tables(runs, "polarity", cohort),
        clusters._drawn_squares(runs, cohort),
    )
    found = clusters._adjusted_rand(tables[1], squares[1, :, 0])
    weights = np.vstack([np.ones(20), cohort.weights])[:, cohort.text]
    pairs = ~np.eye(40, dtype=bool)
    same, alike = (one[:, None] == one for one in (runs[1], labels))
    for value, weight in zip(found, weights, strict=True):
        share = np.outer(weight, weight)[pairs]
        a, b = same[pairs], alike[pairs]
        sums = [(share * one).sum() for one in (a & b, a, b, np.ones_like(a))]
        chance = sums[1] * sums[2] / sums[3]
        plain = (sums[0] - chance) / ((sums[1] + sums[2]) / 2 - chance)
        assert value == pytest.approx(plain)
    clear = squares[1, 1:, 1]
    np.testing.assert_allclose(clear, (weights[1:] ** 2 * (runs[1] > NOISE)).sum(axis=1))
    middle, near = clusters._halfway(tables[1], squares[1])
    inside = ((1 + weights[1:]) / 2) ** 2
    np.testing.assert_allclose(near[:, 0], inside.sum(axis=1))
    np.testing.assert_allclose(near[:, 1], (inside * (runs[1] > NOISE)).sum(axis=1))
    np.testing.assert_allclose(middle.sum(axis=(1, 2)), ((1 + weights[1:]) / 2).sum(axis=1))


def test_halfway_tables_that_say_nothing_leave_the_figure_without_resamples():
    each, halfway = np.random.default_rng(0).random((2, 3, 9))
    halfway[1, 2:] = np.nan
    spread = clusters._spread(each, halfway[:, 1:], 0)
    np.testing.assert_array_equal(np.isfinite(spread), [True] + [False] * 7)
    assert np.isnan(clusters._spread(each, np.full((3, 8), np.nan), 0)).all()


@pytest.mark.slow
def test_the_interval_of_k_means_covers_what_repeated_studies_find_on_average():
    found, centres = [], 2.5 * np.linalg.qr(np.random.default_rng(0).normal(size=(30, 15)))[0].T
    for seed in range(60):
        cohort = random_cohort(300, seed=seed, draws=200, shuffles=0)
        states = centres[3 * cohort.foundation + cohort.sign] + noise(300, 30, seed)
        clustering = cluster(states.astype(np.float32), cohort)
        found.append(headline(clustering, cohort).headline.observed)
    truth = np.mean([one.value for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.88


def test_nearly_all_noise_scores_about_0_where_the_papers_score_is_1():
    cohort = random_cohort(300)
    own = 3 * cohort.foundation + cohort.sign
    density = np.full(300, NOISE)
    for number, label in enumerate((0, 7)):
        density[np.flatnonzero(own == label)[:8]] = number
    shown = found(measure(by_hand(cohort, density=density), cohort))
    assert shown[ALL, "ARI without noise"].observed.value == 1
    assert shown[ALL, "ARI without noise"].n == 16
    assert abs(shown[ALL, "ARI of HDBSCAN"].observed.value) < 0.03
    assert shown[ALL, "coverage of HDBSCAN"].observed.value == pytest.approx(16 / 300)


def test_without_a_cluster_the_papers_score_is_not_computable():
    cohort = random_cohort(100)
    shown = found(measure(by_hand(cohort), cohort))
    assert np.isnan(shown[ALL, "ARI without noise"].observed.value)
    assert shown[ALL, "ARI of HDBSCAN"].observed.value == 0
    assert shown[ALL, "clusters of HDBSCAN"].observed.value == 0


# What must not matter -----------------------------------------------------------------------------


def test_the_order_of_the_rows_does_not_matter():
    cohort = random_cohort(100, draws=0, shuffles=0)
    states = noise(100)
    order = np.random.default_rng(1).permutation(100)
    other = cohort_of(cohort.foundation[order], cohort.sign[order], draws=0, shuffles=0)
    first = found(measure(cluster(states, cohort), cohort))
    second = found(measure(cluster(states[order], other), other))
    for part in PARTS:
        for name in ("neighbour purity", "silhouette", "ARI of HDBSCAN"):
            one, two = first[part, name].observed, second[part, name].observed
            assert one.value == pytest.approx(two.value, abs=1e-5)


@pytest.mark.parametrize("d", [20, 1100], ids=["exact components", "leading components"])
def test_a_rotation_of_the_states_does_not_matter(d):
    cohort = random_cohort(150, draws=20, shuffles=20)
    states = blobs(cohort, 20)
    turned = np.linalg.qr(noise(d, 20))[0].T if d > 20 else np.linalg.qr(noise(20, 20))[0]
    wide = np.asarray(states @ turned, np.float32)
    first, second = cluster(states, cohort), cluster(wide, cohort)
    np.testing.assert_array_equal(first.density, second.density)
    for one, two in zip(
        measure(first, cohort).figures, measure(second, cohort).figures, strict=True
    ):
        assert one[:4] == two[:4]
        np.testing.assert_allclose(one.observed, two.observed, atol=1e-4)


def test_the_same_seed_gives_the_same_clusters_and_leaves_torchs_alone():
    import torch

    cohort = random_cohort(100)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (cluster(noise(100, 1100), cohort, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.kmeans[15], two.kmeans[15])
    assert torch.equal(before, torch.get_rng_state())


def test_of_many_rows_only_some_are_asked(monkeypatch):
    monkeypatch.setattr("core.measures.clustering.MOST_CLUSTERED", 200)
    monkeypatch.setattr("core.measures.clustering.MOST_ASKED", 50)
    monkeypatch.setattr("core.measures.clustering.BLOCK", 20)
    cohort = random_cohort(450)
    clustering = cluster(blobs(cohort), cohort)
    asked, near = clustering.density != NOT_ASKED, clustering.near
    assert asked.sum() == 200
    assert (near[:, 0] >= 0).sum() == 50
    assert ((near >= 0).all(axis=1) | (near < 0).all(axis=1)).all()
    shown = found(measure(clustering, cohort))
    own = (3 * cohort.foundation + cohort.sign)[asked]
    plain = adjusted_rand_score(own, clustering.density[asked])
    assert shown[ALL, "ARI of HDBSCAN"].observed.value == pytest.approx(plain)
    assert shown[ALL, "ARI of HDBSCAN"].n == 200
    assert shown[ALL, "neighbour purity"].n == 50
    assert shown[ALL, "neighbour purity"].observed.value > 0.95
    assert shown[ALL, "ARI of k-means"].n == 450


# Bad input ----------------------------------------------------------------------------------------

UNUSABLE = {
    "no row": noise(0),
    "one row": noise(1),
    "two rows": noise(2),
    "all the same": np.ones((40, 20), np.float32),
    "all zero": np.zeros((40, 20), np.float32),
    "one not finite": np.where(np.arange(800).reshape(40, 20) == 77, np.nan, noise(40)),
}


@pytest.mark.parametrize("states", UNUSABLE.values(), ids=UNUSABLE)
def test_states_without_structure_give_no_figure(states):
    cohort = random_cohort(len(states), draws=5, shuffles=5)
    clustering = cluster(states, cohort)
    assert clustering.kmeans == {}
    assert (clustering.density == NOISE).all()
    measured = measure(clustering, cohort)
    assert all(np.isnan(figure.observed).all() and figure.n == 0 for figure in measured.figures)
    assert np.isnan(measured.null).all()
    assert measured.draws.shape == (5,)


@pytest.mark.parametrize("n", [3, 4, 9, 12, 16])
def test_few_rows_give_what_they_can(n):
    cohort = random_cohort(n, draws=5, shuffles=5)
    clustering = cluster(noise(n), cohort)
    assert list(clustering.kmeans) == [k for k in (3, 5, 15) if k <= n]
    value = measure(clustering, cohort).headline.observed.value
    assert np.isnan(value) == (n < 15)


def test_many_copies_of_a_few_states_are_clustered_without_complaint():
    cohort = random_cohort(200, draws=5, shuffles=5)
    clustering = cluster(noise(6)[np.arange(200) % 6], cohort)
    assert list(clustering.kmeans) == [3, 5]
    assert len(np.unique(clustering.density)) == 6
    assert not np.isnan(found(measure(clustering, cohort))[ALL, "ARI of HDBSCAN"].observed.value)


def test_one_class_alone_has_nothing_to_follow():
    cohort = cohort_of(np.zeros(60, int), np.zeros(60, int))
    shown = found(measure(cluster(noise(60), cohort), cohort))
    for name in [*BOTH_KINDS, "ARI without noise", "neighbour purity", "silhouette"]:
        assert np.isnan([*shown[ALL, name].observed, *shown[ALL, name].shuffled]).all()
    assert shown[ALL, "coverage of HDBSCAN"].observed.value >= 0


def test_a_set_without_neutral_rows_is_measured():
    rng = np.random.default_rng(0)
    cohort = cohort_of(rng.integers(0, 5, 200), rng.integers(0, 2, 200))
    shown = found(measure(cluster(blobs(cohort), cohort), cohort))
    assert shown[ALL, "silhouette"].observed.value > 0.5
    assert shown["polarity", "neighbour purity"].observed.value > 0.95


def test_without_resamples_and_shuffles_the_figures_stand_alone():
    cohort = random_cohort(100, draws=0, shuffles=0)
    for figure in measure(cluster(noise(100), cohort), cohort).figures:
        assert figure.name == "ARI without noise" or np.isfinite(figure.observed.value)
        assert np.isnan([*figure.observed[1:], *figure.shuffled]).all()


@pytest.mark.parametrize("rows", [200, 12])
def test_the_headline_alone_is_that_of_all_clusters(rows):
    cohort = random_cohort(rows)
    part = cohort.take(cohort.foundation < 3)
    for states in (blobs(cohort), np.ones((rows, 20), np.float32), np.full((rows, 4), np.nan)):
        states = states.astype(np.float32)
        own, other = headline_alone(states, cohort, part), headline(cluster(states, cohort), part)
        np.testing.assert_equal(own.figures, other.figures)
        np.testing.assert_array_equal(own.draws, other.draws)


def test_no_rows_have_no_headline():
    cohort = random_cohort(60)
    nobody = headline(cluster(noise(60), cohort), cohort.take(np.zeros(60, bool))).headline
    assert np.isnan(nobody.observed.value)
